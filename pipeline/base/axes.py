"""The scale and ticks of a plot's axis."""

import math
from collections.abc import Sequence


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
