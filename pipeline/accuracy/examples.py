"""Chooses the example predictions that pages show: images of different classes that are right, and mistakes."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from pipeline.accuracy.classify import Task
from pipeline.accuracy.predictions import NOTHING, Predictions
from pipeline.accuracy.statistics import class_name
from pipeline.facts.accuracy import ExamplePrediction, Measured
from pipeline.images.decoding import decoded
from pipeline.images.image_set import Example
from pipeline.images.labels import Label

LARGEST_SIDE = 512  # pixels of a picture


def choose_rows(predictions: Predictions, count: int) -> tuple[int, ...]:
    """Returns the rows to show, at most `count`: right predictions, then mistakes, a third of them.

    Of the right ones it is the first of each class, in the order of evaluation, which is random and the same
    everywhere: they are no better than usual. The mistakes are those with the highest confidence, which show most of
    what the model confuses, each of another pair of classes.
    """
    right, mistakes = _first_of_each_class(predictions), _most_confident_mistakes(predictions)
    wrong = min(count // 3, len(mistakes))
    return (*right[: count - wrong], *mistakes[:wrong])


def _first_of_each_class(predictions: Predictions) -> list[int]:
    rows: dict[int, int] = {}
    for row in np.flatnonzero(predictions.right):
        rows.setdefault(int(predictions.label[row]), int(row))
    return list(rows.values())


def _most_confident_mistakes(predictions: Predictions) -> list[int]:
    wrong = np.flatnonzero(~predictions.right & (predictions.predicted != NOTHING))
    rows: dict[tuple[int, int], int] = {}
    for row in wrong[np.argsort(-predictions.confidence[wrong], kind="stable")]:
        rows.setdefault((int(predictions.label[row]), int(predictions.predicted[row])), int(row))
    return list(rows.values())


def describe(predictions: Predictions, names: Sequence[Label], count: int) -> tuple[ExamplePrediction, ...]:
    """Returns the examples for a report; see choose_rows(). `names` are the labels in the order of the outputs."""
    return tuple(
        ExamplePrediction(
            file=f"{number}.png",
            true=class_name(int(predictions.label[row]), names),
            predicted=class_name(int(predictions.predicted[row]), names),
            confidence=float(predictions.confidence[row]),
        )
        for number, row in enumerate(choose_rows(predictions, count), start=1)
    )


def draw(task: Task, measured: Measured, predictions: Predictions, count: int) -> Mapping[str, bytes]:
    """Returns the PNG of each example of a report, by its file name.

    Args:
        task: the images that were classified.
        measured: the figures, with the examples that describe() returned.
        predictions: all of them.
        count: as describe() was given it.

    Raises:
        Fault: when an image cannot be read any more.
    """
    classified = [example for example in task.chosen if example.name not in measured.damaged]
    rows = choose_rows(predictions, count)
    return {example.file: _draw(task, classified[row]) for example, row in zip(measured.examples, rows, strict=True)}


def _draw(task: Task, example: Example) -> bytes:
    out = io.BytesIO()
    with decoded(task.images.read(example), task.images.locate(example)) as pixels:
        picture = Image.fromarray(pixels)
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        picture.save(out, "PNG")
    return out.getvalue()
