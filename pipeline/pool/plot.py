"""Draws a scatter plot of accuracy against speed as SVG, with the template selection/plot.svg.jinja."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.axes import LEFT, RIGHT, Axis, Frame, percent_label, place_labels
from pipeline.base.templates import render

FRAME = Frame(LEFT, RIGHT, top=90, bottom=424, height=480)


@dataclass(frozen=True)
class Point:
    """A model: images per second, accuracy from 0 to 1, and a label if it is to stand out."""

    rate: float
    accuracy: float
    label: str = ""


@dataclass(frozen=True)
class _Label:
    """A highlighted point at (x, y), its text, and where the text goes: (x, y, SVG's text-anchor)."""

    x: float
    y: float
    text: str
    place: tuple[float, float, str]


@dataclass(frozen=True)
class _Layout:
    """What the template draws, in pixels. Ticks are (place, text), dots are (x, y)."""

    x_ticks: Sequence[tuple[float, str]] = ()
    y_ticks: Sequence[tuple[float, str]] = ()
    dots: Sequence[tuple[float, float]] = ()
    labels: Sequence[_Label] = ()
    frame: Frame = FRAME


def _layout(points: Sequence[Point]) -> _Layout:
    """Places at least one point, and the labels from top to bottom."""
    x_axis = Axis.around([point.rate for point in points], (LEFT, RIGHT), 0.07, 0.1, is_log=True)
    y_axis = Axis.around([point.accuracy for point in points], (FRAME.bottom, FRAME.top), 0.07, 0.005)
    placed = [(x_axis.place(point.rate), y_axis.place(point.accuracy), point.label) for point in points]
    dots = [(x, y) for x, y, label in placed if not label]
    labelled = sorted((point for point in placed if point[2]), key=lambda point: point[1])
    return _Layout(
        x_ticks=x_axis.ticks(lambda rate: f"{rate:,g}"),
        y_ticks=y_axis.ticks(percent_label),
        dots=dots,
        labels=[_Label(*point, place) for point, place in zip(labelled, place_labels(labelled, dots), strict=True)],
    )


def scatter(title: str, description: str, score: str, points: Sequence[Point], notes: Sequence[str]) -> str:
    """Returns the plot as SVG: accuracy upwards, images per second to the right on a logarithmic scale.

    Args:
        title: a heading.
        description: what the picture shows, for screen readers.
        score: the name of the accuracy.
        points: what to draw; those with a label stand out. Rates must be above 0.
        notes: lines under the heading.
    """
    layout = _layout(points) if points else _Layout()
    texts = {"title": title, "description": description, "score": score, "notes": notes}
    return render("selection/plot.svg.jinja", **texts, layout=layout)
