"""Checks the documentation on a hub's website: pages and pictures that are missing or edited, and dead links."""

from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.base.data import data_path
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import has_content
from pipeline.base.text import read_generated
from pipeline.hub import guides, website
from pipeline.hub.overview import Overview


class _Reader(HTMLParser):
    """Collects the links and the ids of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.links |= {value for name, value in attributes if name in ("href", "src") and value}
        self.ids |= {value for name, value in attributes if name == "id" and value}


@dataclass
class _Pages:
    """The pages of the documentation that can be read.

    Attributes:
        folder: the hub.
        root: the same, without links in its path.
        links: the links of each page, by its path on the disk, which begins with `root`.
        ids: the ids of each page, likewise.
    """

    folder: Path
    root: Path
    links: dict[Path, Set[str]] = field(default_factory=dict)
    ids: dict[Path, Set[str]] = field(default_factory=dict)

    def add(self, path: Path, text: str) -> None:
        """Adds a page; raises AssertionError for markup that Python's parser gives up on, which no guide has."""
        reader = _Reader()
        reader.feed(text)
        self.links[path], self.ids[path] = reader.links, reader.ids

    def find_dead_links(self, missing: Set[Path]) -> Iterator[str]:
        """Yields the links that lead to no file or heading, each target once; those to `missing` pages aside."""
        seen = {*missing}
        for path, links in self.links.items():
            page = self.folder / path.relative_to(self.root)
            for link in sorted(links):
                try:
                    parts = urlsplit(link)
                    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                    is_there = target.is_relative_to(self.root) and target.is_file()
                except (ValueError, OSError):  # no address, or no name that a file can have
                    yield f"{page}: it links to {show_name(link)}, which is no address; {_again(self.folder)}"
                    continue
                if parts.scheme or parts.netloc or target in seen:
                    continue
                if not is_there:
                    seen.add(target)
                    yield f"{page}: it links to {show_name(link)}, and there is no such file; {_again(self.folder)}"
                elif parts.fragment and unquote(parts.fragment) not in self.ids.get(target, {unquote(parts.fragment)}):
                    yield f"{page}: it links to {show_name(link)}, and that page has no such heading"


def _again(folder: Path) -> str:
    return f"run python -m pipeline.site {folder}"


def find_guide_problems(folder: Path, overview: Overview) -> Iterator[str]:
    """Yields what is wrong with the documentation of a hub, a sentence each.

    Pages that another version of the project wrote are not compared with this version's, only read.

    Args:
        folder: the hub.
        overview: of what it lists.
    """
    root = folder.resolve()
    there = {path.relative_to(folder).as_posix() for path in (folder / guides.FOLDER).glob("*.html")}
    expected, pages, missing = website.render_guides(folder, overview), _Pages(folder, root), set()
    for path in sorted({*website.written_guides(folder), *there}):
        if not (folder / path).is_file():
            missing.add(root / path)
            yield f"{folder / path}: missing, expected a page of the documentation; {_again(folder)}"
            continue
        try:
            text = read_generated(folder / path, f"delete it, and {_again(folder)}")
        except Fault as fault:
            yield str(fault)
            continue
        if text != expected.get(path, text):
            yield f"{folder / path}: edited, not as it was rendered; delete it, and {_again(folder)}"
        try:
            pages.add(root / path, text)
        except AssertionError:
            yield f"{folder / path}: it is not HTML as it was rendered; delete it, and {_again(folder)}"
    yield from pages.find_dead_links(missing)
    yield from _find_wrong_pictures(folder, expected)


def _find_wrong_pictures(folder: Path, expected: Collection[str]) -> Iterator[str]:
    """Yields the pictures of pages of this version that have other bytes; missing ones are dead links."""
    guide_set = guides.find_guides()
    shown: dict[str, str] = {}
    for source, path in guide_set.pages.items():
        if path in expected:
            shown |= guide_set.shown_pictures(source, data_path(source).read_text(encoding="utf-8"))
    for source, path in shown.items():
        if (folder / path).is_file() and not has_content(folder / path, data_path(source).read_bytes()):
            yield f"{folder / path}: edited, not the picture of the documentation; {_again(folder)}"
