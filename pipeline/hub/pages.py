"""The pages of the website that are made of Markdown pages and the index: of modules, collections and publishers."""

import functools
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.text import read_generated
from pipeline.cards import drafts
from pipeline.cards.page import LARGEST_COLLECTION_PAGE, LARGEST_PAGE
from pipeline.hub import markdown, publisher_page
from pipeline.hub.aliases import LATEST
from pipeline.hub.changes import list_history
from pipeline.hub.collection_figures import MOST_COMPARED, PROSE, select_models
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.file_lists import group_files, list_formats
from pipeline.hub.list_pages import COMPARISON, Lists
from pipeline.hub.notices import DEPRECATED, YANKED
from pipeline.hub.overview import Overview
from pipeline.hub.page_shape import TABS
from pipeline.hub.site_memory import SeenPage, look_at
from pipeline.hub.site_page import Page
from pipeline.hub.start_page_plot import list_plots
from pipeline.hub.trial import find_trial

# Sections of a card that are banners at the head of its HTML page.
_BANNERS = frozenset({drafts.HEADING, YANKED, DEPRECATED})
_ANCHOR = re.compile(r'<a href="(?P<target>[^"#?:]+)"[^>]*>.*?</a>', re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s#]+\.md)[#)]")


@dataclass(frozen=True)
class Site:
    """What pages are made of.

    Attributes:
        folder: of the hub.
        overview: of what it lists.
        publishers: the text of each publisher's page, by id.
        names: the name for people of each publisher, by id.
        pages: the paths of all Markdown pages, which have an HTML page of the same name.
        url: the public address of the hub; None where nobody knows it.
    """

    folder: Path
    overview: Overview
    publishers: dict[str, str]
    names: dict[str, str]
    pages: frozenset[str]
    url: str | None

    @functools.cached_property
    def lists(self) -> Lists:
        return Lists(self.overview, self.names, self.url)


def _read_text(path: Path, largest: int = LARGEST_PAGE) -> str:
    """Returns a Markdown page's text as read_generated() does; "" when it is missing, which its HTML page then says."""
    return read_generated(path, "publish it again", largest) if path.is_file() else ""


def _read_publisher(path: Path) -> str:
    """Returns a publisher's page without its list of modules, which the HTML page has from the index."""
    if not path.is_file():
        return ""
    text = read_generated(path, "publish it again", publisher_page.LARGEST)
    return publisher_page.without_modules(text, str(path))


def read_site(folder: Path, overview: Overview, url: str | None) -> Site:
    texts = {publisher: _read_publisher(folder / publisher / f"{publisher}.md") for publisher in overview.publishers}
    names = {publisher: markdown.publisher_name(text) or publisher for publisher, text in texts.items()}
    publishers = (f"{publisher}/{publisher}" for publisher in texts)
    pages = frozenset(f"{name}.md" for name in (*overview.modules, *overview.collections, *publishers))
    return Site(folder, overview, texts, names, pages, url)


def _links(text: str, path: str) -> set[str]:
    """Returns the Markdown pages that a page links to; whether they are pages of the hub decides where links lead."""
    folder = posixpath.dirname(path)
    return {posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(text)}


def _linked(text: str, path: str, pages: frozenset[str]) -> list[str]:
    """Returns the pages of the hub that a Markdown page links to."""
    return sorted(pages & _links(text, path))


def _version(entry: ModuleEntry, aliases: Mapping[str, int]) -> tuple[int, tuple[str, ...]]:
    """Returns a version, and the words that the list of versions has beside it: its aliases and its marks."""
    return entry.version, (*(alias for alias, version in aliases.items() if version == entry.version), *entry.marks)


def module_page(hub: Site, handle: str) -> tuple[Page, SeenPage]:
    """Returns the page of a module's version, and what it was made of beside the index."""
    path, index = f"{handle}.md", hub.overview.part_of(handle)
    entry = index.modules[handle]
    successor = entry.deprecated.successor if entry.deprecated else None
    seen = look_at(f"{hub.folder}/{path}")  # before the text is read
    text = _read_text(hub.folder / path)
    module = f"{entry.publisher}/{entry.name}"
    aliases = index.aliases.get(module, {})
    versions = [_version(other, aliases) for other in index.versions[module]]
    latest = aliases.get(LATEST)
    has_successor = successor is not None and successor in hub.overview.modules
    is_withdrawn = entry.yanked is not None or entry.deprecated is not None
    newer = latest if latest and latest > entry.version and not is_withdrawn else None
    # What a yanked version's banner leads to, an older one, too; a deprecated one's names its successor.
    other = f"{module}/{latest}" if latest and entry.yanked and not entry.deprecated else None
    name = hub.names[entry.publisher]
    history = list_history(index, entry)
    in_collection = f"{entry.publisher}/collections/{entry.collection}/1" in hub.overview.collections
    trial = find_trial(entry)

    def facts() -> dict[str, Any]:
        card = markdown.render_page(text, path, hub.pages, _BANNERS, split=TABS)
        shown = {posixpath.normpath(posixpath.join(posixpath.dirname(path), image)) for image in card.images}
        return {
            "module": entry,
            "card": card,
            "versions": versions,
            "newer": newer,
            "other": other,
            "has_successor": has_successor,
            "history": history,
            "publisher_name": name,
            "in_collection": in_collection,
            "trial": trial,
            "formats": () if _links_formats(entry, text) else list_formats(entry),
            "compared_on": " and ".join(dict.fromkeys(each.of for each in entry.formats if each.of)),
            "file_groups": group_files(entry),
            "plots": [file for file in entry.files if file.page.endswith(".svg") and file.page not in shown],
        }

    links = _linked(text, path, hub.pages)
    inputs = repr((entry, text, versions, history, newer, other, has_successor, name, in_collection, links, trial))
    referred = _links(text, path) | ({f"{successor}.md"} if successor else set())
    return Page(f"{handle}.html", "module.html.jinja", inputs, facts), seen.referring(referred, hub.pages)


def make_module_page(hub: Site, handle: str) -> Page:
    return module_page(hub, handle)[0]


def _mark_links(body: str, folder: str, marks: Mapping[str, Sequence[str]]) -> str:
    """Returns a page's HTML with words after each link to one of some modules: draft, yanked, deprecated.

    Args:
        body: the HTML.
        folder: of the page in the hub, which its links are relative to.
        marks: the words by the modules' handles.
    """

    def mark(link: re.Match[str]) -> str:
        handle = posixpath.normpath(posixpath.join(folder, link["target"])).removesuffix(".html")
        words = (f' <span class="mark {word}">{word}</span>' for word in marks.get(handle, ()))
        return link[0] + "".join(words)

    return _ANCHOR.sub(mark, body)


def collection_page(hub: Site, entry: CollectionEntry) -> tuple[Page, SeenPage]:
    """Returns the page of a collection, and what it was made of beside the index."""
    path = f"{entry.address}.md"
    seen = look_at(f"{hub.folder}/{path}")  # before the text is read
    text = _read_text(hub.folder / path, LARGEST_COLLECTION_PAGE)
    publisher_name, links = hub.names[entry.publisher], _linked(text, path, hub.pages)
    handles = [link.removesuffix(".md") for link in links]
    listed = (hub.overview.modules.get(handle) for handle in handles)
    marks = {module.handle: module.marks for module in listed if module and module.marks}
    models = select_models(hub.lists.models, handles)
    shown = {module.handle for model in models for module in model.entries}
    names_older = any(handle in hub.overview.modules and handle not in shown for handle in handles)

    def facts() -> dict[str, Any]:
        folder, card = posixpath.dirname(path), markdown.render_page(text, path, hub.pages, split=PROSE)
        compared = [model.id for model in models] if 2 <= len(models) <= MOST_COMPARED else []
        return {
            "collection": entry,
            "publisher_name": publisher_name,
            "card": replace(
                card, lead=_mark_links(card.lead, folder, marks), body=_mark_links(card.body, folder, marks)
            ),
            "plots": list_plots(models),
            "names_older": names_older,
            "compared": compared,
            "comparison": COMPARISON,
        }

    inputs = repr((text, publisher_name, links, marks, names_older, [model.text for model in models]))
    return Page(f"{entry.address}.html", "collection.html.jinja", inputs, facts), seen


def _publisher_pages(hub: Site, publisher: str) -> Iterator[Page]:
    """Yields the further pages of a publisher's list of models, then the publisher's page."""
    path, text, name = f"{publisher}/{publisher}.md", hub.publishers[publisher], hub.names[publisher]
    listed, further = hub.lists.publisher_pages(publisher)
    collections = [entry for entry in hub.overview.collections.values() if entry.publisher == publisher]
    yield from further

    def facts() -> dict[str, Any]:
        # The lists of the Markdown page become a table; its name is the heading of this page.
        card = markdown.render_page(text, path, hub.pages, without={"Collections", "Modules"})
        return {"publisher_name": name, "card": card, "list": listed, "collections": collections}

    addresses = [entry.address for entry in collections]
    inputs = repr((text, listed.inputs, name, addresses, _linked(text, path, hub.pages)))
    yield Page(f"{publisher}/{publisher}.html", "publisher.html.jinja", inputs, facts)


def _links_formats(entry: ModuleEntry, card: str) -> bool:
    """Whether a card links to the files of all formats of its version."""
    above = posixpath.dirname(entry.handle)
    return all(f"]({posixpath.relpath(each.files[0], above)})" in card for each in entry.formats)


def list_pages(hub: Site) -> Iterator[Page]:
    """Yields the pages that list models: each after those that it lists, the start page last."""
    for publisher in hub.publishers:
        yield from _publisher_pages(hub, publisher)
    yield from hub.lists.start_pages()
