"""Checks that the label file has the order of the model's outputs, by the predictions for labelled images.

A label file in another order leaves the model's predictions as consistent as before, under other numbers. So three
kinds of other orders are tried, and the label file fails if one explains the predictions clearly better:

1. A shift: every label moved by -2 to 2 places, cyclically. There are few of them, fixed beforehand, so all images
   test them.
2. Any other order, of all labels or some: half of each class's images proposes moves, the other half tests them all
   together. Class c moves to output d if d is the most frequent prediction for c, c is the most frequent class of the
   images predicted as d, and d is predicted for c more than twice as often as c for c and d for d together. So neither
   a model that predicts d everywhere nor a class that it confuses makes a move.
   Moves count if they are more than half of the classes with two images or more; or, where the file's order is right
   on the whole, if they lead to classes that have images themselves, which then are in the wrong place too.
3. A shift from one class on, as when the file lacks a line there and has an extra one at its end: half of each class's
   images proposes the class, the other half tests it. At least TAIL classes must be better so, since the model may
   confuse a single one with its neighbour.

"Clearly better" means, at the level ALPHA each: more hits than the file's order has on the classes concerned (exact
sign test), and more than the same predictions would have if they were independent of the images (binomial test). That
takes at least 14 hits against none: two swapped labels need some 20 to 30 images each, depending on the model.

The file's order passes if no other order is clearly better and its hits are above chance at the level PROVEN. Otherwise
it is not measured: the model is random, or there are few images.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.accuracy.predictions import NOTHING, Predictions
from pipeline.accuracy.statistics import class_name, percent
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import ClassName, LabelOrder, MovedLabel
from pipeline.images.labels import Label

SHIFTS = (-2, -1, 1, 2)
ALPHA, PROVEN = 1e-4, 1e-3
TAIL = 3  # classes
_NAMED = 10  # moves that a report lists


@dataclass(frozen=True)
class _Trial:
    """Another order of the labels, tried on images.

    Attributes:
        hits, against: the images that are right in that order, and in the file's.
        chance: how many would be right by chance.
        images: how many images were tried.
    """

    hits: int
    against: int
    chance: float
    images: int

    @property
    def is_clear(self) -> bool:
        """Whether the other order is clearly better."""
        from scipy.stats import binomtest

        if self.hits <= self.against or self.hits <= self.chance:
            return False
        better = binomtest(self.hits, self.hits + self.against, 0.5, "greater").pvalue
        return bool(better < ALPHA and _p_by_chance(self.hits, self.images, self.chance) < ALPHA)


def _p_by_chance(hits: int, images: int, chance: float) -> float:
    """Returns the probability of at least so many hits by chance, whose mean is given."""
    from scipy.stats import binomtest

    return float(binomtest(hits, images, min(chance / images, 1.0), "greater").pvalue)


@dataclass(frozen=True, eq=False)
class _Images:
    """Labels and predictions of some images, int (n,) each, and the number of outputs."""

    label: np.ndarray
    predicted: np.ndarray
    classes: int

    def __len__(self) -> int:
        return len(self.label)

    def where(self, mask: np.ndarray) -> "_Images":
        return _Images(self.label[mask], self.predicted[mask], self.classes)

    def hits(self, label: np.ndarray) -> int:
        """Returns how many predictions equal the given labels (n,)."""
        return int((self.predicted == label).sum())

    def chance(self, label: np.ndarray) -> float:
        """Returns the mean number of hits for any labels if the predictions had nothing to do with the images."""
        counts = np.bincount(self.predicted[self.predicted != NOTHING], minlength=self.classes)
        return float(counts[label].sum() / max(len(self), 1))


@dataclass(frozen=True, eq=False)
class _Evidence:
    """The images of an evaluation, and their halves: of each class, `proposing` has one more or as many."""

    images: _Images
    proposing: _Images
    testing: _Images
    names: Sequence[Label]

    @functools.cached_property
    def is_above_chance(self) -> bool:
        """Whether the file's order is right on the whole."""
        images = self.images
        hits = images.hits(images.label)
        return hits > 0 and _p_by_chance(hits, len(images), images.chance(images.label)) < PROVEN


@dataclass(frozen=True)
class _Mismatch:
    """Another order that is clearly better: a clause that describes it, and labels that seem misplaced."""

    reason: str
    moved: tuple[MovedLabel, ...] = ()


def _occurrence(label: np.ndarray) -> np.ndarray:
    """Returns for each image how many of its class come before it."""
    order = np.argsort(label, kind="stable")
    _, first, counts = np.unique(label[order], return_index=True, return_counts=True)
    occurrence = np.empty(len(label), np.int64)
    occurrence[order] = np.arange(len(label)) - np.repeat(first, counts)
    return occurrence


# Shifts of all labels -------------------------------------------------------------------------------------------------
def _try_shifts(images: _Images) -> dict[int, _Trial]:
    """Tries the shifts on all images."""
    trials = {}
    for by in SHIFTS:
        if abs(by) < images.classes:
            moved = (images.label + by) % images.classes
            trials[by] = _Trial(images.hits(moved), images.hits(images.label), images.chance(moved), len(images))
    return trials


def _find_shift(evidence: _Evidence) -> _Mismatch | None:
    """Finds a shift of all labels."""
    trials, n = _try_shifts(evidence.images), len(evidence.images)
    by = max(trials, key=lambda by: trials[by].hits, default=0)
    if not by or not trials[by].is_clear:
        return None
    return _Mismatch(
        f"the labels seem to be off by {abs(by)}: top-1 accuracy is {percent(trials[by].hits / n)} with every label"
        f" moved {_places(by)} in the label file, and {percent(trials[by].against / n)} as they are"
    )


# Any order ------------------------------------------------------------------------------------------------------------
def _propose_moves(images: _Images) -> dict[int, int]:
    """Returns the moves, from a class to an output, that images propose."""
    valid, classes = images.predicted != NOTHING, images.classes
    pairs, counts = np.unique(
        images.label[valid].astype(np.int64) * classes + images.predicted[valid], return_counts=True
    )
    # Of equal counts the file's own order comes first.
    order = np.lexsort((pairs, pairs // classes != pairs % classes, -counts))
    count = {divmod(int(pairs[row]), classes): int(counts[row]) for row in order}
    best_output: dict[int, int] = {}
    best_class: dict[int, int] = {}
    for true, output in count:
        best_output.setdefault(true, output)
        best_class.setdefault(output, true)
    return {
        true: output
        for true, output in best_output.items()
        if best_class[output] == true
        and count[true, output] > 2 * (count.get((true, true), 0) + count.get((output, output), 0))
    }


def _try_moves(moves: dict[int, int], images: _Images) -> _Trial:
    """Tries moves on other images than those that proposed them."""
    target = np.full(images.classes, NOTHING)
    target[list(moves)] = list(moves.values())
    moved = images.where(target[images.label] != NOTHING)
    concerned = images.where(np.isin(images.label, [*moves, *moves.values()]))
    return _Trial(
        hits=moved.hits(target[moved.label]),
        against=concerned.hits(concerned.label),
        chance=images.chance(target[moved.label]),
        images=len(moved),
    )


def _find_other_order(evidence: _Evidence) -> _Mismatch | None:
    """Finds labels that belong to other outputs."""
    testable = set(np.unique(evidence.testing.label).tolist())
    moves = {true: output for true, output in _propose_moves(evidence.proposing).items() if true in testable}
    if 2 * len(moves) <= len(testable):
        inner = {true: output for true, output in moves.items() if output in testable}
        moves = inner if evidence.is_above_chance else {}
    if not moves or not (trial := _try_moves(moves, evidence.testing)).is_clear:
        return None
    moved = tuple(
        MovedLabel(class_name(true, evidence.names), class_name(output, evidence.names))
        for true, output in sorted(moves.items())[:_NAMED]
    )
    pairs = "; ".join(f"{_title(move.label)} is predicted as {_title(move.belongs_to)}" for move in moved[:3])
    return _Mismatch(
        f"the label file seems to be in another order for {len(moves):,} of {len(testable):,} classes:"
        f" {pairs}{', ...' if len(moves) > 3 else ''}; on images that did not suggest it, that order is right"
        f" {trial.hits:,} times and the file's {trial.against:,} times",
        moved,
    )


# A shift from one class on --------------------------------------------------------------------------------------------
def _propose_tail(images: _Images) -> tuple[int, int] | None:
    """Returns from which class on which shift explains images best, if it does so for TAIL classes."""
    best: tuple[int, int, int] | None = None
    label, predicted, classes = images.label, images.predicted, images.classes
    hits = np.bincount(label[predicted == label], minlength=classes)
    for by in SHIFTS:
        gain = np.bincount(label[predicted == (label + by) % classes], minlength=classes) - hits
        gain_from = gain[::-1].cumsum()[::-1]
        start = classes - 1 - int(gain_from[::-1].argmax())  # the last of several equal ones
        if (gain[start:] > 0).sum() >= TAIL and (best is None or gain_from[start] > best[0]):
            best = (int(gain_from[start]), start, by)
    return best and best[1:]


def _find_tail(evidence: _Evidence) -> _Mismatch | None:
    """Finds a shift of the labels from one class on."""
    tail = _propose_tail(evidence.proposing)
    if tail is None:
        return None
    start, by = tail
    testing = evidence.testing
    images = testing.where(testing.label >= start)
    moved = (images.label + by) % images.classes
    trial = _Trial(images.hits(moved), images.hits(images.label), testing.chance(moved), len(images))
    if not trial.is_clear:
        return None
    return _Mismatch(
        f"the labels seem to be off by {abs(by)} from {_title(class_name(start, evidence.names))} on: of"
        f" {len(images):,} images that did not suggest it, {trial.hits:,} are right with these labels moved"
        f" {_places(by)} in the label file, and {trial.against:,} as they are"
    )


# The verdict ----------------------------------------------------------------------------------------------------------
def check_label_order(predictions: Predictions, names: Sequence[Label], classes: int) -> LabelOrder:
    """Returns whether the labels are in the order of the outputs.

    Args:
        predictions: of n images, n from 1.
        names: the labels in the order of the outputs, or none.
        classes: how many outputs the model has.
    """
    images = _Images(predictions.label, predictions.predicted, classes)
    is_testing = _occurrence(images.label) % 2 == 1
    evidence = _Evidence(images, images.where(~is_testing), images.where(is_testing), names)
    verdict, reason, moved = _judge(evidence)
    return LabelOrder(
        verdict=verdict,
        reason=reason,
        hits=images.hits(images.label),
        chance=images.chance(images.label),
        shifts={str(by): trial.hits for by, trial in _try_shifts(images).items()},
        moved=moved,
    )


def _judge(evidence: _Evidence) -> tuple[Verdict, str, tuple[MovedLabel, ...]]:
    for find in (_find_shift, _find_other_order, _find_tail):
        if mismatch := find(evidence):
            return Verdict.FAIL, mismatch.reason, mismatch.moved
    images = evidence.images
    if images.classes == 1:
        return Verdict.NOT_MEASURED, "one label has one order", ()
    hits, chance = images.hits(images.label), images.chance(images.label)
    score = f"{hits:,} of {len(images):,} images are right ({chance:,.1f} expected by chance)"
    if evidence.is_above_chance:
        return Verdict.PASS, f"{score}, and no other order explains the predictions better", ()
    return Verdict.NOT_MEASURED, f"{score}: too few hits to tell", ()


def _places(by: int) -> str:
    """Returns how far labels move: "1 place down"."""
    return f"{abs(by)} place{'s' if abs(by) > 1 else ''} {'down' if by > 0 else 'up'}"


def _title(name: ClassName) -> str:
    """Returns a class in few words: its key and the first of its names, or its index."""
    if name.key is None or name.name is None:
        return f"output {name.index}"
    first = name.name.split(",")[0]
    return f"{name.key} ({first})" if name.key.lower() != first.lower() else name.key
