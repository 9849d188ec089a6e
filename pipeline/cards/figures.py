"""Compares the figures on a page with the report, by rendering again the parts that the report alone determines.

A part that is equal to today's rendering is right. A page of an earlier release may be worded otherwise: there the
numbers decide. Those that today's rendering has must stand on the page in the same order, and in a section of figures
alone, every further number must be one of the report's. A wording that somebody edited looks like one of an earlier
release; the digest of the page in index.json shows that edit.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.base.heads import Head
from pipeline.base.templates import render
from pipeline.cards.page import Page, Problem
from pipeline.facts.report import Report, report_text

_NUMBER = re.compile(
    r"(?<!\d)(?<![a-z]-)"  # the 5 of "top-5" is part of a name
    r"(?:(?<![^\s(\[])-)?"
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[+-]?\d+)?)",
    re.IGNORECASE,
)
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_CARD_AGAIN, _PAGE_AGAIN = "write the card again (make card)", "write the page again (make publish-all)"


@dataclass(frozen=True)
class Part:
    """A section of a card, up to the next heading, that a template renders from the report and the head alone.

    `is_closed` says whether the section has no other figures than the report's, in any release's wording.
    """

    heading: str
    template: str
    is_closed: bool = False


PARTS = (
    Part("Overview", "overview.md.jinja"),
    Part("Results", "results.md.jinja", is_closed=True),
    Part("Compatibility", "requirements.md.jinja"),
    Part("Inputs and outputs", "interface.md.jinja"),
)


def card_figures(page: Page, report: Report, head: Head) -> Iterator[Problem]:
    """Yields where the figures and digests of a card are not those of its report, at most one problem per section."""
    values = list(_values(asdict(report)))
    for part in PARTS:
        expected = render(part.template, report=report, head=head).strip("\n").split("\n")
        section = page.section(part.heading)
        if not section:
            text = f"there is no section {part.heading!r}, which begins with {expected[2]!r}"
            yield Problem(len(page.lines), f"{text}; {_CARD_AGAIN}")
            continue
        actual = [page.lines[line - 1] for line in section]
        yield from _differences(section.start, actual, expected, values if part.is_closed else None)
    yield from _digests(page, report)


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
    yield from _differences(line, [page.lines[line - 1]], [row], (), _PAGE_AGAIN)


def numbers(text: str) -> list[str]:
    """Returns the numbers of a text as they are printed, also in words such as "28x28", but not in "top-5"."""
    return _NUMBER.findall(text)


def _differences(
    start: int,
    actual: Sequence[str],
    expected: Sequence[str],
    others: Sequence[float] | None,
    remedy: str = _CARD_AGAIN,
) -> Iterator[Problem]:
    """Yields the first line whose numbers differ, unless the texts are equal or only the words differ.

    Args:
        start: the line of the first line, counted from 1.
        actual, expected: the lines on the page and today's.
        others: the values that further numbers on the page may have; None for any.
        remedy: what to do.
    """
    if list(actual) == list(expected) or _has_figures(actual, expected, others):
        return
    for number, (got, wanted) in enumerate(itertools.zip_longest(actual, expected, fillvalue="")):
        if not _are_equal(numbers(got), numbers(wanted)):
            text = f"expected {wanted!r} by the report, got {got!r}" if wanted else f"the report has no {got!r}"
            yield Problem(start + min(number, len(actual) - 1), f"{text}; {remedy}")
            return


def _has_figures(actual: Sequence[str], expected: Sequence[str], others: Sequence[float] | None) -> bool:
    """Whether a text has the numbers of another in their order, and no further ones but `others`."""
    wanted = numbers("\n".join(expected))
    for number in numbers("\n".join(actual)):
        if wanted and _is_equal(number, wanted[0]):
            wanted.pop(0)
        elif others is not None and not _is_among(number, others):
            return False
    return not wanted


def _is_equal(number: str, other: str) -> bool:
    """Whether two printed numbers are the same: 2e-04 is 2.0e-04 and 0.0002, but TensorFlow 2.2 is not 2.20."""
    number, other = number.replace(",", ""), other.replace(",", "")
    return number == other or ("e" in number + other and float(number) == float(other))


def _are_equal(these: Sequence[str], those: Sequence[str]) -> bool:
    return len(these) == len(those) and all(map(_is_equal, these, those))


def _is_among(number: str, values: Sequence[float]) -> bool:
    """Whether a printed number is one of the values, rounded to its number of places."""
    digits = number.replace(",", "")
    mantissa, exponent, _ = digits.partition("e")
    places = len(mantissa.partition(".")[2])
    return any(digits == (f"{value:.{places}e}" if exponent else f"{value:.{places}f}") for value in values)


def _values(content: Any) -> Iterator[float]:
    """Yields every number of a report, at any depth, also as a percentage, and the length of each list."""
    if isinstance(content, Mapping):
        content = tuple(content.values())
    if isinstance(content, tuple):
        yield len(content)
        for entry in content:
            yield from _values(entry)
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        yield content
        yield 100 * content


def _digests(page: Page, report: Report) -> Iterator[Problem]:
    """Yields the digests on a page that the report does not have: whoever verifies a copy would refuse a right one."""
    digests = set(_DIGEST.findall(report_text(report)))
    for line, text in enumerate(page.lines, start=1):
        for digest in _DIGEST.findall(text):
            if digest not in digests:
                yield Problem(line, f"the digest {digest} is not in the report; {_CARD_AGAIN}")
