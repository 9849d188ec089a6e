"""The hub's website: static HTML made from index.json, the Markdown pages and the plots, with the documentation."""

import functools
import hashlib
import itertools
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import markupsafe

from pipeline.base.files import write_memory, write_text
from pipeline.base.json_files import recall_json
from pipeline.base.shard_names import EXPORTED
from pipeline.base.stage_code import ROOT
from pipeline.base.templates import TEMPLATES, make_environment
from pipeline.base.text import read_generated
from pipeline.cards import drafts
from pipeline.cards.page import LARGEST_PAGE
from pipeline.hub import guides, markdown
from pipeline.hub.aliases import LATEST
from pipeline.hub.catalogue import catalogue_text
from pipeline.hub.changes import list_history
from pipeline.hub.collection_figures import MOST_COMPARED, PROSE, select_models
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.feed import summary_of, title_of
from pipeline.hub.file_lists import at_least, group_files, least_cosine, list_formats
from pipeline.hub.folder import read_root
from pipeline.hub.index import Index
from pipeline.hub.list_pages import COMPARISON, NOT_FOUND, START, Lists
from pipeline.hub.models import kind_of, spoken
from pipeline.hub.notices import DEPRECATED, YANKED
from pipeline.hub.page_shape import TABS
from pipeline.hub.publisher_page import without_modules
from pipeline.hub.shared_files import remove_unshared, shared_paths, write_shared
from pipeline.hub.site_page import Page
from pipeline.hub.social import describe
from pipeline.hub.start_page_plot import list_plots
from pipeline.hub.trial import find_trial

SOURCES = TEMPLATES / "site"
MANIFEST = "site/pages.json"
# The code that turns facts into pages; after a change of it all of them are rendered again.
_RENDERERS = (
    "hub/website", "hub/changes", "hub/markdown", "hub/page_shape", "hub/entries", "hub/index", "hub/aliases",
    "hub/values", "hub/withdrawal", "hub/notices", "hub/start_page_plot", "hub/trial", "hub/litert_js",
    "hub/published_formats", "hub/file_lists", "hub/catalogue", "hub/collection_figures", "hub/feed", "hub/list_pages",
    "hub/guides", "hub/models", "hub/publisher_page", "hub/search_words", "hub/site_page", "hub/social", "base/axes",
    "base/heads", "base/shard_names", "base/stored_names", "base/templates", "base/verification", "cards/drafts",
    "cards/page", "facts/accuracy", "facts/formats", "facts/status",
)  # fmt: skip
# Sections of a card that are banners at the head of its HTML page.
_BANNERS = frozenset({drafts.HEADING, YANKED, DEPRECATED})
_PAGE = re.compile(
    r"([A-Za-z0-9][\w.-]{0,254}/){0,3}[A-Za-z0-9][\w.-]{0,254}\.html|site/models\.js|feed\.xml|sitemap\.xml", re.ASCII
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that no XML may have
_ANCHOR = re.compile(r'<a href="(?P<target>[^"#?:]+)"[^>]*>.*?</a>', re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s#]+\.md)[#)]")


@dataclass(frozen=True)
class _Hub:
    """What pages are made of.

    Attributes:
        folder: of the hub.
        index: its index.
        publishers: the text of each publisher's page, by id.
        names: the name for people of each publisher, by id.
        pages: the paths of all Markdown pages, which have an HTML page of the same name.
        url: the public address of the hub; None where nobody knows it.
    """

    folder: Path
    index: Index
    publishers: dict[str, str]
    names: dict[str, str]
    pages: frozenset[str]
    url: str | None

    @functools.cached_property
    def lists(self) -> Lists:
        return Lists(self.index, self.names, self.url)


def _read_text(path: Path) -> str:
    """Returns a Markdown page's text as read_generated() does; "" when it is missing, which its HTML page then says."""
    return read_generated(path, "publish it again", LARGEST_PAGE) if path.is_file() else ""


def _read_publisher(path: Path) -> str:
    """Returns a publisher's page without its list of modules, which the HTML page has from the index."""
    return without_modules(read_generated(path, "publish it again"), str(path)) if path.is_file() else ""


def _read_hub(folder: Path, index: Index, url: str | None) -> _Hub:
    texts = {publisher: _read_publisher(folder / publisher / f"{publisher}.md") for publisher in index.publishers}
    names = {publisher: markdown.publisher_name(text) or publisher for publisher, text in texts.items()}
    publishers = (f"{publisher}/{publisher}" for publisher in texts)
    pages = frozenset(f"{name}.md" for name in (*index.modules, *index.collections, *publishers))
    return _Hub(folder, index, texts, names, pages, url)


def _linked(text: str, path: str, pages: frozenset[str]) -> list[str]:
    """Returns the pages of the hub that a Markdown page links to; whether they exist decides where its links lead."""
    folder = posixpath.dirname(path)
    return sorted(pages & {posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(text)})


def _version(entry: ModuleEntry, aliases: Mapping[str, int]) -> tuple[int, tuple[str, ...]]:
    """Returns a version, and the words that the list of versions has beside it: its aliases and its marks."""
    return entry.version, (*(alias for alias, version in aliases.items() if version == entry.version), *entry.marks)


def _module_page(hub: _Hub, entry: ModuleEntry) -> Page:
    path = f"{entry.handle}.md"
    text = _read_text(hub.folder / path)
    module = f"{entry.publisher}/{entry.name}"
    aliases = hub.index.aliases.get(module, {})
    versions = [_version(other, aliases) for other in hub.index.versions[module]]
    latest = aliases.get(LATEST)
    has_successor = entry.deprecated is not None and entry.deprecated.successor in hub.index.modules
    is_withdrawn = entry.yanked is not None or entry.deprecated is not None
    newer = latest if latest and latest > entry.version and not is_withdrawn else None
    # What a yanked version's banner leads to, an older one, too; a deprecated one's names its successor.
    other = f"{module}/{latest}" if latest and entry.yanked and not entry.deprecated else None
    name = hub.names[entry.publisher]
    history = list_history(hub.index, entry)
    in_collection = f"{entry.publisher}/collections/{entry.collection}/1" in hub.index.collections
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
    return Page(f"{entry.handle}.html", "module.html.jinja", inputs, facts)


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


def _collection_page(hub: _Hub, entry: CollectionEntry) -> Page:
    path = f"{entry.address}.md"
    text = _read_text(hub.folder / path)
    publisher_name, links = hub.names[entry.publisher], _linked(text, path, hub.pages)
    handles = [link.removesuffix(".md") for link in links]
    listed = (hub.index.modules.get(handle) for handle in handles)
    marks = {module.handle: module.marks for module in listed if module and module.marks}
    models = select_models(hub.lists.models, handles)
    shown = {module.handle for model in models for module in model.entries}
    names_older = any(handle in hub.index.modules and handle not in shown for handle in handles)

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

    inputs = repr((text, publisher_name, links, marks, names_older, catalogue_text(models, {})))
    return Page(f"{entry.address}.html", "collection.html.jinja", inputs, facts)


def _publisher_pages(hub: _Hub, publisher: str) -> Iterator[Page]:
    """Yields the further pages of a publisher's list of models, then the publisher's page."""
    path, text, name = f"{publisher}/{publisher}.md", hub.publishers[publisher], hub.names[publisher]
    listed, further = hub.lists.publisher_pages(publisher)
    collections = [entry for entry in hub.index.collections.values() if entry.publisher == publisher]
    yield from further

    def facts() -> dict[str, Any]:
        # The lists of the Markdown page become a table; its name is the heading of this page.
        card = markdown.render_page(text, path, hub.pages, without={"Collections", "Modules"})
        return {"publisher_name": name, "card": card, "list": listed, "collections": collections}

    addresses = [entry.address for entry in collections]
    inputs = repr((text, listed.inputs, name, addresses, _linked(text, path, hub.pages)))
    yield Page(f"{publisher}/{publisher}.html", "publisher.html.jinja", inputs, facts)


def _pages(hub: _Hub) -> Iterator[Page]:
    """Yields every page of the website: each after those that it lists, the start page last.

    All link to the documentation, which comes first.
    """
    yield from guides.find_guides().list_pages()
    for module in hub.index.modules.values():
        yield _module_page(hub, module)
    for collection in hub.index.collections.values():
        yield _collection_page(hub, collection)
    for publisher in hub.publishers:
        yield from _publisher_pages(hub, publisher)
    yield from hub.lists.start_pages()


@functools.cache
def _environment() -> jinja2.Environment:
    """Returns the environment of all pages, made once: to compile the templates takes longer than to render a page."""
    environment = make_environment(SOURCES, autoescape=True)
    environment.filters |= {
        "millions": lambda value: f"{value / 1e6:,.1f} M",
        "kind": kind_of,
        "spoken": spoken,
        "speed": lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2g}",
        "basename": posixpath.basename,
        "feed_title": title_of,
        "feed_summary": summary_of,
        "xml_text": lambda text: _NO_XML.sub("\ufffd", text),
        "at_least": at_least,
        "least_cosine": least_cosine,
        "breakable": lambda text: markupsafe.Markup(re.sub(r"([/_])", r"\1<wbr>", str(markupsafe.escape(text)))),
    }
    return environment


@dataclass(frozen=True)
class _Surroundings:
    """What all pages depend on: whether the hub has index.json, and its public address."""

    is_exported: bool
    url: str | None


def _render(environment: jinja2.Environment, page: Page, around: _Surroundings) -> str:
    """Renders a page; its links are relative to where it lies, but those of 404.html, which is shown anywhere."""
    here, facts = posixpath.dirname(page.path) or ".", page.facts()

    def link(target: str) -> str:
        if page.path == NOT_FOUND:
            return str(facts["root"]) + quote(target)
        return quote(posixpath.relpath(target, here))

    preview = describe(page.path, facts, around.url)
    template = environment.get_template(page.template)
    return template.render(link=link, is_exported=around.is_exported, preview=preview, **facts)


def renderer_digest() -> str:
    """Returns the digest of the templates and the code that turn facts into pages."""
    digest = hashlib.sha256()
    paths = [*sorted(SOURCES.glob("*.jinja")), *(ROOT / f"pipeline/{name}.py" for name in _RENDERERS)]
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_manifest(hub: Path) -> dict[str, str]:
    """Returns the digest of each page's inputs when it was written; {} when that is unknown: all are written then."""
    manifest = recall_json(hub / MANIFEST, dict[str, str]) or {}
    return {path: digest for path, digest in manifest.items() if _PAGE.fullmatch(path)}


def _write_manifest(hub: Path, digests: dict[str, str]) -> None:
    write_memory(hub / MANIFEST, json.dumps(digests, indent=0, sort_keys=True) + "\n")


def _write_pages(hub: Path, pages: Sequence[Page], around: _Surroundings) -> None:
    """Renders and writes pages; the next ones are rendered while the disk syncs the earlier ones.

    Those of one template may be written in any order; a page that lists others comes after them.
    """
    environment = _environment()
    with ThreadPoolExecutor() as pool:
        for _, group in itertools.groupby(pages, lambda page: page.template):
            texts = ((page.path, _render(environment, page, around)) for page in group)
            writing = [pool.submit(write_text, hub / path, text) for path, text in texts]
            for written in writing:
                written.result()


def _links_formats(entry: ModuleEntry, card: str) -> bool:
    """Whether a card links to the files of all formats of its version."""
    above = posixpath.dirname(entry.handle)
    return all(f"]({posixpath.relpath(each.files[0], above)})" in card for each in entry.formats)


def _remove_stale(hub: Path, paths: Iterable[str]) -> None:
    """Removes pages of what the index no longer lists; links in the manifest's paths may lead nowhere else."""
    root = hub.resolve()
    for path in paths:
        page = (hub / path).resolve()
        if page.suffix in (".html", ".js", ".xml") and page.is_relative_to(root):
            page.unlink(missing_ok=True)


def _look_around(hub: Path, index: Index, url: str | None) -> _Surroundings:
    root = read_root(hub) if url is None else None
    return _Surroundings(len(index.entries) <= EXPORTED, root.url if root else url)


def _digest(page: Page, renderer: str, around: _Surroundings) -> str:
    return hashlib.sha256(f"{renderer}\n{around}\n{page.inputs}".encode()).hexdigest()


def written_guides(hub: Path) -> list[str]:
    """Returns the paths of the pages of the documentation that build() has written, of whatever version."""
    return sorted(path for path in _read_manifest(hub) if path.startswith(f"{guides.FOLDER}/"))


def render_guides(hub: Path, index: Index) -> dict[str, str]:
    """Returns the text of the pages of the documentation that this version of the project has written, by path."""
    around, renderer, written = _look_around(hub, index, None), renderer_digest(), _read_manifest(hub)
    pages = guides.find_guides().list_pages()
    current = (page for page in pages if written.get(page.path) == _digest(page, renderer, around))
    return {page.path: _render(_environment(), page, around) for page in current}


def build_lists(hub: Path, index: Index) -> None:
    """Writes the start page and what it needs, and no page of a module: for measurements of a start page."""
    write_shared(hub, shared_paths(index))
    _write_pages(hub, list(_read_hub(hub, index, None).lists.start_pages()), _Surroundings(False, None))


def list_paths(hub: Path, index: Index) -> list[str]:
    """Returns the paths of the pages that build() has written, in the order of _pages(): the start page last."""
    documentation = guides.find_guides().paths
    named = (*index.modules, *index.collections, *(f"{publisher}/{publisher}" for publisher in index.publishers))
    first = [f"{name}.html" for name in named]
    others = _read_manifest(hub).keys() - {*documentation, *first, START}
    return [*documentation, *first, *sorted(others), START]


def build(hub: Path, index: Index, url: str | None = None) -> int:
    """Brings the website up to date with the hub; the caller holds the hub's lock.

    Args:
        hub: its folder.
        index: what it holds.
        url: the hub's public address; None for that of its index/root.json.

    Returns:
        How many pages were written.

    Raises:
        Fault: when a Markdown page is not UTF-8.
    """
    around = _look_around(hub, index, url)
    before, renderer = _read_manifest(hub), renderer_digest()
    now: dict[str, str] = {}
    changed = []
    for page in _pages(_read_hub(hub, index, around.url)):
        now[page.path] = _digest(page, renderer, around)
        if before.get(page.path) != now[page.path] or not (hub / page.path).is_file():
            changed.append(page)
    if changed:  # an interrupted run leaves them out of the manifest, so that the next run writes them
        _write_manifest(hub, {path: digest for path, digest in before.items() if digest == now.get(path, digest)})
    shared = shared_paths(index)
    write_shared(hub, shared)
    _write_pages(hub, changed, around)
    remove_unshared(hub, shared)
    _remove_stale(hub, before.keys() - now.keys())
    if changed or now != before:
        _write_manifest(hub, now)
    return len(changed)
