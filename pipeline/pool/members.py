"""Reads the members of collections, and compares those of one with what its criteria select."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.yaml_sections import Member
from pipeline.pool.criteria import Criteria
from pipeline.pool.index import Row
from pipeline.pool.selection import Choice, Selection


def check_member_name(shown: str, name: str, example: str) -> None:
    """Refuses a name that cannot be part of a handle; `shown` is what messages call it."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or name == "collection":
        raise Fault(f"{shown}: expected lower-case letters, digits and '_', such as {example}")


def check_collection_name(name: str) -> None:
    """Refuses a name that cannot be a collection's."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise Fault(f"COLLECTION={name}: expected lower-case letters, digits, '_' and '-'")


def _member_files(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in sorted(folder.glob(pattern)) if path.name != "collection.yaml")


def read_members(folder: Path) -> dict[str, str]:
    """Returns the checkpoint's name of each member of a collection, by member; two members may share a checkpoint.

    Raises:
        Fault: when a member's file names no checkpoint.
    """
    return {path.stem: Member(path).checkpoint_name() for path in _member_files(folder, "*.yaml")}


@dataclass
class KnownMembers:
    """The members of all collections, with those that were added since they were read.

    Attributes:
        by_name: the YAML file of each member.
        by_checkpoint: a member's YAML file by its checkpoint's name.
    """

    by_name: dict[str, Path] = field(default_factory=dict)
    by_checkpoint: dict[str, Path] = field(default_factory=dict)

    def enter(self, path: Path, checkpoint: str | None) -> None:
        """Takes a member; without a checkpoint's name its file has a fault or open places, which its stages report."""
        self.by_name[path.stem] = path
        if checkpoint is not None:
            self.by_checkpoint.setdefault(checkpoint, path)


def read_known_members(cards: Path) -> KnownMembers:
    """Returns the members below the folder of all collections."""
    members = KnownMembers()
    for path in _member_files(cards, "*/*.yaml"):
        members.enter(path, _checkpoint_of(path))
    return members


def _checkpoint_of(path: Path) -> str | None:
    try:
        return Member(path).checkpoint_name()
    except Fault:
        return None


def members_by_checkpoint(members: Mapping[str, str]) -> dict[str, str]:
    """Returns the member of each checkpoint, separated by commas where several share it."""
    names: dict[str, list[str]] = {}
    for member, checkpoint in members.items():
        names.setdefault(checkpoint, []).append(member)
    return {checkpoint: ", ".join(sharing) for checkpoint, sharing in names.items()}


@dataclass(frozen=True)
class Difference:
    """A checkpoint that was selected and is no member, or a member that was not selected.

    Attributes:
        kind: "missing" or "extra".
        of: the variant that is missing, or the extra member's name.
        sentence: says so, and why.
    """

    kind: str
    of: str
    sentence: str


def compare_members(selection: Selection, rows: Iterable[Row], members: Mapping[str, str]) -> list[Difference]:
    """Compares a selection with a collection's members.

    Args:
        selection: from `rows`.
        rows: all rows of the index.
        members: the members' checkpoints, see read_members().

    Returns:
        Missing members first, then extra ones.
    """
    remarks = {remark.of: f" Remark: {remark.text.strip()}" for remark in selection.criteria.remarks}
    checkpoints = set(members.values())
    missing = [
        _missing(choice, remarks.get(choice.variant, ""))
        for choice in selection.choices
        if choice.checkpoint not in checkpoints
    ]
    selected = {choice.checkpoint for choice in selection.choices}
    rows_of_members = _find_rows(rows, checkpoints, selection.criteria)
    extra = [
        _extra(member, checkpoint, _explain(rows_of_members.get(checkpoint), selection), remarks.get(member, ""))
        for member, checkpoint in members.items()
        if checkpoint not in selected
    ]
    return missing + extra


def _missing(choice: Choice, remark: str) -> Difference:
    sentence = f"missing: {choice.variant}, {choice.checkpoint} ({choice.score}): selected, but not a member.{remark}"
    return Difference("missing", choice.variant, sentence)


def _extra(member: str, checkpoint: str, reason: str, remark: str) -> Difference:
    sentence = f"extra: {member}, {checkpoint}: a member, but not selected: {reason}.{remark}"
    return Difference("extra", member, sentence)


def _find_rows(rows: Iterable[Row], checkpoints: set[str], criteria: Criteria) -> dict[str, Row]:
    """Returns a row of each checkpoint that the index has.

    A pre-trained checkpoint has a row for each of its fine-tunings; one that meets the criteria is preferred.
    """
    by_checkpoint: dict[str, Row] = {}
    for row in rows:
        checkpoint = criteria.checkpoint(row)
        if checkpoint in checkpoints:
            earlier = by_checkpoint.get(checkpoint)
            if earlier is None or criteria.mismatch(earlier):
                by_checkpoint[checkpoint] = row
    return by_checkpoint


def _explain(row: Row | None, selection: Selection) -> str:
    """Returns in words why a member's checkpoint, with this row in the index, is not selected."""
    if row is None:
        return "its checkpoint is not in the index"
    criteria = selection.criteria
    if reason := criteria.mismatch(row):
        return reason
    group, score, best = selection.candidates[row.name], criteria.score(row), selection.best_score(row.name)
    if score == best:
        return f"its {score} equals the best of {row.name}, and the tie goes to another checkpoint"
    rank = 1 + sum(criteria.score(other) > score for other in group)
    reason = f"its {criteria.best_by} {score} ranks {rank} of {len(group)} among {row.name}, whose best is {best}"
    for variant in selection.candidates:
        if variant != row.name and selection.best_score(variant) == score:
            reason += (
                f"; it equals the best of {variant}, so code that keeps every row whose score is among the best scores"
                " selects it too"
            )
    return reason
