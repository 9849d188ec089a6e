"""How far a file may differ from its module; pipeline.runtimes.judging measures and judges it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.forms.precision import Precision


@dataclass(frozen=True)
class Bar:
    """What a file must keep.

    Attributes:
        size: at most this share of the float32 file's bytes.
        top1: the accuracy may differ by at most this much.
        same_class: at least this share of the images must have the class that the module gives them.
        cosine: at least this cosine between the outputs and the module's, for every image.
        error: the largest relative error of the self-test: a cosine sees no factor, and tells nothing of one output.
    """

    size: float
    top1: float
    same_class: float
    cosine: float
    error: float = math.inf


# Of files whose self-test keeps the module's own tolerance, on real images.
EXACT = Bar(size=math.inf, top1=0.003, same_class=0.995, cosine=0.9999)
BARS: Mapping[Precision, Bar] = {
    Precision.FLOAT16: Bar(size=0.53, top1=0.003, same_class=0.995, cosine=0.9999, error=0.05),
    # Its weights are float32, the graph is a twin's. It rounds eight times as coarsely as float16: 0.063 radians here,
    # 0.014 there; docs/bfloat16.md has what was measured.
    Precision.BFLOAT16: Bar(size=1.1, top1=0.003, same_class=0.995, cosine=0.998),
    Precision.INT8: Bar(size=0.34, top1=0.003, same_class=0.995, cosine=0.99, error=0.25),
}


def smallest_cosine(outputs: np.ndarray, expected: np.ndarray) -> float:
    """Returns the smallest cosine between the rows of two arrays (n, k); NaN for another shape, or a row with NaN.

    That of two rows of zeros is 1, that of one and another row 0.
    """
    if outputs.shape != expected.shape:
        return math.nan
    exact, wanted = outputs.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1), np.linalg.norm(wanted, axis=1)
    norms = lengths[0] * lengths[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.where(norms == 0, lengths[0] == lengths[1], (exact * wanted).sum(axis=1) / norms)
    return float(cosines.min())
