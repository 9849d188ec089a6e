"""The criteria a collection's members are chosen by: the section `selection` of collection.yaml."""

from dataclasses import dataclass

from pipeline.augreg import FINE_TUNING, PRETRAINING, RESOLUTIONS
from pipeline.base.fault import Fault, nearest

PRETRAINED_SCORES = ("best_val", "final_val", "final_test")  # the index's columns, accuracies from 0 to 1
FINE_TUNED_SCORES = ("adapt_final_val", "adapt_final_test")


@dataclass(frozen=True)
class Remark:
    """Why a collection differs from what the criteria choose: `of` is a member's name, or a variant such as B/8."""

    of: str
    text: str


@dataclass(frozen=True)
class Selection:
    """The section `selection`, in terms of the index's columns.

    Of each variant the row with the highest `best_by` is chosen. Equals are told apart by the higher
    infer_samples_per_sec, then by the file name that sorts first.

    Attributes:
        ds: the data set of the pre-training.
        best_by: the score that decides.
        adapt_ds: the data set of the fine-tuning; None for checkpoints that were only pre-trained.
        adapt_resolution: pixels; None for any.
        minimum_accuracy: rows with a lower `best_by`, or none, are passed over.
        remarks: on the differences that are meant.
    """

    ds: str
    best_by: str
    adapt_ds: str | None = None
    adapt_resolution: int | None = None
    minimum_accuracy: float | None = None
    remarks: tuple[Remark, ...] = ()

    def __post_init__(self) -> None:
        scores = PRETRAINED_SCORES if self.adapt_ds is None else PRETRAINED_SCORES + FINE_TUNED_SCORES
        for key, value, known in (
            ("ds", self.ds, PRETRAINING),
            ("adapt_ds", self.adapt_ds, FINE_TUNING),
            ("best_by", self.best_by, scores),
            ("adapt_resolution", self.adapt_resolution, RESOLUTIONS),
        ):
            if value is not None and value not in known:
                hint = nearest(value, map(str, known)) if isinstance(value, str) else ""
                expected = ", ".join(map(str, known))
                raise Fault(f"selection.{key}: unknown value {value!r}{hint}: expected one of {expected}")
        if self.adapt_ds is None and self.adapt_resolution is not None:
            raise Fault("selection.adapt_resolution is that of a fine-tuning: name its adapt_ds, or leave both out")
        if self.minimum_accuracy is not None and not 0 <= self.minimum_accuracy <= 1:
            raise Fault(f"selection.minimum_accuracy must lie in 0 to 1, got {self.minimum_accuracy!r}")

    @property
    def conditions(self) -> str:
        """What a row must meet, as one line of text."""
        parts = [f"ds {self.ds}", f"adapt_ds {self.adapt_ds}" if self.adapt_ds else "pre-trained only"]
        if self.adapt_resolution is not None:
            parts.append(f"adapt_resolution {self.adapt_resolution}")
        if self.minimum_accuracy is not None:
            parts.append(f"{self.best_by} at least {self.minimum_accuracy}")
        return ", ".join(parts)
