"""The plots of a card as SVG: calibration, accuracy, differences per block. Places in Python; the templates draw.

They suit light and dark pages, say what they show in <desc>, and are the same bytes for the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.accuracy.statistics import Figures, percent
from pipeline.accuracy.summary import Report
from pipeline.base.axes import Axis, percent_label
from pipeline.base.templates import render

WIDTH = 760  # of every picture, in SVG's pixels
_LETTER = 6.8  # a digit of the small text is about as wide, and hardly a letter wider


def reliability(title: str, calibration: Figures) -> str:
    """Returns the reliability diagram of statistics.calibration(): for each bin of confidence, how often it is right.

    Args:
        title: the heading.
        calibration: as the report has it, with an image at least.
    """
    frame = {"width": WIDTH, "height": 476, "left": 68, "right": 728, "top": 108, "bottom": 316, "counts": 420}
    across, up = Axis(0, 1, frame["left"], frame["right"]), Axis(0, 1, frame["bottom"], frame["top"])
    bins = [one for one in calibration["bins"] if one["images"]]
    images = sum(one["images"] for one in bins)
    stack = Axis(0, max(one["images"] for one in bins), frame["counts"], frame["bottom"] + 34)
    ece = f"expected calibration error {percent(calibration['ece'])}, {images:,} image{'s' if images > 1 else ''}"
    described = "; ".join(
        f"confidence {percent_label(one['low'])} to {percent_label(one['high'])}: {one['images']:,} images, on average"
        f" {percent(one['confidence'])} sure and {percent(one['accuracy'])} right"
        for one in bins
    )
    return render(
        "plots/reliability.svg.jinja",
        title=title,
        description=f"Reliability diagram, {ece}. {described}.",
        notes=[ece, "bars: how many are right; short lines: mean confidence; on the dashed line both are equal"],
        frame=frame,
        bins=[
            {
                "left": across.place(one["low"]) + 1,
                "right": across.place(one["high"]) - 1,
                "middle": across.place((one["low"] + one["high"]) / 2),
                "top": up.place(one["accuracy"]),
                "mark": up.place(one["confidence"]),
                "count_top": stack.place(one["images"]),
                "images": one["images"],
            }
            for one in bins
        ],
        x_ticks=across.ticks(percent_label, [tick / 5 for tick in range(6)]),
        y_ticks=up.ticks(percent_label, [tick / 4 for tick in range(5)]),
    )


def _classes(count: int) -> str:
    return f"{count:,} class{'es' if count > 1 else ''}"


def _accuracies(accuracy: Figures) -> list[tuple[str, float, list[float] | None]]:
    """Returns the rows of accuracy_plot: what it is, the accuracy and its interval."""
    rows = [(f"top-1 over all {accuracy['outputs']:,} outputs", accuracy["top1"], accuracy["top1_interval"])]
    if restricted := accuracy.get("restricted"):
        rows.append((f"top-1 among {_classes(restricted['classes'])}", restricted["top1"], restricted["top1_interval"]))
    if real := accuracy.get("real"):
        rows.append((f"ReaL labels, {real['images']:,} images", real["top1"], real["top1_interval"]))
    return rows


def accuracy_plot(title: str, accuracy: Figures, minimum_top1: float, reported: Figures | None = None) -> str:
    """Returns the measured top-1 accuracies with their 95 % intervals, beside the gate and the quoted figure.

    Args:
        title: the heading.
        accuracy: what statistics.accuracy() returned.
        minimum_top1: the gate, 0 to 1.
        reported: what statistics.against_reported() returned, if others report a figure.
    """
    rows = _accuracies(accuracy)
    if reported:
        rows.append(("quoted" if reported["inside"] is not None else "quoted, not comparable", reported["value"], None))
    values = [minimum_top1, *(value for _, value, _ in rows), *(end for _, _, ends in rows for end in ends or ())]
    room = max(0.06 * (max(values) - min(values)), 0.002)
    low, high = max(0.0, min(values) - room), min(1.0, max(values) + room)
    frame = {"width": WIDTH, "left": 216, "right": 552, "top": 88}
    frame["bottom"] = frame["top"] + 12 + 32 * len(rows)
    frame["height"] = frame["bottom"] + 32
    across = Axis(low, high, frame["left"], frame["right"])
    ticks = across.tick_values()

    def text(value: float, ends: list[float] | None) -> str:
        return percent(value) + (f" ({100 * ends[0]:.2f} to {100 * ends[1]:.2f})" if ends else "")

    described = "; ".join(f"{name} {text(value, ends)}" for name, value, ends in rows)
    subject = f"{accuracy['images']:,} image{'s' if accuracy['images'] > 1 else ''} of {_classes(accuracy['classes'])}"
    return render(
        "plots/accuracy.svg.jinja",
        title=title,
        description=f"Accuracy on {subject}: {described}; gate {percent_label(minimum_top1)}.",
        notes=[f"{subject}; lines: Wilson's 95 % interval" + ("; diamond: quoted from others" if reported else "")],
        frame=frame,
        x_ticks=across.ticks(percent_label, ticks[:: math.ceil(len(ticks) / 6)]),
        limit=_limit(across.place(minimum_top1), f"gate {percent_label(minimum_top1)}", frame),
        rows=[
            {
                "name": name,
                "y": frame["top"] + 22 + 32 * number,
                "x": across.place(value),
                "ends": [across.place(end) for end in ends] if ends else None,
                "text": text(value, ends),
            }
            for number, (name, value, ends) in enumerate(rows)
        ],
    )


def block_differences(title: str, blocks: Sequence[tuple[str, float]], tolerance: float, notes: Sequence[str]) -> str:
    """Returns the largest difference of each block on a logarithmic scale, those above the tolerance filled.

    Args:
        title: the heading.
        blocks: (name of up to 60 letters, difference) from the input to the output, at least one; a difference is 0
            or more, or NaN or infinite, which is said in words.
        tolerance: what is allowed, above 0.
        notes: lines under the heading, two at most: what the differences are of and relative to.
    """
    visible = [value for _, value in blocks if 0 < value < math.inf] + [tolerance]
    low, high = math.floor(math.log10(min(visible)) - 0.05), math.ceil(math.log10(max(visible)) + 0.05)
    frame = {"width": WIDTH, "right": 648, "top": 70 + 16 * len(notes)}
    frame["left"] = math.ceil(24 + _LETTER * max(len(name) for name, _ in blocks))
    frame["bottom"] = frame["top"] + 8 + 16 * len(blocks)
    frame["height"] = frame["bottom"] + 32
    across = Axis(10.0**low, 10.0**high, frame["left"], frame["right"], is_log=True)
    step = math.ceil((high - low) / 8)
    texts = ["equal" if value == 0 else f"{value:.1e}" if math.isfinite(value) else "not finite" for _, value in blocks]
    over = sum(not value <= tolerance for _, value in blocks)
    described = "; ".join(f"{name} {text}" for (name, _), text in zip(blocks, texts, strict=True))
    rows: list[dict[str, Any]] = []
    for number, ((name, value), text) in enumerate(zip(blocks, texts, strict=True)):
        place = None if value == 0 else across.place(value) if math.isfinite(value) else frame["right"]
        y = frame["top"] + 12 + 16 * number
        rows.append({"name": name, "y": y, "x": place, "over": not value <= tolerance, "text": text})
    return render(
        "plots/blocks.svg.jinja",
        title=title,
        description=f"Largest difference of each block; {over} of {len(blocks)} above {tolerance:.1e}. {described}.",
        notes=notes,
        frame=frame,
        x_ticks=across.ticks(lambda value: f"{value:.0e}", [10.0**power for power in range(low, high + 1, step)]),
        limit=_limit(across.place(tolerance), f"allowed {tolerance:.1e}", frame),
        rows=rows,
    )


def _limit(x: float, text: str, frame: dict[str, int]) -> dict[str, Any]:
    """Returns where a vertical limit and its name stand; the name keeps within the plot."""
    half = 3.5 * len(text)
    return {"x": x, "text": text, "text_x": round(min(max(x, frame["left"] + half), frame["right"] - half), 1)}


@dataclass(frozen=True)
class Plot:
    """A picture: the name of its file, what it shows, and the SVG."""

    file: str
    title: str
    svg: str


def render_plots(name: str, report: Report) -> list[Plot]:
    """Returns the pictures that a report gives rise to.

    Args:
        name: the member's.
        report: the whole report.
    """
    found = []
    accuracy = report["accuracy"]
    if "top1" in accuracy:
        title = "top-1 accuracy"
        svg = accuracy_plot(f"{name}: {title}", accuracy, accuracy["minimum_top1"], accuracy["against_reported"])
        found.append(Plot("accuracy.svg", title, svg))
        title = "reliability of the probabilities"
        found.append(Plot("reliability.svg", title, reliability(f"{name}: {title}", accuracy["calibration"])))
    classifier = report["modules"]["classification"]
    if traced := classifier["blocks"].get("max_rel"):
        title = "largest difference from the JAX model"
        rows = [*map(tuple, traced), ("logits", classifier["parity"]["max_rel"])]
        notes = [
            f"{classifier['blocks']['images']} {report['parity_inputs']}; the logits: {classifier['parity']['images']}",
            "relative to the largest value that the JAX model computes there",
        ]
        svg = block_differences(f"{name}: {title}", rows, classifier["parity"]["tolerance"], notes)
        found.append(Plot("blocks.svg", title, svg))
    return found
