"""When a version is a draft."""

import pytest

from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Interval
from pipeline.facts.status import Status, find_missing, status_of

PINNED, UNVERIFIED = Verification.PINNED, Verification.UNVERIFIED


@pytest.mark.parametrize(
    ("weights", "interval", "waived", "reasons"),
    [
        (PINNED, (0.88, 0.92), None, []),
        (Verification.DOWNLOADED, (0.88, 0.92), None, []),
        (PINNED, None, "no images may be had", []),
        (PINNED, (0.2, 0.9), "no more images may be had", []),
        (UNVERIFIED, (0.88, 0.92), None, ["the weights are not verified"]),
        (None, None, "waived", ["the weights are not verified"]),
        (UNVERIFIED, None, None, ["the weights are not verified", "the accuracy was not measured"]),
        (PINNED, None, None, ["the accuracy was not measured"]),
        (
            PINNED,
            (0.85, 0.91),
            None,
            ["the 95 % interval of the accuracy is 6.00 points wide (limit 5)"],
        ),
    ],
)
def test_what_is_missing_makes_a_draft(
    weights: Verification | None, interval: Interval | None, waived: str | None, reasons: list[str]
) -> None:
    assert [missing.reason for missing in find_missing(weights, interval, waived)] == reasons
    assert status_of(weights, interval, waived) is (Status.DRAFT if reasons else Status.RELEASED)
