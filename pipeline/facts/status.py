"""Whether a version of a module is a draft or released: decided by its weights and its accuracy alone."""

from enum import StrEnum

from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Interval

# The widest 95 % interval, from end to end, of an accuracy that people may rely on; half of it is a margin of error of
# 2.5 points. At an accuracy of 90 % that takes about 550 images, at 50 % 1,540.
WIDEST_INTERVAL = 0.05


class Status(StrEnum):
    """What readers may expect of a version; a draft is not released to others."""

    DRAFT = "draft"
    RELEASED = "released"


def draft_reasons(weights: Verification | None, interval: Interval | None, waived: str | None) -> tuple[str, ...]:
    """Returns why a version is a draft, each a clause; none for one that is released.

    Args:
        weights: how they were verified; None where that is not known.
        interval: the 95 % interval of the measured top-1 accuracy, 0 to 1; None where nothing was measured.
        waived: why the publisher releases it without a measured accuracy; None where that is not waived.
    """
    reasons = []
    if weights is None or not weights.is_verified:
        reasons.append("the weights are not verified")
    if interval is None and waived is None:
        reasons.append("the accuracy was not measured")
    elif interval is not None and waived is None and is_too_wide(interval):
        width = 100 * (interval[1] - interval[0])
        limit = f"{100 * WIDEST_INTERVAL:g}"
        reasons.append(f"the 95 % interval of the accuracy is {width:.1f} points wide, at most {limit} are allowed")
    return tuple(reasons)


def is_too_wide(interval: Interval) -> bool:
    """Returns whether an accuracy was measured on too few images to be relied on."""
    return interval[1] - interval[0] > WIDEST_INTERVAL


def status_of(weights: Verification | None, interval: Interval | None, waived: str | None) -> Status:
    """Returns the status of a version; the arguments are those of draft_reasons()."""
    return Status.DRAFT if draft_reasons(weights, interval, waived) else Status.RELEASED
