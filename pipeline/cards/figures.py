"""Compares a card with the report: renders again the sections that the report alone determines, line by line.

Today's templates decide: a card that another release wrote differs from them, whether its figures are right or not. It
is one problem then, which says so.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.base.heads import Head
from pipeline.base.templates import render
from pipeline.cards.page import Page, Problem
from pipeline.facts.report import Report, report_text

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_CARD_AGAIN, _PAGE_AGAIN = "publish the card again (make publish)", "publish the page again (make publish-all)"
_OTHER_RELEASE = "written by another release: run make publish again (cards may be corrected in place)"


@dataclass(frozen=True)
class Part:
    """A section of a card, up to the next heading, that a template renders from the report and the head alone.

    Attributes:
        heading: its text.
        template: its template, which also reads `files`, what links to the version's files begin with.
        is_shown: whether a card has it.
    """

    heading: str
    template: str
    is_shown: Callable[[Report, Head], bool] = lambda report, head: True


PARTS = (
    Part("Overview", "overview.md.jinja"),
    Part("Example predictions", "example_predictions.md.jinja", lambda report, head: bool(report.examples(head))),
    Part("Results", "results.md.jinja"),
    Part("Accuracy per class", "class_accuracy.md.jinja", lambda report, head: bool(report.class_accuracies(head))),
    Part("Inputs and outputs", "interface.md.jinja"),
    Part("Verification", "verification.md.jinja"),
    Part("Compatibility", "requirements.md.jinja"),
)


def section_problems(page: Page, report: Report, head: Head) -> Iterator[Problem]:
    """Yields the sections in PARTS that are on a card more often or less than expected, as where a note adds one."""
    headings = page.headings()
    for part in PARTS:
        lines = [piece.line for piece in headings if piece.text == part.heading]
        is_shown = part.is_shown(report, head)
        if len(lines) != is_shown:
            line = lines[-1] if lines else len(page.lines)
            text = f"expected {'one' if is_shown else 'no'} section {part.heading!r}, got {len(lines)}"
            yield Problem(line, f"{text}; correct the YAML file whose text changes the sections, or {_CARD_AGAIN}")


def digest_problems(page: Page, report: Report) -> Iterator[Problem]:
    """Yields the digests on a card that the report does not have: a correct copy would fail verification."""
    digests = set(_DIGEST.findall(report_text(report)))
    for number, line in enumerate(page.lines, start=1):
        for digest in _DIGEST.findall(line):
            if digest not in digests:
                text = f"the digest {digest} is not in the report"
                yield Problem(number, f"{text}; correct the YAML file with it, or {_CARD_AGAIN}")


def card_figures(page: Page, report: Report, head: Head) -> list[Problem]:
    """Returns the first line of each section in PARTS that differs from today's rendering of the report.

    A section that is missing is left to section_problems(). Where every section differs, the first line stands for all.
    """
    shown = [part for part in PARTS if part.is_shown(report, head)]
    differences = [difference for part in shown for difference in _section_difference(page, part, report, head)]
    if len(differences) == len(shown):
        return [Problem(differences[0].line, f"{_OTHER_RELEASE}; {differences[0].text}")]
    return [Problem(difference.line, f"{difference.text}; {_CARD_AGAIN}") for difference in differences]


def _section_difference(page: Page, part: Part, report: Report, head: Head) -> Iterator[Problem]:
    if section := page.section(part.heading):
        actual = page.lines[section.start - 1 : section.stop - 1]
        files = page.handle.rpartition("/")[2]
        expected = render(part.template, report=report, head=head, files=files).strip("\n").split("\n")
        yield from differences(section.start, actual, expected)


def performance_figures(page: Page, line: int, title: str, link: str, report: Report) -> Iterator[Problem]:
    """Yields the difference of a row of a collection's table from the one that the report gives.

    Args:
        page: the collection's page.
        line: of the row, counted from 1.
        title: of the member.
        link: the target of the row's link.
        report: of the member.
    """
    row = render("performance_row.md.jinja", title=title, link=link, report=report).rstrip("\n")
    for difference in differences(line, [page.lines[line - 1]], [row]):
        yield Problem(line, f"{difference.text}; {_PAGE_AGAIN}")


def differences(
    start: int, actual: Sequence[str], expected: Sequence[str], source: str = "the report"
) -> Iterator[Problem]:
    """Yields the first line that differs.

    Args:
        start: the number of the first line on the page, counted from 1.
        actual: the lines of the page.
        expected: those that it should have.
        source: where these come from, in words.
    """
    for number, (got, wanted) in enumerate(itertools.zip_longest(actual, expected)):
        if got != wanted:
            text = f"expected {_in_words(wanted)} by {source}, got {_in_words(got)}"
            yield Problem(start + min(number, len(actual) - 1), text)
            return


def _in_words(line: str | None) -> str:
    return "the end of the section" if line is None else repr(line)
