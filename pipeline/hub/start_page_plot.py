"""The start page's plots, one for each data set: accuracy upwards, parameters to the right on a logarithmic scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.base.axes import Axis, Frame, percent_label, place_labels
from pipeline.hub.entries import Quoted
from pipeline.hub.models import Model

WIDE = Frame(left=62, right=622, top=34, bottom=330, height=386, width=640)
NARROW = Frame(left=48, right=348, top=32, bottom=270, height=322, width=360)  # of phones
MOST_PLOTS = 4  # data sets that have a plot, those of the most models
LEAST_MODELS = 2  # of a data set that has a plot
LABELLED = 12  # with more dots than this, only some on the front have their names
LABELLED_FRONT = 6
MOST_CIRCLES = 100  # with more dots than this, all of them are one path
DECADES = 0.8  # of sizes at least, so that models of one size have a tick on either side
_TICK_ROOM = 42  # pixels between two ticks of the horizontal axis


class Dot(NamedTuple):  # made faster than a dataclass, 10,000 times for a start page
    """A model: its place in the picture, its id, and where its accuracy comes from."""

    x: float
    y: float
    id: str
    origin: str


@dataclass(frozen=True)
class Label:
    """The name of a dot, and where it begins or ends (`anchor` is "start" or "end")."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Drawing:
    """A plot at one of two widths. Ticks are (place, text)."""

    frame: Frame
    x_axis: Axis
    y_axis: Axis
    dots: tuple[Dot, ...]
    labels: tuple[Label, ...]

    @property
    def is_dense(self) -> bool:
        return len(self.dots) > MOST_CIRCLES

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        kept: list[tuple[float, str]] = []
        for place, text in self.x_axis.ticks(_count):
            if not kept or place - kept[-1][0] >= _TICK_ROOM:
                kept.append((place, text))
        return kept

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        return self.y_axis.ticks(percent_label, [tick for tick in self.y_axis.tick_values() if tick <= 1])

    def path(self, origin: str) -> str:
        """Returns the dots of one origin as an SVG path: a line of length 0 at each place, which round caps show."""
        places = {(round(dot.x), round(dot.y)): None for dot in self.dots if dot.origin == origin}
        return "".join(f"M{x} {y}h0" for x, y in places)


@dataclass(frozen=True)
class Plot:
    """The plot of a data set."""

    dataset: str
    wide: Drawing
    narrow: Drawing

    @property
    def models(self) -> int:
        return len(self.wide.dots)

    @property
    def has_quoted(self) -> bool:
        """Whether any accuracy is quoted, which the legend explains."""
        return any(dot.origin == Quoted.origin for dot in self.wide.dots)

    @property
    def has_measured(self) -> bool:
        return any(dot.origin != Quoted.origin for dot in self.wide.dots)


def list_plots(models: Sequence[Model]) -> tuple[Plot, ...]:
    """Returns the plots of the data sets with the most models whose accuracy and size are known.

    Accuracies on different data sets share no plot, since they cannot be compared.
    """
    datasets: dict[str, list[Model]] = {}
    for model in models:
        if model.has_dot and model.main.dataset:
            datasets.setdefault(model.main.dataset, []).append(model)
    ranked = sorted(datasets, key=lambda dataset: (-len(datasets[dataset]), dataset))
    listed = [dataset for dataset in ranked if len(datasets[dataset]) >= LEAST_MODELS]
    return tuple(_plot(dataset, datasets[dataset]) for dataset in listed[:MOST_PLOTS])


def _plot(dataset: str, models: Sequence[Model]) -> Plot:
    return Plot(dataset, _draw(models, WIDE), _draw(models, NARROW))


def _draw(models: Sequence[Model], frame: Frame) -> Drawing:
    sizes, shares = [_size(model) for model in models], [_top1(model) for model in models]
    decades = math.log10(max(sizes) / min(sizes))
    room = max(0.15, (DECADES - decades) / 2)
    x_axis = Axis.around(sizes, (frame.left, frame.right), 0.07, room, is_log=True)
    y_axis = Axis.around(shares, (frame.bottom, frame.top), 0.08, 0.01)
    origins = [model.accuracy.origin if model.accuracy else "" for model in models]
    places = map(x_axis.place, sizes), map(y_axis.place, shares)
    dots = tuple(map(Dot, *places, [model.id for model in models], origins))
    return Drawing(frame, x_axis, y_axis, dots, _labels(frame, dots, models))


def _size(model: Model) -> int:
    return model.main.parameters or 1


def _top1(model: Model) -> float:
    return model.accuracy.top1 if model.accuracy else 0.0


def _count(parameters: float) -> str:
    """Returns a number of parameters as a tick has it: 500 k, 86 M."""
    return f"{parameters / 1e6:g} M" if parameters >= 1e6 else f"{parameters / 1e3:g} k"


def _find_front(models: Sequence[Model]) -> list[int]:
    """Returns the places of the models than which none is both smaller and more accurate, the smallest first."""
    front: list[int] = []
    best = -1.0
    for place in sorted(range(len(models)), key=lambda place: (_size(models[place]), -_top1(models[place]))):
        if _top1(models[place]) > best:
            best = _top1(models[place])
            front.append(place)
    return front


def _labels(frame: Frame, dots: Sequence[Dot], models: Sequence[Model]) -> tuple[Label, ...]:
    """Returns the names of the dots, short ones placed first, since they fit; of many dots, of some on the front."""
    if len(dots) > MOST_CIRCLES:
        return ()
    places = list(range(len(dots)))
    if len(dots) > LABELLED:
        front = _find_front(models)
        step = -(-len(front) // LABELLED_FRONT)
        places = front[::-1][::step]  # the most accurate one among them
    named = [(dots[place].x, dots[place].y, models[place].title) for place in places]
    named.sort(key=lambda dot: len(dot[2]))
    others = [(dot.x, dot.y) for place, dot in enumerate(dots) if place not in places]
    labels = place_labels(named, others, frame.left, frame.right)
    return tuple(
        Label(round(x, 1), round(y, 1), anchor, text)
        for (_, _, text), (x, y, anchor) in zip(named, labels, strict=True)
    )
