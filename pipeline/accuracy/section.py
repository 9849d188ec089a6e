"""The section `evaluation` of a member, and the place of its images."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.facts.accuracy import Reported
from pipeline.model.protocols import PROTOCOLS

# Why an accuracy is not measured, whatever images there are.
ONE_CLASS = "the model has one class, so that every prediction is right"
MULTI_LABEL = "an image may have several of the classes (multi-label), and top-1 accuracy counts one"

MOST_EXAMPLES = 12


@dataclass(frozen=True)
class Evaluation:
    """The section `evaluation`.

    Attributes:
        dataset: the data set and its part, in words that follow "images of", such as "the Fashion-MNIST test set".
        minimum_top1: a lower measured top-1 accuracy, 0 to 1, stops the publication.
        images: the member's own images, relative to its YAML file; None: those of IMAGENET=.
        reported: the accuracy that others report, if any.
        imagenet: whether the member can use IMAGENET=; false where its classes are not ImageNet-1k's.
        protocol: how images are resized, one of PROTOCOLS.
        multi_label: whether an image may have several of the classes, so that no accuracy is measured.
        examples: how many of the member's own images its pages show with what the model predicts, at most
            MOST_EXAMPLES; collection.yaml must name the licence that allows it.
    """

    dataset: str
    minimum_top1: float
    images: str | None = None
    reported: Reported | None = None
    imagenet: bool = True
    protocol: str = "resize"
    multi_label: bool = False
    examples: int = 0

    def __post_init__(self) -> None:
        if not self.dataset.strip():
            raise Fault("evaluation.dataset must not be empty")
        if self.multi_label and self.images:
            raise Fault("evaluation.images is for one class an image, got multi_label: true as well; leave images out")
        if not 0 <= self.examples <= MOST_EXAMPLES:
            raise Fault(f"evaluation.examples must be 0 to {MOST_EXAMPLES}, got {self.examples}")
        if self.examples and not self.images:
            raise Fault("evaluation.examples are of the member's own images; name them in evaluation.images")
        reported = self.reported.top1 if self.reported else None
        for name, value in (("minimum_top1", self.minimum_top1), ("reported.top1", reported)):
            if value is not None and not 0 <= value <= 1:
                raise Fault(f"evaluation.{name} must lie in 0 to 1, got {value!r}")
        if self.protocol not in PROTOCOLS:
            raise Fault(f"evaluation.protocol must be {' or '.join(PROTOCOLS)}, got {self.protocol!r}")


def require_images_license(examples: int, license_name: str | None, collection: Path) -> None:
    """Refuses to publish evaluation images without a licence that allows it.

    Args:
        examples: how many are to be published.
        license_name: images_license of the collection, or None.
        collection: the path of its collection.yaml.
    """
    if examples and not license_name:
        raise Fault(
            f"{collection}: images_license is missing, and {examples} evaluation images are to be published"
            " (evaluation.examples); name the licence that allows it, or set evaluation.examples to 0"
        )


def why_unmeasurable(classes: int, evaluation: Evaluation) -> str | None:
    """Returns why no images can measure the accuracy of a model of so many classes; None where they can."""
    return MULTI_LABEL if evaluation.multi_label else ONE_CLASS if classes == 1 else None


def images_of(evaluation: Evaluation, home: Path, imagenet: Path | None) -> Path | None:
    """Returns the place of a member's images, or None: its own, or IMAGENET= if it can use that.

    Args:
        evaluation: the section.
        home: the folder of the member's YAML file.
        imagenet: the value of IMAGENET=, if it is set.
    """
    if evaluation.multi_label:
        return None
    if evaluation.images:
        return home / evaluation.images
    return imagenet if evaluation.imagenet else None


def how_to_give_images(evaluation: Evaluation) -> str:
    """Returns how to give a member images, a clause in the imperative."""
    return "set IMAGENET=<images>" if evaluation.imagenet else "name a folder in evaluation.images"
