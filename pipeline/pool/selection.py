"""Selects the best checkpoint of each variant from the pool's index, by the criteria of a collection.

The best has the highest score of its own variant. Ties go to the higher infer_samples_per_sec, then to the file name
that sorts first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.pool.criteria import Criteria
from pipeline.pool.index import Row


@dataclass(frozen=True)
class Choice:
    """The best checkpoint of a variant.

    Attributes:
        variant: such as "S/16".
        checkpoint: its file's name without `.npz`.
        score: its value in the column that decides.
        rate: images per second, NaN where the index has none.
        candidates: how many checkpoints of this variant meet the criteria.
        tied: how many of them have this score, at least 1.
    """

    variant: str
    checkpoint: str
    score: float
    rate: float
    candidates: int
    tied: int

    @property
    def rate_text(self) -> str:
        return "-" if math.isnan(self.rate) else f"{self.rate:,.0f}"


@dataclass(frozen=True)
class Selection:
    """What the criteria of a collection select.

    Attributes:
        criteria: the conditions and the score.
        candidates: the rows that meet the criteria by variant, the best first, each checkpoint once.
        choices: the best of each variant, the highest score first.
    """

    criteria: Criteria
    candidates: Mapping[str, Sequence[Row]]
    choices: tuple[Choice, ...]

    def best_score(self, variant: str) -> float:
        """Returns the highest score of a variant that has candidates."""
        return self.criteria.score(self.candidates[variant][0])


def select_checkpoints(rows: Iterable[Row], criteria: Criteria) -> Selection:
    """Selects the best checkpoint of each variant; there are no choices when no row meets the criteria."""
    candidates = _rank_candidates(rows, criteria)
    choices = [_choose_first(variant, ranked, criteria) for variant, ranked in candidates.items()]
    choices.sort(key=lambda choice: (-choice.score, choice.variant))
    return Selection(criteria, candidates, tuple(choices))


def _rank_candidates(rows: Iterable[Row], criteria: Criteria) -> dict[str, list[Row]]:
    """Returns the rows that meet the criteria by variant, the best first, each checkpoint once."""
    checkpoints: set[str] = set()
    candidates: dict[str, list[Row]] = {}
    for row in rows:
        # Most of the 51,509 rows fail the first comparison.
        if row.ds != criteria.ds or criteria.mismatch(row) or criteria.checkpoint(row) in checkpoints:
            continue
        checkpoints.add(criteria.checkpoint(row))
        candidates.setdefault(row.name, []).append(row)

    def rank(row: Row) -> tuple[float, float, str]:
        rate = row.infer_samples_per_sec
        return -criteria.score(row), math.inf if math.isnan(rate) else -rate, criteria.checkpoint(row)

    return {variant: sorted(group, key=rank) for variant, group in candidates.items()}


def _choose_first(variant: str, ranked: Sequence[Row], criteria: Criteria) -> Choice:
    best = ranked[0]
    score = criteria.score(best)
    tied = sum(criteria.score(row) == score for row in ranked)
    return Choice(variant, criteria.checkpoint(best), score, best.infer_samples_per_sec, len(ranked), tied)
