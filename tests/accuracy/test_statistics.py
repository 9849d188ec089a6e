"""What is said of predictions: figures known from the literature or by construction, edges, and each verdict."""

import json

import numpy as np
import pytest

from pipeline.accuracy.predictions import NOTHING, Predictions
from pipeline.accuracy.statistics import (
    accuracy,
    against_real,
    against_reported,
    calibration,
    confusions,
    gate,
    interval,
    mcnemar,
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
    found = calibration(np.full(10, 0.7), np.arange(10) < 7)
    assert found["ece"] == pytest.approx(0)
    filled = [one for one in found["bins"] if one["images"]]
    assert [(one["images"], one["accuracy"]) for one in filled] == [(10, 0.7)]
    assert (filled[0]["low"], filled[0]["high"]) == pytest.approx((10 / 15, 11 / 15))
    assert filled[0]["confidence"] == pytest.approx(0.7)


def test_calibration_weighs_bins_by_their_images() -> None:
    confidence = np.array([0.9] * 6 + [0.5] * 4)
    right = np.array([True] * 3 + [False] * 3 + [True] * 3 + [False])
    # 6 of 10 are 0.4 too sure, 4 of 10 0.25 too unsure
    assert calibration(confidence, right)["ece"] == pytest.approx(0.6 * 0.4 + 0.4 * 0.25)


@pytest.mark.parametrize(("right", "ece"), [(True, 0.0), (False, 1.0)])
def test_calibration_of_one_sure_image(right: bool, ece: float) -> None:
    found = calibration(np.array([1.0]), np.array([right]))
    assert found["ece"] == ece
    assert [one["images"] for one in found["bins"]] == [0] * 14 + [1]
    assert found["bins"][0] == {"low": 0.0, "high": 1 / 15, "images": 0, "confidence": None, "accuracy": None}


def test_bins_contain_their_upper_end() -> None:
    found = calibration(np.array([0.0, 1 / 15, 3 / 15, 3 / 15 + 1e-12]), np.zeros(4, bool))
    assert [one["images"] for one in found["bins"]][:4] == [2, 0, 1, 1]


def test_accuracy_over_all_outputs_and_over_those_that_are_present() -> None:
    predictions = of([2, 2, 4, 4], [2, 1, 9, 4], restricted=[2, 2, 2, 4])
    found = accuracy(predictions, NAMES, 10)
    assert (found["images"], found["classes"], found["outputs"]) == (4, 2, 10)
    assert (found["top1"], found["top5"]) == (0.5, 0.75)  # 1 to 5 has 2; 9 to 3 lacks 4
    assert found["top1_interval"] == interval(2, 4)
    assert found["top5_interval"] == interval(3, 4)
    assert found["restricted"] == {"top1": 0.75, "top1_interval": interval(3, 4), "classes": 2}
    assert "real" not in found
    json.dumps(found, allow_nan=False)


def test_the_top_5_of_five_outputs_is_no_figure() -> None:
    assert not {"top5", "top5_interval"} & accuracy(of([3], [4]), (), 5).keys()
    assert accuracy(of([3], [2]), (), 6)["top5"] == 1.0


def test_all_classes_need_no_restriction() -> None:
    assert "restricted" not in accuracy(of(list(range(10)), list(range(10))), NAMES, 10)


@pytest.mark.parametrize(("predicted", "top1"), [(3, 1.0), (4, 0.0)])
def test_one_image_is_enough(predicted: int, top1: float) -> None:
    found = accuracy(of([3], [predicted]), (), 10)
    assert found["top1"] == top1
    assert found["confusions"] == (
        [] if top1 else [{"true": {"index": 3}, "predicted": {"index": 4}, "images": 1, "of": 1}]
    )


def test_outputs_that_are_not_numbers_are_wrong_and_counted() -> None:
    found = accuracy(of([0, 1], [NOTHING, 1]), NAMES, 10)
    assert (found["not_numbers"], found["top1"], found["top5"]) == (1, 0.5, 0.5)
    assert found["confusions"] == []


def test_the_most_frequent_confusions_are_named() -> None:
    label = [1] * 5 + [2] * 4 + [3] * 3
    predicted = [1, 2, 2, 2, 0, 1, 1, 1, 2, 0, 0, 3]
    found = confusions(of(label, predicted), NAMES)
    assert found[0] == {
        "true": {"index": 1, "key": "k1", "name": "name 1"},
        "predicted": {"index": 2, "key": "k2", "name": "name 2"},
        "images": 3,
        "of": 5,
    }
    assert [(one["true"]["index"], one["predicted"]["index"], one["images"]) for one in found] == [
        (1, 2, 3), (2, 1, 3), (3, 0, 2), (1, 0, 1),
    ]  # fmt: skip


def test_no_more_than_ten_confusions_are_named() -> None:
    label = list(range(10)) * 2
    predicted = [(one + 1 + number // 10) % 10 for number, one in enumerate(label)]
    assert len(confusions(of(label, predicted), NAMES)) == 10


def test_real_labels_allow_several_and_leave_out_images_without_any() -> None:
    predictions = of([0, 1, 2, 3], [5, 1, 2, 9])
    found = accuracy(predictions, NAMES, 10, [(0, 5), (1,), (), (3,)])
    assert found["real"] == {"top1": pytest.approx(2 / 3), "top1_interval": interval(2, 3), "images": 3}
    assert "real" not in accuracy(predictions, NAMES, 10, [None, (), None, ()])


def test_real_labels_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="1 sets of ReaL labels for 2 images"):
        against_real(of([0, 1], [0, 1]), [(0,)])


@pytest.mark.parametrize(
    ("value", "inside", "reason"),
    [
        (0.81, True, "the reported 81.00 % lies inside the 95 % interval of 1,000 images, 77.41 % to 82.36 %"),
        (0.83, False, "the reported 83.00 % lies above the 95 % interval of 1,000 images, 77.41 % to 82.36 %"),
        (0.77, False, "the reported 77.00 % lies below the 95 % interval of 1,000 images, 77.41 % to 82.36 %"),
    ],
)
def test_a_reported_figure_is_held_against_the_interval(value: float, inside: bool, reason: str) -> None:
    found = against_reported(800, 1000, value, "the paper", 1000, 1000)
    assert found == {"value": value, "source": "the paper", "inside": inside, "reason": reason}


def test_some_classes_do_not_compare_with_all() -> None:
    found = against_reported(3900, 3925, 0.8, "the paper", 1000, 10)
    assert found["inside"] is None
    assert found["reason"] == (
        "the reported figure is not comparable, because it is about all 1,000 classes, the images have 10 of them"
    )


def test_another_data_set_does_not_compare() -> None:
    found = against_reported(8, 10, 0.8, "the paper", 1000, 1000, "the images are ImageNet-V2")
    assert found["inside"] is None
    assert found["reason"].endswith("because the images are ImageNet-V2")


def test_the_gate_passes_what_reaches_it() -> None:
    measured = accuracy(of(list(range(10)) * 100, list(range(10)) * 100), NAMES, 10)
    assert gate(measured, 1.0)["verdict"] == "pass"
    assert gate(measured, 0.9) == {
        "minimum_top1": 0.9,
        "verdict": "pass",
        "reason": "top-1 accuracy 100.00 % (95 % interval 99.62 % to 100.00 %) on 1,000 images of all 10 classes is not"
        " below the gate 90.00 %",
    }


def test_the_gate_stops_what_is_below_it() -> None:
    measured = accuracy(of([1] * 100, [1] * 80 + [2] * 20), NAMES, 10)
    found = gate(measured, 0.9)
    assert found["verdict"] == "fail"
    assert found["reason"] == (
        "top-1 accuracy 80.00 % (95 % interval 71.12 % to 86.66 %) on 100 images of 1 of the 10 classes is below"
        " the gate 90.00 %"
    )
    assert gate(measured, 0.81)["reason"].endswith(
        "the interval contains the gate, so more images may decide otherwise"
    )


def test_the_gate_stops_outputs_that_are_not_numbers() -> None:
    measured = accuracy(of([1] * 100, [1] * 99 + [NOTHING]), NAMES, 10)
    assert gate(measured, 0.5) == {
        "minimum_top1": 0.5,
        "verdict": "fail",
        "reason": "1 of 100 images gave outputs that are not numbers",
    }


def test_the_gate_says_why_nothing_was_measured() -> None:
    found = gate(None, 0.9, "there were no images")
    assert found == {"minimum_top1": 0.9, "verdict": "not measured", "reason": "there were no images"}
    with pytest.raises(ValueError, match="needs a reason"):
        gate(None, 0.9)


def paired(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return np.array(a), np.array(b)


def test_mcnemars_test_is_the_literatures() -> None:
    # Fagerland, Lydersen and Laake 2013, "The McNemar test for binary matched-pairs data", tables 2 and 5: 0.070
    found = mcnemar(*paired(1, 1, 7, 12), "the first", "the second")
    assert found["p_value"] == pytest.approx(0.0703125)
    assert {key: found[key] for key in ("images", "both", "only_a", "only_b", "neither")} == {
        "images": 21, "both": 1, "only_a": 1, "only_b": 7, "neither": 12,
    }  # fmt: skip
    assert found["sentence"] == (
        "Of 21 images, the first alone is right on 1 and the second alone on 7: that either is better does not follow"
        " (McNemar's exact test, p = 0.07)"
    )


@pytest.mark.parametrize(("counts", "better"), [((10, 20, 3, 5), "ours"), ((10, 3, 20, 5), "theirs")])
def test_mcnemar_names_the_better(counts: tuple[int, int, int, int], better: str) -> None:
    found = mcnemar(*paired(*counts), "ours", "theirs")
    assert f": {better} is better than " in found["sentence"]
    assert found["p_value"] < 0.05


@pytest.mark.parametrize("right", [True, False])
def test_mcnemar_of_equals(right: bool) -> None:
    found = mcnemar(np.array([right]), np.array([right]), "ours", "theirs")
    assert found["p_value"] == 1
    assert "that either is better does not follow" in found["sentence"]


def test_mcnemar_refuses_other_images() -> None:
    with pytest.raises(ValueError, match="2 and 1 images: not the same"):
        mcnemar(np.array([True, False]), np.array([True]), "ours", "theirs")
