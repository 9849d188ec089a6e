"""Whether a version of a module is a draft or released: decided by its weights and its accuracy alone."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Missing:
    """What makes a version a draft: the reason, a clause, and the remedy, which follows "its publisher has to"."""

    reason: str
    remedy: str


_VERIFICATION = Missing(
    "the weights are not verified",
    "pin the checkpoint's SHA-256 in its YAML file (checkpoint.sha256), or let make fetch download it",
)
_WAIVE = "or say in its YAML file why it is released without (module.accuracy_waived)"
_ACCURACY = Missing("the accuracy was not measured", f"measure the accuracy on labelled images (IMAGENET), {_WAIVE}")


def find_missing(weights: Verification | None, interval: Interval | None, waived: str | None) -> tuple[Missing, ...]:
    """Returns what makes a version a draft; nothing for one that is released.

    Args:
        weights: how they were verified; None where that is not known.
        interval: the 95 % interval of the measured top-1 accuracy, 0 to 1; None where nothing was measured.
        waived: why the publisher releases it without a measured accuracy; None where that is not waived.
    """
    missing = [] if weights and weights.is_verified else [_VERIFICATION]
    if waived is None and interval is None:
        missing.append(_ACCURACY)
    elif waived is None and interval and interval[1] - interval[0] > WIDEST_INTERVAL:
        missing.append(_too_wide(interval))
    return tuple(missing)


def _too_wide(interval: Interval) -> Missing:
    width, limit = 100 * (interval[1] - interval[0]), 100 * WIDEST_INTERVAL
    reason = f"the 95 % interval of the accuracy is {width:.2f} points wide (limit {limit:g})"
    return Missing(reason, f"measure the accuracy on more images, {_WAIVE}")


def status_of(weights: Verification | None, interval: Interval | None, waived: str | None) -> Status:
    """Returns the status of a version; the arguments are those of find_missing()."""
    return Status.DRAFT if find_missing(weights, interval, waived) else Status.RELEASED
