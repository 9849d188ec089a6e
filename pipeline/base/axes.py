"""The axes of SVG plots: scales, ticks, and labels that do not overlap. The templates draw them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEFT, RIGHT = 68, 736  # of a scatter plot within its picture, pixels
Box = tuple[float, float, float, float]  # left, top, right, bottom
_LETTER, _LINE = 6.8, 15  # approximate width of a letter and height of a line, pixels


@dataclass(frozen=True)
class Frame:
    """The size of a picture and the edges of the plot in it, in SVG's pixels."""

    left: int
    right: int
    top: int
    bottom: int
    height: int
    width: int = 760


def log_ticks(low: float, high: float) -> list[float]:
    """Returns 1, 2 and 5 times the powers of ten from `low` to `high`, both above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]


def linear_ticks(low: float, high: float) -> list[float]:
    """Returns four to ten round values from `low` to `high`."""
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * power for factor in (5, 2, 1) if (high - low) / (factor * power) >= 4)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Axis:
    """An axis that maps the values `low` to `high` to the pixels `start` to `end`.

    Attributes:
        low, high: the range of values, low < high; above 0 on a logarithmic axis.
        start, end: the places of low and high in the picture. SVG counts downwards: a vertical axis has start > end.
        is_log: whether the scale is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def around(
        cls, values: Sequence[float], ends: tuple[float, float], share: float, least: float, is_log: bool = False
    ) -> "Axis":
        """Returns an axis of the values with room on both sides of them.

        Args:
            values: at least one.
            ends: start and end of the axis, pixels.
            share: the room, as a share of the range of the values.
            least: the least room, so that the range is never empty; on a logarithmic axis in powers of ten.
            is_log: whether the scale is logarithmic.
        """
        scaled = [math.log10(value) for value in values] if is_log else values
        room = max(share * (max(scaled) - min(scaled)), least)
        low, high = min(scaled) - room, max(scaled) + room
        return cls(10.0**low, 10.0**high, *ends, is_log) if is_log else cls(low, high, *ends)

    def place(self, value: float) -> float:
        """Returns the place of a value, rounded to a tenth of a pixel."""
        low, high, at = map(math.log10, (self.low, self.high, value)) if self.is_log else (self.low, self.high, value)
        return round(self.start + (self.end - self.start) * (at - low) / (high - low), 1)

    def tick_values(self) -> list[float]:
        """Returns round values within the range."""
        return log_ticks(self.low, self.high) if self.is_log else linear_ticks(self.low, self.high)

    def ticks(self, label: Callable[[float], str], values: Sequence[float] | None = None) -> list[tuple[float, str]]:
        """Returns the place and the label of each tick, of `tick_values()` by default."""
        return [(self.place(value), label(value)) for value in (self.tick_values() if values is None else values)]


def percent_label(share: float) -> str:
    """Returns a share of 0 to 1 as a tick has it: 82.5 %."""
    return f"{100 * share:.4g} %"


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _candidates(x: float, y: float, text: str) -> list[tuple[Box, tuple[float, float, str]]]:
    """Returns the places that a label may have beside its point, best first, each with the box that it fills."""
    width = _LETTER * len(text)
    candidates = []
    for dy in (5, -8, 18, -22, 32):
        for anchor, left in (("start", x + 10), ("end", x - 10 - width)):
            box = (left, y + dy - _LINE + 3, left + width, y + dy + 3)
            candidates.append((box, (x + 10 if anchor == "start" else x - 10, y + dy, anchor)))
    return candidates


def place_labels(
    points: Sequence[tuple[float, float, str]],
    dots: Sequence[tuple[float, float]],
    left: float = LEFT,
    right: float = RIGHT,
) -> list[tuple[float, float, str]]:
    """Returns a place for each label beside its point, where it overlaps no other label and no dot if possible.

    Args:
        points: (x, y, text) of the points that have a label.
        dots: (x, y) of the other points.
        left, right: the edges of the plot, pixels.

    Returns:
        (x, y, anchor) of each label; anchor is SVG's text-anchor, "start" or "end".
    """
    occupied = [(x - 6, y - 6, x + 6, y + 6) for x, y in [*((x, y) for x, y, _ in points), *dots]]
    places = []
    for x, y, text in points:
        candidates = _candidates(x, y, text)
        inside = [(box, place) for box, place in candidates if box[0] >= left and box[2] <= right]
        free = [(box, place) for box, place in inside if not any(_overlap(box, other) for other in occupied)]
        box, place = (free or inside or candidates)[0]
        occupied.append(box)
        places.append(place)
    return places
