"""Example predictions: which images pages show, and their pictures."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.accuracy.classify import Task
from pipeline.accuracy.examples import choose_rows, describe, draw
from pipeline.accuracy.predictions import NOTHING, Predictions
from pipeline.accuracy.section import Evaluation
from pipeline.base.fault import Fault
from pipeline.facts.accuracy import ClassName, ExamplePrediction
from pipeline.images.image_set import choose, open_images
from pipeline.images.labels import Label
from tests.reports import REPORT

NAMES = (Label("red", "Red"), Label("green", "Green"), Label("blue", "Blue"))


def predictions(*rows: tuple[int, int, float]) -> Predictions:
    """Returns predictions from a true class, a predicted one and the confidence of each image."""
    true, predicted, confidence = (np.array(column) for column in zip(*rows, strict=True))
    best = predicted.astype(np.int32)
    return Predictions(true.astype(np.int32), best[:, np.newaxis], confidence.astype(np.float32), best)


def test_the_first_right_image_of_each_class_comes_first() -> None:
    several = predictions((1, 1, 0.6), (1, 1, 0.9), (0, 0, 0.5), (2, 2, 0.7), (2, 2, 0.99))
    assert choose_rows(several, 12) == (0, 2, 3)
    assert choose_rows(several, 2) == (0, 2)
    assert choose_rows(several, 0) == ()


def test_a_third_are_the_mistakes_with_the_highest_probability_each_of_another_pair() -> None:
    several = predictions((0, 0, 0.9), (1, 1, 0.9), (0, 1, 0.7), (0, 1, 0.8), (1, 0, 0.6), (2, 1, 0.95), (2, 2, 0.4))
    assert choose_rows(several, 6) == (0, 1, 6, 5, 3)
    assert choose_rows(several, 12) == (0, 1, 6, 5, 3, 4)
    assert choose_rows(several, 3) == (0, 1, 5)


def test_an_image_without_a_prediction_is_no_example() -> None:
    assert choose_rows(predictions((0, NOTHING, 0.0), (1, 0, 0.5)), 6) == (1,)


def test_examples_have_the_names_of_their_classes() -> None:
    right, wrong = describe(predictions((0, 0, 0.75), (1, 2, 0.5)), NAMES, 3)
    assert right == ExamplePrediction("1.png", ClassName(0, "red", "Red"), ClassName(0, "red", "Red"), 0.75)
    assert (wrong.true.title, wrong.predicted.title, wrong.is_right) == ("Green", "Blue", False)
    (unnamed,) = describe(predictions((7, 7, 1.0)), (), 1)
    assert unnamed.true.title == "class 7"


def test_a_picture_is_the_image_that_was_classified_and_at_most_512_pixels(tmp_path: Path) -> None:
    for label, colour in zip(NAMES, ("#ff0000", "#00ff00", "#0000ff"), strict=True):
        (tmp_path / label.key).mkdir()
        for number in range(2):
            Image.new("RGB", (1200, 600), colour).save(tmp_path / label.key / f"{number}.png")
    (tmp_path / "red/0.png").write_bytes(b"damaged")
    images = open_images(tmp_path, NAMES)
    task = Task(images, choose(images, None), 16)
    readable = [example for example in task.chosen if example.name != "red/0.png"]
    all_right = predictions(*((example.label, example.label, 0.9) for example in readable))
    assert REPORT.accuracy.measured
    measured = replace(
        REPORT.accuracy.measured, damaged={"red/0.png": "no image"}, examples=describe(all_right, NAMES, 9)
    )
    pictures = draw(task, measured, all_right, 9)
    assert list(pictures) == ["1.png", "2.png", "3.png"]
    for example in measured.examples:
        with Image.open(io.BytesIO(pictures[example.file])) as picture:
            assert picture.size == (512, 256)
            expected = tuple(255 if channel == example.true.index else 0 for channel in range(3))
            assert picture.convert("RGB").getpixel((3, 3)) == expected


@pytest.mark.parametrize("file", ["../1.png", "1.svg", "a/1.png", "1.png\n", "1234.png"])
def test_a_picture_elsewhere_is_refused(file: str) -> None:
    with pytest.raises(ValueError, match=r"expected the name of a picture, such as 1\.png, got "):
        ExamplePrediction(file, ClassName(0), ClassName(0), 1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"examples": 13, "images": "images"}, "evaluation.examples must be 0 to 12, got 13"),
        ({"examples": 2}, "evaluation.examples are of the member's own images; name them in evaluation.images"),
    ],
)
def test_examples_that_cannot_be_are_refused(values: dict[str, int | str], message: str) -> None:
    with pytest.raises(Fault, match=message):
        Evaluation("a test set", 0.5, **values)  # type: ignore[arg-type]
