"""The hub's website: static HTML made from the index, the Markdown pages and the plots, with the documentation."""

import functools
import hashlib
import itertools
import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import markupsafe

from pipeline.base.files import content_digest, sha256_of, write_memory, write_text
from pipeline.base.json_files import recall_json
from pipeline.base.shard_names import EXPORTED
from pipeline.base.stage_code import ROOT
from pipeline.base.templates import TEMPLATES, make_environment
from pipeline.hub import guides
from pipeline.hub.feed import summary_of, title_of
from pipeline.hub.file_lists import at_least, least_cosine
from pipeline.hub.folder import read_root
from pipeline.hub.index import Index
from pipeline.hub.list_pages import NOT_FOUND, START
from pipeline.hub.models import kind_of, spoken
from pipeline.hub.overview import Overview
from pipeline.hub.pages import Site, collection_page, list_pages, make_module_page, module_page, read_site
from pipeline.hub.parts import Parts, read_parts
from pipeline.hub.shared_files import remove_unshared, shared_paths, write_shared
from pipeline.hub.site_memory import SeenPage, SiteMemory, forget, recall_memory, write_site_memory
from pipeline.hub.site_page import Page
from pipeline.hub.social import describe

SOURCES = TEMPLATES / "site"
MANIFEST = "site/pages.json"
# The code that turns facts into pages; after a change of it all of them are rendered again.
_RENDERERS = (
    "hub/website", "hub/changes", "hub/markdown", "hub/page_shape", "hub/entries", "hub/index", "hub/aliases",
    "hub/values", "hub/withdrawal", "hub/notices", "hub/start_page_plot", "hub/trial", "hub/litert_js",
    "hub/published_formats", "hub/file_lists", "hub/catalogue", "hub/collection_figures", "hub/feed", "hub/list_pages",
    "hub/listed", "hub/overview", "hub/pages", "hub/parts", "hub/site_memory", "hub/sitemap", "hub/guides",
    "hub/models", "hub/publisher_page", "hub/search_words", "hub/site_page", "hub/social", "base/axes",
    "base/compiled_templates", "base/heads", "base/shard_names", "base/stored_names", "base/templates",
    "base/verification", "cards/drafts", "cards/page",
    "facts/accuracy", "facts/formats", "facts/status",
)  # fmt: skip
_BATCH = 200  # pages that are rendered before the first of them must be on the disk
_PAGE = re.compile(
    r"([A-Za-z0-9][\w.-]{0,254}/){0,3}[A-Za-z0-9][\w.-]{0,254}\.html|site/models\.js|feed\.xml|sitemap(-[0-9]{1,6})?\.xml"
    r"|site/sitemaps/[0-9]{1,6}\.xml",  # parts of the sitemap until 2026-12-01, to be removed
    re.ASCII,
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that no XML may have


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
    here, facts = page.path.split("/")[:-1], page.facts()

    def link(target: str) -> str:
        if page.path == NOT_FOUND:
            return str(facts["root"]) + quote(target)
        return quote(_relative(target, here))

    preview = describe(page.path, facts, around.url)
    template = environment.get_template(page.template)
    return template.render(link=link, is_exported=around.is_exported, preview=preview, **facts)


def _relative(target: str, here: Sequence[str]) -> str:
    """Returns a file's path relative to a folder, by the names of the folder and of those above it.

    posixpath.relpath() makes both absolute first, which took most of the time of a list of models.
    """
    names = target.split("/")
    common = 0
    while common < min(len(here), len(names) - 1) and here[common] == names[common]:
        common += 1
    return "../" * (len(here) - common) + "/".join(names[common:])


def renderer_digest() -> str:
    """Returns the digest of the templates and the code that turn facts into pages."""
    digest = hashlib.sha256()
    paths = [*sorted(SOURCES.glob("*.jinja")), *(ROOT / f"pipeline/{name}.py" for name in _RENDERERS)]
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_manifest(hub: Path) -> dict[str, str]:
    """Returns the digest of each page's inputs when it was written; {} when that is unknown: all are written then."""
    manifest = recall_json(hub / MANIFEST, Any)
    if not isinstance(manifest, dict):
        return {}
    is_page = _PAGE.fullmatch
    return {path: digest for path, digest in manifest.items() if type(digest) is str and is_page(path)}


def _write_manifest(hub: Path, digests: dict[str, str]) -> str:
    """Writes the digests of the pages; returns that of the file."""
    lines = (f'"{path}": "{digests[path]}"' for path in sorted(digests))  # _PAGE has no character to escape
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    write_memory(hub / MANIFEST, text)
    return content_digest(text.encode())


@dataclass(frozen=True)
class _NewPage:
    """A page to render and write. It is made when that happens: the inputs of all pages would fill the memory."""

    template: str
    make: Callable[[], Page]


def _write_pages(hub: Path, pages: Sequence[_NewPage], around: _Surroundings) -> None:
    """Renders and writes pages; the next ones are rendered while the disk syncs the earlier ones.

    Those of one template may be written in any order; a page that lists others comes after them.
    """
    environment = _environment()
    with ThreadPoolExecutor() as pool:
        for _, group in itertools.groupby(pages, lambda page: page.template):
            while batch := [new.make() for new in itertools.islice(group, _BATCH)]:
                texts = ((page.path, _render(environment, page, around)) for page in batch)
                for written in [pool.submit(write_text, hub / path, text) for path, text in texts]:
                    written.result()


def _remove_stale(hub: Path, paths: Iterable[str]) -> None:
    """Removes pages of what the index no longer lists; links in the manifest's paths may lead nowhere else."""
    root = hub.resolve()
    for path in paths:
        page = (hub / path).resolve()
        if page.suffix in (".html", ".js", ".xml") and page.is_relative_to(root):
            page.unlink(missing_ok=True)


def _look_around(hub: Path, overview: Overview, url: str | None) -> _Surroundings:
    root = read_root(hub) if url is None else None
    return _Surroundings(overview.entries <= EXPORTED, root.url if root else url)


def _digest(page: Page, renderer: str, around: _Surroundings) -> str:
    return hashlib.sha256(f"{renderer}\n{around}\n{page.inputs}".encode()).hexdigest()


def written_guides(hub: Path) -> list[str]:
    """Returns the paths of the pages of the documentation that build() has written, of whatever version."""
    return sorted(path for path in _read_manifest(hub) if path.startswith(f"{guides.FOLDER}/"))


def render_guides(hub: Path, overview: Overview) -> dict[str, str]:
    """Returns the text of the pages of the documentation that this version of the project has written, by path."""
    around, renderer = _look_around(hub, overview, None), renderer_digest()
    written = _read_manifest(hub)
    pages = guides.find_guides().list_pages()
    current = (page for page in pages if written.get(page.path) == _digest(page, renderer, around))
    return {page.path: _render(_environment(), page, around) for page in current}


def build_lists(hub: Path, index: Index) -> None:
    """Writes the start page and what it needs, and no page of a module: for measurements of a start page."""
    overview = Overview.of(index)
    write_shared(hub, shared_paths(overview))
    pages = read_site(hub, overview, None).lists.start_pages()
    new = [_NewPage(page.template, functools.partial(lambda page: page, page)) for page in pages]
    _write_pages(hub, new, _Surroundings(False, None))


def list_paths(hub: Path, index: Index) -> list[str]:
    """Returns the paths of the pages that build() has written, in the order of _pages(): the start page last."""
    documentation = guides.find_guides().paths
    named = (*index.modules, *index.collections, *(f"{publisher}/{publisher}" for publisher in index.publishers))
    first = [f"{name}.html" for name in named]
    others = _read_manifest(hub).keys() - {*documentation, *first, START}
    return [*documentation, *first, *sorted(others), START]


def build(hub: Path, index: Index, url: str | None = None) -> int:
    """Brings the website up to date with an index, as build_hub() does, and compares every page."""
    forget(hub)
    return _bring_up(hub, Overview.of(index), url, renderer_digest(), SiteMemory())[0]


def build_hub(hub: Path, memory: SiteMemory | None = None, parts: Parts | None = None) -> int:
    """Brings the website up to date with the hub; the caller holds the hub's lock.

    What has not changed since the last build is neither read nor rendered (pipeline.hub.site_memory).

    Args:
        hub: its folder.
        memory: what recall() has returned since the hub is locked; None reads it.
        parts: the hub's index, as it was read or written since the hub is locked; None reads it.

    Returns:
        How many pages were written.

    Raises:
        Fault: when the index is damaged, or a Markdown page is not UTF-8.
    """
    code = renderer_digest()
    memory = memory or recall_memory(hub, code)
    parts = parts or read_parts(hub, memory.parts)
    manifest = _digest_file(hub / MANIFEST)
    is_of_pages = memory.manifest == manifest  # else others have written pages since
    changed, known = _bring_up(hub, parts.overview, None, code, memory if is_of_pages else SiteMemory())
    known = replace(known, manifest=known.manifest or manifest, parts=parts.listed)
    if known != memory:
        write_site_memory(hub, code, known, memory)
    return changed


def _digest_file(path: Path) -> str:
    return sha256_of(path) if path.is_file() else ""


def recall(hub: Path) -> SiteMemory:
    """Returns what the last build of the website knew."""
    return recall_memory(hub, renderer_digest())


@dataclass
class _Comparison:
    """What a build has compared so far: the pages' digests, those to write, and the Markdown pages it has seen."""

    before: Mapping[str, str]
    digest: Callable[[Page], str]
    exists: Callable[[str], bool]
    now: dict[str, str] = field(default_factory=dict)
    changed: list[_NewPage] = field(default_factory=list)
    seen: dict[str, SeenPage] = field(default_factory=dict)

    def add(self, page: Page, make: Callable[[], Page] | None = None) -> None:
        """Compares a page; `make` makes it again, where that takes less than to keep it."""
        self.now[page.path] = self.digest(page)
        if self.before.get(page.path) != self.now[page.path] or not self.exists(page.path):
            self.changed.append(_NewPage(page.template, make or (lambda: page)))

    def keep(self, path: str) -> bool:
        """Leaves a page as it is, if it was written; returns whether it was."""
        if path not in self.before or not self.exists(path):
            return False
        self.now[path] = self.before[path]
        return True


def _bring_up(
    folder: Path, overview: Overview, url: str | None, renderer: str, memory: SiteMemory
) -> tuple[int, SiteMemory]:
    """Writes the pages that have changed; returns how many, and what to remember beside the parts of the index.

    The digest of the manifest is that of what was written; empty where it is as it was. Nothing is read back: a
    process that does not hold the hub's lock may have written there since.
    """
    around, before = _look_around(folder, overview, url), _read_manifest(folder)
    hub = read_site(folder, overview, around.url)
    root = str(folder)
    # A Path for each of 10,000 pages takes three times as long.
    pages = _Comparison(
        before,
        lambda page: _digest(page, renderer, around),
        lambda path: os.path.isfile(f"{root}/{path}"),  # noqa: PTH113
    )
    known = _compare(hub, around, memory, pages)
    if pages.changed:  # an interrupted run leaves them out of the manifest, so that the next run writes them
        now = pages.now
        _write_manifest(folder, {path: digest for path, digest in before.items() if digest == now.get(path, digest)})
    shared = shared_paths(overview)
    write_shared(folder, shared)
    _write_pages(folder, pages.changed, around)
    remove_unshared(folder, shared)
    _remove_stale(folder, before.keys() - pages.now.keys())
    if pages.changed or pages.now != before:
        known = replace(known, manifest=_write_manifest(folder, pages.now))
    return len(pages.changed), known


def _compare(hub: Site, around: _Surroundings, memory: SiteMemory, pages: _Comparison) -> SiteMemory:
    """Compares every page of the website, each after those that it lists; the start page is the last.

    All link to the documentation, which comes first. What the memory knows to be as it was is not compared again.
    """
    states = hub.overview.states
    everywhere = _hash((around, hub.names, [*hub.overview.collections]))
    lists = _hash((everywhere, states, hub.publishers, guides.find_guides().paths))  # the sitemap has these, too
    is_known = bool(states) and everywhere == memory.around
    for page in guides.find_guides().list_pages():
        pages.add(page)
    _compare_modules(hub, memory, pages, hub.overview.unchanged if is_known else ())
    is_listed = is_known and lists == memory.lists
    for address, entry in hub.overview.collections.items():
        if not (is_listed and _keep(hub, memory, pages, address)):
            page, pages.seen[address] = collection_page(hub, entry)
            pages.add(page)
    if is_listed and all(map(pages.keep, memory.list_paths)):
        return SiteMemory("", everywhere, lists, memory.list_paths, seen=pages.seen)
    paths = []
    for page in list_pages(hub):
        pages.add(page)
        paths.append(page.path)
    return SiteMemory("", everywhere, lists, paths, seen=pages.seen)


def _compare_modules(hub: Site, memory: SiteMemory, pages: _Comparison, unchanged: Collection[str]) -> None:
    for handle in hub.overview.modules:
        if not (handle in unchanged and _keep(hub, memory, pages, handle)):
            page, pages.seen[handle] = module_page(hub, handle)
            pages.add(page, functools.partial(make_module_page, hub, handle))


def _keep(hub: Site, memory: SiteMemory, pages: _Comparison, name: str) -> bool:
    """Leaves the page of a module or collection as it is, if all that it shows is as it was; returns whether it is."""
    seen = memory.seen.get(name)
    if seen is None or not seen.is_current(f"{hub.folder}/{name}.md", hub.pages) or not pages.keep(f"{name}.html"):
        return False
    pages.seen[name] = seen
    return True


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode(errors="surrogatepass")).hexdigest()
