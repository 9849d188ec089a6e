"""Parses a page of a hub: first line, description, tags, and the parts of its Markdown that checks read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.base.fault import Fault
from pipeline.base.text import read_generated

# `<!-- key: value -->` alone on a line; tensorflow/tfhub.dev, tools/validator.py, METADATA_LINE_PATTERN.
TAG = re.compile(r"<!--\s*(?P<key>[\w\s-]+?)\s*:\s*(?P<value>.+?)\s*-->")
# An address on another host than the page's, or of another program.
_ELSEWHERE = re.compile(r"(?!data:)[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
# The other lines allowed among the tags: a publisher's picture, a link to a notebook; the validator's consume_metadata.
BADGES = ("[![Icon URL]]", "[![Open Colab notebook]]")


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
        return [
            Piece((token.map or [0])[0] + 1, self._tokens[number + 1].content, int(token.tag[1:]))
            for number, token in enumerate(self._tokens)
            if token.type == "heading_open"
        ]

    def section(self, heading: str) -> range:
        """Returns the lines of a section, counted from 1: its heading to the last line of text before the next one.

        The range is empty when there is no such section.
        """
        headings = self.headings()
        start = next((piece.line for piece in headings if piece.text == heading), None)
        if start is None:
            return range(0)
        end = next((piece.line for piece in headings if piece.line > start), len(self.lines) + 1)
        while not self.lines[end - 2]:
            end -= 1
        return range(start, end)


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
        if match := TAG.fullmatch(lines[at].rstrip()):
            tags.append(Tag(at + 1, match["key"], match["value"]))
        elif lines[at].strip() and not lines[at].startswith(BADGES):
            strays.append(at + 1)
        at += 1
    return Page(text, lines, description, tuple(tags), tuple(strays), at)


def read_page(path: Path) -> Page:
    """Reads a page; raises Fault as read_generated() does."""
    return parse_page(read_generated(path, "expected a page in Markdown; publish it again"))


def refuse_problems(where: str, problems: list[Problem]) -> None:
    """Raises a Fault that lists the problems as "<where>:<line>: <text>", by line; nothing when there are none."""
    if problems:
        ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.text))
        raise Fault("\n".join(f"{where}:{problem.line}: {problem.text}" for problem in ordered))
