"""The hub's website: static HTML made from index.json, the Markdown pages and the plots."""

import functools
import hashlib
import itertools
import json
import posixpath
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import markupsafe

from pipeline.base.files import has_content, replacing, write_memory, write_text
from pipeline.base.heads import Head
from pipeline.base.json_files import recall_json
from pipeline.base.shard_names import EXPORTED
from pipeline.base.stage_code import ROOT
from pipeline.base.templates import TEMPLATES, make_environment
from pipeline.base.text import read_generated
from pipeline.cards import drafts
from pipeline.cards.page import LARGEST_PAGE
from pipeline.hub import litert_js, markdown
from pipeline.hub.aliases import LATEST
from pipeline.hub.changes import list_history
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.file_lists import at_least, group_files, least_cosine, list_formats
from pipeline.hub.index import Index
from pipeline.hub.notices import DEPRECATED, YANKED
from pipeline.hub.page_shape import TABS
from pipeline.hub.start_page_plot import plot
from pipeline.hub.trial import find_trial

SOURCES = TEMPLATES / "site"
_SHARED = ("style.css", "hub.js", "icon.svg")
_TRIAL = ("try.js", "preprocessing.js", "drawing_pad.js")
MANIFEST = "site/pages.json"
# The code that turns facts into pages; after a change of it all of them are rendered again.
_RENDERERS = (
    "hub/website", "hub/changes", "hub/markdown", "hub/page_shape", "hub/entries", "hub/index", "hub/aliases",
    "hub/values", "hub/withdrawal", "hub/notices", "hub/start_page_plot", "hub/trial", "hub/litert_js",
    "hub/published_formats", "hub/file_lists", "base/axes", "base/heads", "base/shard_names", "base/stored_names",
    "base/templates", "base/verification", "cards/drafts", "cards/page", "facts/accuracy", "facts/formats",
    "facts/status",
)  # fmt: skip
# What follows a title, which the two modules of a member share, by the task.
_KINDS = {Head.CLASSIFICATION.task: "classifier", Head.FE.task: Head.FE.noun}
# Sections of a card that are banners at the head of its HTML page.
_BANNERS = frozenset({drafts.HEADING, YANKED, DEPRECATED})
_PAGE = re.compile(r"([A-Za-z0-9][\w.-]{0,254}/){0,3}[A-Za-z0-9][\w.-]{0,254}\.html", re.ASCII)
_ANCHOR = re.compile(r'<a href="(?P<target>[^"#?:]+)"[^>]*>.*?</a>', re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s#]+\.md)[#)]")


@dataclass(frozen=True)
class Page:
    """A page to render.

    Attributes:
        path: in the hub.
        template: the name of its template.
        inputs: all that its content depends on, as text; equal inputs give equal pages.
        facts: returns what the template shows.
    """

    path: str
    template: str
    inputs: str
    facts: Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class _Hub:
    """What pages are made of.

    Attributes:
        folder: of the hub.
        index: its index.
        publishers: the text of each publisher's page, by id.
        names: the name for people of each publisher, by id.
        pages: the paths of all Markdown pages, which have an HTML page of the same name.
    """

    folder: Path
    index: Index
    publishers: dict[str, str]
    names: dict[str, str]
    pages: frozenset[str]


def _read_text(path: Path) -> str:
    """Returns a Markdown page's text as read_generated() does; "" when it is missing, which its HTML page then says."""
    return read_generated(path, "publish it again", LARGEST_PAGE) if path.is_file() else ""


def _read_hub(folder: Path, index: Index) -> _Hub:
    texts = {publisher: _read_text(folder / publisher / f"{publisher}.md") for publisher in index.publishers}
    names = {publisher: markdown.publisher_name(text) or publisher for publisher, text in texts.items()}
    publishers = (f"{publisher}/{publisher}" for publisher in texts)
    pages = frozenset(f"{name}.md" for name in (*index.modules, *index.collections, *publishers))
    return _Hub(folder, index, texts, names, pages)


def _linked(text: str, path: str, pages: frozenset[str]) -> list[str]:
    """Returns the pages of the hub that a Markdown page links to; whether they exist decides where its links lead."""
    folder = posixpath.dirname(path)
    return sorted(pages & {posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(text)})


def _rows(entries: Sequence[ModuleEntry]) -> list[tuple[Any, ...]]:
    """Returns what a table of modules shows."""
    return [
        (entry.handle, entry.title, entry.task, entry.dataset, entry.family, entry.variant, entry.image_size,
         entry.parameters, entry.tarball.size, entry.accuracy, entry.is_unverified, entry.marks)
        for entry in entries
    ]  # fmt: skip


def _version(entry: ModuleEntry, aliases: Mapping[str, int]) -> tuple[int, tuple[str, ...]]:
    """Returns a version, and the words that the list of versions has beside it: its aliases and its marks."""
    return entry.version, (*(alias for alias, version in aliases.items() if version == entry.version), *entry.marks)


def _list_architectures(entries: Sequence[ModuleEntry]) -> list[str]:
    """Returns what the start page filters by: the models, such as "Vision Transformer S/16", and families of several.

    A family comes before its models.
    """
    models: dict[str, set[str]] = {}
    for entry in entries:
        if entry.variant:
            models.setdefault(entry.family or "", set()).add(entry.title_of_model)
    architectures: list[str] = []
    for family in sorted(models):
        architectures += [family] if family and len(models[family]) > 1 else []
        architectures += sorted(models[family])
    return architectures


def _start_page(hub: _Hub) -> Page:
    rows = hub.index.newest
    collections = tuple(hub.index.collections.values())

    def facts() -> dict[str, Any]:
        return {
            "rows": rows,
            "names": hub.names,
            "collections": collections,
            "plot": plot(rows),
            "tasks": sorted({entry.task for entry in rows}),
            "architectures": _list_architectures(rows),
            "datasets": sorted({entry.dataset for entry in rows if entry.dataset}),
        }

    inputs = repr((_rows(rows), hub.names, list(hub.index.collections)))
    return Page("index.html", "index.html.jinja", inputs, facts)


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
    listed = (hub.index.modules.get(link.removesuffix(".md")) for link in links)
    marks = {module.handle: module.marks for module in listed if module and module.marks}

    def facts() -> dict[str, Any]:
        card = markdown.render_page(text, path, hub.pages)
        body = _mark_links(card.body, posixpath.dirname(path), marks)
        return {"collection": entry, "publisher_name": publisher_name, "card": replace(card, body=body)}

    inputs = repr((text, publisher_name, links, marks))
    return Page(f"{entry.address}.html", "collection.html.jinja", inputs, facts)


def _publisher_page(hub: _Hub, publisher: str) -> Page:
    path, text, name = f"{publisher}/{publisher}.md", hub.publishers[publisher], hub.names[publisher]
    rows = [entry for entry in hub.index.newest if entry.publisher == publisher]
    collections = [entry for entry in hub.index.collections.values() if entry.publisher == publisher]

    def facts() -> dict[str, Any]:
        # The lists of the Markdown page become a table; its name is the heading of this page.
        card = markdown.render_page(text, path, hub.pages, without={"Collections", "Modules"})
        return {"publisher_name": name, "card": card, "rows": rows, "collections": collections}

    addresses = [entry.address for entry in collections]
    inputs = repr((text, _rows(rows), name, addresses, _linked(text, path, hub.pages)))
    return Page(f"{publisher}/{publisher}.html", "publisher.html.jinja", inputs, facts)


def _pages(hub: _Hub) -> Iterator[Page]:
    """Yields every page of the website: each after those that it lists, the start page last."""
    for module in hub.index.modules.values():
        yield _module_page(hub, module)
    for collection in hub.index.collections.values():
        yield _collection_page(hub, collection)
    for publisher in hub.publishers:
        yield _publisher_page(hub, publisher)
    yield _start_page(hub)


@functools.cache
def _environment() -> jinja2.Environment:
    """Returns the environment of all pages, made once: to compile the templates takes longer than to render a page."""
    environment = make_environment(SOURCES, autoescape=True)
    environment.filters |= {
        "millions": lambda value: f"{value / 1e6:,.1f} M",
        "kind": lambda tag: _KINDS.get(tag, tag.replace("-", " ")),
        "spoken": lambda tag: tag.replace("-", " ").capitalize(),
        "speed": lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2g}",
        "basename": posixpath.basename,
        "at_least": at_least,
        "least_cosine": least_cosine,
        "breakable": lambda text: markupsafe.Markup(re.sub(r"([/_])", r"\1<wbr>", str(markupsafe.escape(text)))),
    }
    return environment


def _render(environment: jinja2.Environment, page: Page, is_exported: bool) -> str:
    """Renders a page; its links are relative to where it lies. `is_exported`: whether the hub has index.json."""
    here = posixpath.dirname(page.path) or "."

    def link(target: str) -> str:
        return quote(posixpath.relpath(target, here))

    return environment.get_template(page.template).render(link=link, is_exported=is_exported, **page.facts())


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


def _write_pages(hub: Path, pages: Sequence[Page], is_exported: bool) -> None:
    """Renders and writes pages; the next ones are rendered while the disk syncs the earlier ones.

    Those of one template may be written in any order; a page that lists others comes after them.
    """
    environment = _environment()
    with ThreadPoolExecutor() as pool:
        for _, group in itertools.groupby(pages, lambda page: page.template):
            texts = ((page.path, _render(environment, page, is_exported)) for page in group)
            writing = [pool.submit(write_text, hub / path, text) for path, text in texts]
            for written in writing:
                written.result()


def _links_formats(entry: ModuleEntry, card: str) -> bool:
    """Whether a card links to the files of all formats of its version."""
    above = posixpath.dirname(entry.handle)
    return all(f"]({posixpath.relpath(each.files[0], above)})" in card for each in entry.formats)


def shared_paths(index: Index) -> list[str]:
    """Returns the paths in the hub of the files that pages share; those of "Try it" where a page has that."""
    names = [*_SHARED]
    runtime: tuple[str, ...] = ()
    if any(map(find_trial, index.modules.values())):
        names, runtime = [*names, *_TRIAL], litert_js.FILES
    return [*(f"site/{name}" for name in names), *runtime]


def _write_shared(hub: Path, paths: Iterable[str]) -> None:
    """Writes the files that pages share, where they differ from what is there."""
    for path in paths:
        is_ours = not path.startswith(litert_js.FOLDER)
        content = (TEMPLATES / path).read_bytes() if is_ours else litert_js.read_file(path)
        if not has_content(hub / path, content):
            with replacing(hub / path) as stream:
                stream.write(content)


def _remove_unshared(hub: Path, shared: Collection[str]) -> None:
    """Removes what "Try it" needed of other versions of LiteRT.js, and all of it where no page has that any more."""
    for folder in (hub / "site").glob("litert-*"):
        if f"site/{folder.name}" != litert_js.FOLDER or litert_js.WORKER not in shared:
            shutil.rmtree(folder) if folder.is_dir() and not folder.is_symlink() else folder.unlink()
    for path in {f"site/{name}" for name in _TRIAL}.difference(shared):
        (hub / path).unlink(missing_ok=True)


def _remove_stale(hub: Path, paths: Iterable[str]) -> None:
    """Removes pages of what the index no longer lists; links in the manifest's paths may lead nowhere else."""
    root = hub.resolve()
    for path in paths:
        page = (hub / path).resolve()
        if page.suffix == ".html" and page.is_relative_to(root):
            page.unlink(missing_ok=True)


def build(hub: Path, index: Index) -> int:
    """Brings the website up to date with the hub; the caller holds the hub's lock.

    Args:
        hub: its folder.
        index: what it holds.

    Returns:
        How many pages were written.

    Raises:
        Fault: when a Markdown page is not UTF-8.
    """
    before, renderer, is_exported = _read_manifest(hub), renderer_digest(), len(index.entries) <= EXPORTED
    now: dict[str, str] = {}
    changed = []
    for page in _pages(_read_hub(hub, index)):
        now[page.path] = hashlib.sha256(f"{renderer}\n{is_exported}\n{page.inputs}".encode()).hexdigest()
        if before.get(page.path) != now[page.path] or not (hub / page.path).is_file():
            changed.append(page)
    if changed:  # an interrupted run leaves them out of the manifest, so that the next run writes them
        _write_manifest(hub, {path: digest for path, digest in before.items() if digest == now.get(path, digest)})
    shared = shared_paths(index)
    _write_shared(hub, shared)
    _write_pages(hub, changed, is_exported)
    _remove_unshared(hub, shared)
    _remove_stale(hub, before.keys() - now.keys())
    if changed or now != before:
        _write_manifest(hub, now)
    return len(changed)
