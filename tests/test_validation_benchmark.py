"""benchmarks.validation: which checks count as weaker than before, and what it says without the earlier version."""

from pathlib import Path

import pytest

from benchmarks.validation import Outcome, weaker_checks, write_member, write_tree
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.base.yaml_sections import Member
from pipeline.validate import read_subject

PASSED = Outcome(Verdict.PASS, 1e-5)
BEFORE = {
    ("parity", Head.FE): PASSED, ("parity", Head.CLASSIFICATION): PASSED, ("features", None): PASSED,
    ("accuracy", None): Outcome(Verdict.PASS, 0.88),
}  # fmt: skip


def test_the_same_checks_or_more_or_stricter_ones_are_no_miss() -> None:
    assert weaker_checks(BEFORE, BEFORE) == []
    more = BEFORE | {("tokens", Head.FE): PASSED, ("parity", Head.FE): Outcome(Verdict.PASS, 1e-6)}
    assert weaker_checks(BEFORE, more) == []


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        ({("features", None): Outcome(Verdict.PASS, 2e-5)}, "features is now "),
        ({("accuracy", None): Outcome(Verdict.PASS, 0.8)}, "accuracy is now "),
        ({("parity", Head.FE): Outcome(Verdict.NOT_MEASURED, 1e-5)}, "fe parity is now "),
        ({("parity", Head.FE): None}, "fe parity is missing"),
    ],
)
def test_a_check_that_says_less_is_named(now: dict[tuple[str, Head | None], Outcome | None], sentence: str) -> None:
    outcomes = {key: outcome for key, outcome in (BEFORE | now).items() if outcome}
    (said,) = weaker_checks(BEFORE, outcomes)
    assert said.startswith(sentence)


def test_an_unknown_commit_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expected a clone with the commit 0123abc; git fetch --unshallow gets it"):
        write_tree("0123abc", tmp_path)


def test_validate_reads_its_members(tmp_path: Path) -> None:
    member = Member(write_member(tmp_path, "Ti/16", 0.1))
    assert read_subject(member, tmp_path / "file.npz", {}).model.dropout == 0.1
