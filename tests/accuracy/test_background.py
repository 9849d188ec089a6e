"""A background as the first output: it is none of the classes of the images, unless images have it."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.accuracy.label_order import check_label_order
from pipeline.accuracy.predictions import Predictions, of_logits
from pipeline.accuracy.statistics import against_reported, figures, gate
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Reported
from pipeline.images.labels import Label, class_finder, has_background, imagenet_classes, match_classes
from tests.reports import REPORT, with_accuracy, with_measured

NAMES = (Label("background", "Background"), Label("cat", "Cat"), Label("dog", "Dog"), Label("cow", "Cow"))
SYNSETS = tuple(Label(f"n{number:08}", f"class {number}") for number in range(1000))
WITH_BACKGROUND = (Label("background", "background"), *SYNSETS)


def predicted(label: list[int], output: list[int]) -> Predictions:
    """Returns predictions of images of some classes, each with its largest logit at some output."""
    logits = 4 * np.eye(4, dtype=np.float32)[output] + np.arange(4, dtype=np.float32) / 10
    return of_logits(logits, np.array(label), sorted(set(label)), "softmax")


@pytest.mark.parametrize("key", ["background", "Background", "__background__"])
def test_the_first_label_tells_a_background(key: str) -> None:
    assert has_background((Label(key, "none of them"), *NAMES[1:]))


def test_other_labels_are_classes() -> None:
    assert not has_background(())
    assert not has_background(NAMES[:1])  # the only class
    assert not has_background(NAMES[1:])
    assert not has_background((*NAMES[1:], NAMES[0]))  # the last one


def test_the_background_is_no_class_of_the_images() -> None:
    measured = figures(predicted([1, 2, 3, 3], [1, 2, 3, 0]), NAMES, 4)
    assert (measured.outputs, measured.possible_classes, measured.classes) == (4, 3, 3)
    assert measured.top1 == 0.75  # a prediction of the background is wrong
    assert measured.restricted is not None
    assert measured.restricted.top1 == 1.0  # among the classes of the images, cow is likelier than dog
    assert [(each.true.key, each.predicted.key) for each in measured.confusions] == [("cow", "background")]
    assert "on 4 images of all 3 classes is not below" in gate(measured, 0.5)[1]
    assert against_reported(measured, Reported(0.75, "a paper")).inside is True


def test_images_of_the_background_make_it_a_class() -> None:
    measured = figures(predicted([0, 1, 2, 3], [0, 1, 2, 3]), NAMES, 4)
    assert (measured.has_background, measured.possible_classes, measured.restricted) == (False, 4, None)


def test_a_missing_class_is_still_missing() -> None:
    measured = figures(predicted([1, 2], [1, 2]), NAMES, 4)
    assert "2 of the 3 classes" in gate(measured, 0.5)[1]
    assert against_reported(measured, Reported(0.5, "a paper")).reason.endswith(
        "it is about all 3 classes, the images have 2 of them"
    )


def test_labels_without_the_background_are_off_by_one() -> None:
    """The outputs have a background, and the label file has it last."""
    label = [index for index in (0, 1, 2) for _ in range(10)]
    wrong = (*NAMES[1:], NAMES[0])
    order = check_label_order(predicted(label, [index + 1 for index in label]), wrong, 4)
    assert order.verdict is Verdict.FAIL
    assert "the labels seem to be off by 1" in order.reason


def test_imagenets_indices_count_from_the_first_class() -> None:
    assert list(imagenet_classes(WITH_BACKGROUND)) == list(range(1, 1001))
    assert class_finder(WITH_BACKGROUND)("0") == 1
    assert class_finder(WITH_BACKGROUND)("n00000999") == 1000
    assert match_classes(["class 0", "class 999", "robot"], WITH_BACKGROUND) == [1, 1000, "robot"]
    worded = [f"of {label.name}" if number < 400 else label.name for number, label in enumerate(SYNSETS)]
    assert match_classes(worded, WITH_BACKGROUND) == list(range(1, 1001))
    assert match_classes(["background", "cat"], NAMES) == [0, 1]


def test_a_sample_of_all_classes_is_called_that() -> None:
    """1,000 of 1,001 outputs are all classes."""
    report = with_measured(REPORT, classes=10, outputs=11, has_background=True)
    report = with_accuracy(report, expected_dataset=report.accuracy.dataset)
    assert report.accuracy.sample == "1,000 images"
    assert report.accuracy.measured
    some = replace(report.accuracy, measured=replace(report.accuracy.measured, has_background=False))
    assert some.sample == "1,000 images of 10 of the 11 classes"
