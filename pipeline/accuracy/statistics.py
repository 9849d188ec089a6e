"""What predictions say of a classifier, as plain values for report.json: how good, how sure, better than what.

Intervals are Wilson's, 95 % (Wilson 1927; scipy.stats.binomtest).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.accuracy.predictions import NOTHING, TOP, Predictions
from pipeline.images.labels import Label

Figures = dict[str, Any]

BINS = 15  # of the calibration, as in Guo et al. 2017, table 1
CONFUSIONS = 10


def interval(hits: int, n: int) -> list[float]:
    """Returns Wilson's 95 % interval of a share, [low, high], each 0 to 1; n from 1."""
    from scipy.stats import binomtest

    found = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return [float(found.low), float(found.high)]


def percent(share: float) -> str:
    """Returns a share, 0 to 1, as people read it: 0.80462 is 80.46 %."""
    return f"{100 * share:.2f} %"


def described(index: int, names: Sequence[Label]) -> Figures:
    """Returns a class as reports name it; `names` may be empty, then its index is all there is."""
    return {"index": index} | ({"key": names[index].key, "name": names[index].name} if names else {})


def _share(right: np.ndarray) -> Figures:
    """Returns a top-1 accuracy from bool (n,), n from 1."""
    hits, n = int(right.sum()), len(right)
    return {"top1": hits / n, "top1_interval": interval(hits, n)}


def calibration(confidence: np.ndarray, right: np.ndarray) -> Figures:
    """Returns the expected calibration error and its bins.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2. The bins are BINS equal parts (low, high] of
    0 to 1; the error is the mean over all images of the difference between a bin's mean confidence and its accuracy.

    Args:
        confidence: float (n,) in 0 to 1, n from 1.
        right: bool (n,).

    Returns:
        ece, 0 to 1, and bins; one without images has None for confidence and accuracy.
    """
    edges = np.arange(1, BINS) / BINS
    of = np.searchsorted(edges, confidence, side="left")
    images = np.bincount(of, minlength=BINS)
    sure = np.bincount(of, weights=confidence, minlength=BINS)
    hits = np.bincount(of, weights=right, minlength=BINS)
    bins = [
        {
            "low": number / BINS,
            "high": (number + 1) / BINS,
            "images": int(count),
            "confidence": float(sure[number] / count) if count else None,
            "accuracy": float(hits[number] / count) if count else None,
        }
        for number, count in enumerate(images)
    ]
    return {"ece": float(np.abs(sure - hits).sum() / len(right)), "bins": bins}


def confusions(predictions: Predictions, names: Sequence[Label]) -> list[Figures]:
    """Returns the most frequent pairs of a true class and another that was predicted, at most CONFUSIONS.

    Returns:
        For each: `true` and `predicted` as described(), `images` so predicted, `of` all images of the true class.
        Pairs of equal counts stand in the order of their classes.
    """
    wrong = ~predictions.right & (predictions.predicted != NOTHING)
    pairs = np.stack([predictions.label[wrong], predictions.predicted[wrong]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return [
        {
            "true": described(int(found[row, 0]), names),
            "predicted": described(int(found[row, 1]), names),
            "images": int(counts[row]),
            "of": int((predictions.label == found[row, 0]).sum()),
        }
        for row in np.argsort(-counts, kind="stable")[:CONFUSIONS]
    ]


def against_real(predictions: Predictions, real: Sequence[Sequence[int] | None]) -> Figures | None:
    """Returns the accuracy by ReaL labels (Beyer et al. 2020, "Are we done with ImageNet?"), or None without any.

    The arg-max is right when it is one of the image's labels. Images without a label are left out, as there.
    """
    if len(real) != len(predictions):
        raise ValueError(f"{len(real)} sets of ReaL labels for {len(predictions)} images")
    labelled = [(int(best), labels) for best, labels in zip(predictions.predicted, real, strict=True) if labels]
    if not labelled:
        return None
    return _share(np.array([best in labels for best, labels in labelled])) | {"images": len(labelled)}


def accuracy(
    predictions: Predictions,
    names: Sequence[Label],
    classes: int,
    real: Sequence[Sequence[int] | None] | None = None,
) -> Figures:
    """Returns every figure that the predictions alone give.

    Args:
        predictions: of n images, n from 1.
        names: the labels in the order of the outputs, or none.
        classes: how many outputs the model has.
        real: the ReaL labels of each image, in the order of the predictions; None for an image that has none.

    Returns:
        images; classes (that the images have) and outputs (of the model); top1 over all outputs, and top5 where there
        are more than five, each with its interval; `restricted`, when the images have some of the classes only: the
        top-1 accuracy if the model had to choose among those; `real`, when there are such labels; calibration (over all
        outputs); confusions; not_numbers, the images that gave NaN or infinity, which count as wrong.
    """
    n = len(predictions)
    present = len(np.unique(predictions.label))
    found: Figures = {
        "images": n,
        "classes": present,
        "outputs": classes,
        **_share(predictions.right),
        "not_numbers": int((predictions.predicted == NOTHING).sum()),
        "calibration": calibration(predictions.confidence.astype(np.float64), predictions.right),
        "confusions": confusions(predictions, names),
    }
    if classes > TOP:  # else the class is among them whatever the model says
        hits = int((predictions.top5 == predictions.label[:, np.newaxis]).any(axis=1).sum())
        found |= {"top5": hits / n, "top5_interval": interval(hits, n)}
    if present < classes:
        found["restricted"] = _share(predictions.restricted == predictions.label) | {"classes": present}
    if real is not None and (by_real := against_real(predictions, real)):
        found["real"] = by_real
    return found


def against_reported(
    hits: int, images: int, value: float, source: str, classes: int, present: int, other: str | None = None
) -> Figures:
    """Holds a measured top-1 accuracy against a figure that somebody else measured.

    Args:
        hits, images: what was measured.
        value, source: the reported accuracy, 0 to 1, and where it stands.
        classes: how many classes the reported figure is about.
        present: how many of them the images have.
        other: how the images or the protocol differ from those of the reported figure, a clause that follows
            "because", such as "it is about the ImageNet-1k validation set, the images are ImageNet-V2"; None: the same.

    Returns:
        value, source, inside and reason. `inside` is None where the two must not be compared.
    """
    quoted: Figures = {"value": value, "source": source}
    if present < classes:
        other = other or f"it is about all {classes:,} classes, the images have {present:,} of them"
    if other:
        return quoted | {"inside": None, "reason": f"the reported figure is not comparable, because {other}"}
    low, high = interval(hits, images)
    inside = low <= value <= high
    where = "inside" if inside else "below" if value < low else "above"
    reason = (
        f"the reported {percent(value)} lies {where} the 95 % interval of {images:,} images, {percent(low)} to"
        f" {percent(high)}"
    )
    return quoted | {"inside": inside, "reason": reason}


def gate(measured: Figures | None, minimum_top1: float, reason: str = "") -> Figures:
    """Returns the verdict on a measured accuracy, "pass", "fail" or "not measured", with its reason in a sentence.

    Args:
        measured: what accuracy() returned, or None.
        minimum_top1: the least top-1 accuracy over all outputs, 0 to 1, that passes.
        reason: why nothing was measured.
    """
    found: Figures = {"minimum_top1": minimum_top1}
    if measured is None:
        if not reason:
            raise ValueError("an accuracy that was not measured needs a reason")
        return found | {"verdict": "not measured", "reason": reason}
    if bad := measured["not_numbers"]:
        return found | {
            "verdict": "fail",
            "reason": f"{bad:,} of {measured['images']:,} images gave outputs that are not numbers",
        }
    top1, (low, high) = measured["top1"], measured["top1_interval"]
    passed = top1 >= minimum_top1
    some = measured["classes"] < measured["outputs"]
    kinds = f"{measured['classes']:,} of the {measured['outputs']:,}" if some else f"all {measured['outputs']:,}"
    reason = (
        f"top-1 accuracy {percent(top1)} (95 % interval {percent(low)} to {percent(high)}) on"
        f" {measured['images']:,} images of {kinds} classes is {'not ' if passed else ''}below the gate"
        f" {percent(minimum_top1)}"
    )
    if low <= minimum_top1 <= high:
        reason += "; the interval contains the gate, so more images may decide otherwise"
    return found | {"verdict": "pass" if passed else "fail", "reason": reason}


def mcnemar(right_a: np.ndarray, right_b: np.ndarray, a: str, b: str) -> Figures:
    """Tests whether one of two classifiers is better, on the same images (McNemar 1947, the exact form).

    The images that one alone gets right are tosses of a fair coin, if neither is better.

    Args:
        right_a, right_b: bool (n,), which images each gets right, in the same order.
        a, b: what they are called.

    Returns:
        a, b, images, both, only_a, only_b, neither (counts), p_value (two-sided) and a sentence.
    """
    from scipy.stats import binomtest

    if right_a.shape != right_b.shape:
        raise ValueError(f"{len(right_a)} and {len(right_b)} images: not the same")
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    discordant = only_a + only_b
    p = float(binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0
    if p < 0.05:
        better, worse = (a, b) if only_a > only_b else (b, a)
        verdict = f"{better} is better than {worse}"
    else:
        verdict = "that either is better does not follow"
    return {
        "a": a,
        "b": b,
        "images": len(right_a),
        "both": int((right_a & right_b).sum()),
        "only_a": only_a,
        "only_b": only_b,
        "neither": int((~right_a & ~right_b).sum()),
        "p_value": p,
        "sentence": f"Of {len(right_a):,} images, {a} alone is right on {only_a:,} and {b} alone on {only_b:,}:"
        f" {verdict} (McNemar's exact test, p = {p:.2g})",
    }
