"""What report.json says: every figure that validate measured, as frozen dataclasses.

A new figure is a field here, the code that measures it (pipeline.proof or pipeline.accuracy), and the template that
shows it. Shares, accuracies and intervals are from 0 to 1; `max_rel` is the largest absolute difference divided by the
largest expected magnitude, `max_abs` that difference itself.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.base.verdict import Verdict

SCHEMA = 2  # 1 had no number, the measured accuracy beside the gate, and "" as the head of rungs about both

Interval = tuple[float, float]  # Wilson's, 95 %, low and high


@dataclass(frozen=True)
class CheckpointFacts:
    """The checkpoint: its digests and size in bytes, and where it comes from (pipeline.checkpoints.provenance)."""

    source: str
    sha256: str
    arrays_sha256: str
    bytes: int
    converted_from: str | None = None
    source_sha256: str | None = None


@dataclass(frozen=True)
class ModelFacts:
    """The section `model`, and whether the variant is a hybrid."""

    variant: str
    image_size: int
    classes: int
    hybrid: bool
    labels: str | None = None
    dropout: float = 0.0


@dataclass(frozen=True)
class Environment:
    """The versions of what measured, and the machine's architecture."""

    flax: str
    jax: str
    numpy: str
    tensorflow: str
    python: str
    machine: str


@dataclass(frozen=True)
class Needs:
    """What a module needs of its users: the oldest TensorFlow, platforms, versions of what is serialised."""

    tensorflow: str
    platforms: tuple[str, ...]
    calling_conventions: tuple[int, ...]
    stablehlo: tuple[str, ...]
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """The outputs of two implementations on the same inputs.

    Attributes:
        images: how many inputs.
        max_abs, max_rel: the largest difference, see the module.
        cosine: the smallest cosine similarity of the inputs' outputs, -1 to 1.
        tolerance: the largest max_rel that passes.
        verdict: of this check.
        argmax_agreement: the share of inputs with the same class; None for features.
    """

    images: int
    max_abs: float
    max_rel: float
    cosine: float
    tolerance: float
    verdict: Verdict
    argmax_agreement: float | None = None


@dataclass(frozen=True)
class WeightsCheck:
    """The module's variables beside the checkpoint's arrays; `different` names those that are not equal bit for bit."""

    arrays: int
    parameters: int
    different: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True)
class SelfTestReplay:
    """The self-test inside the module: max_rel by the way to call it."""

    max_rel: dict[str, float]
    tolerance: float
    verdict: Verdict


@dataclass(frozen=True)
class BatchSizes:
    """Outputs in small batches beside those in one batch of `of` images: max_rel by the batch size."""

    of: int
    max_rel: dict[str, float]
    tolerance: float
    verdict: Verdict


@dataclass(frozen=True)
class BlockTrace:
    """Where a difference from the JAX model begins: max_rel after each block, in order; no verdict.

    `reason` says why the blocks could not be compared; `images` is None then.
    """

    images: int | None = None
    max_rel: tuple[tuple[str, float], ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class GradientCheck:
    """The module's gradients beside JAX's, relative to each gradient's norm.

    `max_rel` and `worst`, the variable with it, are None where the variables do not match.
    """

    variables: int
    expected: int
    max_rel: float | None
    worst: str | None
    tolerance: float
    verdict: Verdict


@dataclass(frozen=True)
class FineTuningCheck:
    """One step of gradient descent with `training=True`: variables, those without a gradient, the loss."""

    variables: int
    without_gradient: tuple[str, ...]
    loss_before: float
    loss_after: float
    verdict: Verdict


@dataclass(frozen=True)
class TrainingChecks:
    """The checks that differentiate a module; pipeline.proof.gradients prints them as JSON."""

    gradients: GradientCheck
    fine_tuning: FineTuningCheck

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


@dataclass(frozen=True)
class ModuleReport:
    """The checks of one module.

    Attributes:
        content_sha256: the digest of its files (pipeline.saved_model.files).
        bytes: its size unpacked.
        output_width: how many logits or features it returns per image.
        needs: what it needs of its users.
        weights, selftest, preprocessing, parity, batch_sizes: the checks of the same names on the ladder.
        blocks: explains a failed parity.
        gradients, fine_tuning: None where an earlier check failed.
    """

    content_sha256: str
    bytes: int
    output_width: int
    needs: Needs
    weights: WeightsCheck
    selftest: SelfTestReplay
    preprocessing: Comparison
    parity: Comparison
    batch_sizes: BatchSizes
    blocks: BlockTrace
    gradients: GradientCheck | None = None
    fine_tuning: FineTuningCheck | None = None


@dataclass(frozen=True)
class ClassName:
    """A class: the index of its output, and its key and name where there is a label file."""

    index: int
    key: str | None = None
    name: str | None = None


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
        not_numbers: images with NaN or infinite outputs, which count as wrong.
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


@dataclass(frozen=True, kw_only=True)
class Measured(Figures):
    """The accuracy of a member's classifier, and what it was measured on.

    Attributes:
        layout: how the images lie on disk.
        protocol: how they were resized.
        manifest_sha256: the digest of their names.
        damaged: what is wrong with each image that could not be read, by its name.
        training_images: how many are of ImageNet's training set by their names; None where that cannot be told.
        images_per_second: from file to logits; None where too few were timed.
        label_order: whether the labels are in the order of the outputs.
        against_reported: None where nothing is reported.
    """

    layout: str
    protocol: str
    manifest_sha256: str
    damaged: dict[str, str]
    training_images: int | None
    images_per_second: float | None
    label_order: LabelOrder
    against_reported: AgainstReported | None = None


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
        """What was measured on, with all that keeps the accuracy from being compared; "" where nothing was measured."""
        if self.measured is None:
            return ""
        other = self.dataset if self.dataset != self.expected_dataset else None
        figures = self.measured
        return sample_in_words(figures.images, figures.classes, figures.outputs, other, figures.training_images)


@dataclass(frozen=True)
class Rung:
    """A check on the ladder of proofs.

    Attributes:
        rung: its name.
        head: the module; None for a check that is about both.
        value: what was measured; None where nothing was.
        tolerance: the largest value that passes; for an accuracy, the smallest.
        verdict: the outcome.
        reason: why it failed or was not measured; "" for one that passed.
        gate: whether its failure stops the publication.
    """

    rung: str
    head: Head | None
    value: float | None
    tolerance: float | None
    verdict: Verdict
    reason: str = ""
    gate: bool = True


@dataclass(frozen=True)
class Plot:
    """A plot in the folder `plots` beside the report: its file name, and what it shows."""

    file: str
    title: str


@dataclass(frozen=True)
class Report:
    """What validate measured of a member.

    Attributes:
        checkpoint, model, environment: what was validated, and with what.
        parity_inputs: what the inputs of the comparisons with JAX were, in words.
        modules: the checks of each module.
        features: the feature extractor's output through the checkpoint's head, beside the classifier's logits; None
            where it was not reached.
        accuracy: of the classifier.
        ladder: every check in order.
        plots: the pictures of these figures.
        schema: of this file.
    """

    checkpoint: CheckpointFacts
    model: ModelFacts
    environment: Environment
    parity_inputs: str
    modules: dict[Head, ModuleReport]
    features: Comparison | None
    accuracy: Accuracy
    ladder: tuple[Rung, ...] = ()
    plots: tuple[Plot, ...] = ()
    schema: int = SCHEMA

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


def sample_in_words(images: int, classes: int, outputs: int, dataset: str | None, training_images: int | None) -> str:
    """Returns what an accuracy was measured on, such as "1,000 images of 10 of the 1,000 classes".

    Args:
        images, classes, outputs, training_images: see Measured.
        dataset: what the images are of, where that must be said.
    """
    text = f"{images:,} images"
    if classes < outputs:
        text += f" of {classes:,} of the {outputs:,} classes"
    if dataset is not None:
        text += f" of {dataset}"
    if training_images:
        text += f", {training_images:,} of them perhaps trained on"
    return text


def report_text(report: Report) -> str:
    """Returns a report as report.json has it."""
    return json.dumps(asdict(report), indent=2, sort_keys=True) + "\n"


def load_report(path: Path) -> Report:
    """Reads a report that validate wrote, also one of an earlier schema.

    Raises:
        Fault: when there is none, or it is not a report: names the first keys that are missing, unknown or wrong.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Fault(f"{path}: no report; run make validate first") from None
    except ValueError as error:  # of JSON, or of UTF-8
        raise Fault(f"{path}: not valid JSON ({error}); delete it and run make validate") from None
    return parse_report(content, str(path))


def parse_report(content: Any, where: str) -> Report:
    """Returns the report that JSON's values describe; raises Fault as load_report() does, which begins with `where`."""
    schema = content.get("schema", 1) if isinstance(content, dict) else None
    if schema not in range(1, SCHEMA + 1):
        raise Fault(
            f"{where}: expected a report of schema 1 to {SCHEMA}, got {schema!r}; use the version of this program that"
            " wrote it, or delete it and run make validate"
        )
    try:
        upgraded = _from_schema_1(content) if schema == 1 else content
    except (KeyError, TypeError, AttributeError) as error:
        raise Fault(f"{where}: not a report of make validate ({error!r}); delete it and run make validate") from None
    try:
        return parse_json(Report, json.dumps(upgraded))
    except ValueError as error:
        raise Fault(f"{where}: not a report of make validate: {error}; delete it and run make validate") from None


# The keys of schema 1's `accuracy` that are there without images, too.
_GATE = ("dataset", "expected_dataset", "minimum_top1", "verdict", "reason", "reported")


def _from_schema_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a report of schema 1, which the releases before 2026-11-28 wrote, as one of schema 2."""
    accuracy = dict(content["accuracy"])
    gate = {key: accuracy.pop(key) for key in _GATE if key in accuracy}
    ladder = [dict(rung) | {"head": rung["head"] or None} for rung in content.get("ladder", ())]
    return dict(content) | {
        "accuracy": gate | {"measured": accuracy or None},
        "features": content.get("features"),
        "ladder": ladder,
        "schema": SCHEMA,
    }
