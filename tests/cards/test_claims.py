"""Tags of cards: each mistake of the reference collection, planted in a right page, is refused."""

import dataclasses

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.cards.claims import Output, Training, card_problems, task_problems, training_problems
from pipeline.cards.collection_page import check_collection, list_member, render_collection
from pipeline.cards.page import parse_page
from pipeline.facts.accuracy import Reported
from pipeline.facts.collection import Module, read_collection
from pipeline.facts.report import Report
from tests.card_facts import checked_files, demo_cards, seed_records
from tests.reports import QUOTED, ROOT, with_accuracy, with_checks, with_weights

DEMO = read_collection(ROOT / "model_cards/demo/collection.yaml")


@pytest.fixture
def pages(report: Report) -> dict[Head, str]:
    return demo_cards(report)


def refused(text: str, report: Report, head: Head = Head.CLASSIFICATION) -> str:
    return "\n".join(f"{problem.line}: {problem.text}" for problem in card_problems(parse_page(text), report, head))


@pytest.mark.parametrize("head", Head)
def test_a_rendered_card_agrees_with_its_report(pages: dict[Head, str], report: Report, head: Head) -> None:
    assert card_problems(parse_page(pages[head]), report, head) == []


def test_a_task_that_does_not_fit_the_output_is_refused(pages: dict[Head, str], report: Report) -> None:
    """Every feature extractor of the reference collection was tagged as a classifier."""
    wrong = pages[Head.FE].replace("task: image-feature-vector", "task: image-classification")
    assert refused(wrong, report, Head.FE) == (
        "6: the task 'image-classification' does not fit an output of 64 features; expected 'image-feature-vector'"
    )
    wrong = pages[Head.CLASSIFICATION].replace("task: image-classification", "task: image-feature-vector")
    assert "6: the task 'image-feature-vector' does not fit an output of 10 logits; expected" in refused(wrong, report)
    assert list(task_problems(parse_page(pages[Head.FE]), Output("features", 64))) == []


def test_fine_tunable_requires_variables_with_gradients(pages: dict[Head, str], report: Report) -> None:
    """Every classifier of the reference collection was tagged as fine-tunable, and none had a gradient."""
    page = parse_page(pages[Head.CLASSIFICATION])
    for training in (Training(0, 0), Training(104, 0)):
        (problem,) = training_problems(page, training)
        variables = f"{training.trainable} trainable variables of which 0 have a gradient"
        assert problem.text == f"fine-tunable is true, but the module has {variables}; correct the tag"
        assert page.lines[problem.line - 1] == "<!-- fine-tunable: true -->"
    assert list(training_problems(page, Training(104, 104))) == []
    assert "fine-tunable is false, but" in refused(page.text.replace("able: true", "able: false"), report)


def test_fine_tunable_requires_the_gradients_of_the_report(pages: dict[Head, str], report: Report) -> None:
    tuning = report.modules[Head.CLASSIFICATION].fine_tuning
    assert tuning
    partly = dataclasses.replace(tuning, without_gradient=("head/bias",))
    report = with_checks(report, Head.CLASSIFICATION, fine_tuning=partly)
    assert "104 trainable variables of which 103 have a gradient" in refused(pages[Head.CLASSIFICATION], report)


@pytest.mark.parametrize("figure", ["80.46 %", "80.5%", "80.462 percent", "80,46 %", "0.80462", "0.8046"])
def test_a_note_that_quotes_for_unverified_weights_is_refused(report: Report, figure: str) -> None:
    report = with_accuracy(report, reported=QUOTED)
    records = seed_records(report, note=f"The original reaches {figure} on its test set.")
    assert checked_files(records)
    records = seed_records(with_weights(report, Verification.UNVERIFIED), note=f"The original reaches {figure}.")
    with pytest.raises(
        Fault, match=rf"classification\.md:\d+: '{figure}' is an accuracy that others report, of weights"
    ):
        checked_files(records)


def test_a_collection_that_quotes_for_unverified_weights_is_refused(report: Report) -> None:
    report = with_accuracy(report, reported=QUOTED)
    collection = dataclasses.replace(DEMO, overview="They reach 80.46 % on their test set.")

    def check(report: Report) -> None:
        page = render_collection(collection, [list_member(collection, "vit_demo", Module(1, "Demo"), report)])
        check_collection(page, collection, [report], "page.md")

    check(report)
    with pytest.raises(Fault, match=r"page\.md:\d+: '80\.46 %' is an accuracy that others report, of weights"):
        check(with_weights(report, Verification.UNVERIFIED))


def test_a_note_with_the_measured_accuracy_is_no_quotation(report: Report) -> None:
    report = with_weights(with_accuracy(report, reported=Reported(0.919, "a table")), Verification.UNVERIFIED)
    assert checked_files(seed_records(report, note="It reaches 91.9 %, measured, and 180.46 % of another."))
