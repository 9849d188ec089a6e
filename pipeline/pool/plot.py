"""A scatter plot of accuracy against speed as SVG: scales, ticks and the places of labels; the template draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, linear_ticks, log_ticks, place_labels, widened
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
        x_range = widened([math.log10(point.rate) for point in points], 0.07, 0.1)
        y_range = widened([point.accuracy for point in points], 0.07, 0.005)

        def across(rate: float) -> float:
            return LEFT + (RIGHT - LEFT) * (math.log10(rate) - x_range[0]) / (x_range[1] - x_range[0])

        def up(accuracy: float) -> float:
            return BOTTOM - (BOTTOM - TOP) * (accuracy - y_range[0]) / (y_range[1] - y_range[0])

        facts["x_ticks"] = [(across(tick), f"{tick:,g}") for tick in log_ticks(10 ** x_range[0], 10 ** x_range[1])]
        facts["y_ticks"] = [(up(tick), f"{100 * tick:.4g} %") for tick in linear_ticks(*y_range)]
        facts["dots"] = [(across(point.rate), up(point.accuracy)) for point in points if not point.label]
        marked = [(across(point.rate), up(point.accuracy), point.label) for point in points if point.label]
        marked.sort(key=lambda one: one[1])
        facts["marked"] = [
            {"x": x, "y": y, "text": text, "place": place}
            for (x, y, text), place in zip(marked, place_labels(marked, facts["dots"]), strict=True)
        ]
    frame = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
    texts = {"title": title, "description": description, "score": score, "notes": notes}
    return render("selection/plot.svg.jinja", **texts, frame=frame, **facts)
