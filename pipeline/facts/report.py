"""What report.json says: every figure that validate measured, as frozen dataclasses.

The checks of a module are in checks.py, the accuracy in accuracy.py. A new figure is a field there, the code that
measures it (pipeline.proof or pipeline.accuracy), and the template that shows it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from pipeline.base.fault import Fault, show_name
from pipeline.base.heads import Head
from pipeline.base.json_files import load_json
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.base.verdict import Verdict
from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Accuracy, ClassAccuracy, ExamplePrediction, Reported
from pipeline.facts.checks import Comparison, ModuleReport

# 1 had no number, the measured accuracy beside the gate, and "" as the head of rungs about both; 2 did not say how the
# weights were verified; 3 knew Vision Transformers alone; 4 had no accuracy per class and no example predictions.
SCHEMA = 5


@dataclass(frozen=True)
class CheckpointFacts:
    """The checkpoint: its digests and size in bytes, where it comes from, and how its weights were verified.

    pipeline.checkpoints.provenance describes the fields.
    """

    source: str
    sha256: str
    arrays_sha256: str
    bytes: int
    verification: Verification
    converted_from: str | None = None
    source_sha256: str | None = None
    prefix: str | None = None


@dataclass(frozen=True)
class ModelFacts:
    """The section `model`, and what its architecture says of it.

    Attributes:
        variant, image_size, classes, labels, dropout, architecture, options: pipeline.model.section describes them.
        title: what cards call the model, such as "Vision Transformer S/16".
        family, plural: what they call one, and several, of the same architecture.
        tag: the value of TF-Hub's tag `network-architecture`.
        remark: what a card adds to the variant, such as "a hybrid: ..."; "" for nothing.
        features: what the features are, such as "the class token after the last layer normalisation"; "" where a card
            can only say that the head reads them.
        has_background: whether the first logit is a background, which stands for none of the classes.
        checkpoint_image_size: the checkpoint's own image size, if its arrays were resized for image_size; else None.
        operations: floating-point operations of the logits of one image; None where they were not counted.
        frozen: why the modules cannot be trained; "" for those that can.
    """

    variant: str
    image_size: int
    classes: int
    architecture: str
    title: str
    family: str
    plural: str
    tag: str
    labels: str | None = None
    dropout: float = 0.0
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    remark: str = ""
    features: str = ""
    has_background: bool = False
    checkpoint_image_size: int | None = None
    operations: int | None = None
    frozen: str = ""


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
    """A plot in the folder `plots` beside the report: its file name, and what it shows.

    Raises:
        ValueError: for a file of another folder.
    """

    file: str
    title: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}\.svg", self.file):
            raise ValueError(f"expected the name of an SVG file, got '{show_name(self.file)}'")


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

    @property
    def is_verified(self) -> bool:
        """Whether the weights are known to be those that the YAML file names."""
        return self.checkpoint.verification.is_verified

    def proofs(self, head: Head) -> tuple[Rung, ...]:
        """Returns the checks of a module but for its accuracy, those of both modules too; none of an early schema."""
        return tuple(
            rung for rung in self.ladder if rung.head in (head, None) and rung.rung not in ("accuracy", "label_order")
        )

    def examples(self, head: Head) -> tuple[ExamplePrediction, ...]:
        """Returns the example predictions that the pages of a module show; a feature extractor's show none."""
        measured = self.accuracy.measured
        return measured.examples if measured and head is Head.CLASSIFICATION else ()

    def class_accuracies(self, head: Head) -> tuple[ClassAccuracy, ...]:
        """Returns the accuracies of classes that the pages of a module show; none where the images have one class."""
        measured = self.accuracy.measured
        classes = measured.per_class if measured and head is Head.CLASSIFICATION else ()
        return classes if len(classes) > 1 else ()

    @property
    def quoted(self) -> Reported | None:
        """The accuracy that others report; pages quote this.

        It is about these weights only if they are verified, and about the checkpoint's own image size alone.
        """
        is_original = self.is_verified and self.model.checkpoint_image_size is None
        return self.accuracy.reported if is_original else None


def with_recorded_arrays(report: Report, arrays: str | None) -> Report:
    """Returns a report whose weights count as downloaded if their arrays are those that a lock file has recorded.

    The lock file may have come after the report.
    """
    checkpoint = report.checkpoint
    if report.is_verified or arrays != checkpoint.arrays_sha256:
        return report
    return replace(report, checkpoint=replace(checkpoint, verification=Verification.DOWNLOADED))


def report_text(report: Report) -> str:
    """Returns a report as report.json has it."""
    return json.dumps(asdict(report), indent=2, sort_keys=True) + "\n"


def load_report(path: Path) -> Report:
    """Reads a report that validate wrote, also one of an earlier schema.

    Raises:
        Fault: when there is none, or it is not a report: names the first keys that are missing, unknown or wrong.
    """
    try:
        content = load_json(path, "delete it and run make validate", nan=True)
    except FileNotFoundError:
        raise Fault(f"{path}: no report; run make validate first") from None
    return parse_report(content, str(path))


def parse_report(content: Any, where: str) -> Report:
    """Returns the report that JSON's values describe; raises Fault as load_report() does, which begins with `where`."""
    schema = content.get("schema", 1) if isinstance(content, dict) else None
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise Fault(
            f"{where}: expected a report of schema 1 to {SCHEMA}, got {show_name(repr(schema))}; use the version of"
            " this program that wrote it, or delete it and run make validate"
        )
    try:
        upgraded = _from_schema_1(content) if schema == 1 else content
        upgraded = _from_schema_2(upgraded) if schema < 3 else upgraded
        upgraded = _from_schema_3(upgraded) if schema < 4 else upgraded
        upgraded = dict(upgraded) | {"schema": SCHEMA}  # of schema 4 nothing else is to be changed
    except (KeyError, TypeError, AttributeError) as error:
        reason = show_name(repr(error))
        raise Fault(f"{where}: not a report of make validate ({reason}); delete it and run make validate") from None
    try:
        report = parse_json(Report, json.dumps(upgraded))
        if missing := [head for head in Head if head not in report.modules]:  # validate begins without any
            raise ValueError(f"modules.{missing[0]} is missing")
        return report
    except ValueError as error:
        raise Fault(f"{where}: not a report of make validate: {error}; delete it and run make validate") from None


# The keys of schema 1's `accuracy` that are there without images, too.
_GATE = ("dataset", "expected_dataset", "minimum_top1", "verdict", "reason", "reported")


def _from_schema_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a report of schema 1, which the releases before 2026-11-28 wrote, with the keys of schema 2."""
    accuracy = dict(content["accuracy"])
    gate = {key: accuracy.pop(key) for key in _GATE if key in accuracy}
    ladder = [dict(rung) | {"head": rung["head"] or None} for rung in content.get("ladder", ())]
    return dict(content) | {
        "accuracy": gate | {"measured": accuracy or None},
        "features": content.get("features"),
        "ladder": ladder,
    }


def _from_schema_2(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a report of schema 2 as one of schema 3; of a file that was not downloaded it does not say enough."""
    is_downloaded = "://" in content["checkpoint"]["source"]
    verification = Verification.DOWNLOADED if is_downloaded else Verification.UNVERIFIED
    return dict(content) | {"checkpoint": content["checkpoint"] | {"verification": verification}}


def _from_schema_3(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a report of schema 3 as one of schema 4."""
    model = dict(content["model"])
    remark = "a hybrid: a ResNet computes the tokens that the Transformer reads" if model.pop("hybrid") else ""
    family = {"family": "Vision Transformer", "plural": "Vision Transformers", "tag": "vit", "architecture": "vit"}
    words = {"title": f"Vision Transformer {model['variant']}", "remark": remark}
    words["features"] = "the class token after the last layer normalisation"
    return dict(content) | {"model": model | family | words, "schema": SCHEMA}
