"""Computes accuracy, calibration and confusions from predictions, and compares two classifiers.

Intervals are Wilson's, 95 % (Wilson 1927; scipy.stats.binomtest).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.accuracy.predictions import NOTHING, TOP, Predictions
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import (
    AgainstReported,
    Calibration,
    CalibrationBin,
    ClassAccuracy,
    ClassName,
    Confusion,
    Figures,
    Interval,
    ReassessedAccuracy,
    Reported,
    RestrictedAccuracy,
)
from pipeline.images.labels import Label, has_background

BINS = 15  # of the calibration, as in Guo et al. 2017, table 1
CONFUSIONS = 10


def interval(hits: int, n: int) -> Interval:
    """Returns Wilson's 95 % interval of a share, low and high, each 0 to 1; n from 1."""
    from scipy.stats import binomtest

    ends = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(ends.low), float(ends.high)


def percent(share: float) -> str:
    """Returns a share, 0 to 1, for people: 0.80462 becomes 80.46 %."""
    return f"{100 * share:.2f} %"


def class_name(index: int, names: Sequence[Label]) -> ClassName:
    """Returns a class with its key and name; `names` may be empty."""
    return ClassName(index, names[index].key, names[index].name) if names else ClassName(index)


def _share(right: np.ndarray) -> tuple[float, Interval]:
    """Returns the share of right images, and its interval, from bool (n,), n from 1."""
    hits, n = int(right.sum()), len(right)
    return hits / n, interval(hits, n)


def calibration(confidence: np.ndarray, right: np.ndarray) -> Calibration:
    """Returns the expected calibration error and its bins.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2. The bins are BINS equal parts (low, high] of
    0 to 1; the error is the mean over all images of the difference between a bin's mean confidence and its accuracy.

    Args:
        confidence: float (n,) in 0 to 1, n from 1.
        right: bool (n,).
    """
    edges = np.arange(1, BINS) / BINS
    bin_of = np.searchsorted(edges, confidence, side="left")
    images = np.bincount(bin_of, minlength=BINS)
    confidences = np.bincount(bin_of, weights=confidence, minlength=BINS)
    hits = np.bincount(bin_of, weights=right, minlength=BINS)
    bins = tuple(
        CalibrationBin(
            low=number / BINS,
            high=(number + 1) / BINS,
            images=int(count),
            confidence=float(confidences[number] / count) if count else None,
            accuracy=float(hits[number] / count) if count else None,
        )
        for number, count in enumerate(images)
    )
    return Calibration(float(np.abs(confidences - hits).sum() / len(right)), bins)


def confusions(predictions: Predictions, names: Sequence[Label]) -> tuple[Confusion, ...]:
    """Returns the most frequent pairs of a true class and another predicted one, at most CONFUSIONS.

    Pairs of equal counts are in the order of their classes.
    """
    wrong = ~predictions.right & (predictions.predicted != NOTHING)
    pairs = np.stack([predictions.label[wrong], predictions.predicted[wrong]], axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    return tuple(
        Confusion(
            true=class_name(int(distinct[row, 0]), names),
            predicted=class_name(int(distinct[row, 1]), names),
            images=int(counts[row]),
            of=int((predictions.label == distinct[row, 0]).sum()),
        )
        for row in np.argsort(-counts, kind="stable")[:CONFUSIONS]
    )


def per_class(predictions: Predictions, names: Sequence[Label]) -> tuple[ClassAccuracy, ...]:
    """Returns the accuracy of each class that the images have, in the order of the classes."""
    present, images = np.unique(predictions.label, return_counts=True)
    right = np.bincount(predictions.label[predictions.right], minlength=int(present[-1]) + 1)
    return tuple(
        ClassAccuracy(class_name(int(index), names), int(count), int(right[index]))
        for index, count in zip(present, images, strict=True)
    )


def reassessed_accuracy(predictions: Predictions, real: Sequence[Sequence[int] | None]) -> ReassessedAccuracy | None:
    """Returns the accuracy by ReaL labels (Beyer et al. 2020, "Are we done with ImageNet?"), or None without any.

    The arg-max is right when it is one of the image's labels. Images without a label are left out, as in the paper.

    Args:
        predictions: of n images.
        real: the ReaL labels of each image; None or empty for an image without any.
    """
    if len(real) != len(predictions):
        raise ValueError(f"{len(real)} sets of ReaL labels for {len(predictions)} images")
    labelled = [(int(best), labels) for best, labels in zip(predictions.predicted, real, strict=True) if labels]
    if not labelled:
        return None
    top1, ends = _share(np.array([best in labels for best, labels in labelled]))
    return ReassessedAccuracy(top1, ends, len(labelled))


def _restricted_accuracy(predictions: Predictions, classes: int) -> RestrictedAccuracy:
    top1, ends = _share(predictions.restricted == predictions.label)
    return RestrictedAccuracy(top1, ends, classes)


def figures(
    predictions: Predictions,
    names: Sequence[Label],
    outputs: int,
    real: Sequence[Sequence[int] | None] | None = None,
) -> Figures:
    """Returns every figure that the predictions alone give.

    Args:
        predictions: of n images, n from 1.
        names: the labels in the order of the outputs, or none.
        outputs: how many outputs the model has.
        real: the ReaL labels of each image, see reassessed_accuracy().
    """
    present = np.unique(predictions.label)
    classes = len(present)
    top1, top1_interval = _share(predictions.right)
    top5, top5_interval = None, None
    if outputs > TOP:  # else it is 1 whatever the model predicts
        top5, top5_interval = _share((predictions.top5 == predictions.label[:, np.newaxis]).any(axis=1))
    return Figures(
        images=len(predictions),
        classes=classes,
        outputs=outputs,
        top1=top1,
        top1_interval=top1_interval,
        top5=top5,
        top5_interval=top5_interval,
        restricted=_restricted_accuracy(predictions, classes) if classes < outputs else None,
        real=None if real is None else reassessed_accuracy(predictions, real),
        calibration=calibration(predictions.confidence.astype(np.float64), predictions.right),
        confusions=confusions(predictions, names),
        per_class=per_class(predictions, names),
        not_numbers=int((predictions.predicted == NOTHING).sum()),
        has_background=has_background(names) and 0 not in present,
    )


def against_reported(measured: Figures, reported: Reported, difference: str | None = None) -> AgainstReported:
    """Compares a measured top-1 accuracy with one that somebody else measured.

    Args:
        measured: the figures.
        reported: the reported accuracy over all outputs.
        difference: how the images or the protocol differ from those of the reported figure, a clause that follows
            "because", such as "it is about the ImageNet-1k validation set, these are images of ImageNet-V2"; None: they
            are the same.
    """
    value, source = reported.top1, reported.source
    if measured.classes < measured.possible_classes:
        difference = difference or (
            f"it is about all {measured.possible_classes:,} classes, the images have {measured.classes:,} of them"
        )
    if difference:
        reason = f"the reported figure is not comparable, because {difference}"
        return AgainstReported(value, source, None, reason)
    low, high = measured.top1_interval
    where = "below" if value < low else "above" if value > high else "inside"
    reason = (
        f"the reported {percent(value)} is {where} the 95 % interval of {measured.images:,} images,"
        f" {percent(low)} to {percent(high)}"
    )
    return AgainstReported(value, source, where == "inside", reason)


def gate(measured: Figures, minimum_top1: float) -> tuple[Verdict, str]:
    """Returns the verdict on a measured accuracy, and a clause that explains it.

    Args:
        measured: the figures.
        minimum_top1: the smallest top-1 accuracy over all outputs, 0 to 1, that passes.
    """
    if measured.not_numbers:
        return Verdict.FAIL, f"{measured.not_numbers:,} of {measured.images:,} images gave NaN or infinite outputs"
    top1, (low, high) = measured.top1, measured.top1_interval
    passed = top1 >= minimum_top1
    classes = f"all {measured.possible_classes:,}"
    if measured.classes < measured.possible_classes:
        classes = f"{measured.classes:,} of the {measured.possible_classes:,}"
    reason = (
        f"top-1 accuracy {percent(top1)} (95 % interval {percent(low)} to {percent(high)}) on"
        f" {measured.images:,} images of {classes} classes is {'not ' if passed else ''}below the minimum"
        f" {percent(minimum_top1)}"
    )
    if low <= minimum_top1 <= high:
        reason += "; the interval contains the minimum, so more images may change the verdict"
    return Verdict.of(passed), reason


@dataclass(frozen=True)
class McNemarTest:
    """The comparison of two classifiers on the same images.

    Attributes:
        a, b: their names.
        images: how many images.
        both, only_a, only_b, neither: how many images both, one or neither classifies right.
        p_value: two-sided.
        sentence: the outcome for people.
    """

    a: str
    b: str
    images: int
    both: int
    only_a: int
    only_b: int
    neither: int
    p_value: float
    sentence: str


def mcnemar(right_a: np.ndarray, right_b: np.ndarray, a: str, b: str) -> McNemarTest:
    """Tests whether one of two classifiers is better, on the same images (McNemar 1947, the exact form).

    If neither is better, the images that only one classifies right are tosses of a fair coin.

    Args:
        right_a, right_b: bool (n,), which images each classifies right, in the same order.
        a, b: their names.
    """
    from scipy.stats import binomtest

    if right_a.shape != right_b.shape:
        raise ValueError(f"expected the same images, got {len(right_a)} and {len(right_b)}")
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    discordant = only_a + only_b
    p = float(binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0
    outcome = "no significant difference"
    if p < 0.05:
        better, worse = (a, b) if only_a > only_b else (b, a)
        outcome = f"{better} is better than {worse}"
    return McNemarTest(
        a=a,
        b=b,
        images=len(right_a),
        both=int((right_a & right_b).sum()),
        only_a=only_a,
        only_b=only_b,
        neither=int((~right_a & ~right_b).sum()),
        p_value=p,
        sentence=f"Of {len(right_a):,} images, only {a} is right on {only_a:,} and only {b} on {only_b:,}:"
        f" {outcome} (McNemar's exact test, p = {p:.2g})",
    )
