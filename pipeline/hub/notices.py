"""The sections that a card in a hub gets when its version is withdrawn: "Yanked" and "Deprecated".

They stand before all other sections. Each is rendered from the withdrawal alone, so that it can be removed again, and a
check can tell whether a card has what its entry says.
"""

import posixpath
import re
from collections.abc import Iterator

from pipeline.base.fault import Fault
from pipeline.base.templates import render
from pipeline.cards.page import Page, Problem
from pipeline.hub.entries import ModuleEntry

YANKED, DEPRECATED = "Yanked", "Deprecated"
_FIRST_SECTION = re.compile("^## ", re.MULTILINE)


def sections_of(entry: ModuleEntry) -> dict[str, str]:
    """Returns the sections of a version that is withdrawn, by their headings; each ends with an empty line."""
    sections = {}
    if entry.yanked:
        sections[YANKED] = render("yanked.md.jinja", yanked=entry.yanked)
    if entry.deprecated:
        folder = posixpath.dirname(entry.handle)
        link = posixpath.relpath(f"{entry.deprecated.successor}.md", folder)
        sections[DEPRECATED] = render("deprecated.md.jinja", deprecated=entry.deprecated, link=link)
    return {heading: text.rstrip("\n") + "\n\n" for heading, text in sections.items()}


def add_notices(card: str, entry: ModuleEntry) -> str:
    """Returns a card that has none of these sections with those of its entry."""
    first = _FIRST_SECTION.search(card)
    at = first.start() if first else len(card)
    return card[:at] + "".join(sections_of(entry).values()) + card[at:]


def remove_notices(card: str, entry: ModuleEntry, where: str) -> str:
    """Returns a card without the sections of its entry.

    Args:
        card: its text.
        entry: as the index has it.
        where: the card's name in messages.

    Raises:
        Fault: when the card lacks a section, so that somebody has edited it.
    """
    for heading, text in sections_of(entry).items():
        if card.count(text) != 1:
            raise Fault(f"{where}: expected the section {heading!r} as make wrote it; publish the card again first")
        card = card.replace(text, "")
    return card


def notice_problems(page: Page, entry: ModuleEntry) -> Iterator[Problem]:
    """Yields the sections on withdrawal that a card in a hub lacks, or has without reason."""
    expected = sections_of(entry)
    for heading in (YANKED, DEPRECATED):
        lines = [piece.line for piece in page.headings() if piece.text == heading]
        if heading in expected and (len(lines) != 1 or expected[heading] not in page.text):
            yield Problem(3, f"{entry.handle} is {heading.lower()}, and its card has not the section that says so; "
                          "publish it again")  # fmt: skip
        if heading not in expected and lines:
            text = f"a section {heading!r}, but index.json does not call {entry.handle} {heading.lower()}"
            yield Problem(lines[0], f"{text}; publish it again")
