"""What cards say of a draft, on every host, and of a waived accuracy."""

from dataclasses import replace

import pytest

from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.cards.drafts import draft_problems
from pipeline.cards.page import parse_page
from pipeline.cards.record import Record
from pipeline.facts.report import Report
from pipeline.facts.status import find_missing
from tests.card_facts import checked_files, demo_cards, seed_records
from tests.reports import QUOTED, not_measured, with_measured, with_weights

PINNED, NONE = Verification.PINNED, Verification.UNVERIFIED


def waived(records: dict[Head, Record], reason: str) -> dict[Head, Record]:
    """Returns the records of a member that is released without a measured accuracy."""
    return {
        head: replace(record, facts=replace(record.facts, module=replace(record.facts.module, accuracy_waived=reason)))
        for head, record in records.items()
    }


def test_every_card_of_a_draft_says_what_is_missing_and_quotes_nothing(report: Report) -> None:
    unverified = with_weights(not_measured(report, reported=QUOTED), NONE)
    texts = checked_files(seed_records(unverified))
    for path, text in texts.items():
        assert "80.46" not in text, path
        assert "0.80462" not in text, path
        if "kaggle/" in str(path) and "instance" in path.name:
            continue  # the model's page has it, which is above those of its variations
        assert "Do not rely on this version: it is a draft." in text, path
        assert "The weights are not verified: its publisher has to pin" in text, path
        assert "The accuracy was not measured: its publisher has to measure" in text, path


def test_a_released_card_is_called_no_draft(report: Report) -> None:
    for text in checked_files(seed_records(report)).values():
        assert "draft" not in text.lower()


def test_an_accuracy_on_few_images_leaves_a_draft(report: Report) -> None:
    few = with_measured(report, top1_interval=(0.8, 0.95), images=90)
    for path, text in checked_files(seed_records(few)).items():
        if "instance" not in path.name:
            assert "accuracy is 15.00 points wide (limit 5): its publisher has to measure the accuracy on more" in text


def test_a_waived_accuracy_is_stated_with_its_reason(report: Report) -> None:
    records = waived(seed_records(not_measured(report)), "its images may not be copied")
    for path, text in checked_files(records).items():
        assert "draft" not in text.lower()
        if path.suffix == ".md":
            assert "accuracy that was measured on enough images: its images may not be copied." in text


@pytest.mark.parametrize("weights", [PINNED, NONE])
def test_a_card_must_agree_with_what_is_missing(report: Report, weights: Verification) -> None:
    page = parse_page(demo_cards(with_weights(report, weights))[Head.FE])
    released, draft = find_missing(PINNED, (0.9, 0.91), None), find_missing(NONE, (0.9, 0.91), None)
    matching, other = (released, draft) if weights is PINNED else (draft, released)
    assert list(draft_problems(page, matching)) == []
    (problem,) = draft_problems(page, other)
    assert ("does not say so" if weights is PINNED else "calls a released version a draft") in problem.text


def test_a_card_that_gives_another_reason_is_found(report: Report) -> None:
    page = parse_page(demo_cards(with_weights(report, NONE))[Head.FE])
    (problem,) = draft_problems(page, find_missing(NONE, None, None))
    assert "(the weights are not verified and the accuracy was not measured)" in problem.text
