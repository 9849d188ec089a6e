"""The hub's website: static HTML made from the index, the Markdown pages and the plots, with the documentation."""

import functools
import hashlib
import itertools
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import markupsafe

from pipeline.base.files import sha256_of, write_memory, write_text
from pipeline.base.json_files import recall_json
from pipeline.base.shard_names import EXPORTED
from pipeline.base.stage_code import ROOT
from pipeline.base.templates import TEMPLATES, make_environment
from pipeline.base.text import read_generated
from pipeline.cards import drafts
from pipeline.cards.page import LARGEST_PAGE
from pipeline.hub import guides, markdown
from pipeline.hub.aliases import LATEST
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
from pipeline.hub.overview import Overview
from pipeline.hub.page_shape import TABS
from pipeline.hub.parts import read_parts
from pipeline.hub.publisher_page import without_modules
from pipeline.hub.shared_files import remove_unshared, shared_paths, write_shared
from pipeline.hub.site_memory import SeenPage, SiteMemory, forget, look_at, recall_memory, write_site_memory
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
    "hub/listed", "hub/overview", "hub/parts", "hub/site_memory", "hub/sitemap", "hub/guides", "hub/models",
    "hub/publisher_page", "hub/search_words", "hub/site_page", "hub/social", "base/axes", "base/heads",
    "base/shard_names", "base/stored_names", "base/templates", "base/verification", "cards/drafts", "cards/page",
    "facts/accuracy", "facts/formats", "facts/status",
)  # fmt: skip
_BATCH = 200  # pages that are rendered before the first of them must be on the disk
# Sections of a card that are banners at the head of its HTML page.
_BANNERS = frozenset({drafts.HEADING, YANKED, DEPRECATED})
_PAGE = re.compile(
    r"([A-Za-z0-9][\w.-]{0,254}/){0,3}[A-Za-z0-9][\w.-]{0,254}\.html|site/models\.js|feed\.xml|sitemap\.xml"
    r"|site/sitemaps/[0-9]{1,6}\.xml",
    re.ASCII,
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that no XML may have
_ANCHOR = re.compile(r'<a href="(?P<target>[^"#?:]+)"[^>]*>.*?</a>', re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s#]+\.md)[#)]")


@dataclass(frozen=True)
class _Hub:
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


def _read_text(path: Path) -> str:
    """Returns a Markdown page's text as read_generated() does; "" when it is missing, which its HTML page then says."""
    return read_generated(path, "publish it again", LARGEST_PAGE) if path.is_file() else ""


def _read_publisher(path: Path) -> str:
    """Returns a publisher's page without its list of modules, which the HTML page has from the index."""
    return without_modules(read_generated(path, "publish it again"), str(path)) if path.is_file() else ""


def _read_hub(folder: Path, overview: Overview, url: str | None) -> _Hub:
    texts = {publisher: _read_publisher(folder / publisher / f"{publisher}.md") for publisher in overview.publishers}
    names = {publisher: markdown.publisher_name(text) or publisher for publisher, text in texts.items()}
    publishers = (f"{publisher}/{publisher}" for publisher in texts)
    pages = frozenset(f"{name}.md" for name in (*overview.modules, *overview.collections, *publishers))
    return _Hub(folder, overview, texts, names, pages, url)


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


def _module_page(hub: _Hub, handle: str) -> tuple[Page, SeenPage]:
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


def _make_module_page(hub: _Hub, handle: str) -> Page:
    return _module_page(hub, handle)[0]


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


def _collection_page(hub: _Hub, entry: CollectionEntry) -> tuple[Page, SeenPage]:
    """Returns the page of a collection, and what it was made of beside the index."""
    path = f"{entry.address}.md"
    seen = look_at(f"{hub.folder}/{path}")  # before the text is read
    text = _read_text(hub.folder / path)
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


def _publisher_pages(hub: _Hub, publisher: str) -> Iterator[Page]:
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


def _list_pages(hub: _Hub) -> Iterator[Page]:
    """Yields the pages that list models: each after those that it lists, the start page last."""
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


def _write_manifest(hub: Path, digests: dict[str, str]) -> None:
    lines = (f'"{path}": "{digests[path]}"' for path in sorted(digests))  # _PAGE has no character to escape
    write_memory(hub / MANIFEST, "{\n" + ",\n".join(lines) + "\n}\n")


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
    pages = _read_hub(hub, overview, None).lists.start_pages()
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


def build_hub(hub: Path, memory: SiteMemory | None = None) -> int:
    """Brings the website up to date with the hub; the caller holds the hub's lock.

    What has not changed since the last build is neither read nor rendered (pipeline.hub.site_memory).

    Args:
        hub: its folder.
        memory: what recall() has returned since the hub is locked; None reads it.

    Returns:
        How many pages were written.

    Raises:
        Fault: when the index is damaged, or a Markdown page is not UTF-8.
    """
    code = renderer_digest()
    memory = memory or recall_memory(hub, code)
    parts = read_parts(hub, memory.parts)
    is_of_pages = memory.manifest == _digest_file(hub / MANIFEST)  # else others have written pages since
    changed, known = _bring_up(hub, parts.overview, None, code, memory if is_of_pages else SiteMemory())
    known = replace(known, manifest=_digest_file(hub / MANIFEST), parts=parts.listed)
    if known != memory:
        write_site_memory(hub, code, known)
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
    """Writes the pages that have changed; returns how many, and what to remember beside the parts of the index."""
    around, before = _look_around(folder, overview, url), _read_manifest(folder)
    hub = _read_hub(folder, overview, around.url)
    root = str(folder)
    pages = _Comparison(
        before, lambda page: _digest(page, renderer, around), lambda path: Path(f"{root}/{path}").is_file()
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
        _write_manifest(folder, pages.now)
    return len(pages.changed), known


def _compare(hub: _Hub, around: _Surroundings, memory: SiteMemory, pages: _Comparison) -> SiteMemory:
    """Compares every page of the website, each after those that it lists; the start page is the last.

    All link to the documentation, which comes first. What the memory knows to be as it was is not compared again.
    """
    states = hub.overview.states
    everywhere = _hash((around, hub.names, [*hub.overview.collections]))
    lists = _hash((everywhere, states, hub.publishers))
    is_known = bool(states) and everywhere == memory.around
    for page in guides.find_guides().list_pages():
        pages.add(page)
    _compare_modules(hub, memory, pages, _unchanged(states, memory) if is_known else frozenset())
    is_listed = is_known and lists == memory.lists
    for address, entry in hub.overview.collections.items():
        if not (is_listed and _keep(hub, memory, pages, address)):
            page, pages.seen[address] = _collection_page(hub, entry)
            pages.add(page)
    if is_listed and all(map(pages.keep, memory.list_paths)):
        return SiteMemory("", everywhere, lists, memory.list_paths, seen=pages.seen)
    paths = []
    for page in _list_pages(hub):
        pages.add(page)
        paths.append(page.path)
    return SiteMemory("", everywhere, lists, paths, seen=pages.seen)


def _compare_modules(hub: _Hub, memory: SiteMemory, pages: _Comparison, unchanged: Collection[str]) -> None:
    for handle in hub.overview.modules:
        if not (handle in unchanged and _keep(hub, memory, pages, handle)):
            page, pages.seen[handle] = _module_page(hub, handle)
            pages.add(page, functools.partial(_make_module_page, hub, handle))


def _unchanged(states: Mapping[str, str], memory: SiteMemory) -> Collection[str]:
    """Returns the handles of the modules whose shard of the index is as it was."""
    parts = (part for name, part in memory.parts.items() if states.get(name) == part.sha256)
    return frozenset(handle for part in parts for handle in part.modules)


def _keep(hub: _Hub, memory: SiteMemory, pages: _Comparison, name: str) -> bool:
    """Leaves the page of a module or collection as it is, if all that it shows is as it was; returns whether it is."""
    seen = memory.seen.get(name)
    if seen is None or not seen.is_current(f"{hub.folder}/{name}.md", hub.pages) or not pages.keep(f"{name}.html"):
        return False
    pages.seen[name] = seen
    return True


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode(errors="surrogatepass")).hexdigest()
