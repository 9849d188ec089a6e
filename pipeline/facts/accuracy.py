"""The accuracy of a classifier in report.json: what was measured, on what, and what others report.

Shares, accuracies and intervals are from 0 to 1.
"""

import re
from dataclasses import dataclass

from pipeline.base.fault import show_name
from pipeline.base.verdict import Verdict

Interval = tuple[float, float]  # Wilson's, 95 %, low and high


@dataclass(frozen=True)
class ClassName:
    """A class: the index of its output, and its key and name where there is a label file."""

    index: int
    key: str | None = None
    name: str | None = None

    @property
    def title(self) -> str:
        """The name for people; "class 7" where it has none."""
        return self.name or f"class {self.index}"


@dataclass(frozen=True)
class RestrictedAccuracy:
    """Top-1 accuracy if the model had to choose among the `classes` that the images have."""

    top1: float
    top1_interval: Interval
    classes: int


@dataclass(frozen=True)
class ReassessedAccuracy:
    """Top-1 accuracy by ReaL labels, on the `images` that have some."""

    top1: float
    top1_interval: Interval
    images: int


@dataclass(frozen=True)
class CalibrationBin:
    """A part (low, high] of the confidences; mean confidence and accuracy are None without images."""

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error `ece`, 0 to 1, and its bins."""

    ece: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class Confusion:
    """`images` of the `of` images of the class `true` were predicted to be of the class `predicted`."""

    true: ClassName
    predicted: ClassName
    images: int
    of: int


@dataclass(frozen=True)
class ClassAccuracy:
    """`right` of the `images` images of a class were classified right."""

    label: ClassName
    images: int
    right: int

    @property
    def share(self) -> float:
        """The accuracy, 0 to 1."""
        return self.right / self.images


@dataclass(frozen=True)
class ExamplePrediction:
    """The prediction for an image that pages show: its picture in the folder `examples` beside the report.

    Attributes:
        file: the picture's file name, such as "1.png".
        true: the image's class.
        predicted: the most likely class.
        confidence: the probability of that, 0 to 1.

    Raises:
        ValueError: for a file of another folder.
    """

    file: str
    true: ClassName
    predicted: ClassName
    confidence: float

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{1,3}\.png", self.file, re.ASCII):
            raise ValueError(f"expected the name of a picture, such as 1.png, got '{show_name(self.file)}'")

    @property
    def is_right(self) -> bool:
        return self.true.index == self.predicted.index


@dataclass(frozen=True)
class MovedLabel:
    """A label whose images the model takes for another output's class."""

    label: ClassName
    belongs_to: ClassName


@dataclass(frozen=True)
class LabelOrder:
    """Whether the label file has the order of the outputs (pipeline.accuracy.label_order).

    Attributes:
        verdict, reason: the outcome, and a clause that explains it.
        hits, chance: the images that are right, and how many would be by chance.
        shifts: the hits with every label moved by that many places, by the number of places.
        moved: at most ten labels that seem to belong to another output.
    """

    verdict: Verdict
    reason: str
    hits: int
    chance: float
    shifts: dict[str, int]
    moved: tuple[MovedLabel, ...] = ()


@dataclass(frozen=True)
class Reported:
    """A top-1 accuracy that somebody else measured, quoted, and where it stands."""

    top1: float
    source: str


@dataclass(frozen=True)
class AgainstReported:
    """The measured accuracy beside the reported one.

    `inside` says whether the 95 % interval contains `value`; None where the two cannot be compared.
    """

    value: float
    source: str
    inside: bool | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a classifier's predictions alone give.

    Attributes:
        images: how many were classified.
        classes, outputs: how many classes the images have, and how many outputs the model has.
        top1, top1_interval: over all outputs.
        top5, top5_interval: None for a model of at most five outputs.
        restricted: where the images have some of the classes only.
        real: where ReaL labels were given.
        calibration: over all outputs.
        confusions: the most frequent mistakes, most frequent first.
        per_class: the accuracy of each class that the images have, in the order of the classes; none in reports of
            earlier versions of this program.
        not_numbers: images with NaN or infinite outputs, which count as wrong.
        has_background: whether the first output is a background, none of the classes that images may have. A
            prediction of it counts as wrong.
    """

    images: int
    classes: int
    outputs: int
    top1: float
    top1_interval: Interval
    calibration: Calibration
    confusions: tuple[Confusion, ...]
    not_numbers: int
    top5: float | None = None
    top5_interval: Interval | None = None
    restricted: RestrictedAccuracy | None = None
    real: ReassessedAccuracy | None = None
    has_background: bool = False
    per_class: tuple[ClassAccuracy, ...] = ()

    @property
    def possible_classes(self) -> int:
        """How many classes images may have: the outputs, but for a background."""
        return self.outputs - self.has_background


@dataclass(frozen=True, kw_only=True)
class Measured(Figures):
    """The accuracy of a member's classifier, and what it was measured on.

    Attributes:
        layout: how the images lie on disk.
        protocol: how they were resized.
        manifest_sha256: the digest of their names.
        damaged: what is wrong with each image that could not be read, by its name.
        training_images: how many are of ImageNet's training set by their names, or all of a split for training; None
            where that cannot be told.
        images_per_second: from file to logits; None where too few were timed.
        label_order: whether the labels are in the order of the outputs.
        against_reported: None where nothing is reported.
        split: the part of the data set that they are, "train", "validation" or "test"; None where nothing tells.
        examples: some of the predictions, whose pictures pages show: right ones first, then mistakes.
    """

    layout: str
    protocol: str
    manifest_sha256: str
    damaged: dict[str, str]
    training_images: int | None
    images_per_second: float | None
    label_order: LabelOrder
    against_reported: AgainstReported | None = None
    split: str | None = None
    examples: tuple[ExamplePrediction, ...] = ()


@dataclass(frozen=True)
class Accuracy:
    """The classifier's accuracy: what was measured, and the verdict of the gate.

    Attributes:
        dataset: what the images are of, in words that follow "images of".
        expected_dataset: what the section `evaluation` names, which a reported figure is about.
        minimum_top1: the gate.
        verdict, reason: of the gate, or why nothing was measured.
        reported: what others report, quoted.
        measured: None where nothing was measured.
    """

    dataset: str
    expected_dataset: str
    minimum_top1: float
    verdict: Verdict
    reason: str
    reported: Reported | None = None
    measured: Measured | None = None

    @property
    def sample(self) -> str:
        """What was measured on, and why it cannot be compared with others; "" where nothing was measured."""
        if self.measured is None:
            return ""
        other = self.dataset if self.dataset != self.expected_dataset else None
        figures, classes = self.measured, self.measured.possible_classes
        return sample_in_words(figures.images, figures.classes, classes, other, figures.training_images)


def sample_in_words(images: int, classes: int, outputs: int, dataset: str | None, training_images: int | None) -> str:
    """Returns what an accuracy was measured on, such as "1,000 images of 10 of the 1,000 classes".

    Args:
        images, classes, outputs, training_images: see Measured.
        dataset: what the images are of, if that is to be named.
    """
    text = f"{images:,} images"
    if classes < outputs:
        text += f" of {classes:,} of the {outputs:,} classes"
    if dataset is not None:
        text += f" of {dataset}"
    if training_images:
        text += f", {training_images:,} of them perhaps trained on"
    return text
