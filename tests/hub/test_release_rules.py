"""What may be released: no drafts, no cards that lead to the reader's own machine."""

from dataclasses import replace

import pytest

from pipeline.base.verification import Verification
from pipeline.facts.status import Status
from pipeline.hub.entries import Measured, ModuleEntry
from pipeline.hub.release_rules import is_local, reasons_against_release

GOOD = ModuleEntry(
    "a/b_fe/1", "B", "image-feature-vector", (), weights=Verification.PINNED,
    measured=Measured(0.9, (0.88, 0.92), 1000, "images"), status=Status.RELEASED,
)  # fmt: skip
CARD = "# Module a/b_fe/1\n\n<!-- asset-path: https://hub.example.org/a/b_fe/1.tar.gz -->\n"


def test_a_verified_and_measured_version_may_be_released() -> None:
    assert reasons_against_release(GOOD, CARD) == ()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (replace(GOOD, weights=Verification.UNVERIFIED), "a draft: the weights are not verified; its publisher has to"),
        (replace(GOOD, weights=None), "a draft: the weights are not verified"),
        (replace(GOOD, measured=None), "a draft: the accuracy was not measured"),
        (replace(GOOD, measured=Measured(0.9, (0.8, 0.95), 90, "images")), "is 15.00 points wide (limit 5)"),
        (replace(GOOD, status=Status.DRAFT), "index.json calls it a draft, though nothing is missing"),
    ],
)
def test_a_draft_is_refused(entry: ModuleEntry, reason: str) -> None:
    """Also one that the index calls released: somebody may have edited it."""
    (found,) = reasons_against_release(entry, CARD)
    assert reason in found


def test_a_card_that_names_this_machine_is_refused() -> None:
    card = CARD.replace("hub.example.org", "localhost:8080")
    (reason,) = reasons_against_release(GOOD, card)
    assert reason.startswith("its card names http")
    assert "localhost:8080/a/b_fe/1.tar.gz, which leads every reader to their own machine" in reason
    (reason,) = reasons_against_release(GOOD, card + "http://127.0.0.1:8080/x")
    assert " and 1 more, which" in reason
    assert reasons_against_release(GOOD) == ()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://localhost", True),
        ("https://LOCALHOST.:1/x", True),
        ("http://hub.localhost/x", True),
        ("http://127.9.9.9/x", True),
        ("http://[::1]:80/x", True),
        ("http://0.0.0.0:8080", True),
        ("https://localhost.example.org/x", False),
        ("https://example.org/localhost", False),
        ("http://192.168.1.2/x", False),
        ("http://[bad/x", False),
    ],
)
def test_which_addresses_lead_to_the_readers_machine(address: str, expected: bool) -> None:
    assert is_local(address) is expected
