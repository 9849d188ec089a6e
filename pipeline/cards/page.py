"""Parses a page of a hub: first line, description, tags, and the parts of its Markdown that checks read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.base.fault import Fault, escape
from pipeline.base.text import read_generated

# Bytes of a page; markdown-it takes 20 s for 1 MB of brackets. A collection's has about 340 for each model, which makes
# room for 2,900.
LARGEST_PAGE = 250_000
LARGEST_COLLECTION_PAGE = 1_000_000
_NOTICE = 5_000  # bytes that a yank or a deprecation may add to a page
MOST_SHOWN = 8  # problems of a page
_LONGEST = 1000  # characters of a problem, which may quote two rows of a table
_ENOUGH = 1000  # characters after which no other problem is shown
_KEY = re.compile(r"[\w\s-]+")
# An address on another host than the page's, or of another program.
_ELSEWHERE = re.compile(r"(?!data:)[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
# The other lines allowed among the tags: a publisher's picture, a link to a notebook; the validator's consume_metadata.
NOTEBOOK_BADGE = "[![Open Colab notebook]]"
BADGES = ("[![Icon URL]]", NOTEBOOK_BADGE)


def split_comments(html: str) -> tuple[list[str], str]:
    """Returns the contents of the comments in a piece of HTML, and the rest of it without the space around them.

    A regular expression would look for the end of each comment that has none.
    """
    comments: list[str] = []
    rest: list[str] = []
    at = 0
    while (start := html.find("<!--", at)) >= 0 and (end := html.find("-->", start + 4)) >= 0:
        rest.append(html[at:start].strip() if comments else html[at:start].rstrip())
        comments.append(html[start + 4 : end])
        at = end + 3
    return comments, "".join([*rest, html[at:].lstrip() if comments else html])


def split_tag(comment: str) -> tuple[str, str] | None:
    """Returns the key and the value of a comment `key: value`; None for one of another form.

    The form is that of tensorflow/tfhub.dev, tools/validator.py, METADATA_LINE_PATTERN.
    """
    key, colon, value = comment.partition(":")
    if "\n" in comment or not (colon and key.strip() and value.strip() and _KEY.fullmatch(key)):
        return None
    return key.strip(), value.strip()


class _Reader(MarkdownIt):
    """Parses every link: markdown-it takes links to file: and the like for text, which would hide them from checks."""

    def validateLink(self, url: str) -> bool:  # noqa: N802 (markdown-it's name)
        return True


_MARKDOWN = _Reader("commonmark").enable("table")


@dataclass(frozen=True)
class Problem:
    """A problem of a page: its line, counted from 1, and a clause that follows "file:line: "."""

    line: int
    text: str


@dataclass(frozen=True)
class Tag:
    """A metadata comment between the description and the first section."""

    line: int
    key: str
    value: str


@dataclass(frozen=True)
class Piece:
    """A heading (level 1 to 6), a link's target, running text or a raw piece of HTML, with its line."""

    line: int
    text: str
    level: int = 0


@dataclass(frozen=True)
class Page:
    """A page, parsed as tfhub.dev's validator does; markdown-it parses the Markdown.

    Attributes:
        text: all of it.
        lines: of the text, without line ends.
        description: from the second line to the first empty one or comment; an empty second line is skipped.
        tags: the metadata, up to the first section.
        strays: the numbers of the lines among them that are neither tags nor badges.
        body: the index in `lines` of the first section.
    """

    text: str
    lines: tuple[str, ...]
    description: str
    tags: tuple[Tag, ...]
    strays: tuple[int, ...]
    body: int

    @property
    def first(self) -> str:
        """The first line, without "&zwnj;", which was allowed there to keep a handle from becoming a link."""
        return self.lines[0].replace("&zwnj;", "")

    @property
    def handle(self) -> str:
        """The rest of the first line after the kind, such as "sayakpaul/vit_s16_fe/1"."""
        return self.first.split(" ", 2)[-1]

    def values(self, key: str) -> list[str]:
        """Returns the values of a tag, in order."""
        return [tag.value for tag in self.tags if tag.key == key]

    @cached_property
    def _tokens(self) -> list[Token]:
        return _MARKDOWN.parse(self.text)

    def _inline(self) -> Iterator[tuple[int, Token]]:
        """Yields the pieces of running text, links and HTML with their lines."""
        for token in self._tokens:
            line = token.map[0] + 1 if token.map else 1
            for child in token.children or []:
                yield line, child
                line += child.type in ("softbreak", "hardbreak")

    def links(self) -> list[Piece]:
        """Returns the targets of links and images."""
        targets = ((line, child.attrs.get("href", child.attrs.get("src"))) for line, child in self._inline())
        return [Piece(line, str(target)) for line, target in targets if target is not None]

    def images(self) -> list[Piece]:
        """Returns the addresses of images."""
        return [Piece(line, str(child.attrs["src"])) for line, child in self._inline() if child.type == "image"]

    def words(self) -> list[Piece]:
        """Returns running text, line by line, without code, HTML and the marks of headings."""
        return [Piece(line, child.content) for line, child in self._inline() if child.type == "text" and child.content]

    def paragraphs(self) -> list[Piece]:
        """Returns the text of each paragraph, heading and table cell, with its line breaks."""
        breaks = {"softbreak": "\n", "hardbreak": "\n"}
        return [
            Piece((token.map or [0])[0] + 1, "".join(breaks.get(child.type, child.content) for child in token.children))
            for token in self._tokens
            if token.children
        ]

    def html(self) -> list[Piece]:
        """Returns the raw HTML of the page, including comments."""
        blocks = [
            Piece((token.map or [0])[0] + 1, token.content.strip())
            for token in self._tokens
            if token.type == "html_block"
        ]
        return blocks + [Piece(line, child.content) for line, child in self._inline() if child.type == "html_inline"]

    def headings(self) -> list[Piece]:
        """Returns the headings in order."""
        return self._headings

    @cached_property
    def _headings(self) -> list[Piece]:
        return [
            Piece((token.map or [0])[0] + 1, self._tokens[number + 1].content, int(token.tag[1:]))
            for number, token in enumerate(self._tokens)
            if token.type == "heading_open"
        ]

    def section(self, heading: str) -> range:
        """Returns the lines of a section, counted from 1: its heading to the last line of text before the next one.

        The range is empty when there is no such section; of several, it is the first.
        """
        return self._sections.get(heading, range(0))

    @cached_property
    def _sections(self) -> dict[str, range]:
        sections: dict[str, range] = {}
        ends = [*(piece.line for piece in self._headings[1:]), len(self.lines) + 1]
        for piece, end in zip(self._headings, ends, strict=False):
            while not self.lines[end - 2]:
                end -= 1
            sections.setdefault(piece.text, range(piece.line, end))
        return sections


def is_elsewhere(address: str) -> bool:
    """Whether the address of a picture is on another host; a data: address is part of the page."""
    return bool(_ELSEWHERE.match(address))


def parse_page(text: str) -> Page:
    """Parses a page without checking it."""
    lines = tuple(text.split("\n"))
    at = 2 if len(lines) > 1 and not lines[1] else 1
    start = at
    while at < len(lines) and lines[at] and not lines[at].startswith(("<!--", "#", *BADGES)):
        at += 1
    description = " ".join(lines[start:at])
    tags, strays = [], []
    while at < len(lines) and not lines[at].startswith("#"):
        line = lines[at].rstrip()
        is_comment = len(line) > 6 and line.startswith("<!--") and line.endswith("-->")
        if pair := split_tag(line[4:-3]) if is_comment else None:
            tags.append(Tag(at + 1, *pair))
        elif lines[at].strip() and not lines[at].startswith(BADGES):
            strays.append(at + 1)
        at += 1
    return Page(text, lines, description, tuple(tags), tuple(strays), at)


def read_page(path: Path, largest: int = LARGEST_PAGE) -> Page:
    """Reads a page of at most `largest` bytes; raises Fault as read_generated() does."""
    return parse_page(read_generated(path, "expected a page in Markdown; publish it again", largest))


def size_problems(page: Page, largest: int = LARGEST_PAGE, to_do: str = "shorten it") -> Iterator[Problem]:
    """Yields that a new page is larger than the one that read_page() takes, with room for a notice of a withdrawal."""
    most, size = largest - _NOTICE, _count_bytes(page.text)
    if size > most:
        sections = {
            heading.text: _count_bytes("\n".join(page.lines[line - 1] for line in page.section(heading.text)))
            for heading in page.headings()
        }
        longest = f"; its longest section is {max(sections, key=sections.__getitem__)!r}" if sections else ""
        yield Problem(1, f"the page has {size:,} bytes, and at most {most:,} are published: {to_do}{longest}")


def _count_bytes(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))


def refuse_problems(where: str, problems: list[Problem]) -> None:
    """Raises a Fault that lists the first problems as "<where>:<line>: <text>", by line; nothing without any."""
    if problems:
        ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.text))
        shown: list[str] = []
        for problem in ordered[:MOST_SHOWN]:
            if sum(map(len, shown)) < _ENOUGH:
                shown.append(f"{where}:{problem.line}: {_shorten(problem.text)}")
        if len(ordered) > len(shown):
            shown.append(f"{where}: {len(ordered) - len(shown):,} more problems; correct these first")
        raise Fault("\n".join(shown))


def _shorten(text: str) -> str:
    """Returns the beginning and the end of a long sentence, which may quote a page."""
    text = escape(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"
