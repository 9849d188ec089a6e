"""The project's documentation as pages of the website: site/docs/<name>.html, and the pictures that they show.

The guides are docs/*.md, the benchmarks and the changelog, the same files as in the repository. A wheel has them, too
(setup.py).
"""

import functools
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pipeline.base.data import data_path
from pipeline.base.files import sha256_of
from pipeline.hub import markdown
from pipeline.hub.site_page import Page

FOLDER = "site/docs"
INDEX = f"{FOLDER}/index.html"
_START = "docs/index.md"
_OTHERS = {"benchmarks/README.md": f"{FOLDER}/benchmarks.html", "CHANGELOG.md": f"{FOLDER}/changelog.html"}
_README = "README.md"  # for readers of the project's code; on the website its links lead to the index
_PICTURE = re.compile(r"\]\(([^()\s]+\.png)\)")


@dataclass(frozen=True, eq=False)
class Guides:
    """The documentation of the project.

    Attributes:
        pages: the path in the hub of each page, by that of its Markdown in the project; the index last, since it
            links to all others.
        pictures: the path in the hub of each picture, by its path in the project.
    """

    pages: Mapping[str, str]
    pictures: Mapping[str, str]

    @cached_property
    def _targets(self) -> dict[str, str]:
        return {**self.pages, **self.pictures, _README: INDEX}

    @property
    def paths(self) -> list[str]:
        """The paths of the pages in the hub, in the order in which they are written."""
        return [*self.pages.values()]

    @property
    def files(self) -> list[Path]:
        """The files that the pages are made of."""
        return [data_path(path) for path in (*self.pages, *self.pictures)]

    def find(self, guide: str, link: str) -> str | None:
        """Returns the path in the hub of what a link of a guide leads to; None where it has none there."""
        path = unquote(urlsplit(link).path)
        return self._targets.get(posixpath.normpath(posixpath.join(posixpath.dirname(guide), path)))

    def resolve(self, guide: str, link: str) -> str | None:
        """Returns the address of a link in the page of a guide; None where the website has no such page."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or not parts.path:
            return link
        target = self.find(guide, link)
        if target is None:
            return None
        fragment = "" if posixpath.basename(parts.path) == _README and target == INDEX else parts.fragment
        return parts._replace(path=quote(posixpath.relpath(target, FOLDER)), fragment=fragment).geturl()

    def shown_pictures(self, guide: str, text: str) -> dict[str, str]:
        """Returns the pictures that a guide shows or links to: their paths in the hub by those in the project."""
        shown = {self.find(guide, link) for link in _PICTURE.findall(text)}
        return {source: path for source, path in self.pictures.items() if path in shown}

    def list_pages(self) -> Iterator[Page]:
        """Yields the pages to render."""
        for source, path in self.pages.items():
            yield self._page(source, path)

    def _page(self, source: str, path: str) -> Page:
        text = data_path(source).read_text(encoding="utf-8")

        def facts() -> dict[str, Any]:
            card = _render(self, source, text)
            sections = [heading for heading in card.headings if heading.level == 2]
            return {"card": card, "sections": sections if len(sections) > 3 else [], "index": INDEX, "path": path}

        pictures = [(shown, sha256_of(data_path(shown))) for shown in self.shown_pictures(source, text)]
        return Page(path, "guide.html.jinja", repr((text, pictures, list(self._targets))), facts)


@functools.cache
def _render(guides: Guides, guide: str, text: str) -> markdown.Document:
    """Renders a guide once for all hubs of a process."""
    return markdown.render_guide(text, lambda link: guides.resolve(guide, link))


@functools.cache
def find_guides() -> Guides:
    """Returns the documentation of this version of the project, which does not change while a process runs."""
    folder = data_path("docs")
    pages = {f"docs/{path.name}": f"{FOLDER}/{path.stem}.html" for path in sorted(folder.glob("*.md"))}
    pictures = {f"docs/{path.name}": f"{FOLDER}/{path.name}" for path in sorted(folder.glob("*.png"))}
    index = pages.pop(_START)
    return Guides(pages | _OTHERS | {_START: index}, pictures)
