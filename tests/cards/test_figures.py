"""Figures of cards and collection pages: a section that differs from today's rendering of the report is refused."""

import re

import pytest

from pipeline.base.heads import Head
from pipeline.base.templates import TEMPLATES, render
from pipeline.cards.figures import PARTS, card_figures, digest_problems, performance_figures, section_problems
from pipeline.cards.page import Page, Problem, parse_page
from pipeline.facts.report import Report
from tests.card_facts import demo_cards
from tests.reports import QUOTED, not_measured, with_accuracy, with_measured

NUMBER = re.compile(r"(?<!\d)(?<![a-z]-)(?:(?<![^\s(\[])-)?\d+(?:,\d{3})*(?:\.\d+)?")  # the 5 of "top-5" is none


@pytest.fixture
def report(report: Report) -> Report:
    return with_accuracy(report, reported=QUOTED)


@pytest.fixture
def pages(report: Report) -> dict[Head, str]:
    return demo_cards(report)


def texts(problems: list[Problem]) -> str:
    return "\n".join(f"{problem.line}: {problem.text}" for problem in problems)


def refused(text: str, report: Report, head: Head = Head.CLASSIFICATION) -> str:
    return texts(card_figures(parse_page(text), report, head))


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
        ("classification", "error 3.3e-07 (", "error 3.3e-08 ("),
        ("classification", "(limit 1e-05) | measured on 16", "(limit 1e-04) | measured on 16"),
        ("classification", "| 100.00 %", "| 99.00 %"),
        ("classification", "104 of 104 arrays", "103 of 104 arrays"),
        ("classification", "from 4.229 to", "from 4.230 to"),
        ("classification", "classifier | relative error 0.0e+00", "classifier | relative error 3.3e-07"),
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
        " publish the card again (make publish)"
    )


@pytest.mark.parametrize(
    ("head", "old", "new"),
    [
        ("classification", "| top-1 accuracy | 91.90 %", "| top-5 accuracy | 91.90 %"),
        ("fe", "| top-1 accuracy of the classifier | 91.90 %", "| top-5 accuracy of the classifier | 91.90 %"),
        ("classification", "| top-1 accuracy | 91.90 %", "| top-1 error | 91.90 %"),
        ("fe", "| top-1 accuracy of the classifier | 91.90 %", "| top-1 error of the classifier | 91.90 %"),
        *((head, "| weights identical to the", "| weights differing from the") for head in Head),
        *(
            (head, "| batch-size con", "| top-1 accuracy on ImageNet | 99.80 % | measured |\n| batch-size con")
            for head in Head
        ),
        *((head, ", all of which can", ", of which 999,999 can") for head in Head),
        ("classification", "| logits |", "| probabilities |"),
    ],
)
def test_a_word_that_differs_from_todays_card_is_refused(
    pages: dict[Head, str], report: Report, head: str, old: str, new: str
) -> None:
    page = pages[Head(head)]
    assert page.count(old) == 1
    line = page[: page.index(old)].count("\n")
    edited = page.replace(old, new)
    text = refused(edited, report, Head(head))
    got = edited.split("\n")[line]
    assert text.startswith(f"{line + 1}: expected {page.split(chr(10))[line]!r} by the report, got {got!r}; ")


def test_a_row_that_is_missing_is_refused(pages: dict[Head, str], report: Report) -> None:
    card = pages[Head.CLASSIFICATION]
    row = re.search(r"^\| top-5 accuracy .*\n", card, re.MULTILINE)
    assert row
    assert f"expected {row[0].rstrip()!r} by the report, got '| exp" in refused(card.replace(row[0], ""), report)
    last = re.search(r"^The most frequent mistake .*\n", card, re.MULTILINE)
    assert last
    text = refused(card.replace(last[0], ""), report)
    assert "expected '' by the report, got the end of the section; publish the card" in text


def test_a_line_that_was_added_is_refused(pages: dict[Head, str], report: Report) -> None:
    card, added = pages[Head.CLASSIFICATION], "It classifies 37.4 images a second."
    text = refused(card.replace("## Results\n", f"## Results\n\n{added}\n"), report)
    assert f"by the report, got {added!r}; publish" in text
    text = refused(card.replace("an addition are two.\n", f"an addition are two.\n{added}\n"), report)
    assert f"expected the end of the section by the report, got {added!r}; publish" in text


def test_a_card_of_an_accuracy_that_was_not_measured_is_refused(pages: dict[Head, str], report: Report) -> None:
    text = refused(pages[Head.CLASSIFICATION], not_measured(report))
    assert "expected '| accuracy | not measured | no images |' by the report, got '| top-1 accuracy | 91.90 %" in text


def test_a_card_of_another_release_is_one_problem(pages: dict[Head, str], report: Report) -> None:
    """Its figures may be right, but today's words are not there to show it."""
    card = pages[Head.CLASSIFICATION]
    first_words = (
        "This module takes", "Images of the", "Figures are measured", "From 81", "| input |", "Verified against",
        "The module runs in",
    )  # fmt: skip
    for old in first_words:
        assert card.count(old) == 1
        card = card.replace(old, old.lower().replace("|", "| the", 1))
    line = card[: card.index("this module takes")].count("\n") + 1
    assert refused(card, report).startswith(
        f"{line}: written by another release: run make publish again (cards may be corrected in place);"
        " expected 'This module takes images of 28x28 pixels and returns 10 logits.' by the report, got 'this module"
    )
    assert refused(card, report).count("\n") == 0


# Sections and digests ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("head", Head)
def test_a_rendered_card_has_each_section_and_no_other_digests(report: Report, head: Head) -> None:
    page = parse_page(demo_cards(report)[head])
    assert [*section_problems(page, report, head), *digest_problems(page, report)] == []


def test_a_section_that_is_missing_is_refused(pages: dict[Head, str], report: Report) -> None:
    card = pages[Head.FE]
    fence = card.replace("\n## Results\n", "\n```\n\n## Results\n")  # swallows the headings after it
    assert fence != card
    for text in (card.replace("\n## Results\n", "\n## Figures\n"), fence):
        assert "expected one section 'Results', got 0; correct the YAML" in texts(
            list(section_problems(parse_page(text), report, Head.FE))
        )


@pytest.mark.parametrize("heading", ["Example predictions", "Accuracy per class"])
def test_a_section_of_figures_that_the_report_lacks_is_refused(
    pages: dict[Head, str], report: Report, heading: str
) -> None:
    page, earlier = parse_page(pages[Head.CLASSIFICATION]), with_measured(report, examples=(), per_class=())
    line = next(piece.line for piece in page.headings() if piece.text == heading)
    text = texts(list(section_problems(page, earlier, Head.CLASSIFICATION)))
    assert f"{line}: expected no section {heading!r}, got 1; correct the YAML file" in text


def test_a_section_that_is_repeated_is_refused(pages: dict[Head, str], report: Report) -> None:
    card = pages[Head.FE].replace("### Preprocessing\n", "### Results\n\nTop-1 accuracy 99.9 %.\n\n### Preprocessing\n")
    line = card[: card.index("### Results")].count("\n") + 1
    assert texts(list(section_problems(parse_page(card), report, Head.FE))) == (
        f"{line}: expected one section 'Results', got 2; correct the YAML file whose text changes the sections, or"
        " publish the card again (make publish)"
    )


def test_a_digest_that_the_report_does_not_have_is_refused(pages: dict[Head, str], report: Report) -> None:
    card = pages[Head.FE].replace("`f8b3143a", "`f8b3143b")
    text = texts(list(digest_problems(parse_page(card), report)))
    assert re.fullmatch(
        r"\d+: the digest f8b3143b\w+ is not in the report; correct the YAML file with it, or publish .* publish\)",
        text,
    )


# Templates -----------------------------------------------------------------------------------------------------------
def test_no_figure_is_typed_into_a_template() -> None:
    """Every number comes from the report, but for the few that are no figures."""
    typed = {
        "overview.md.jinja": {"1"},  # [1]
        "results.md.jinja": {"95"},  # the confidence of the intervals
        "requirements.md.jinja": set(),
        "example_predictions.md.jinja": set(),
        "class_accuracy.md.jinja": set(),
        "verification.md.jinja": set(),
        "interface.md.jinja": {"8", "32", "3", "-1", "1"},  # uint8, int32, float32, channels, any n from 1, [-1, 1]
        "performance_row.md.jinja": set(),
    }
    assert typed.keys() == {part.template for part in PARTS} | {"performance_row.md.jinja"}
    for name, allowed in typed.items():
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", (TEMPLATES / name).read_text(), flags=re.DOTALL)
        assert set(NUMBER.findall(text)) == allowed, name


# The table of a collection -------------------------------------------------------------------------------------------
LINK = "../../vit_demo_classification/1.md"


def row_problems(row: str, report: Report) -> str:
    page: Page = parse_page(f"# Collection a/b/1\n\nA.\n\n## Performance\n\n{row}\n")
    return texts(list(performance_figures(page, 7, "Demo", LINK, report)))


def test_a_row_of_the_performance_table_has_the_reports_figures(report: Report) -> None:
    row = render("performance_row.md.jinja", title="Demo", link=LINK, report=report).rstrip("\n")
    assert row == f"| [Demo]({LINK}) | 28 | 307,082 | 0.0302 | 1.7 MB | 91.90 % on 1,000 images | 80.46 % | 64 |"
    assert row_problems(row, report) == ""
    for old, new in (
        ("on 1,000 images", "on 1,000 test images"),
        ("| 28 |", "| 224 |"),
        ("91.90 % on 1,000 images", "not measured"),
        ("| 64 |", "| 64 | 10 |"),
    ):
        text = row_problems(row.replace(old, new), report)
        assert text.startswith(f"7: expected {row!r} by the report, got ")
        assert text.endswith("; publish the page again (make publish-all)")
