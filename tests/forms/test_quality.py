"""The bars that quantized files must clear."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.precision import Precision
from pipeline.forms.quality import BARS, Quality, check, compare, smallest_cosine

GOOD = Quality(size=0.33, images=1000, cosine=0.999, same_class=0.996, top1=0.922, float32_top1=0.919)


def test_rows_of_zeros_are_like_each_other_and_no_other() -> None:
    rows = np.array([[0, 0], [3, 4]], np.float32)
    assert smallest_cosine(rows, rows) == pytest.approx(1)
    assert smallest_cosine(rows, rows + np.array([[1, 0], [0, 0]], np.float32)) == 0
    assert np.isnan(smallest_cosine(rows, rows * np.nan))


def test_a_file_within_its_bar_passes() -> None:
    check("model_int8.tflite", GOOD, BARS[Precision.INT8])
    check("model_int8.tflite", replace(GOOD, same_class=None, top1=None, float32_top1=None), BARS[Precision.INT8])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0.341}, r"its size is 34\.1% of float32 \(at most 34%\)"),
        ({"cosine": 0.98}, r"the smallest cosine to float32 is 0\.98000 \(at least 0\.99\)"),
        ({"cosine": float("nan")}, r"cosine to float32 is nan"),
        ({"same_class": 0.994}, r"99\.40% of the images have float32's class \(at least 99\.5%\)"),
        ({"top1": 0.915}, r"top-1 differs from float32 by -0\.40 points \(at most 0\.3\)"),
        ({"top1": 0.923}, r"top-1 differs from float32 by \+0\.40 points"),
    ],
)
def test_a_file_outside_its_bar_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Fault, match=f"model_int8.tflite: not written, since on 1000 images .*{message}"):
        check("model_int8.tflite", replace(GOOD, **change), BARS[Precision.INT8])


def test_all_figures_are_named() -> None:
    with pytest.raises(
        Fault, match=r"its size is .*; the smallest cosine .*; 0\.00% of the images .*; top-1 .* of FORMATS$"
    ):
        check("model_int8.tflite", replace(GOOD, size=1, cosine=0, same_class=0, top1=0), BARS[Precision.INT8])


def test_classes_are_compared() -> None:
    expected = np.eye(4, dtype=np.float32) + 0.1
    outputs = expected.copy()
    outputs[3] = outputs[2]
    quality = compare(Head.CLASSIFICATION, outputs, expected, 0.3, np.array([0, 1, 2, 3]))
    assert (quality.same_class, quality.top1, quality.float32_top1, quality.images) == (0.75, 0.75, 1.0, 4)
    assert quality.cosine == pytest.approx(expected[2] @ expected[3] / (expected[3] @ expected[3]))
    assert compare(Head.CLASSIFICATION, outputs, expected, 0.3, None).top1 is None
    assert compare(Head.FE, outputs, expected, 0.3, None).same_class is None
