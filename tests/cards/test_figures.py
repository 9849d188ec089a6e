"""Figures of cards and collection pages: those that differ from the report are refused, in every release's wording."""

import re

import pytest

from pipeline.base.heads import Head
from pipeline.base.templates import TEMPLATES, render
from pipeline.cards.figures import PARTS, card_figures, numbers, performance_figures
from pipeline.cards.page import Page, Problem, parse_page
from pipeline.facts.report import Report
from tests.card_facts import demo_cards
from tests.reports import EARLIER, QUOTED, not_measured, with_accuracy


@pytest.fixture
def report(report: Report) -> Report:
    return with_accuracy(report, reported=QUOTED)


@pytest.fixture
def pages(report: Report) -> dict[Head, str]:
    return demo_cards(report)


def texts(problems: list[Problem]) -> str:
    return "\n".join(f"{problem.line}: {problem.text}" for problem in problems)


def refused(text: str, report: Report, head: Head = Head.CLASSIFICATION) -> str:
    return texts(list(card_figures(parse_page(text), report, head)))


@pytest.mark.parametrize("head", Head)
@pytest.mark.parametrize("measured", [True, False])
def test_a_rendered_card_has_the_reports_figures(report: Report, head: Head, measured: bool) -> None:
    report = report if measured else not_measured(report)
    assert refused(demo_cards(report)[head], report, head) == ""


@pytest.mark.parametrize(
    ("head", "old", "new"),
    [
        ("classification", "91.90 % (", "91.91 % ("),
        ("classification", "to 93.44 %", "to 94.44 %"),
        ("classification", "on 1,000 images", "on 50,000 images"),
        ("classification", "| 99.80 %", "| 99.90 %"),
        ("classification", "| 80.46 %", "| 84.60 %"),
        ("classification", "error 3.4e-07 (", "error 3.4e-08 ("),
        ("classification", "(limit 1e-05)", "(limit 1e-04)"),
        ("classification", "| 100.00 %", "| 99.00 %"),
        ("classification", "104 of 104 arrays", "103 of 104 arrays"),
        ("classification", "from 4.229 to", "from 4.230 to"),
        ("classification", "classifier | relative error 2.3e-07", "classifier | relative error 3.3e-07"),
        ("classification", "307,082 parameters", "307,083 parameters"),
        ("classification", "28x28 pixels and", "28x32 pixels and"),
        ("classification", "returns 10 logits", "returns 1,000 logits"),
        ("classification", "| (n, 10) |", "| (n, 1000) |"),
        ("fe", "vector of 64", "vector of 65"),
        ("fe", "TensorFlow 2.14 or", "TensorFlow 2.15 or"),
        ("fe", ": 10 of 100 images.", ": 11 of 100 images."),
        ("fe", "| (n, 28, 28, 3)", "| (n, 32, 32, 3)"),
        ("fe", "of the classifier | 91.90", "of the classifier | 92.90"),
        ("fe", "| (n, 64) |", "| (n, 768) |"),
    ],
)
def test_a_figure_that_differs_from_the_report_is_refused(
    pages: dict[Head, str], report: Report, head: str, old: str, new: str
) -> None:
    page = pages[Head(head)]
    assert page.count(old) == 1
    start = page.index(old)
    line = page[:start].count("\n")
    text = refused(page.replace(old, new), report, Head(head))
    expected = page.split("\n")[line]
    assert text == (
        f"{line + 1}: expected {expected!r} by the report, got {expected.replace(old, new)!r};"
        " write the card again (make card)"
    )


def test_a_digest_that_the_report_does_not_have_is_refused(pages: dict[Head, str], report: Report) -> None:
    text = refused(pages[Head.FE].replace("`b3a089c8", "`b3a089c9"), report, Head.FE)
    assert re.fullmatch(r"\d+: the digest b3a089c9\w+ is not in the report; write the card again \(make card\)", text)


def test_a_row_that_is_missing_is_refused(pages: dict[Head, str], report: Report) -> None:
    card = pages[Head.CLASSIFICATION]
    row = re.search(r"^\| top-5 accuracy .*\n", card, re.MULTILINE)
    assert row
    assert f"expected {row[0].rstrip()!r} by the report, got '| exp" in refused(card.replace(row[0], ""), report)
    last = re.search(r"^The most frequent mistake .*\n", card, re.MULTILINE)
    assert last
    text = refused(card.replace(last[0], ""), report)
    assert f"expected {last[0].rstrip()!r} by the report, got ''; write" in text


def test_a_row_that_was_added_is_refused(pages: dict[Head, str], report: Report) -> None:
    added = "## Results\n\nIt classifies 37.4 images a second.\n"
    text = refused(pages[Head.CLASSIFICATION].replace("## Results\n", added), report)
    assert "by the report, got 'It classifies 37.4 images a second.'; write" in text


def test_a_card_of_an_accuracy_that_was_not_measured_is_refused(pages: dict[Head, str], report: Report) -> None:
    text = refused(pages[Head.CLASSIFICATION], not_measured(report))
    assert "expected '| accuracy | not measured | no images |' by the report, got '| top-1 accuracy | 91.90 %" in text


def test_a_section_that_is_missing_is_refused(pages: dict[Head, str], report: Report) -> None:
    text = refused(pages[Head.FE].replace("\n## Inputs and outputs\n", "\n## Interface\n"), report, Head.FE)
    assert "there is no section 'Inputs and outputs', which begins with '| | type | shape | values |'; write" in text


# Words ---------------------------------------------------------------------------------------------------------------
def earlier(pages: dict[Head, str]) -> str:
    """Returns the classifier's card with the results of an earlier release."""
    card = pages[Head.CLASSIFICATION]
    lines, section = card.split("\n"), parse_page(card).section("Results")
    lines[section.start - 1 : section.stop - 1] = EARLIER.read_text().rstrip().split("\n")
    return "\n".join(lines)


def test_a_card_that_an_earlier_release_worded_passes(pages: dict[Head, str], report: Report) -> None:
    report = with_accuracy(report, reported=None)
    assert refused(earlier(pages), report) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| 91.90 %", "| 92.90 %"),
        ("| 1.4e-06;", "| 1.4e-07;"),  # not printed today, but of the report
        ("where 1.0e-05 is", "where 1.1e-05 is"),
        ("batches of 1 and 7", "batches of 1 and 8"),
        ("from 4.229 to 4.187", "from 4.187 to 4.229"),
        ("10 of the 100", "10 of the 1,000"),
    ],
)
def test_a_figure_edited_in_an_earlier_wording_is_refused(
    pages: dict[Head, str], report: Report, old: str, new: str
) -> None:
    card = earlier(pages)
    assert card.count(old) == 1
    assert "by the report, got " in refused(card.replace(old, new), with_accuracy(report, reported=None))


def test_other_words_pass(pages: dict[Head, str], report: Report) -> None:
    card = pages[Head.CLASSIFICATION].replace("| batch-size consistency |", "| alone or in a batch |")
    assert refused(card, report) == ""
    assert refused(card.replace("returns 10 logits.", "returns 10 logits, for 10 classes."), report) == ""


# Templates -----------------------------------------------------------------------------------------------------------
def test_no_figure_is_typed_into_a_template() -> None:
    """Every number comes from the report, but for the few that are no figures."""
    typed = {
        "overview.md.jinja": {"1"},  # [1]
        "results.md.jinja": {"95"},  # the confidence of the intervals
        "requirements.md.jinja": set(),
        "interface.md.jinja": {"32", "3", "-1", "1"},  # float32, channels, any n from 1, [-1, 1]
        "performance_row.md.jinja": set(),
    }
    assert typed.keys() == {part.template for part in PARTS} | {"performance_row.md.jinja"}
    for name, allowed in typed.items():
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", (TEMPLATES / name).read_text(), flags=re.DOTALL)
        assert set(numbers(text)) == allowed, name


def test_numbers_are_read_as_they_are_printed() -> None:
    assert numbers("1.0e-06; 2 of 1,000, top-5, 90.04 %, 224x224, (n, 28, 28), [-1, 1], 2026-11-28") == [
        "1.0e-06", "2", "1,000", "90.04", "224", "224", "28", "28", "-1", "1", "2026", "11", "28",
    ]  # fmt: skip


# The table of a collection -------------------------------------------------------------------------------------------
LINK = "../../vit_demo_classification/1.md"


def row_problems(row: str, report: Report) -> str:
    page: Page = parse_page(f"# Collection a/b/1\n\nA.\n\n## Performance\n\n{row}\n")
    return texts(list(performance_figures(page, 7, "Demo", LINK, report)))


def test_a_row_of_the_performance_table_has_the_reports_figures(report: Report) -> None:
    row = render("performance_row.md.jinja", title="Demo", link=LINK, report=report).rstrip("\n")
    assert row == f"| [Demo]({LINK}) | 28 | 307,082 | 1.6 MB | 91.90 % on 1,000 images | 80.46 % | 64 |"
    assert row_problems(row, report) == ""
    assert row_problems(row.replace("on 1,000 images", "(1,000 test images)"), report) == ""
    for old, new in (("| 28 |", "| 224 |"), ("91.90 % on 1,000 images", "not measured"), ("| 64 |", "| 64 | 10 |")):
        text = row_problems(row.replace(old, new), report)
        assert text.startswith(f"7: expected {row!r} by the report, got ")
        assert text.endswith("; write the page again (make publish-all)")
