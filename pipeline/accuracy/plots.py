"""Draws the plots of a card as SVG: accuracy, calibration, mistakes, error per block. Python lays out, templates draw.

The plots suit light and dark pages, describe their figures in <desc>, and have the same bytes for the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.accuracy.statistics import percent
from pipeline.base.axes import Axis, Frame, percent_label
from pipeline.base.heads import Head
from pipeline.base.templates import render
from pipeline.facts.accuracy import (
    AgainstReported,
    Calibration,
    CalibrationBin,
    ClassName,
    Confusion,
    Figures,
    Interval,
)
from pipeline.facts.report import Plot, Report

_LETTER = 7.4  # the width of a digit of the small text; hardly any letter is wider
_NARROW = 480  # pixels: on a phone of 390 the text keeps three quarters of its size
_LONGEST_NAME = 20  # letters of a class in a plot


@dataclass(frozen=True)
class _Limit:
    """A vertical line and its name, which stays within the plot."""

    x: float
    text: str
    text_x: float


def _place_limit(x: float, text: str, frame: Frame) -> _Limit:
    half = 3.5 * len(text)
    return _Limit(x, text, round(min(max(x, frame.left + half), frame.right - half), 1))


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number:,} {noun if number == 1 else plural}"


# Calibration ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _PlacedBin:
    """A bin: the bar of its accuracy, the mark of its confidence, the bar and the text of its number of images."""

    left: float
    right: float
    middle: float
    top: float
    mark: float
    count_top: float
    images: str


def plot_calibration(title: str, calibration: Calibration) -> str:
    """Returns the reliability diagram: the accuracy and the mean confidence of each bin, and its number of images.

    Args:
        title: the heading.
        calibration: of one image or more.
    """
    frame = Frame(left=60, right=_NARROW - 20, top=140, bottom=348, height=500, width=_NARROW)
    counts_bottom = 444  # of the histogram under the plot
    across, up = Axis(0, 1, frame.left, frame.right), Axis(0, 1, frame.bottom, frame.top)
    bins = [one_bin for one_bin in calibration.bins if one_bin.images]
    counts = Axis(0, max(one_bin.images for one_bin in bins), counts_bottom, frame.bottom + 34)
    images = _count(sum(one_bin.images for one_bin in bins), "image", "images")
    error = f"expected calibration error {percent(calibration.ece)}, {images}"
    return render(
        "plots/reliability.svg.jinja",
        title=title,
        description=f"Reliability diagram, {error}. {'; '.join(map(_describe_bin, bins))}.",
        notes=[
            "Bars: accuracy. Short lines: mean confidence;",
            "above the bar, the model is overconfident.",
            "Dashed line: perfect calibration.",
            f"{error[0].upper()}{error[1:]}",
        ],
        frame=frame,
        counts_bottom=counts_bottom,
        bins=[_place_bin(one_bin, across, up, counts) for one_bin in bins],
        x_ticks=across.ticks(percent_label, [tick / 5 for tick in range(6)]),
        y_ticks=up.ticks(percent_label, [tick / 4 for tick in range(5)]),
    )


def _describe_bin(one_bin: CalibrationBin) -> str:
    return (
        f"confidence {percent_label(one_bin.low)} to {percent_label(one_bin.high)}: {one_bin.images:,} images,"
        f" mean confidence {percent(one_bin.confidence or 0)}, accuracy {percent(one_bin.accuracy or 0)}"
    )


def _place_bin(one_bin: CalibrationBin, across: Axis, up: Axis, counts: Axis) -> _PlacedBin:
    return _PlacedBin(
        left=across.place(one_bin.low) + 1,
        right=across.place(one_bin.high) - 1,
        middle=across.place((one_bin.low + one_bin.high) / 2),
        top=up.place(one_bin.accuracy or 0),
        mark=up.place(one_bin.confidence or 0),
        count_top=counts.place(one_bin.images),
        images=_compact(one_bin.images),
    )


def _compact(number: int) -> str:
    """Returns a number of at most four letters: 950, 3.3k, 67k, 1.2M."""
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= 0.9995 * unit:
            return f"{number / unit:.{int(number < 9.95 * unit)}f}{letter}"
    return str(number)


# Accuracy -------------------------------------------------------------------------------------------------------------
_ROW = 46  # pixels: a line of text, and the mark below it


@dataclass(frozen=True)
class _Row:
    """An accuracy, and its interval if it was measured."""

    name: str
    value: float
    interval: Interval | None = None

    @property
    def text(self) -> str:
        ends = f" ({100 * self.interval[0]:.2f} to {100 * self.interval[1]:.2f})" if self.interval else ""
        return percent(self.value) + ends


@dataclass(frozen=True)
class _PlacedRow:
    """An accuracy as a dot, and the ends of its interval; without an interval it is a diamond."""

    name: str
    y: int
    x: float
    text: str
    ends: Sequence[float] | None


def _accuracy_rows(figures: Figures, reported: AgainstReported | None) -> list[_Row]:
    rows = [_Row(f"top-1 over all {figures.outputs:,} outputs", figures.top1, figures.top1_interval)]
    if restricted := figures.restricted:
        among = f"top-1 among {_count(restricted.classes, 'class', 'classes')}"
        rows.append(_Row(among, restricted.top1, restricted.top1_interval))
    if real := figures.real:
        rows.append(_Row(f"ReaL labels, {real.images:,} images", real.top1, real.top1_interval))
    if reported:
        rows.append(_Row("reported" if reported.inside is not None else "reported, not comparable", reported.value))
    return rows


def plot_accuracy(title: str, figures: Figures, minimum_top1: float, reported: AgainstReported | None = None) -> str:
    """Returns the measured top-1 accuracies with their 95 % intervals, the minimum and the reported accuracy.

    Args:
        title: the heading.
        figures: of one image or more.
        minimum_top1: the smallest accuracy that passes, 0 to 1.
        reported: the reported accuracy, if there is one.
    """
    rows = _accuracy_rows(figures, reported)
    bottom = 92 + _ROW * len(rows)
    frame = Frame(left=24, right=_NARROW - 24, top=92, bottom=bottom, height=bottom + 32, width=_NARROW)
    across = _accuracy_axis([minimum_top1, *(end for row in rows for end in (row.value, *(row.interval or ())))], frame)
    ticks = across.tick_values()
    images, classes = _count(figures.images, "image", "images"), _count(figures.classes, "class", "classes")
    diamond = "; diamond: reported by others" if reported else ""
    described = "; ".join(f"{row.name} {row.text}" for row in rows)
    minimum = f"minimum {percent_label(minimum_top1)}"
    return render(
        "plots/accuracy.svg.jinja",
        title=title,
        description=f"Accuracy on {images} of {classes}: {described}; {minimum}.",
        notes=[f"{images} of {classes}", f"lines: Wilson's 95 % interval{diamond}"],
        frame=frame,
        x_ticks=across.ticks(percent_label, ticks[:: math.ceil(len(ticks) / 5)]),
        limit=_place_limit(across.place(minimum_top1), minimum, frame),
        rows=[_place_accuracy(row, frame.top + 34 + _ROW * number, across) for number, row in enumerate(rows)],
    )


def _accuracy_axis(values: Sequence[float], frame: Frame) -> Axis:
    room = max(0.06 * (max(values) - min(values)), 0.002)
    return Axis(max(0.0, min(values) - room), min(1.0, max(values) + room), frame.left, frame.right)


def _place_accuracy(row: _Row, y: int, across: Axis) -> _PlacedRow:
    ends = [across.place(end) for end in row.interval] if row.interval else None
    return _PlacedRow(row.name, y, across.place(row.value), row.text, ends)


# Mistakes -------------------------------------------------------------------------------------------------------------
_COUNT = 220  # pixels, of a count beside its bar


@dataclass(frozen=True)
class _PlacedMistake:
    """A bar: what is predicted for what, and how often."""

    name: str
    y: int
    width: float
    text: str


def plot_mistakes(title: str, confusions: Sequence[Confusion]) -> str:
    """Returns the most frequent mistakes as bars: the share of a class's images for which another class is predicted.

    Args:
        title: the heading.
        confusions: at least one.
    """
    height = _ROW * len(confusions)
    frame = Frame(left=16, right=_NARROW - 16, top=84, bottom=84 + height, height=104 + height, width=_NARROW)
    across = Axis(0, max(each.images / each.of for each in confusions), 0, frame.right - frame.left - _COUNT)
    texts = [f"{each.images:,} of {each.of:,} ({percent_label(each.images / each.of)})" for each in confusions]
    names = [f"{_shorten(each.predicted)} predicted for {_shorten(each.true)}" for each in confusions]
    return render(
        "plots/mistakes.svg.jinja",
        title=title,
        description="; ".join(f"{name}: {text}" for name, text in zip(names, texts, strict=True)),
        notes=["The share of a class's images that get another class,", "the most frequent first."],
        frame=frame,
        rows=[
            _PlacedMistake(name, frame.top + 16 + _ROW * number, across.place(each.images / each.of), text)
            for number, (name, text, each) in enumerate(zip(names, texts, confusions, strict=True))
        ],
    )


def _shorten(name: ClassName) -> str:
    """Returns the first of a class's names, not too long for a plot."""
    first = name.title.split(",")[0].strip() or name.title
    return first if len(first) <= _LONGEST_NAME else f"{first[: _LONGEST_NAME - 1]}…"


# Blocks ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _PlacedError:
    """A block's error as a line and a dot; x is None for an error of 0."""

    name: str
    y: int
    x: float | None
    text: str
    is_above: bool


def plot_block_errors(title: str, errors: Sequence[tuple[str, float]], tolerance: float, notes: Sequence[str]) -> str:
    """Returns the relative error of each block on a logarithmic scale, filled where it exceeds the tolerance.

    Args:
        title: the heading.
        errors: (name of up to 60 letters, error) from the input to the output, at least one; an error is 0 or more, NaN
            or infinite.
        tolerance: the limit, above 0.
        notes: at most two lines under the heading: what the errors are of and relative to.
    """
    visible = [error for _, error in errors if 0 < error < math.inf] + [tolerance]
    low, high = math.floor(math.log10(min(visible)) - 0.05), math.ceil(math.log10(max(visible)) + 0.05)
    top = 70 + 16 * len(notes)
    bottom = top + 8 + 16 * len(errors)
    left = math.ceil(24 + _LETTER * max(len(name) for name, _ in errors))
    frame = Frame(left=left, right=648, top=top, bottom=bottom, height=bottom + 32)
    across = Axis(10.0**low, 10.0**high, frame.left, frame.right, is_log=True)
    above = sum(not error <= tolerance for _, error in errors)
    described = "; ".join(f"{name} {_error_text(error)}" for name, error in errors)
    powers = range(low, high + 1, math.ceil((high - low) / 8))
    return render(
        "plots/blocks.svg.jinja",
        title=title,
        description=f"Relative error of each block; {above} of {len(errors)} above {tolerance:.0e}. {described}.",
        notes=notes,
        frame=frame,
        x_ticks=across.ticks(lambda value: f"{value:.0e}", [10.0**power for power in powers]),
        limit=_place_limit(across.place(tolerance), f"limit {tolerance:.0e}", frame),
        rows=[
            _PlacedError(
                name=name,
                y=top + 12 + 16 * number,
                x=_place_error(error, across),
                text=_error_text(error),
                is_above=not error <= tolerance,
            )
            for number, (name, error) in enumerate(errors)
        ],
    )


def _error_text(error: float) -> str:
    return "equal" if error == 0 else f"{error:.1e}" if math.isfinite(error) else "not finite"


def _place_error(error: float, across: Axis) -> float | None:
    """Returns the x of an error; None for 0, which has no place on a logarithmic axis."""
    if error == 0:
        return None
    return across.place(error) if math.isfinite(error) else across.end


# All plots ------------------------------------------------------------------------------------------------------------
def render_plots(name: str, report: Report) -> dict[Plot, str]:
    """Returns the SVG of each plot that a report's figures allow.

    Args:
        name: the member.
        report: the whole report; its own list of plots is not read.
    """
    plots = {}
    accuracy, measured = report.accuracy, report.accuracy.measured
    if measured is not None:
        plot = Plot("accuracy.svg", "top-1 accuracy")
        title = f"{name}: {plot.title}"
        quoted = measured.against_reported if report.quoted else None
        plots[plot] = plot_accuracy(title, measured, accuracy.minimum_top1, quoted)
        plot = Plot("reliability.svg", "calibration")
        plots[plot] = plot_calibration(f"{name}: {plot.title}", measured.calibration)
        if measured.confusions:
            plot = Plot("mistakes.svg", "the most frequent mistakes")
            plots[plot] = plot_mistakes(f"{name}: {plot.title}", measured.confusions)
    classifier = report.modules[Head.CLASSIFICATION]
    trace, parity = classifier.blocks, classifier.parity
    if trace.max_rel:
        plot = Plot("blocks.svg", "relative error against the JAX model, by block")
        notes = [
            f"of {trace.images} {report.parity_inputs}; of {parity.images} for the logits",
            "relative to the JAX model's largest value in that place",
        ]
        errors = [*trace.max_rel, ("logits", parity.max_rel)]
        plots[plot] = plot_block_errors(f"{name}: {plot.title}", errors, parity.tolerance, notes)
    return plots
