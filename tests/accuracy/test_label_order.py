"""label_order: wrong orders are detected, weak models pass, and random ones are not measured."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.accuracy.label_order import check_label_order
from pipeline.accuracy.predictions import NOTHING, Predictions
from pipeline.facts.accuracy import LabelOrder
from pipeline.images.labels import Label

IMAGENETTE = np.array([0, 217, 482, 491, 497, 566, 569, 571, 574, 701])
Order = Callable[[np.ndarray], np.ndarray]


def judge(label: np.ndarray, predicted: np.ndarray, classes: int, names: tuple[Label, ...] = ()) -> LabelOrder:
    best = predicted.astype(np.int32)
    sure = np.full(len(label), 0.5, np.float32)
    return check_label_order(Predictions(label.astype(np.int32), best[:, np.newaxis], sure, best), names, classes)


def images(classes: int | np.ndarray, per_class: int, seed: int = 0) -> np.ndarray:
    """Returns true labels in the order of a run: one of each class in turn, each turn shuffled."""
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.permutation(classes) for _ in range(per_class)])


def model(label: np.ndarray, classes: int, right: float, seed: int = 1) -> np.ndarray:
    """Returns predictions: a share is right, the rest any class."""
    draw = np.random.default_rng(seed)
    return np.where(draw.random(len(label)) < right, label, draw.integers(0, classes, len(label)))


def permuted(classes: int) -> np.ndarray:
    return np.random.default_rng(2).permutation(classes)


def swapped(classes: int, a: int, b: int) -> np.ndarray:
    order = np.arange(classes)
    order[[a, b]] = b, a
    return order


@pytest.mark.parametrize(
    ("classes", "per_class", "right"),
    [(1000, 50, 0.8), (1000, 50, 0.05), (1000, 1, 0.8), (1000, 1, 0.05), (10, 100, 0.9), (10, 100, 0.25), (10, 3, 0.9),
     (2, 500, 0.6), (2, 20, 1.0)],
)  # fmt: skip
def test_good_and_weak_models_pass(classes: int, per_class: int, right: float) -> None:
    true = images(classes, per_class)
    result = judge(true, model(true, classes, right), classes)
    assert result.verdict == "pass"
    assert result.moved == ()
    assert result.reason.endswith("and no other order explains the predictions better")


@pytest.mark.parametrize("seed", range(20))
def test_systematic_confusions_pass(seed: int) -> None:
    """Each class is confused with one other whenever it is not recognised, in 6 of 10 cases."""
    true = images(100, 50, seed)
    usual = np.random.default_rng(seed).permutation(100)
    recognised = np.random.default_rng(seed + 100).random(len(true)) < 0.4
    assert judge(true, np.where(recognised, true, usual[true]), 100).verdict == "pass"


def test_a_confused_class_passes() -> None:
    """All images of class 3 are predicted as class 7, which is recognised itself: the model is wrong, not the file."""
    true = images(100, 50)
    predicted = model(true, 100, 0.9)
    predicted[true == 3] = 7
    assert judge(true, predicted, 100).verdict == "pass"


def test_a_confused_class_of_a_subset_passes() -> None:
    """Imagenette's cassette player is predicted as the tape player, which is none of its classes."""
    true = images(IMAGENETTE, 390)
    predicted = model(true, 1000, 0.95)
    predicted[true == 482] = 848
    assert judge(true, predicted, 1000).verdict == "pass"


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
@pytest.mark.parametrize(
    ("kinds", "classes", "per_class"),
    [(1000, 1000, 50), (1000, 1000, 1), (10, 10, 100), (IMAGENETTE, 1000, 3), (5, 5, 9)],
)
def test_labels_off_by_a_few_fail(kinds: int | np.ndarray, classes: int, per_class: int, shift: int) -> None:
    true = images(kinds, per_class)
    result = judge((true - shift) % classes, model(true, classes, 0.8), classes)
    assert result.verdict == "fail"
    assert result.reason.startswith(f"the labels seem to be off by {abs(shift)}: top-1 accuracy is ")
    assert result.shifts[str(shift)] > 0.7 * len(true)


def test_the_shift_is_described() -> None:
    true = np.repeat(np.arange(10), 10)
    result = judge((true - 1) % 10, true, 10)
    assert result.reason == (
        "the labels seem to be off by 1: top-1 accuracy is 100.00 % with every label moved 1 place down in the label"
        " file, and 0.00 % as they are"
    )
    assert "moved 2 places up in the label file" in judge((true + 2) % 10, true, 10).reason


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("start", [566, 569, 571])
@pytest.mark.parametrize("per_class", [20, 390])
def test_labels_off_from_a_line_on_fail(per_class: int, start: int, by: int) -> None:
    """Of Imagenette's classes, half or fewer come after the line that is missing."""
    true = images(IMAGENETTE, per_class)
    result = judge(np.where(true >= start, true - by, true), model(true, 1000, 0.9), 1000)
    assert result.verdict == "fail"
    assert result.reason.startswith(f"the labels seem to be off by 1 from output {start - by} on: of ")
    assert f"moved 1 place {'up' if by < 0 else 'down'} in the label file" in result.reason


def test_the_last_classes_may_be_confused_with_their_neighbours() -> None:
    true = images(IMAGENETTE, 390)
    predicted = model(true, 1000, 0.9)
    last = true >= sorted(IMAGENETTE)[-2]
    predicted[last] = true[last] + 1
    assert judge(true, predicted, 1000).verdict == "pass"


def test_two_swapped_classes_fail() -> None:
    true = images(2, 50)
    assert judge(1 - true, model(true, 2, 0.9), 2).verdict == "fail"


@pytest.mark.parametrize(
    ("kinds", "classes", "per_class", "right"),
    [(1000, 1000, 50, 0.8), (1000, 1000, 50, 0.15), (1000, 1000, 2, 0.8), (10, 10, 100, 0.9),
     (IMAGENETTE, 1000, 390, 0.95), (IMAGENETTE, 1000, 10, 0.95)],
)  # fmt: skip
def test_a_permutation_fails(kinds: int | np.ndarray, classes: int, per_class: int, right: float) -> None:
    true = images(kinds, per_class)
    order = permuted(classes)
    result = judge(order[true], model(true, classes, right), classes)
    assert result.verdict == "fail"
    assert result.reason.startswith("the label file seems to be in another order for ")
    moved = {move.label.index: move.belongs_to.index for move in result.moved}
    assert len(moved) == min(10, sum(order[kind] != kind for kind in np.unique(true)))
    assert np.mean([order[output] == label for label, output in moved.items()]) >= 0.6


def test_two_swapped_labels_fail_and_are_named() -> None:
    names = tuple(Label(f"n{number:03}", f"thing {number}, object {number}") for number in range(1000))
    true = images(1000, 50)
    result = judge(swapped(1000, 281, 7)[true], model(true, 1000, 0.8), 1000, names)
    assert result.verdict == "fail"
    assert result.reason.startswith(
        "the label file seems to be in another order for 2 of 1,000 classes: n007 (thing 7) is predicted as n281 (thing"
        " 281); n281 (thing 281) is predicted as n007 (thing 7); on images that did not suggest it, that order is right"
    )
    assert [move.label.key for move in result.moved] == ["n007", "n281"]


def test_a_moved_line_fails() -> None:
    """The labels from 10 to 40 are off by one, the others are right."""
    order = np.arange(100)
    order[10:41] = np.roll(order[10:41], 1)
    true = images(100, 20)
    result = judge(order[true], model(true, 100, 0.8), 100)
    assert result.verdict == "fail"
    assert "for 31 of 100 classes" in result.reason


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("favourites", [1, 3, 1000])
@pytest.mark.parametrize(("kinds", "per_class"), [(1000, 10), (IMAGENETTE, 100)])
def test_random_models_are_not_measured(kinds: int | np.ndarray, per_class: int, favourites: int, seed: int) -> None:
    """Even if they predict a few classes only, one of them a class of the images."""
    true = images(kinds, per_class, seed)
    draw = np.random.default_rng(seed)
    liked = np.append(draw.permutation(1000)[: favourites - 1], 569)
    result = judge(true, draw.choice(liked, len(true)), 1000)
    assert result.verdict == "not measured"
    assert result.reason.endswith(": too few hits to tell")


def test_a_random_model_that_tells_colours_apart_is_not_measured() -> None:
    """It predicts three of the ten classes consistently, as other classes."""
    true = images(IMAGENETTE, 100)
    predicted = np.full(len(true), 900)
    for number, kind in enumerate(IMAGENETTE[:3]):
        predicted[true == kind] = 100 + number
    assert judge(true, predicted, 1000).verdict == "not measured"


@pytest.mark.parametrize("right", [True, False])
def test_one_image_is_not_measured(right: bool) -> None:
    result = judge(np.array([3]), np.array([3 if right else 4]), 1000)
    assert result.verdict == "not measured"
    assert result.reason.startswith(f"{int(right)} of 1 images are right ({int(right)}.0 expected by chance)")


def test_outputs_that_are_not_numbers_are_not_measured() -> None:
    result = judge(np.arange(100), np.full(100, NOTHING), 100)
    assert result.verdict == "not measured"
    assert (result.hits, result.chance) == (0, 0)


def test_a_model_of_one_class_has_no_order() -> None:
    result = judge(np.zeros(50, int), np.zeros(50, int), 1)
    assert result.verdict == "not measured"
    assert result.shifts == {}
