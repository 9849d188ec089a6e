"""The frame of a scatter plot, the scales and ticks of its axes, and the places of its labels."""

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 760, 480  # of the picture, in SVG's pixels
LEFT, RIGHT, TOP, BOTTOM = 68, 736, 90, 424  # of the plot within it
_LETTER, _LINE = 6.8, 15  # about what a letter of a label is wide and high


def log_ticks(low: float, high: float) -> list[float]:
    """Returns the 1, 2 and 5 times a power of ten from `low` to `high`, both above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [factor * 10.0**power for power in powers for factor in (1, 2, 5) if low <= factor * 10.0**power <= high]


def linear_ticks(low: float, high: float) -> list[float]:
    """Returns four to ten round values from `low` to `high`."""
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(factor * power for factor in (5, 2, 1) if (high - low) / (factor * power) >= 4)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def widened(values: Sequence[float], share: float, least: float) -> tuple[float, float]:
    """Returns the range of some values with room around it, which is never empty."""
    low, high = min(values), max(values)
    room = max(share * (high - low), least)
    return low - room, high + room


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def place_labels(
    points: Sequence[tuple[float, float, str]], dots: Sequence[tuple[float, float]]
) -> list[tuple[float, float, str]]:
    """Returns for each (x, y, text) where its text goes, (x, y, "start" or "end"), beside its point and off the others.

    The places are tried from the right of the point around it; where all are taken the first is used.
    """
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in [*((x, y) for x, y, _ in points), *dots]]
    places = []
    for x, y, text in points:
        width = _LETTER * len(text)
        tries = []
        for dy in (5, -8, 18, -22, 32):
            for anchor, left in (("start", x + 10), ("end", x - 10 - width)):
                box = (left, y + dy - _LINE + 3, left + width, y + dy + 3)
                tries.append((box, (x + 10 if anchor == "start" else x - 10, y + dy, anchor)))
        inside = [one for one in tries if one[0][0] >= LEFT and one[0][2] <= RIGHT]
        free = [one for one in inside if not any(_overlap(one[0], other) for other in taken)]
        box, place = (free or inside or tries)[0]
        taken.append(box)
        places.append(place)
    return places
