"""plots: well-formed, readable at every extreme, and with a description for screen readers."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from pipeline.accuracy.plots import plot_accuracy, plot_block_errors, plot_calibration, plot_mistakes
from pipeline.accuracy.predictions import Predictions
from pipeline.accuracy.statistics import against_reported, figures
from pipeline.facts.accuracy import ClassName, Confusion, Figures, Reported

SVG = "{http://www.w3.org/2000/svg}"
BLOCKS = [
    ("embedding", 0.0),
    *((f"encoderblock_{number}", 1e-7 * 1.2**number) for number in range(24)),
    ("logits", 1e-3),
]


def measured(n: int, right: float, confidence: float | None = None, classes: int = 1000) -> Figures:
    """Returns the figures of n images, the first so many of them right, each class in turn."""
    label = np.arange(n, dtype=np.int32) % classes
    best = np.where(np.arange(n) < right * n, label, (label + 1) % 1000).astype(np.int32)
    sure = np.linspace(0, 1, n, dtype=np.float32) if confidence is None else np.full(n, confidence, np.float32)
    return figures(
        Predictions(label, best[:, np.newaxis], sure, best), (), 1000, [(1,)] * (n // 2) + [None] * (n - n // 2)
    )


def plotted(measured: Figures, minimum: float, value: float | None) -> str:
    reported = against_reported(measured, Reported(value, "the paper")) if value else None
    return plot_accuracy("a < b", measured, minimum, reported)


def mistakes(count: int, images: int, of: int, name: str = "a long name of a class, and another") -> str:
    """Returns the plot of so many mistakes, each of so many images."""
    confused = Confusion(ClassName(1, "k", name), ClassName(2, "l", name), images, of)
    return plot_mistakes("a < b", [confused] * count)


EXTREMES = {
    "one mistake": mistakes(1, 1, 1_000_000),
    "ten mistakes": mistakes(10, 500_000, 1_000_000, "x" * 200),
    "all confidences": plot_calibration("a < b", measured(50_000, 0.8).calibration),
    "one confident image": plot_calibration("a < b", measured(1, 1.0, 1.0).calibration),
    "no confidence": plot_calibration("a < b", measured(200, 0.0, 0.0).calibration),
    "a million images": plot_calibration("a < b", measured(1_000_000, 0.5).calibration),
    "everything measured": plotted(measured(50_000, 0.8046), 0.775, 0.80462),
    "one right image": plotted(measured(1, 1.0), 0.5, None),
    "one wrong image": plotted(measured(1, 0.0), 1.0, 0.9),
    "ten classes": plotted(measured(3925, 0.99, classes=10), 0.775, 0.84),
    "all right": plotted(measured(50_000, 1.0), 1.0, 1.0),
    "all close together": plotted(measured(50_000, 0.8046), 0.8045, 0.8047),
    "blocks": plot_block_errors("a < b", BLOCKS, 1e-5, ["of 8 images"]),
    "forty blocks": plot_block_errors("a < b", [(f"b{n}" * 10, 10.0 ** (n - 30)) for n in range(40)], 1e-5, ["x", "y"]),
    "equal blocks": plot_block_errors("a < b", [("embedding", 0.0)], 1e-5, []),
    "broken blocks": plot_block_errors("a < b", [("embedding", float("nan")), ("logits", float("inf"))], 1e-5, []),
}


def boxes(root: ElementTree.Element) -> list[tuple[str, float, float, float, float]]:
    """Returns the approximate rectangle of each text, (text, left, top, right, bottom); letters of 0.6 em."""
    rectangles = []
    for text in root.iter(f"{SVG}text"):
        letters = text.text or ""
        size = {"heading": 15.0, "small": 11.0}.get(text.attrib.get("class", ""), 13.0)
        width = 0.6 * size * len(letters)
        before = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib.get("text-anchor", "start")]
        left, y = float(text.attrib["x"]) - before * width, float(text.attrib["y"])
        rectangles.append((letters, left, y - 0.75 * size, left + width, y + 0.2 * size))
    return rectangles


@pytest.mark.parametrize("name", EXTREMES)
def test_no_text_overlaps_another_or_leaves_the_picture(name: str) -> None:
    root = ElementTree.fromstring(EXTREMES[name])
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    texts = boxes(root)
    for text, left, top, right, bottom in texts:
        assert min(left, top) >= 0, text
        assert (right <= width, bottom <= height) == (True, True), text
    for number, (one, *a) in enumerate(texts):
        for other, *b in texts[:number]:
            assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]), (one, other)


@pytest.mark.parametrize("name", EXTREMES)
def test_every_place_is_a_number_inside_the_picture(name: str) -> None:
    text = EXTREMES[name]
    root = ElementTree.fromstring(text)
    assert not re.search(r'"[^"]*\b(nan|inf|None)\b', text.partition("</desc>")[2])
    for path in root.iter(f"{SVG}path"):
        for number in re.findall(r"(?<=[MHL])[\d.-]+", path.attrib["d"]):
            assert 0 <= float(number) <= float(root.attrib["width"])
        for number in re.findall(r"(?<=V)[\d.-]+", path.attrib["d"]):
            assert 0 <= float(number) <= float(root.attrib["height"])


@pytest.mark.parametrize("name", EXTREMES)
def test_it_is_titled_and_described_for_light_and_dark(name: str) -> None:
    root = ElementTree.fromstring(EXTREMES[name])
    assert root.attrib["role"] == "img"
    assert {root[0].attrib["id"], root[1].attrib["id"]} == set(root.attrib["aria-labelledby"].split())
    assert root.findtext(f"{SVG}title") == "a < b"
    assert "prefers-color-scheme: dark" in EXTREMES[name]


def description(text: str) -> str:
    return ElementTree.fromstring(text).findtext(f"{SVG}desc") or ""


def test_the_reliability_diagram_describes_each_bin() -> None:
    calibration = measured(10, 0.5, 0.9).calibration
    assert description(plot_calibration("t", calibration)) == (
        "Reliability diagram, expected calibration error 40.00 %, 10 images. confidence 86.67 % to 93.33 %: 10 images,"
        " mean confidence 90.00 %, accuracy 50.00 %."
    )


def test_the_reliability_diagram_draws_accuracy_and_confidence() -> None:
    root = ElementTree.fromstring(plot_calibration("t", measured(10, 0.5, 0.9).calibration))
    (mark,) = root.findall(f"{SVG}path[@class='mark']")
    bar, count = root.findall(f"{SVG}path[@class='bar']")
    assert re.findall(r"M[\d.]+ ([\d.]+)", mark.attrib["d"]) == [str(round(348 - 0.9 * 208, 1))]
    assert re.findall(r"M[\d.]+ ([\d.]+)", bar.attrib["d"]) == [str(round(348 - 0.5 * 208, 1))]
    assert re.findall(r"V([\d.]+)", count.attrib["d"]) == ["444"]


def test_the_accuracy_plot_describes_every_figure() -> None:
    assert description(EXTREMES["ten classes"]) == (
        "Accuracy on 3,925 images of 10 classes: top-1 over all 1,000 outputs 99.01 % (98.64 to 99.27); top-1 among 10"
        " classes 99.01 % (98.64 to 99.27); ReaL labels, 1,962 images 10.04 % (8.79 to 11.45); reported, not comparable"
        " 84.00 %; minimum 77.5 %."
    )
    assert "; reported 80.46 %; minimum" in description(EXTREMES["everything measured"])
    assert "reported" not in EXTREMES["one right image"]


def test_mistakes_are_described_and_their_bars_are_to_scale() -> None:
    shirt, coat = ClassName(6, "shirt", "Shirt, jersey"), ClassName(4)
    text = plot_mistakes("t", [Confusion(shirt, coat, 10, 100), Confusion(coat, shirt, 50, 1000)])
    assert description(text) == (
        "class 4 predicted for Shirt: 10 of 100 (10 %); Shirt predicted for class 4: 50 of 1,000 (5 %)"
    )
    bars = ElementTree.fromstring(text).findall(f"{SVG}path[@class='bar']")
    widths = [float(re.findall(r"h([\d.]+)v", bar.attrib["d"])[0]) for bar in bars]
    assert widths[0] == 2 * widths[1]


def test_the_accuracy_plot_is_to_scale() -> None:
    root = ElementTree.fromstring(plotted(measured(200, 0.5), 0.5, 0.5))
    dots = [float(dot.attrib["cx"]) for dot in root.findall(f"{SVG}circle")]
    (gate,) = (float(line.attrib["d"][1:].split()[0]) for line in root.findall(f"{SVG}path[@class='limit']"))
    (quoted,) = (float(line.attrib["d"][1:].split()[0]) for line in root.findall(f"{SVG}path[@class='ring']"))
    assert dots[:2] == [gate, gate]
    assert quoted == gate


def test_blocks_above_the_tolerance_stand_out() -> None:
    root = ElementTree.fromstring(EXTREMES["blocks"])
    assert [len(root.findall(f"{SVG}circle[@class='{kind}']")) for kind in ("dot", "ring")] == [1, 24]
    assert description(EXTREMES["blocks"]).startswith(
        "Relative error of each block; 1 of 26 above 1e-05. embedding equal; encoderblock_0 1.0e-07;"
    )


def test_differences_that_are_not_finite_are_above_any_tolerance() -> None:
    root = ElementTree.fromstring(EXTREMES["broken blocks"])
    assert {circle.attrib["cx"] for circle in root.findall(f"{SVG}circle[@class='dot']")} == {"648"}
    assert description(EXTREMES["broken blocks"]).endswith(
        "2 of 2 above 1e-05. embedding not finite; logits not finite."
    )


def test_the_same_figures_give_the_same_bytes() -> None:
    assert plotted(measured(3925, 0.99, classes=10), 0.775, 0.84) == EXTREMES["ten classes"]
