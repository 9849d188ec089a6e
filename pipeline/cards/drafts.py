"""What cards say of a draft: the section "Draft", before all others."""

from collections.abc import Iterator, Sequence

from pipeline.base.templates import render
from pipeline.cards.page import Page, Problem
from pipeline.facts.status import Missing

HEADING = "Draft"


def draft_problems(page: Page, missing: Sequence[Missing]) -> Iterator[Problem]:
    """Yields that a draft's card does not say what is missing, or that the card of a released version calls it a draft.

    Args:
        page: the card.
        missing: what makes the version a draft; nothing for one that is released.
    """
    lines = [piece.line for piece in page.headings() if piece.text == HEADING]
    if not missing and lines:
        yield Problem(lines[0], "the card calls a released version a draft; publish it again")
    if missing and (len(lines) != 1 or _section(missing) not in page.text):
        reasons = " and ".join(item.reason for item in missing)
        yield Problem(3, f"the version is a draft ({reasons}), and the card does not say so; publish it again")


def _section(missing: Sequence[Missing]) -> str:
    return f"## {HEADING}\n\n" + render("draft.md.jinja", missing=missing).strip()
