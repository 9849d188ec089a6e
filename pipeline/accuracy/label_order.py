"""Whether the outputs stand in the order of the label file, judged by what the model predicts for labelled images.

A label file in another order leaves the model's predictions as consistent as ever, under other numbers. So another
order is looked for, and the file is refused where one explains the predictions clearly better:

1. Shifts: every label moved by -2 to 2 places, cyclically. They are few and known beforehand: all images count.
   Or those from a class on, as when the file lacks a line there and has one more at its end: of each class's images
   one half says from where, the other half tests it. At least TAIL classes must be better so, since one may be mistaken
   for its neighbour.
2. Any other order, of all labels or a few of them: of each class's images one half, taken in turn, proposes moves, the
   other half tests them all together. Class c moves to output d when d is the most frequent prediction for c, c is the
   most frequent class of the images predicted as d, and d is predicted for c more than twice as often as c for c and d
   for d together. So neither a model that sees d everywhere nor a class that it mistakes makes a move.
   Moves count when they are more than half of the classes with two images or more; or, the file's order being right
   on the whole, when they lead to classes that have images themselves, which then are at the wrong place, too.

"Clearly better" is, at the level ALPHA each: more hits than the file's order has on the classes concerned (exact sign
test), and more than the same predictions would have if they had nothing to do with the images (binomial test). At the
least that takes 14 hits against none: two swapped labels need some 20 to 30 images each, depending on the model.

The file's order passes when nothing is clearly better and its hits are above chance at the level PROVEN. Otherwise it
is "not measured": the model is random, or the images are few.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.accuracy.predictions import NOTHING, Predictions
from pipeline.accuracy.statistics import Figures, described, percent
from pipeline.images.labels import Label

SHIFTS = (-2, -1, 1, 2)
ALPHA, PROVEN = 1e-4, 1e-3
TAIL = 3  # classes
_NAMED = 10  # moves that a report lists


@dataclass(frozen=True)
class _Trial:
    """How often another order hits, how often the file's does instead, and how often chance would, of how many."""

    hits: int
    against: int
    chance: float
    images: int

    @property
    def clear(self) -> bool:
        from scipy.stats import binomtest

        if self.hits <= self.against or self.hits <= self.chance:
            return False
        better = binomtest(self.hits, self.hits + self.against, 0.5, "greater").pvalue
        return bool(better < ALPHA and _above(self.hits, self.images, self.chance) < ALPHA)


def _above(hits: int, images: int, chance: float) -> float:
    """Returns how likely so many hits are by chance, whose mean is given."""
    from scipy.stats import binomtest

    return float(binomtest(hits, images, min(chance / images, 1.0), "greater").pvalue)


def _chance(label: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Returns the mean number of hits if the predictions were dealt out to the images anew."""
    dealt = np.bincount(predicted[predicted != NOTHING], minlength=classes)
    return float(dealt[label].sum() / len(label))


def _proposed(label: np.ndarray, predicted: np.ndarray, classes: int) -> dict[int, int]:
    """Returns the moves that some images propose, from a class to an output."""
    valid = predicted != NOTHING
    pairs, counts = np.unique(label[valid].astype(np.int64) * classes + predicted[valid], return_counts=True)
    # Of equal counts the file's own order comes first.
    order = np.lexsort((pairs, pairs // classes != pairs % classes, -counts))
    count = {divmod(int(pairs[row]), classes): int(counts[row]) for row in order}
    of_class: dict[int, int] = {}
    of_output: dict[int, int] = {}
    for true, best in count:
        of_class.setdefault(true, best)
        of_output.setdefault(best, true)
    return {
        true: best
        for true, best in of_class.items()
        if of_output[best] == true and count[true, best] > 2 * (count.get((true, true), 0) + count.get((best, best), 0))
    }


def _tested(moves: dict[int, int], label: np.ndarray, predicted: np.ndarray, classes: int) -> _Trial:
    """Tries moves on other images than those that proposed them."""
    target = np.full(classes, NOTHING)
    target[list(moves)] = list(moves.values())
    moved = target[label] != NOTHING
    concerned = np.isin(label, [*moves, *moves.values()])
    valid = predicted != NOTHING
    frequency = np.bincount(predicted[valid], minlength=classes) / max(len(label), 1)
    return _Trial(
        hits=int((predicted == target[label])[moved & valid].sum()),
        against=int((predicted == label)[concerned].sum()),
        chance=float(frequency[target[label[moved]]].sum()),
        images=int(moved.sum()),
    )


def _shifted_from(label: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[int, int] | None:
    """Returns from which class on which shift explains some images best, if it does so for TAIL classes."""
    best: tuple[int, int, int] | None = None
    as_it_is = np.bincount(label[predicted == label], minlength=classes)
    for by in SHIFTS:
        gain = np.bincount(label[predicted == (label + by) % classes], minlength=classes) - as_it_is
        from_here_on = gain[::-1].cumsum()[::-1]
        start = classes - 1 - int(from_here_on[::-1].argmax())  # the last of several, which has all that they have
        if (gain[start:] > 0).sum() >= TAIL and (best is None or from_here_on[start] > best[0]):
            best = (int(from_here_on[start]), start, by)
    return best and best[1:]


def _ordinal(label: np.ndarray) -> np.ndarray:
    """Returns for each image how many of its class come before it."""
    order = np.argsort(label, kind="stable")
    _, first, counts = np.unique(label[order], return_index=True, return_counts=True)
    ordinal = np.empty(len(label), np.int64)
    ordinal[order] = np.arange(len(label)) - np.repeat(first, counts)
    return ordinal


def label_order(predictions: Predictions, names: Sequence[Label], classes: int) -> Figures:
    """Returns the verdict on the order of the labels, "pass", "fail" or "not measured"; see the module.

    Args:
        predictions: of n images, n from 1.
        names: the labels in the order of the outputs, or none.
        classes: how many outputs the model has.

    Returns:
        verdict; reason, a clause; hits and chance, the images that are right and how many would be by chance; shifts,
        the hits with every label moved by that many places; moved, at most ten labels that seem to belong to another
        output, as `label` and `belongs_to`.
    """
    label, predicted, n = predictions.label, predictions.predicted, len(predictions)
    hits, chance = int(predictions.right.sum()), _chance(label, predicted, classes)
    above = hits > 0 and _above(hits, n, chance) < PROVEN
    moved_by = {by: (label + by) % classes for by in SHIFTS if abs(by) < classes}
    shifts = {
        by: _Trial(int((predicted == other).sum()), hits, _chance(other, predicted, classes), n)
        for by, other in moved_by.items()
    }
    testing = _ordinal(label) % 2 == 1
    proposed = _proposed(label[~testing], predicted[~testing], classes)
    testable = set(np.unique(label[testing]).tolist())
    moves = {true: best for true, best in proposed.items() if true in testable}
    inner = {true: best for true, best in moves.items() if best in testable}
    found: Figures = {
        "hits": hits,
        "chance": chance,
        "shifts": {str(by): trial.hits for by, trial in shifts.items()},
        "moved": [],
    }
    best_shift = max(shifts, key=lambda by: shifts[by].hits, default=0)
    if best_shift and shifts[best_shift].clear:
        return found | {
            "verdict": "fail",
            "reason": f"the labels seem to be off by {abs(best_shift)}: top-1 accuracy is"
            f" {percent(shifts[best_shift].hits / n)} with every label moved {_places(best_shift)} in the label file,"
            f" and {percent(hits / n)} as they are",
        }
    wrong = moves if 2 * len(moves) > len(testable) else inner if above else {}
    if wrong and (trial := _tested(wrong, label[testing], predicted[testing], classes)).clear:
        listed = [(described(true, names), described(best, names)) for true, best in sorted(wrong.items())[:_NAMED]]
        pairs = "; ".join(f"{_title(true)} is taken for {_title(best)}" for true, best in listed[:3])
        return found | {
            "moved": [{"label": true, "belongs_to": best} for true, best in listed],
            "verdict": "fail",
            "reason": f"the label file seems to be in another order for {len(wrong):,} of {len(testable):,} classes:"
            f" {pairs}{', ...' if len(wrong) > 3 else ''}; on images that did not suggest it, that order is right"
            f" {trial.hits:,} times and the file's {trial.against:,} times",
        }
    if tail := _shifted_from(label[~testing], predicted[~testing], classes):
        start, by = tail
        here = label[testing] >= start
        own, said = label[testing][here], predicted[testing][here]
        moved = (own + by) % classes
        dealt = np.bincount(predicted[testing & (predicted != NOTHING)], minlength=classes) / testing.sum()
        trial = _Trial(int((said == moved).sum()), int((said == own).sum()), float(dealt[moved].sum()), len(own))
        if trial.clear:
            return found | {
                "verdict": "fail",
                "reason": f"the labels seem to be off by {abs(by)} from {_title(described(start, names))} on: of"
                f" {len(own):,} images that did not suggest it, {trial.hits:,} are right with these labels moved"
                f" {_places(by)} in the label file, and {trial.against:,} as they are",
            }
    score = f"{hits:,} of {n:,} images are right, where chance gives {chance:,.1f}"
    if above:
        return found | {"verdict": "pass", "reason": f"{score}, and no other order explains the predictions better"}
    return found | {"verdict": "not measured", "reason": f"{score}: too few hits to tell"}


def _places(by: int) -> str:
    """Returns how far labels move: "1 place down"."""
    return f"{abs(by)} place{'s' if abs(by) > 1 else ''} {'down' if by > 0 else 'up'}"


def _title(described_class: Figures) -> str:
    """Returns a class in few words: its key and the first of its names, or its index."""
    if "key" not in described_class:
        return f"output {described_class['index']}"
    key, name = described_class["key"], described_class["name"].split(",")[0]
    return f"{key} ({name})" if key.lower() != name.lower() else name
