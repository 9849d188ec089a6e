"""Which checkpoints of the pool a collection chooses: the criteria in its collection.yaml, and the choice by them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, nearest
from pipeline.base.yaml_sections import Member, YamlFile
from pipeline.pool.index import Row
from pipeline.pool.names import FINE_TUNING, PRETRAINING, PRETRAINING_RESOLUTION, RESOLUTIONS

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


@dataclass(frozen=True)
class Choice:
    """The best row of a name.

    Attributes:
        name: the variant.
        checkpoint: its file's name without `.npz`.
        score: the row's value of the column that decides.
        rate: images per second, NaN where the index has none.
        passing: how many rows of this name meet the criteria.
        tied: how many of them have this very score.
    """

    name: str
    checkpoint: str
    score: float
    rate: float
    passing: int
    tied: int

    @property
    def rate_text(self) -> str:
        return "-" if math.isnan(self.rate) else f"{self.rate:,.0f}"


@dataclass(frozen=True)
class Difference:
    """Where members and choice part: a sentence about a member that was not chosen, or a choice that is no member."""

    kind: str  # "missing" or "extra"
    of: str  # the member's name, or the variant
    sentence: str


def checkpoint_of(row: Row, selection: Selection) -> str:
    """Returns the file name that a row stands for under these criteria."""
    return row.adapt_filename if selection.adapt_ds else row.filename


def failing(row: Row, selection: Selection) -> str | None:
    """Returns what of the criteria a row fails, in words; None when it meets them all."""
    for column in ("ds", "adapt_ds", "adapt_resolution"):
        wanted, got = getattr(selection, column), getattr(row, column)
        if wanted is not None and wanted != got:
            return f"{column} is {got}, not {wanted}"
    # The speed of a row is that of its fine-tuning's resolution.
    if selection.adapt_ds is None and row.adapt_resolution != PRETRAINING_RESOLUTION:
        return f"the index has it fine-tuned at {row.adapt_resolution} pixels, not at {PRETRAINING_RESOLUTION}"
    score = getattr(row, selection.best_by)
    if math.isnan(score):
        return f"it has no {selection.best_by}"
    if selection.minimum_accuracy is not None and score < selection.minimum_accuracy:
        return f"{selection.best_by} is {score}, below {selection.minimum_accuracy}"
    return None


def passing(rows: Iterable[Row], selection: Selection) -> dict[str, list[Row]]:
    """Returns the rows that meet the criteria by name, the best first; each checkpoint once."""
    seen: set[str] = set()
    groups: dict[str, list[Row]] = {}
    for row in rows:
        # The cheapest test first: most of the 51,509 rows end here.
        if row.ds != selection.ds or failing(row, selection) or checkpoint_of(row, selection) in seen:
            continue
        seen.add(checkpoint_of(row, selection))
        groups.setdefault(row.name, []).append(row)

    def order(row: Row) -> tuple[float, float, str]:
        rate = row.infer_samples_per_sec
        return -getattr(row, selection.best_by), math.inf if math.isnan(rate) else -rate, checkpoint_of(row, selection)

    return {name: sorted(group, key=order) for name, group in groups.items()}


def choose(groups: Mapping[str, Sequence[Row]], selection: Selection) -> list[Choice]:
    """Returns the first row of each group: the group's maximum, never a row that equals another group's."""
    choices = []
    for name, group in groups.items():
        score = getattr(group[0], selection.best_by)
        tied = sum(getattr(row, selection.best_by) == score for row in group)
        checkpoint = checkpoint_of(group[0], selection)
        choices.append(Choice(name, checkpoint, score, group[0].infer_samples_per_sec, len(group), tied))
    return sorted(choices, key=lambda choice: (-choice.score, choice.name))


def members_of(folder: Path) -> dict[str, str]:
    """Returns the checkpoints' names of a collection's members by the members' names; two may share a checkpoint."""
    members = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "collection.yaml":
            members[path.stem] = Member(path).checkpoint_name()
    return members


def names_of(members: Mapping[str, str]) -> dict[str, str]:
    """Returns the members' names by their checkpoints: of one that several share, all of them."""
    names: dict[str, list[str]] = {}
    for member, checkpoint in members.items():
        names.setdefault(checkpoint, []).append(member)
    return {checkpoint: ", ".join(sharing) for checkpoint, sharing in names.items()}


def _why_not(
    checkpoint: str, rows: Mapping[str, Row], groups: Mapping[str, Sequence[Row]], selection: Selection
) -> str:
    """Says in words why a member's checkpoint is not chosen."""
    if checkpoint not in rows:
        return "the index does not have its checkpoint"
    row = rows[checkpoint]
    if reason := failing(row, selection):
        return reason
    group, score = groups[row.name], getattr(row, selection.best_by)
    best = getattr(group[0], selection.best_by)
    if score == best:
        return f"its {score} equals the best of {row.name}, which the rule for equals gives to another checkpoint"
    place = 1 + sum(getattr(other, selection.best_by) > score for other in group)
    words = f"its {selection.best_by} {score} is number {place} of the {len(group)} of {row.name}, whose best is {best}"
    for name, others in groups.items():
        if name != row.name and getattr(others[0], selection.best_by) == score:
            words += (
                f"; it equals the best of {name}, so whoever asks of each row whether its score is one of the best"
                " scores, comparing floats, takes it too"
            )
    return words


def differences(
    choices: Sequence[Choice],
    groups: Mapping[str, Sequence[Row]],
    rows: Iterable[Row],
    members: Mapping[str, str],
    selection: Selection,
) -> list[Difference]:
    """Compares the choice with the members, as members_of() gives them: what is missing first, then what is extra."""
    checkpoints = set(members.values())
    remarks = {remark.of: f" Remark: {remark.text.strip()}" for remark in selection.remarks}
    found = [
        Difference(
            "missing",
            choice.name,
            f"missing: {choice.name}, {choice.checkpoint} ({choice.score}): chosen, but not a member."
            + remarks.get(choice.name, ""),
        )
        for choice in choices
        if choice.checkpoint not in checkpoints
    ]
    by_checkpoint: dict[str, Row] = {}
    for row in rows:
        # A pre-trained checkpoint has a row for each of its fine-tunings: one that passes speaks for it.
        checkpoint = checkpoint_of(row, selection)
        if checkpoint in checkpoints and (
            checkpoint not in by_checkpoint or failing(by_checkpoint[checkpoint], selection)
        ):
            by_checkpoint[checkpoint] = row
    chosen = {choice.checkpoint for choice in choices}
    for member, checkpoint in members.items():
        if checkpoint not in chosen:
            why = _why_not(checkpoint, by_checkpoint, groups, selection)
            sentence = f"extra: {member}, {checkpoint}: a member, but not chosen: {why}.{remarks.get(member, '')}"
            found.append(Difference("extra", member, sentence))
    return found


def criteria_of(path: Path) -> Selection:
    """Reads the key `selection` of a collection.yaml; raises Fault when it is malformed or missing."""
    selection = YamlFile(path).key("selection", Selection)
    if selection is None:
        raise Fault(
            f"{path}: the collection has no section `selection`, so nothing says what its members are trained on;"
            " add one (ds, adapt_ds, adapt_resolution, minimum_accuracy, best_by) or name another COLLECTION="
        )
    return selection
