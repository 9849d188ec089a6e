"""The criteria of a collection: the section `selection` of its collection.yaml, and whether a row meets them."""

import math
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, nearest
from pipeline.base.yaml_sections import YamlFile
from pipeline.pool.index import Row
from pipeline.pool.names import FINE_TUNING, PRETRAINING, PRETRAINING_RESOLUTION, RESOLUTIONS

PRETRAINED_SCORES = ("best_val", "final_val", "final_test")  # columns of the index, accuracies from 0 to 1
FINE_TUNED_SCORES = ("adapt_final_val", "adapt_final_test")


@dataclass(frozen=True)
class Remark:
    """Why a collection differs from its criteria on purpose. `of` is a member's name or a variant such as B/8."""

    of: str
    text: str


@dataclass(frozen=True)
class Criteria:
    """The section `selection`, in terms of the index's columns.

    Attributes:
        ds: the data set of the pre-training.
        best_by: the column to maximise, one of PRETRAINED_SCORES or, with `adapt_ds`, of FINE_TUNED_SCORES.
        adapt_ds: the data set of the fine-tuning; None for checkpoints that were only pre-trained.
        adapt_resolution: image size in pixels; None for any.
        minimum_accuracy: the lowest `best_by` to accept, 0 to 1; None for any.
        remarks: explain intended differences between the members and the selection.
    """

    ds: str
    best_by: str
    adapt_ds: str | None = None
    adapt_resolution: int | None = None
    minimum_accuracy: float | None = None
    remarks: tuple[Remark, ...] = ()

    def __post_init__(self) -> None:
        scores = PRETRAINED_SCORES if self.adapt_ds is None else PRETRAINED_SCORES + FINE_TUNED_SCORES
        for key, value, allowed in (
            ("ds", self.ds, PRETRAINING),
            ("adapt_ds", self.adapt_ds, FINE_TUNING),
            ("best_by", self.best_by, scores),
            ("adapt_resolution", self.adapt_resolution, RESOLUTIONS),
        ):
            if value is not None and value not in allowed:
                hint = nearest(value, map(str, allowed)) if isinstance(value, str) else ""
                expected = ", ".join(map(str, allowed))
                raise Fault(f"selection.{key}: unknown value {value!r}{hint}: expected one of {expected}")
        if self.adapt_ds is None and self.adapt_resolution is not None:
            raise Fault("selection.adapt_resolution applies to fine-tuned checkpoints: add adapt_ds, or remove it")
        if self.minimum_accuracy is not None and not 0 <= self.minimum_accuracy <= 1:
            raise Fault(f"selection.minimum_accuracy must lie in 0 to 1, got {self.minimum_accuracy!r}")

    @property
    def summary(self) -> str:
        """The conditions in one line of text."""
        parts = [f"ds {self.ds}", f"adapt_ds {self.adapt_ds}" if self.adapt_ds else "pre-trained only"]
        if self.adapt_resolution is not None:
            parts.append(f"adapt_resolution {self.adapt_resolution}")
        if self.minimum_accuracy is not None:
            parts.append(f"{self.best_by} at least {self.minimum_accuracy}")
        return ", ".join(parts)

    def checkpoint(self, row: Row) -> str:
        """Returns the name of a row's checkpoint: the fine-tuned or the pre-trained file, as `adapt_ds` says."""
        return row.adapt_filename if self.adapt_ds else row.filename

    def score(self, row: Row) -> float:
        """Returns a row's value in the column `best_by`, 0 to 1 or NaN."""
        value: float = getattr(row, self.best_by)
        return value

    def mismatch(self, row: Row) -> str | None:
        """Returns the first condition that a row fails, in words, or None when it meets all of them."""
        for column in ("ds", "adapt_ds", "adapt_resolution"):
            expected, got = getattr(self, column), getattr(row, column)
            if expected is not None and expected != got:
                return f"{column} is {got}, not {expected}"
        # The speed in a row is measured at the resolution of its fine-tuning.
        if self.adapt_ds is None and row.adapt_resolution != PRETRAINING_RESOLUTION:
            return f"the index has it fine-tuned at {row.adapt_resolution} pixels, not at {PRETRAINING_RESOLUTION}"
        score = self.score(row)
        if math.isnan(score):
            return f"it has no {self.best_by}"
        if self.minimum_accuracy is not None and score < self.minimum_accuracy:
            return f"{self.best_by} is {score}, below {self.minimum_accuracy}"
        return None


def read_criteria(path: Path) -> Criteria:
    """Reads the key `selection` of a collection.yaml.

    Raises:
        Fault: when it is malformed or missing.
    """
    criteria = YamlFile(path).key("selection", Criteria)
    if criteria is None:
        raise Fault(
            f"{path}: the collection has no section `selection`, which says what its members are trained on; add it"
            " (ds, adapt_ds, adapt_resolution, minimum_accuracy, best_by) or choose another COLLECTION="
        )
    return criteria
