"""What pages claim: each mistake of the reference collection, planted in a page that is right, is refused."""

import dataclasses
import re

import pytest

from pipeline.base.heads import Head
from pipeline.cards.claims import (
    Output,
    Training,
    agrees,
    card_problems,
    collection_problems,
    printed,
    task_problems,
    training_problems,
)
from pipeline.cards.page import Problem, parse_page
from pipeline.collection import page as collection_page
from pipeline.facts.collection import Module, read_collection
from pipeline.facts.report import Report
from tests.card_facts import cards
from tests.conftest import ROOT
from tests.reports import QUOTED, REPORT, not_measured, with_accuracy, with_checks
from tests.test_card import VIT, reports_of

DEMO = ROOT / "model_cards/demo"


@pytest.fixture
def pages(report: Report) -> dict[str, str]:
    collection = read_collection(DEMO / "collection.yaml")
    return cards("vit_demo", Module(1, "Demo"), collection, "https://hub.example", report, {"name": "vit_demo"})


@pytest.fixture
def report(report: Report) -> Report:
    return with_accuracy(report, reported=QUOTED)


def texts(problems: list[Problem]) -> str:
    return "\n".join(f"{problem.line}: {problem.text}" for problem in problems)


def refused(text: str, report: Report, head: str = "classification") -> str:
    return texts(card_problems(parse_page(text), report, Head(head)))


@pytest.mark.parametrize("head", ["classification", "fe"])
def test_a_rendered_card_agrees_with_its_report(pages: dict[str, str], report: Report, head: str) -> None:
    assert card_problems(parse_page(pages[head]), report, Head(head)) == []


@pytest.mark.parametrize(
    ("head", "old", "new", "message"),
    [
        ("classification", "91.90 % (", "91.91 % (", "'top-1 accuracy' says 91.91, 95, 90.04, 93.44, the report 91.9"),
        ("classification", "to 93.44 %", "to 94.44 %", "'top-1 accuracy' says 91.90, 95, 90.04, 94.44, the report"),
        ("classification", "on 1,000 images", "on 50,000 images", "says 50,000, 10, the report 1000, 10"),
        ("classification", "| 99.80 %", "| 99.90 %", "'top-5 accuracy' says 99.90, 95, 99.27, 99.95, the report"),
        ("classification", "| 80.46 %", "| 84.60 %", "'top-1 accuracy, reported' says 84.60, the report 80.462"),
        ("classification", "| 1.4e-06;", "| 1.4e-07;", "difference from the JAX model' says 1.4e-07, 3.4e-07"),
        ("classification", "| 100.00 %", "| 99.00 %", "'same class as the JAX model' says 99.00, the report 100"),
        ("classification", "104 of 104 arrays", "103 of 104 arrays", "says 103, 104, the report 104, 104"),
        ("classification", "from 4.229 to", "from 4.230 to", "says 4.230, 4.187, the report 4.22938, 4.18667"),
        ("classification", "307,082 parameters", "307,083 parameters", "307,083 parameters', the report says 307,082"),
        ("classification", "head | 2.3e-07", "head | 3.3e-07", "says 3.3e-07, the report 2.26099e-07"),
        ("classification", "28x28 pixels and", "28x32 pixels and", "'images of 28x32 pixels and', the report says 28;"),
        ("fe", "straight to 28x28", "straight to 24x24", "straight to 24x24 pixels', the report says 28; write"),
        ("classification", "returns 10 logits", "returns 1,000 logits", "'returns 1,000 logits', the report says 10;"),
        ("fe", "vector of 64", "vector of 65", "'feature vector of 65 numbers', the report says 64; write"),
        ("fe", "All 102 variables", "All 104 variables", "variables can be fine-tuned', the report says 102; write"),
        ("fe", "TensorFlow 2.14 or", "TensorFlow 2.15 or", "'runs in TensorFlow 2.15 or newer', the report says 2.14"),
        ("fe", ": 10 of the 100", ": 11 of the 100", "11 of the 100 images of', the report says 10 and 100; write"),
        ("fe", "| (n, 28, 28, 3)", "| (n, 32, 32, 3)", "the input's shape is (n, 32, 32, 3), any n from 1, the report"),
        ("fe", "`b3a089c8", "`b3a089c9", "is none of the report's; write the card again"),
        ("classification", "| (n, 10) |", "| (n, 1000) |", "shape is (n, 1000), but the report has a width of 10"),
        ("fe", "of the classifier | 91.90", "of the classifier | 92.90", "accuracy of the classifier' says 92.90"),
        ("fe", "| (n, 64) |", "| (n, 768) |", "the output's shape is (n, 768), but the report has a width of 64"),
    ],
)  # fmt: skip
def test_a_figure_that_differs_from_the_report_is_refused(
    pages: dict[str, str], report: Report, head: str, old: str, new: str, message: str
) -> None:
    assert old in pages[head]
    line = pages[head][: pages[head].index(old)].count("\n") + 1
    said = refused(pages[head].replace(old, new), report, head)
    assert said.startswith(f"{line}: ")
    assert message in said


def test_rows_of_the_results_are_neither_lost_nor_made_up(pages: dict[str, str], report: Report) -> None:
    card = pages["classification"]
    row = re.search(r"^\| top-5 accuracy .*\n", card, re.MULTILINE)
    assert row
    assert "the results lack 'top-5 accuracy', which the report has; write the card again" in refused(
        card.replace(row[0], ""), report
    )
    assert refused(card.replace(row[0], row[0] + "| images | 1,000 | measured |\n"), report) == ""
    assert "'speed' says 37.4, which the report does not have" in refused(
        card.replace(row[0], row[0] + "| speed | 37.4 images a second | measured |\n"), report
    )
    said = refused(card, not_measured(report))
    assert "'top-1 accuracy' was not measured, as the report says; write the card again" in said
    assert "the results lack 'accuracy', which the report has" in said


def test_a_classifier_is_no_feature_extractor(pages: dict[str, str], report: Report) -> None:
    """Every feature extractor of the reference collection was tagged as a classifier."""
    wrong = pages["fe"].replace("task: image-feature-vector", "task: image-classification")
    assert refused(wrong, report, "fe") == (
        "6: the task 'image-classification' does not fit an output of 64 features; expected 'image-feature-vector'"
    )
    wrong = pages["classification"].replace("task: image-classification", "task: image-feature-vector")
    assert "6: the task 'image-feature-vector' does not fit an output of 10 logits; expected" in refused(wrong, report)
    assert list(task_problems(parse_page(pages["fe"]), Output("features", 64))) == []


def test_fine_tunable_takes_variables_with_gradients(pages: dict[str, str], report: Report) -> None:
    """Every classifier of the reference collection was called fine-tunable, and none had a gradient."""
    page = parse_page(pages["classification"])
    for training, found in (
        (Training(0, 0), "0 trainable variables of which 0"),
        (Training(104, 0), "104 trainable vari"),
    ):
        (problem,) = training_problems(page, training)
        found = f"{training.trainable} trainable variables of which 0 have a gradient"
        assert problem.text == f"fine-tunable is true, but the module has {found}; correct the tag"
        assert page.lines[problem.line - 1] == "<!-- fine-tunable: true -->"
    assert list(training_problems(page, Training(104, 104))) == []
    tuning = report.modules[Head.CLASSIFICATION].fine_tuning
    assert tuning
    tuning = dataclasses.replace(tuning, without_gradient=("head/bias",))
    partly = with_checks(report, Head.CLASSIFICATION, fine_tuning=tuning)
    assert "104 trainable variables of which 103 have a gradient" in refused(page.text, partly)
    assert "fine-tunable is false, but" in refused(page.text.replace("able: true", "able: false"), report)


def test_numbers_are_read_as_they_are_printed() -> None:
    assert printed("1.0e-06; 2 of 1,000, ImageNet-1k, top-5, 90.04 %, 224x224") == ["1.0e-06", "2", "1,000", "90.04"]
    for number, value in (("91.90", 91.9), ("1,000", 1000), ("1.0e-06", 1.04e-6), ("4.229", 4.22938), ("0", 0)):
        assert agrees(number, value)
    for number, value in (("91.91", 91.9), ("1.1e-06", 1.04e-6), ("1,001", 1000)):
        assert not agrees(number, value)


# Counts --------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("artifacts")
    reports_of(VIT, folder, REPORT)
    return collection_page(read_collection(VIT / "collection.yaml"), VIT, folder)


def test_a_rendered_collection_agrees_with_itself(collection: str) -> None:
    assert collection_problems(parse_page(collection)) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("contains seven Vision", "contains eight Vision", "'eight Vision Transformers', but the page lists seven"),
        ("contains seven Vision", "contains 8 new\nVision", "'8 new Vision Transformers', but the page lists seven of"),
        ("Collection of seven", "Collection of six", "3: 'six Vision Transformers', but the page lists seven of them"),
        ("as 14 modules", "as 16 modules", "'16 modules', but the page lists 14 of them; correct the"),
        ("as 14 modules", "as sixteen modules", "'sixteen modules', but the page lists 14 of them; correct the"),
        ("Each model comes", "There are eight models. Each comes", "'eight models', but the page lists seven of"),
        ("Each model comes", "Each of these eight models comes", "'eight models', but the page lists seven of"),
        ("Each model comes", "Each is small. The eight models come", "'eight models', but the page lists seven of"),
        ("about 50,000", "eight of the best", "'eight of the best Vision Transformers', but the page lists seven"),
        ("* [ViT-S16](../../vit_s16_fe/1.md)\n", "", "7 image classifiers and 6 feature extractors, expected as many"),
        ("vit_l16_fe", "vit_b16_fe", "'Feature extractors' lists '../../vit_b16_fe/1.md' twice"),
    ],
)  # fmt: skip
def test_a_count_that_differs_from_its_list_is_refused(collection: str, old: str, new: str, message: str) -> None:
    """The reference collection's page had "eight" in one sentence and "seven" in another."""
    assert old in collection
    assert message in texts(collection_problems(parse_page(collection.replace(old, new))))


def test_numbers_that_count_something_else_pass(collection: str) -> None:
    text = (
        "Each model comes in two forms. Over 400 models were trained; one of the models is best. It has 16 layers.\n"
        "Every checkpoint gives one image classifier and one feature extractor, two modules per model.\n\n"
    )
    assert (
        collection_problems(parse_page(collection.replace("## About the models\n\n", f"## About the models\n\n{text}")))
        == []
    )
