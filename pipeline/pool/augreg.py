"""A checkpoint of the AugReg pool that is to become a member; see pipeline.pool.candidate."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.pool import drafts, names
from pipeline.pool.criteria import Criteria, read_criteria
from pipeline.pool.datasets import Dataset
from pipeline.pool.index import Index, Row
from pipeline.pool.names import Recipe


@dataclass(frozen=True)
class AugReg:
    """A checkpoint of the pool, with its row in the pool's index if there is one.

    Attributes:
        recipe: from the checkpoint's name.
        pool: the index, or None.
        row: its row in the index, or None.
    """

    recipe: Recipe
    pool: Index | None
    row: Row | None

    @property
    def checkpoint(self) -> str:
        return self.recipe.name

    @property
    def member_names(self) -> tuple[str, ...]:
        return drafts.member_name(self.recipe), drafts.long_name(self.recipe)

    @property
    def collection(self) -> str:
        return drafts.collection_name(self.recipe)

    @property
    def dataset(self) -> Dataset:
        return drafts.dataset_of(self.recipe)

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self.pool else ("no index (INDEX=), so no reported accuracy was written",)

    def check_collection(self, path: Path) -> list[str]:
        criteria = read_criteria(path)
        if reason := _mismatch(self.recipe, self.row, criteria):
            raise Fault(
                f"{path}: {self.checkpoint} does not belong in this collection: it has {reason}; leave out COLLECTION="
                f" to add it to {self.collection}"
            )
        if self.row is None and criteria.minimum_accuracy is not None:
            return [f"not checked without an index: {criteria.best_by} is at least {criteria.minimum_accuracy}"]
        return []

    def draft_collection(self, name: str) -> str:
        return drafts.draft_collection(self.recipe, name)

    def draft_member(self, folder: Path, cards: Path) -> str:
        return drafts.draft_member(self.recipe, folder, cards, self.pool, self.row)


def open_candidate(recipe: Recipe, pool: Index | None) -> AugReg:
    """Returns the checkpoint with its row in the index; raises Fault where the index does not have it."""
    return AugReg(recipe, pool, find_row(recipe, pool) if pool else None)


def find_row(recipe: Recipe, pool: Index) -> Row:
    """Returns a checkpoint's row; for one that was only pre-trained, the row of its first fine-tuning.

    Raises:
        Fault: when the index does not have it; names the nearest checkpoint.
    """
    rows = pool.fine_tuned if recipe.fine_tuning else pool.pretrained
    if recipe.name not in rows:
        nearest = names.closest_name(recipe.name, rows)
        raise Fault(
            f"the index has no checkpoint {recipe.name}; the nearest of its {len(rows):,} is {nearest}; check"
            " CHECKPOINT=, or set INDEX=<an index that has it>"
        )
    return rows[recipe.name]


def _mismatch(recipe: Recipe, row: Row | None, criteria: Criteria) -> str | None:
    """Returns in words how a checkpoint differs from the criteria of a collection, or None."""
    fine_tuning = recipe.fine_tuning.ds if recipe.fine_tuning else None
    for key, got, expected in (
        ("ds", recipe.ds, criteria.ds),
        ("adapt_ds", fine_tuning, criteria.adapt_ds),
        ("adapt_resolution", recipe.resolution, criteria.adapt_resolution or recipe.resolution),
    ):
        if got != expected:
            return f"{key} {got or 'none'}, its members have {expected or 'none'}"
    if row and criteria.minimum_accuracy is not None:
        score = criteria.score(row)
        if not score >= criteria.minimum_accuracy:  # true for NaN
            return f"{criteria.best_by} {score}, its members have at least {criteria.minimum_accuracy}"
    return None
