"""The start page's plot: accuracy upwards, parameters to the right on a logarithmic scale; the template draws it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.axes import LEFT, RIGHT, Axis, Frame, percent_label, place_labels
from pipeline.hub.entries import Measured, ModuleEntry, Quoted

FRAME = Frame(LEFT, RIGHT, top=34, bottom=380, height=450)
COLOURS = 6  # data sets that have a colour of their own; the others share the last
LABELLED = 12  # with more dots than this, names would overlap
DECADES = 0.8  # of sizes at least, so that a lone model has a tick on either side


@dataclass(frozen=True)
class Dot:
    """A classifier: its place in the picture, its row in the table, its data set's colour, and its description."""

    x: float
    y: float
    row: int
    colour: int
    origin: str
    text: str


@dataclass(frozen=True)
class Label:
    """The name of a dot, and where it begins or ends (`anchor` is "start" or "end")."""

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
    frame: Frame = FRAME

    @property
    def has_quoted(self) -> bool:
        """Whether any accuracy is quoted, which the legend explains."""
        return any(dot.origin == Quoted.origin for dot in self.dots)


@dataclass(frozen=True)
class _Classifier:
    """A row of the table that has a dot."""

    row: int
    title: str
    dataset: str
    accuracy: Measured | Quoted
    parameters: int


def plot(entries: Sequence[ModuleEntry]) -> Plot | None:
    """Returns the plot of the classifiers whose accuracy and size are known; None when there are none.

    Feature extractors are left out: each is a classifier without its last layer, and would lie on the same spot.

    Args:
        entries: the rows of the table, in its order.
    """
    classifiers = _select_classifiers(entries)
    if not classifiers:
        return None
    x_axis = _size_axis([classifier.parameters for classifier in classifiers])
    y_axis = Axis.around(
        [classifier.accuracy.top1 for classifier in classifiers], (FRAME.bottom, FRAME.top), 0.08, 0.01
    )
    datasets = sorted({classifier.dataset for classifier in classifiers})
    dots = tuple(_dot(classifier, x_axis, y_axis, datasets) for classifier in classifiers)
    return Plot(
        dots=dots,
        labels=_labels(dots, classifiers),
        x_ticks=tuple(x_axis.ticks(_count)),
        y_ticks=tuple(y_axis.ticks(percent_label, [tick for tick in y_axis.tick_values() if tick <= 1])),
        legend=_legend(datasets),
    )


def _select_classifiers(entries: Sequence[ModuleEntry]) -> list[_Classifier]:
    return [
        _Classifier(row, entry.title, entry.dataset or "unknown data set", entry.accuracy, entry.parameters)
        for row, entry in enumerate(entries)
        if entry.accuracy and entry.parameters and entry.parameters > 0 and entry.is_classifier
    ]


def _size_axis(sizes: Sequence[int]) -> Axis:
    decades = math.log10(max(sizes) / min(sizes))
    return Axis.around(sizes, (LEFT, RIGHT), 0.07, max(0.15, (DECADES - decades) / 2), is_log=True)


def _count(parameters: float) -> str:
    """Returns a number of parameters as a tick has it: 500 k, 86 M."""
    return f"{parameters / 1e6:g} M" if parameters >= 1e6 else f"{parameters / 1e3:g} k"


def _dot(classifier: _Classifier, x_axis: Axis, y_axis: Axis, datasets: Sequence[str]) -> Dot:
    accuracy = f"{100 * classifier.accuracy.top1:.2f} % {classifier.accuracy.origin}"
    return Dot(
        x=x_axis.place(classifier.parameters),
        y=y_axis.place(classifier.accuracy.top1),
        row=classifier.row,
        colour=min(datasets.index(classifier.dataset), COLOURS - 1),
        origin=classifier.accuracy.origin,
        text=f"{classifier.title}: {accuracy}, {classifier.parameters / 1e6:,.1f} million parameters",
    )


def _labels(dots: Sequence[Dot], classifiers: Sequence[_Classifier]) -> tuple[Label, ...]:
    """Returns the names of the dots, none where there are too many; short ones are placed first, since they fit."""
    if len(dots) > LABELLED:
        return ()
    named = [(dot.x, dot.y, classifier.title) for dot, classifier in zip(dots, classifiers, strict=True)]
    named.sort(key=lambda dot: len(dot[2]))
    return tuple(
        Label(round(x, 1), round(y, 1), anchor, text)
        for (_, _, text), (x, y, anchor) in zip(named, place_labels(named, []), strict=True)
    )


def _legend(datasets: Sequence[str]) -> tuple[tuple[int, str], ...]:
    if len(datasets) <= COLOURS:
        return tuple(enumerate(datasets))
    return (*enumerate(datasets[: COLOURS - 1]), (COLOURS - 1, "others"))
