"""statistics: figures from the literature or by construction, edges, and each verdict."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.accuracy.predictions import NOTHING, Predictions
from pipeline.accuracy.statistics import (
    against_reported,
    calibration,
    confusions,
    figures,
    gate,
    interval,
    mcnemar,
    reassessed_accuracy,
)
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import (
    AgainstReported,
    CalibrationBin,
    ClassName,
    Confusion,
    ReassessedAccuracy,
    Reported,
    RestrictedAccuracy,
)
from pipeline.images.labels import Label

NAMES = [Label(f"k{number}", f"name {number}") for number in range(10)]


def of(
    label: list[int], predicted: list[int], confidence: float = 0.5, restricted: list[int] | None = None
) -> Predictions:
    """Returns predictions whose five best are `predicted` and the four outputs after it."""
    first = np.array(predicted, np.int32)
    top5 = np.stack([(first + place) % 10 for place in range(5)], axis=1).astype(np.int32)
    top5[first == NOTHING] = NOTHING
    sure = np.full(len(label), confidence, np.float32)
    return Predictions(np.array(label, np.int32), top5, sure, np.array(restricted or predicted, np.int32))


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # by symmetry, and the smallest
        (20, 20, 0.8389, 1.0000),
        (1, 1, 0.2065, 1.0000),
        (0, 1, 0.0000, 0.7935),
    ],
)
def test_wilsons_interval_is_the_literatures(hits: int, n: int, low: float, high: float) -> None:
    assert interval(hits, n) == pytest.approx([low, high], abs=5e-5)


def test_calibration_of_a_calibrated_model() -> None:
    result = calibration(np.full(10, 0.7), np.arange(10) < 7)
    assert result.ece == pytest.approx(0)
    (filled,) = (one_bin for one_bin in result.bins if one_bin.images)
    assert (filled.images, filled.accuracy) == (10, 0.7)
    assert (filled.low, filled.high) == pytest.approx((10 / 15, 11 / 15))
    assert filled.confidence == pytest.approx(0.7)


def test_calibration_weighs_bins_by_their_images() -> None:
    confidence = np.array([0.9] * 6 + [0.5] * 4)
    right = np.array([True] * 3 + [False] * 3 + [True] * 3 + [False])
    # 6 of 10 are overconfident by 0.4, 4 of 10 underconfident by 0.25
    assert calibration(confidence, right).ece == pytest.approx(0.6 * 0.4 + 0.4 * 0.25)


@pytest.mark.parametrize(("right", "ece"), [(True, 0.0), (False, 1.0)])
def test_calibration_of_one_confident_image(right: bool, ece: float) -> None:
    result = calibration(np.array([1.0]), np.array([right]))
    assert result.ece == ece
    assert [one_bin.images for one_bin in result.bins] == [0] * 14 + [1]
    assert result.bins[0] == CalibrationBin(low=0.0, high=1 / 15, images=0, confidence=None, accuracy=None)


def test_bins_contain_their_upper_end() -> None:
    result = calibration(np.array([0.0, 1 / 15, 3 / 15, 3 / 15 + 1e-12]), np.zeros(4, bool))
    assert [one_bin.images for one_bin in result.bins][:4] == [2, 0, 1, 1]


def test_accuracy_over_all_outputs_and_over_those_of_the_images() -> None:
    predictions = of([2, 2, 4, 4], [2, 1, 9, 4], restricted=[2, 2, 2, 4])
    result = figures(predictions, NAMES, 10)
    assert (result.images, result.classes, result.outputs) == (4, 2, 10)
    assert (result.top1, result.top5) == (0.5, 0.75)  # 1 to 5 has 2; 9 to 3 lacks 4
    assert result.top1_interval == interval(2, 4)
    assert result.top5_interval == interval(3, 4)
    assert result.restricted == RestrictedAccuracy(0.75, interval(3, 4), classes=2)
    assert result.real is None


def test_the_top_5_of_five_outputs_is_no_figure() -> None:
    result = figures(of([3], [4]), (), 5)
    assert (result.top5, result.top5_interval) == (None, None)
    assert figures(of([3], [2]), (), 6).top5 == 1.0


def test_all_classes_need_no_restriction() -> None:
    assert figures(of(list(range(10)), list(range(10))), NAMES, 10).restricted is None


@pytest.mark.parametrize(("predicted", "top1"), [(3, 1.0), (4, 0.0)])
def test_one_image_is_enough(predicted: int, top1: float) -> None:
    result = figures(of([3], [predicted]), (), 10)
    assert result.top1 == top1
    assert result.confusions == (() if top1 else (Confusion(ClassName(3), ClassName(4), images=1, of=1),))


def test_outputs_that_are_not_numbers_are_wrong_and_counted() -> None:
    result = figures(of([0, 1], [NOTHING, 1]), NAMES, 10)
    assert (result.not_numbers, result.top1, result.top5) == (1, 0.5, 0.5)
    assert result.confusions == ()


def test_the_most_frequent_confusions_are_named() -> None:
    label = [1] * 5 + [2] * 4 + [3] * 3
    predicted = [1, 2, 2, 2, 0, 1, 1, 1, 2, 0, 0, 3]
    result = confusions(of(label, predicted), NAMES)
    assert result[0] == Confusion(ClassName(1, "k1", "name 1"), ClassName(2, "k2", "name 2"), images=3, of=5)
    assert [(entry.true.index, entry.predicted.index, entry.images) for entry in result] == [
        (1, 2, 3), (2, 1, 3), (3, 0, 2), (1, 0, 1),
    ]  # fmt: skip


def test_no_more_than_ten_confusions_are_named() -> None:
    label = list(range(10)) * 2
    predicted = [(true + 1 + number // 10) % 10 for number, true in enumerate(label)]
    assert len(confusions(of(label, predicted), NAMES)) == 10


def test_real_labels_allow_several_and_leave_out_images_without_any() -> None:
    predictions = of([0, 1, 2, 3], [5, 1, 2, 9])
    result = figures(predictions, NAMES, 10, [(0, 5), (1,), (), (3,)])
    assert result.real == ReassessedAccuracy(2 / 3, interval(2, 3), images=3)
    assert figures(predictions, NAMES, 10, [None, (), None, ()]).real is None


def test_real_labels_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="1 sets of ReaL labels for 2 images"):
        reassessed_accuracy(of([0, 1], [0, 1]), [(0,)])


MEASURED = figures(of(list(range(10)) * 100, list(range(10)) * 80 + [(n + 1) % 10 for n in range(10)] * 20), NAMES, 10)


@pytest.mark.parametrize(
    ("value", "inside", "reason"),
    [
        (0.81, True, "the reported 81.00 % is inside the 95 % interval of 1,000 images, 77.41 % to 82.36 %"),
        (0.83, False, "the reported 83.00 % is above the 95 % interval of 1,000 images, 77.41 % to 82.36 %"),
        (0.77, False, "the reported 77.00 % is below the 95 % interval of 1,000 images, 77.41 % to 82.36 %"),
    ],
)
def test_a_reported_accuracy_is_compared_with_the_interval(value: float, inside: bool, reason: str) -> None:
    result = against_reported(MEASURED, Reported(value, "the paper"))
    assert result == AgainstReported(value, "the paper", inside, reason)


def test_some_classes_do_not_compare_with_all() -> None:
    result = against_reported(replace(MEASURED, classes=10, outputs=1000), Reported(0.8, "the paper"))
    assert result.inside is None
    assert result.reason == (
        "the reported figure is not comparable, because it is about all 1,000 classes, the images have 10 of them"
    )


def test_another_data_set_does_not_compare() -> None:
    result = against_reported(MEASURED, Reported(0.8, "the paper"), "the images are ImageNet-V2")
    assert result.inside is None
    assert result.reason.endswith("because the images are ImageNet-V2")


def test_the_gate_passes_what_reaches_it() -> None:
    measured = figures(of(list(range(10)) * 100, list(range(10)) * 100), NAMES, 10)
    assert gate(measured, 1.0)[0] is Verdict.PASS
    assert gate(measured, 0.9) == (
        Verdict.PASS,
        "top-1 accuracy 100.00 % (95 % interval 99.62 % to 100.00 %) on 1,000 images of all 10 classes is not below the"
        " minimum 90.00 %",
    )


def test_the_gate_stops_what_is_below_it() -> None:
    measured = figures(of([1] * 100, [1] * 80 + [2] * 20), NAMES, 10)
    assert gate(measured, 0.9) == (
        Verdict.FAIL,
        "top-1 accuracy 80.00 % (95 % interval 71.12 % to 86.66 %) on 100 images of 1 of the 10 classes is below the"
        " minimum 90.00 %",
    )
    assert gate(measured, 0.81)[1].endswith("the interval contains the minimum, so more images may change the verdict")


def test_the_gate_stops_outputs_that_are_not_numbers() -> None:
    measured = figures(of([1] * 100, [1] * 99 + [NOTHING]), NAMES, 10)
    assert gate(measured, 0.5) == (Verdict.FAIL, "1 of 100 images gave NaN or infinite outputs")


def paired(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


def test_mcnemars_test_is_the_literatures() -> None:
    # Fagerland, Lydersen and Laake 2013, "The McNemar test for binary matched-pairs data", tables 2 and 5: 0.070
    result = mcnemar(*paired(1, 1, 7, 12), "the first", "the second")
    assert result.p_value == pytest.approx(0.0703125)
    assert (result.images, result.both, result.only_a, result.only_b, result.neither) == (21, 1, 1, 7, 12)
    assert result.sentence == (
        "Of 21 images, only the first is right on 1 and only the second on 7: no significant difference (McNemar's"
        " exact test, p = 0.07)"
    )


@pytest.mark.parametrize(("counts", "better"), [((10, 20, 3, 5), "ours"), ((10, 3, 20, 5), "theirs")])
def test_mcnemar_names_the_better(counts: tuple[int, int, int, int], better: str) -> None:
    result = mcnemar(*paired(*counts), "ours", "theirs")
    assert f": {better} is better than " in result.sentence
    assert result.p_value < 0.05


@pytest.mark.parametrize("right", [True, False])
def test_mcnemar_of_equals(right: bool) -> None:
    result = mcnemar(np.array([right]), np.array([right]), "ours", "theirs")
    assert result.p_value == 1
    assert "no significant difference" in result.sentence


def test_mcnemar_refuses_other_images() -> None:
    with pytest.raises(ValueError, match="expected the same images, got 2 and 1"):
        mcnemar(np.array([True, False]), np.array([True]), "ours", "theirs")
