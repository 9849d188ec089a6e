"""A scatter plot of accuracy against speed as SVG: scales, ticks and the places of labels; the template draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, percent_label, place_labels
from pipeline.base.templates import render


@dataclass(frozen=True)
class Point:
    """A model: images per second, accuracy from 0 to 1, and the text that stands beside it if it is to stand out."""

    rate: float
    accuracy: float
    label: str = ""


def scatter(title: str, description: str, score: str, points: Sequence[Point], notes: Sequence[str]) -> str:
    """Returns the plot as SVG: accuracy upwards, images per second to the right on a logarithmic scale.

    Args:
        title: a heading.
        description: what the picture shows, for those who cannot see it.
        score: what the accuracy is called.
        points: what to draw; the ones with a label stand out. Rates must be above 0.
        notes: lines under the heading.
    """
    facts: dict[str, Any] = {"x_ticks": [], "y_ticks": [], "dots": [], "marked": []}
    if points:
        x_axis = Axis.around([point.rate for point in points], (LEFT, RIGHT), 0.07, 0.1, is_log=True)
        y_axis = Axis.around([point.accuracy for point in points], (BOTTOM, TOP), 0.07, 0.005)
        places = [(x_axis.place(point.rate), y_axis.place(point.accuracy), point.label) for point in points]
        facts["x_ticks"] = x_axis.ticks(lambda rate: f"{rate:,g}")
        facts["y_ticks"] = y_axis.ticks(percent_label)
        facts["dots"] = [(x, y) for x, y, label in places if not label]
        marked = [(x, y, label) for x, y, label in places if label]
        marked.sort(key=lambda one: one[1])
        facts["marked"] = [
            {"x": x, "y": y, "text": text, "place": place}
            for (x, y, text), place in zip(marked, place_labels(marked, facts["dots"]), strict=True)
        ]
    frame = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
    texts = {"title": title, "description": description, "score": score, "notes": notes}
    return render("selection/plot.svg.jinja", **texts, frame=frame, **facts)
