"""How well a classifier on disk does on labelled images: the report's section `accuracy` and its pictures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline import pictures, statistics
from pipeline.base.fault import Fault
from pipeline.evaluation import Evaluated, Task
from pipeline.images.ground_truth import number_of
from pipeline.images.image_set import from_training_set, manifest_digest
from pipeline.images.labels import Label
from pipeline.label_order import label_order
from pipeline.model.preprocessing import PROTOCOLS

Report = dict[str, Any]


@dataclass(frozen=True)
class Reported:
    """A figure that somebody else measured, quoted.

    Attributes:
        top1: accuracy, 0 to 1.
        source: where the figure stands.
    """

    top1: float
    source: str


@dataclass(frozen=True)
class Evaluation:
    """The section `evaluation`.

    Attributes:
        dataset: the data set and its part, in words that follow "images of", such as "the Fashion-MNIST test set".
        minimum_top1: the gate, 0 to 1: a lower measured top-1 accuracy stops the publication.
        images: a folder of class folders that comes with the member, relative to its YAML file; None: IMAGENET=.
        reported: the accuracy others report, if any.
        imagenet: whether IMAGENET= is for this member; false where its classes are not those of ImageNet-1k.
        protocol: how images are made to fit, one of preprocessing.PROTOCOLS.
    """

    dataset: str
    minimum_top1: float
    images: str | None = None
    reported: Reported | None = None
    imagenet: bool = True
    protocol: str = "resize"

    def __post_init__(self) -> None:
        reported = self.reported.top1 if self.reported else None
        for name, value in (("minimum_top1", self.minimum_top1), ("reported.top1", reported)):
            if value is not None and not 0 <= value <= 1:
                raise Fault(f"evaluation.{name} must lie in 0 to 1, got {value!r}")
        if self.protocol not in PROTOCOLS:
            raise Fault(f"evaluation.protocol must be {' or '.join(PROTOCOLS)}, got {self.protocol!r}")


def images_of(evaluation: Evaluation, home: Path, imagenet: Path | None) -> Path | None:
    """Returns the place of a member's evaluation images, or None: its own before IMAGENET=, if that is for it.

    Args:
        evaluation: the section.
        home: the folder of the member's YAML file.
        imagenet: what IMAGENET= names, if anything.
    """
    if evaluation.images:
        return home / evaluation.images
    return imagenet if evaluation.imagenet else None


def how_to_give_images(evaluation: Evaluation) -> str:
    """Returns what to do where a member has no images, a clause in the imperative."""
    return "say IMAGENET=<images>" if evaluation.imagenet else "name a folder in evaluation.images"


def other_dataset(task: Task) -> str | None:
    """Returns what IMAGENET= holds if it is not ImageNet's validation set, in words that follow "images of"."""
    if all(number_of(example.name.split("/", 1)[1]) for example in task.chosen):
        return None
    if training_images(task) is None:
        return f"{task.images.kind}, some of ImageNet's training set"
    if "V2" in task.images.kind or task.images.kind.startswith("TensorFlow Datasets"):
        return task.images.kind.removesuffix(" folders")
    return "its publisher's own set"


def training_images(task: Task) -> int | None:
    """Returns how many images are of ImageNet's training set by their names; None for imagenette, which has lost them.

    Of TensorFlow Datasets, that is: its validation split mixes images of both sets.
    """
    if task.images.kind.startswith("TensorFlow Datasets imagenette"):
        return None
    return sum(map(from_training_set, task.chosen))


def unmeasured(evaluation: Evaluation, reason: str) -> Report:
    """Returns the section for an accuracy that was not measured."""
    found = {
        "dataset": evaluation.dataset,
        "expected_dataset": evaluation.dataset,
        "reported": evaluation.reported and asdict(evaluation.reported),
    }
    return found | statistics.gate(None, evaluation.minimum_top1, reason)


def summary(
    evaluation: Evaluation, task: Task, found: Evaluated, names: Sequence[Label], classes: int, other: str | None
) -> Report:
    """Returns the section: every figure that the predictions give, held against the gate and the reported accuracy.

    Args:
        evaluation: the section `evaluation`.
        task: what was classified.
        found: what came of it.
        names: the labels in the order of the outputs.
        classes: how many outputs the model has.
        other: the data set in words if it is not evaluation.dataset, else None.
    """
    predictions = found.predictions
    real = [example.real for example in task.chosen if example.name not in found.damaged]
    figures = statistics.accuracy(predictions, names, classes, real if any(r is not None for r in real) else None)
    reported = evaluation.reported
    differs = f"it is about {evaluation.dataset}, these are images of {other}" if other else None
    return (
        figures
        | {
            "dataset": other or evaluation.dataset,
            "expected_dataset": evaluation.dataset,  # which a reported figure is about
            "layout": task.images.kind,
            "protocol": task.protocol,
            "manifest_sha256": manifest_digest(task.chosen),
            "damaged": found.damaged,
            "training_images": training_images(task),
            "images_per_second": found.rate,
            "label_order": label_order(predictions, names, classes),
            "reported": reported and asdict(reported),
            "against_reported": reported
            and statistics.against_reported(
                int(predictions.right.sum()), len(predictions), reported.top1, reported.source, classes,
                figures["classes"], differs,
            ),
        }
        | statistics.gate(figures, evaluation.minimum_top1)
    )  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A picture: the name of its file, what it shows, and the SVG."""

    file: str
    title: str
    svg: str


def plots(name: str, report: Report) -> list[Plot]:
    """Returns the pictures that a report gives rise to.

    Args:
        name: the member's.
        report: the whole report.
    """
    found = []
    accuracy = report["accuracy"]
    if "top1" in accuracy:
        title = "top-1 accuracy"
        svg = pictures.accuracy_plot(
            f"{name}: {title}", accuracy, accuracy["minimum_top1"], accuracy["against_reported"]
        )
        found.append(Plot("accuracy.svg", title, svg))
        title = "reliability of the probabilities"
        found.append(Plot("reliability.svg", title, pictures.reliability(f"{name}: {title}", accuracy["calibration"])))
    classifier = report["modules"]["classification"]
    if traced := classifier["blocks"].get("max_rel"):
        title = "largest difference from the JAX model"
        rows = [*map(tuple, traced), ("logits", classifier["parity"]["max_rel"])]
        notes = [
            f"{classifier['blocks']['images']} {report['parity_inputs']}; the logits: {classifier['parity']['images']}",
            "relative to the largest value that the JAX model computes there",
        ]
        svg = pictures.block_differences(f"{name}: {title}", rows, classifier["parity"]["tolerance"], notes)
        found.append(Plot("blocks.svg", title, svg))
    return found
