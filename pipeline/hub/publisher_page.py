"""The page of a publisher, which lists what the hub has of it."""

import functools
from collections.abc import Iterable, Sequence

from pipeline.base.fault import Fault
from pipeline.base.plain_text import escape_markdown
from pipeline.base.templates import render
from pipeline.cards.page import LARGEST_PAGE
from pipeline.facts.collection import Publisher
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.listed import ListedModule

LARGEST = 16 << 20  # bytes; a line of its list takes 100
_MODULES = "### Modules\n"  # the heading of the last section


def render_publisher(
    publisher: Publisher, modules: Iterable[ModuleEntry | ListedModule], collections: Iterable[CollectionEntry]
) -> str:
    """Returns the page; of the modules and collections only the publisher's are listed."""
    return render(
        "publisher.md.jinja",
        publisher=publisher,
        list=_list_modules(entry for entry in modules if entry.publisher == publisher.id),
        collections=[entry for entry in collections if entry.publisher == publisher.id],
    )


def _list_modules(modules: Iterable[ModuleEntry | ListedModule]) -> str:
    """Returns the last section; a template would take ten times as long for 10,000 modules."""
    return "\n".join([_MODULES, *map(_line, modules)]) + "\n"


def _line(entry: ModuleEntry | ListedModule) -> str:
    words = ["weights not verified"] if entry.is_unverified else []
    marks = "".join(f", {word}" for word in (*words, *entry.marks))
    page = entry.handle.split("/", 1)[1]
    return f"* [{entry.handle}]({page}.md), {_escape(entry.title)}, {entry.task}{marks}"


_escape = functools.lru_cache(4096)(escape_markdown)


def without_modules(page: str, where: str) -> str:
    """Returns a publisher's page without its list of modules, which may be of any length.

    Raises:
        Fault: when what is left is larger than a page may be; `where` is the page's name in messages.
    """
    text = page.rpartition(f"\n{_MODULES}")[0] or page
    if len(text.encode(errors="surrogateescape")) > LARGEST_PAGE:
        raise Fault(f"{where}: it has more than {LARGEST_PAGE:,} bytes before its list of modules; publish it again")
    return text


def split_page(page: str, where: str) -> list[tuple[str, int]]:
    """Returns a publisher's page in pieces that are no larger than a page may be, to be checked one by one.

    Each piece has what comes before the list of modules, and a part of that list.

    Args:
        page: what render_publisher() returned.
        where: the page's name in messages.

    Returns:
        The text of each piece, and how many lines of the page it lacks before the first line of its part of the list.

    Raises:
        Fault: as without_modules() does.
    """
    before, lines = without_modules(page, where), page.splitlines(keepends=True)
    start = min(len(before.splitlines()) + 2, len(lines))  # after the heading
    head = "".join(lines[:start])
    pieces, size, first = [], 0, start
    for place, line in enumerate(lines[start:], start):
        size += len(line.encode(errors="surrogateescape"))
        if size > LARGEST_PAGE // 2 and place > first:
            pieces.append((head + "".join(lines[first:place]), first - start))
            size, first = 0, place
    return [*pieces, (head + "".join(lines[first:]), first - start)]


def relist(page: str, modules: Sequence[ModuleEntry], where: str) -> str:
    """Returns a publisher's page with its list of modules written again; the rest of it stays.

    Args:
        page: what render_publisher() returned.
        modules: the publisher's.
        where: the page's name in messages.

    Raises:
        Fault: when it has no such list.
    """
    before, heading, _ = page.rpartition(_MODULES)
    if not heading:
        raise Fault(f"{where}: there is no section '### Modules'; publish a member again, which writes the page")
    return before + _list_modules(modules)
