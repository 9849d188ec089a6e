"""The hub's website: static HTML made from index.json, the Markdown pages and the plots."""

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import markupsafe

from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.stage_code import ROOT
from pipeline.base.templates import TEMPLATES, make_environment
from pipeline.hub import markdown
from pipeline.hub.folder import Index
from pipeline.hub.index import Contents, Listing, contents
from pipeline.hub.start_page_plot import plot

SOURCES = TEMPLATES / "site"


SHARED = ("style.css", "hub.js", "icon.svg")


MANIFEST = "site/pages.json"


# Whose text makes pages what they are; a change of one renders all of them again.
_RENDERERS = ("hub/website", "hub/markdown", "hub/index", "hub/start_page_plot", "base/axes", "cards/page")


# What a module is called beside its title, which a model's two modules share.
_KINDS = {"image-classification": "classifier", "image-feature-vector": "feature extractor"}


_LINK = re.compile(r"\]\(([^)\s#]+\.md)[#)]")


@dataclass(frozen=True)
class Page:
    """A page to be: its path in the hub, its template, what its content depends on, and how to get its facts."""

    path: str
    template: str
    inputs: str
    facts: Callable[[], dict[str, Any]]


def renderer_digest() -> str:
    """Returns the digest of what turns facts into pages: templates and code."""
    digest = hashlib.sha256()
    paths = [*sorted(SOURCES.glob("*.jinja")), *(ROOT / f"pipeline/{name}.py" for name in _RENDERERS)]
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _environment() -> jinja2.Environment:
    environment = make_environment(SOURCES, autoescape=True)
    environment.filters |= {
        "millions": lambda value: f"{value / 1e6:,.1f} M",
        "kind": lambda tag: _KINDS.get(tag, tag.replace("-", " ")),
        "spoken": lambda tag: tag.replace("-", " ").capitalize(),
        "sentence": lambda words: words[:1].upper() + words[1:],
        "speed": lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2g}",
        "basename": posixpath.basename,
        "breakable": lambda text: markupsafe.Markup(re.sub(r"([/_])", r"\1<wbr>", str(markupsafe.escape(text)))),
    }
    return environment


def _text_of(path: Path) -> str:
    """Returns the text of a page, "" when the hub lacks it: its HTML page says so, and publishing again brings it.

    Raises:
        Fault: when it is no text.
    """
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise Fault(f"{path}: not UTF-8 ({error}); publish it again") from None


def _known(text: str, path: str, pages: frozenset[str]) -> list[str]:
    """Returns the pages of the hub that a Markdown page links to; whether they exist decides where its links lead."""
    folder = posixpath.dirname(path)
    return sorted(pages & {posixpath.normpath(posixpath.join(folder, link)) for link in _LINK.findall(text)})


def _row(one: Listing) -> tuple[Any, ...]:
    """Returns what the table of modules shows of one."""
    return (one.handle, one.title, one.task, one.dataset, one.variant, one.image_size, one.parameters,
            one.files[0]["size"], one.accuracy)  # fmt: skip


def _start_page(listed: Contents, names: dict[str, str]) -> Page:
    rows = listed.newest

    def facts() -> dict[str, Any]:
        return {
            "rows": rows,
            "names": names,
            "collections": listed.collections,
            "plot": plot(rows),
            "tasks": sorted({one.task for one in rows}),
            "variants": sorted({one.variant for one in rows if one.variant}),
            "datasets": sorted({one.dataset for one in rows if one.dataset}),
        }

    return Page("index.html", "index.html.jinja", repr(([*map(_row, rows)], names, listed.collections)), facts)


def _module_page(hub: Path, listing: Listing, listed: Contents, names: dict[str, str], pages: frozenset[str]) -> Page:
    path = f"{listing.handle}.md"
    text = _text_of(hub / path)
    versions = [one.version for one in listed.versions[f"{listing.publisher}/{listing.name}"]]
    name = names[listing.publisher]
    in_collection = (listing.publisher, listing.collection) in listed.collections
    plots = [file for file in listing.files if file["path"].endswith(".svg")]

    def facts() -> dict[str, Any]:
        card = markdown.read(text, path, pages)
        # A card may show plots by itself.
        mentioned = {posixpath.normpath(posixpath.join(posixpath.dirname(path), image)) for image in card.images}
        return {
            "listing": listing,
            "card": card,
            "versions": versions,
            "publisher_name": name,
            "in_collection": in_collection,
            "plots": [plot for plot in plots if plot["path"] not in mentioned],
        }

    inputs = repr((listing, text, versions, name, in_collection, _known(text, path, pages)))
    return Page(f"{listing.handle}.html", "module.html.jinja", inputs, facts)


def _collection_page(hub: Path, publisher: str, name: str, names: dict[str, str], pages: frozenset[str]) -> Page:
    path = f"{publisher}/collections/{name}/1.md"
    text = _text_of(hub / path)

    def facts() -> dict[str, Any]:
        card = markdown.read(text, path, pages)
        return {"publisher": publisher, "name": name, "publisher_name": names[publisher], "card": card}

    inputs = repr((text, names[publisher], _known(text, path, pages)))
    return Page(f"{publisher}/collections/{name}/1.html", "collection.html.jinja", inputs, facts)


def _publisher_page(publisher: str, text: str, listed: Contents, names: dict[str, str], pages: frozenset[str]) -> Page:
    path = f"{publisher}/{publisher}.md"
    rows = [one for one in listed.newest if one.publisher == publisher]
    collections = [one for one in listed.collections if one[0] == publisher]

    def facts() -> dict[str, Any]:
        # The lists of the Markdown page become a table; its name is the heading of this page.
        card = markdown.read(text, path, pages, without={"Collections", "Modules"})
        return {"publisher": publisher, "names": names, "card": card, "rows": rows, "collections": collections}

    inputs = repr((text, [*map(_row, rows)], names[publisher], collections, _known(text, path, pages)))
    return Page(f"{publisher}/{publisher}.html", "publisher.html.jinja", inputs, facts)


def pages_of(hub: Path, index: Index) -> Iterator[Page]:
    """Yields every page of the website.

    Raises:
        Fault: for an index that is malformed, see pipeline.hub.index.
    """
    listed = contents(hub / "index.json", index)
    texts = {publisher: _text_of(hub / publisher / f"{publisher}.md") for publisher in listed.publishers}
    names = {publisher: markdown.publisher_name(text) or publisher for publisher, text in texts.items()}
    collections = {f"{publisher}/collections/{name}/1.md" for publisher, name in listed.collections}
    pages = frozenset({f"{handle}.md" for handle in listed.modules} | collections | {f"{p}/{p}.md" for p in texts})
    yield _start_page(listed, names)
    for publisher, text in texts.items():
        yield _publisher_page(publisher, text, listed, names, pages)
    for publisher, name in listed.collections:
        yield _collection_page(hub, publisher, name, names, pages)
    for listing in listed.modules.values():
        yield _module_page(hub, listing, listed, names, pages)


def _manifest(hub: Path) -> dict[str, str]:
    """Returns the digests of the pages as they were written, {} when none was, or the record is of no use."""
    try:
        record = json.loads((hub / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # all pages are written then
    return record if isinstance(record, dict) else {}


def _record(hub: Path, digests: dict[str, str]) -> None:
    write_text(hub / MANIFEST, json.dumps(digests, indent=0, sort_keys=True) + "\n")


def _remove_stale(hub: Path, paths: Iterator[str]) -> None:
    """Removes pages of what the index no longer lists; the record's paths are trusted only inside the hub."""
    root = hub.resolve()
    for path in paths:
        page = (hub / path).resolve()
        if page.suffix == ".html" and page.is_relative_to(root):
            page.unlink(missing_ok=True)


def _html(environment: jinja2.Environment, page: Page) -> str:
    """Renders a page; its links are relative to where it lies."""
    here = posixpath.dirname(page.path) or "."

    def link(target: str) -> str:
        return quote(posixpath.relpath(target, here))

    return environment.get_template(page.template).render(link=link, **page.facts())


def build(hub: Path, index: Index) -> int:
    """Brings the website up to date with the hub; whoever calls holds the hub's lock.

    Args:
        hub: its folder.
        index: the content of its index.json.

    Returns:
        How many pages were written.
    """
    before, renderer, environment = _manifest(hub), renderer_digest(), _environment()
    now: dict[str, str] = {}
    changed = []
    for page in pages_of(hub, index):
        now[page.path] = hashlib.sha256(f"{renderer}\n{page.inputs}".encode()).hexdigest()
        if before.get(page.path) != now[page.path] or not (hub / page.path).is_file():
            changed.append(page)
    if changed:  # whoever is interrupted finds them changed the next time, whatever they are to show by then
        _record(hub, {path: digest for path, digest in before.items() if digest == now.get(path, digest)})
    with ThreadPoolExecutor() as pool:  # the next pages are rendered while the disk makes sure of the earlier ones
        writing = [pool.submit(write_text, hub / page.path, _html(environment, page)) for page in changed]
        for one in writing:
            one.result()
    for name in SHARED:
        text = (SOURCES / name).read_text(encoding="utf-8")
        here = hub / "site" / name
        if not here.is_file() or here.read_bytes() != text.encode():
            write_text(here, text)
    _remove_stale(hub, (path for path in before if path not in now))
    if changed or now != before:
        _record(hub, now)
    return len(changed)
