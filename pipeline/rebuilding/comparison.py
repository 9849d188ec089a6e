"""Compares a module that was made again with the published one."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.base.fault import list_names
from pipeline.base.files import sha256_of
from pipeline.saved_model.files import read_tarball_digests

_WEIGHTS = "variables/"


class Outcome(StrEnum):
    """How a module that was made again compares with the published one."""

    SAME_BYTES = "same bytes"
    SAME_WEIGHTS = "same weights, another graph"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Comparison:
    """The result of a rebuild.

    Attributes:
        outcome: the verdict.
        published, rebuilt: the SHA-256 of the tarballs.
        files: the names of the files that differ, or that one of both lacks.
    """

    outcome: Outcome
    published: str
    rebuilt: str
    files: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What the verdict rests on, in words."""
        if self.outcome is Outcome.SAME_BYTES:
            return f"the tarball has sha256 {self.rebuilt} again"
        if not self.files:
            return "every file is the same, only their packing differs"
        return f"{list_names(self.files)} {'differs' if len(self.files) == 1 else 'differ'}"


def compare_tarballs(published: Path, rebuilt: Path) -> Comparison:
    """Compares two tarballs: their bytes, else the files in them.

    Raises:
        Fault: when one is damaged.
    """
    digests = sha256_of(published), sha256_of(rebuilt)
    if digests[0] == digests[1]:
        return Comparison(Outcome.SAME_BYTES, *digests, ())
    before, after = dict(read_tarball_digests(published)), dict(read_tarball_digests(rebuilt))
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    has_weights = any(name.startswith(_WEIGHTS) for name in before)
    is_same = has_weights and not any(name.startswith(_WEIGHTS) for name in names)
    return Comparison(Outcome.SAME_WEIGHTS if is_same else Outcome.DIFFERENT, *digests, tuple(names))
