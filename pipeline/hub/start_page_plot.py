"""The start page's plot: accuracy upwards, parameters to the right on a logarithmic scale; the template draws it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.axes import LEFT, RIGHT, WIDTH, Axis, percent_label, place_labels
from pipeline.hub.index import Listing

HEIGHT, TOP, BOTTOM = 450, 34, 380  # of the picture, and of the plot within it, in SVG's pixels
COLOURS = 6  # data sets that have a colour of their own; the others share the last
LABELLED = 12  # with more dots than this, names would stand in each other's way
DECADES = 0.8  # of sizes at least: then one of 1, 2 and 5 times the powers of ten lies on either side of a lone model
CLASSIFIER = "image-classification"


@dataclass(frozen=True)
class Dot:
    """A classifier: its place in the picture, its row in the table, its data set's colour, and what it is."""

    x: float
    y: float
    row: int
    colour: int
    known: str
    text: str


@dataclass(frozen=True)
class Label:
    """The name of a dot: where it begins or ends ("start" or "end")."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Plot:
    """All that is drawn. Ticks are (place, text); `legend` has (colour, data set)."""

    dots: tuple[Dot, ...]
    labels: tuple[Label, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    legend: tuple[tuple[int, str], ...]
    known: tuple[str, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def _count(parameters: float) -> str:
    """Returns a number of parameters as an axis has it: 500 k, 86 M."""
    return f"{parameters / 1e6:g} M" if parameters >= 1e6 else f"{parameters / 1e3:g} k"


def plot(listings: Sequence[Listing]) -> Plot | None:
    """Returns the plot of the classifiers whose accuracy and size are known; None when there is none.

    Feature extractors are left out: each is a classifier without its last layer, and would lie on the same spot.

    Args:
        listings: the rows of the table, in its order.
    """
    shown = [
        (row, one, one.accuracy, one.parameters)
        for row, one in enumerate(listings)
        if one.accuracy and one.parameters and one.parameters > 0 and one.task == CLASSIFIER
    ]
    if not shown:
        return None
    sizes = [size for *_, size in shown]
    decades = math.log10(max(sizes) / min(sizes))
    x_axis = Axis.around(sizes, (LEFT, RIGHT), 0.07, max(0.15, (DECADES - decades) / 2), is_log=True)
    y_axis = Axis.around([accuracy.top1 for _, _, accuracy, _ in shown], (BOTTOM, TOP), 0.08, 0.01)
    sets = sorted({one.dataset or "not said" for _, one, _, _ in shown})
    dots = tuple(
        Dot(
            x=x_axis.place(size),
            y=y_axis.place(accuracy.top1),
            row=row,
            colour=min(sets.index(one.dataset or "not said"), COLOURS - 1),
            known=accuracy.known,
            text=f"{one.title}: {100 * accuracy.top1:.2f} % {accuracy.known}, {size / 1e6:,.1f} million parameters",
        )
        for row, one, accuracy, size in shown
    )
    named = [(dot.x, dot.y, shown[index][1].title) for index, dot in enumerate(dots)]
    named = sorted(named, key=lambda one: len(one[2])) if len(named) <= LABELLED else []  # short ones fit anywhere
    places = place_labels(named, [])
    return Plot(
        dots=dots,
        labels=tuple(
            Label(round(x, 1), round(y, 1), anchor, text)
            for (_, _, text), (x, y, anchor) in zip(named, places, strict=True)
        ),
        x_ticks=tuple(x_axis.ticks(_count)),
        y_ticks=tuple(y_axis.ticks(percent_label, [tick for tick in y_axis.tick_values() if tick <= 1])),
        legend=tuple((number, name) for number, name in enumerate(sets[: COLOURS - 1]))
        + (((COLOURS - 1, "others" if len(sets) > COLOURS else sets[-1]),) if len(sets) >= COLOURS else ()),
        known=tuple(sorted({dot.known for dot in dots})),
    )
