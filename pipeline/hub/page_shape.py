"""Shapes the tokens of a Markdown page for the website: tabs, folded sections, galleries, and tables for phones.

The Markdown stays as it is on other hosts, where the same page is read without any of this. Headings say what becomes
of their sections, so that nothing but the text decides.
"""

import re
from collections.abc import Callable, Sequence

from markdown_it.token import Token

TABS = "Usage"  # whose subsections are tabs where there is a script, and stand one after another without
# Sections whose first paragraph says what they come to: the rest is folded below it.
FOLDED = frozenset({"Verification", "Accuracy per class", "Tested versions"})
SORTED = "Accuracy per class"  # whose table is sorted by a click
RAW = "raw"  # a token whose content is HTML of this module
_WIDE = 40  # characters of a cell from which on a table is a list of cards on a phone
_NUMBER = re.compile(r"([\d,]+(?:\.\d+)?)(?: %)?")


def shape(tokens: Sequence[Token]) -> list[Token]:
    """Returns the tokens of a body with what marks tabs, folded sections, galleries and tables."""
    shaped = list(tokens)
    _mark_galleries(shaped)
    mark_tables(shaped)
    return _add_tabs(_fold(shaped))


def text_of(token: Token) -> str:
    """Returns the text of an inline token, without markup."""
    return "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))


def _raw(html: str) -> Token:
    return Token(RAW, "", 0, content=html)


def _is_heading(token: Token, level: int) -> bool:
    """Whether a token opens a heading of this level or a higher one."""
    return token.type == "heading_open" and not token.level and int(token.tag[1]) <= level


def _end_of(tokens: Sequence[Token], start: int, level: int) -> int:
    """Returns the index of the next heading of this level or a higher one, from `start` on; else the end."""
    return next((at for at in range(start, len(tokens)) if _is_heading(tokens[at], level)), len(tokens))


def _replace_sections(
    tokens: Sequence[Token], is_wanted: Callable[[str], bool], change: Callable[[list[Token]], list[Token]]
) -> list[Token]:
    """Returns the tokens with some sections changed.

    Args:
        tokens: of the body.
        is_wanted: tells by the text of a heading.
        change: is given the tokens of a section, from its heading to the next one of its level.
    """
    shaped: list[Token] = []
    at = 0
    while at < len(tokens):
        # One within a list or a quotation ends with that, not with the next heading.
        if tokens[at].type == "heading_open" and not tokens[at].level and is_wanted(text_of(tokens[at + 1])):
            end = _end_of(tokens, at + 3, int(tokens[at].tag[1]))
            shaped += change(list(tokens[at:end]))
            at = end
        else:
            shaped.append(tokens[at])
            at += 1
    return shaped


def _fold(tokens: Sequence[Token]) -> list[Token]:
    return _replace_sections(tokens, lambda text: text in FOLDED, _fold_section)


def _fold_section(section: list[Token]) -> list[Token]:
    """Returns a section whose first paragraph is the summary of all that follows it; without one, as it is."""
    heading, paragraph, rest = section[:3], section[3:6], section[6:]
    if not rest or paragraph[0].type != "paragraph_open":
        return section
    return [*heading, _raw("<details><summary>"), paragraph[1], _raw("</summary>\n"), *rest, _raw("</details>\n")]


def _add_tabs(tokens: Sequence[Token]) -> list[Token]:
    return _replace_sections(tokens, lambda text: text == TABS, _tab_section)


def _tab_section(section: list[Token]) -> list[Token]:
    """Returns a section with a block around its subsections and around each of them; with less than two, as it is."""
    if section[0].tag != "h2":
        return section
    starts = [at for at in range(3, len(section)) if _is_heading(section[at], 3)]
    if len(starts) < 2:
        return section
    shaped = [*section[: starts[0]], _raw('<div class="tabs">\n')]
    for start, end in zip(starts, [*starts[1:], len(section)], strict=True):
        name = section[start].attrs["id"]
        shaped += [_raw(f'<section class="tab" aria-labelledby="{name}">\n'), *section[start:end], _raw("</section>\n")]
    return [*shaped, _raw("</div>\n")]


def _mark_galleries(tokens: Sequence[Token]) -> None:
    """Marks the lists of which each item begins with a picture, and these pictures."""
    for at, token in enumerate(tokens):
        if token.type != "bullet_list_open":
            continue
        end = next(i for i in range(at, len(tokens)) if tokens[i].type == "bullet_list_close")
        items = [i for i in range(at, end) if tokens[i].type == "list_item_open"]
        inlines = [tokens[i + 2] for i in items]
        if all(inline.children and inline.children[0].type == "image" for inline in inlines):
            token.attrJoin("class", "gallery")
            for inline in inlines:
                if inline.children:
                    inline.children[0].meta["gallery"] = True


def mark_tables(tokens: Sequence[Token]) -> None:
    """Gives cells the names of their columns, for phones, and numbers their values, for sorting."""
    heading = ""
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = text_of(tokens[at + 1])
        elif token.type == "table_open":
            end = next(i for i in range(at, len(tokens)) if tokens[i].type == "table_close")
            _mark_table(tokens[at:end], is_sorted=heading == SORTED)


def _mark_table(tokens: Sequence[Token], is_sorted: bool) -> None:
    rows: list[list[tuple[Token, str]]] = []
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append((token, text_of(tokens[at + 1])))
    columns, is_wide = [text for _, text in rows[0]], any(len(text) > _WIDE for row in rows for _, text in row)
    tokens[0].meta["class"] = " ".join(["stacked"] * is_wide + ["sortable"] * is_sorted)
    for row in rows[1:]:
        for (cell, text), column in zip(row, columns, strict=False):
            if is_wide and column:
                cell.attrSet("data-label", column)
            if is_sorted and (match := _NUMBER.fullmatch(text)):
                cell.attrSet("data-value", match[1].replace(",", ""))
