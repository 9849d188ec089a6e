"""Judges a Markdown text of a YAML file by itself: whether what follows it on a page stays what it is."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from markdown_it import MarkdownIt

from pipeline.cards.page import Problem, parse_page

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_NEXT = "The heading that follows"


def relative_links(text: str) -> Iterator[Problem]:
    """Yields the links and pictures of a text that lead to a place beside its page; a card has a page on each host."""
    for link in parse_page(text).links():
        if not urlsplit(link.text).scheme and not link.text.startswith(("/", "#")):
            expected = "expected an http or https address, since the card lies elsewhere on each host"
            yield Problem(link.line, f"the link {link.text!r} leads to a place beside the page; {expected}")


def form_problems(text: str) -> Iterator[Problem]:
    """Yields how a text changes what follows it, or links elsewhere, on a page; lines are counted in the text."""
    tokens = _MARKDOWN.parse(f"{text.rstrip()}\n\n## {_NEXT}\n")
    if not any(token.type == "inline" and token.content == _NEXT for token in tokens[-3:]):
        last = next(token for token in reversed(tokens) if token.map)
        begins = last.map[0] + 1 if last.map else 1
        kind = f"the code block that begins with {last.markup!r}" if last.type == "fence" else "the HTML that begins"
        close = f"add a line {last.markup!r} at its end" if last.type == "fence" else "close it, or remove it"
        yield Problem(begins, f"{kind} on line {begins} of the text is not closed and would swallow the page; {close}")
        return
    environment: dict[str, dict[str, dict[str, object]]] = {}
    _MARKDOWN.parse(text, environment)
    for name in environment.get("references", {}):
        shown = f"[{name.lower()}]:"
        line = next((n for n, row in enumerate(text.split("\n"), 1) if row.strip().lower().startswith(shown)), 1)
        yield Problem(line, f"{shown!r} defines a link for the whole page; write [words](address) where it is used")
