"""Cards of modules that cannot be trained: they offer no fine-tuning, and say why."""

import dataclasses

import pytest

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.cards import hugging_face, kaggle
from pipeline.cards.claims import card_problems
from pipeline.cards.page import parse_page
from pipeline.cards.record import Record, find_missing
from pipeline.facts.collection import Module
from pipeline.facts.report import Report
from pipeline.proof import ladder
from tests import card_facts
from tests.reports import with_checks, with_model

WHY = "the network has state beside its parameters (batch_stats/...), which training would have to update"


@pytest.fixture
def frozen(report: Report) -> Report:
    """A report of a network with state: no gradients, and no step of training."""
    for head in Head:
        report = with_checks(report, head, gradients=None, fine_tuning=None)
    report = with_model(report, frozen=WHY, dropout=0.0)
    return dataclasses.replace(report, ladder=ladder.rungs(report))


def make_records(report: Report) -> dict[Head, Record]:
    origin = {"name": "S_16", "sources": [], "sha256": "0" * 64}
    return card_facts.records("vit_s16", Module(1, "S"), card_facts.VIT, "https://hub.example", report, origin)


def test_the_rungs_of_training_are_not_measured_and_say_why(frozen: Report) -> None:
    rungs = {(rung.rung, rung.head): rung for rung in frozen.ladder}
    for head in Head:
        for name in ladder.TRAINING:
            rung = rungs[name, head]
            assert (rung.verdict, rung.reason, rung.value) == (Verdict.NOT_MEASURED, WHY, None)
        assert rungs["parity", head].verdict is Verdict.PASS
    assert not ladder.failures(frozen)


def test_a_report_of_a_frozen_module_lacks_nothing(frozen: Report) -> None:
    assert find_missing(frozen) is None
    assert find_missing(with_model(frozen, frozen="")) == "modules.classification.gradients.max_rel"


@pytest.mark.parametrize("head", Head)
def test_no_page_offers_fine_tuning(frozen: Report, report: Report, head: Head) -> None:
    record, trained = make_records(frozen)[head], make_records(report)[head]
    pages = [
        record.render("module.md.jinja", record.links_in_hub()),
        hugging_face.readme(record),
        kaggle.instance_metadata(record),
    ]
    for page in pages:
        assert "ine-tuning" not in page
        assert "TFSMLayer" not in page
    for page in pages[:2]:
        assert f"They cannot be fine-tuned: {WHY}." in page
        assert f"`training=True` fails: {WHY}." in page
        assert "| gradients | not measured | the module cannot be trained" in page
        assert "selftest.py --gradients" not in page
    assert "<!-- fine-tunable: false -->" in pages[0]
    assert '"fineTunable": false' in pages[2]
    assert not [each for each in card_problems(parse_page(pages[0]), frozen, head) if "tunable" in each.text]
    other = trained.render("module.md.jinja", trained.links_in_hub())
    assert "<!-- fine-tunable: true -->" in other
    assert "all of which can be fine-tuned." in other
