"""Checks pages against the rules of tfhub.dev.

    python -m pipeline.cards.tf_hub_rules PAGE.md ...

The rules are those of its guide (https://www.tensorflow.org/hub/writing_documentation) and of the program that enforced
them (tensorflow/tfhub.dev, tools/validator.py): the form of the first line, a description of one sentence, the tags
that a kind of page must and may have, the tags that may be repeated, and the values of tags (templates/hub_tags.yaml).
This project adds: an overview, headings without gaps, no HTML but comments, links that work on every host, no pictures
from other hosts, and citations that are in the references.
"""

import argparse
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import yaml

from pipeline.base.command import command
from pipeline.base.fault import Fault, nearest
from pipeline.base.templates import TEMPLATES
from pipeline.cards.page import (
    NOTEBOOK_BADGE,
    Page,
    Problem,
    Tag,
    is_elsewhere,
    parse_page,
    read_page,
    refuse_problems,
    split_comments,
    split_tag,
)

PUBLISHER = r"[a-z\d-]+"
HANDLE = rf"{PUBLISHER}/[\w.-]+(?:/[\w.-]+)*/\d+"
REPEATED = frozenset({"dataset", "language", "network-architecture", "task"})
FORMATS = ("hub", "saved_model", "saved_model_2")
DOMAINS = ("image-", "text-", "audio-", "video-")
COLAB = "colab.research.google.com"


@dataclass(frozen=True)
class Kind:
    """What the pages of a kind must have; the kind is the first word of their first line.

    Attributes:
        first: the pattern of the rest of the first line.
        example: a text that matches it.
        required, optional: the tags.
        suffix: of the file that the tag asset-path leads to.
    """

    first: str
    example: str
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    suffix: str | None = None


def _deployment(suffix: str, *more: str) -> Kind:
    required = frozenset({"asset-path", "parent-model"})
    return Kind(HANDLE, "google/spice/1", required, frozenset({"colab", "interactive-visualizer", *more}), suffix)


_ABOUT = frozenset({"dataset", "interactive-visualizer", "language", "license", "network-architecture"})
KINDS = {
    "Module": Kind(
        HANDLE,
        "google/text-embedding-model/1",
        frozenset({"asset-path", "fine-tunable", "format", "task"}),
        _ABOUT | {"colab"},
        ".tar.gz",
    ),
    "Placeholder": Kind(HANDLE, "google/spice/1", frozenset({"task"}), _ABOUT | {"fine-tunable"}),
    "Lite": _deployment(".tflite"),
    "Coral": _deployment(".tflite"),
    "Tfjs": _deployment(".tar.gz", "demo"),
    "Collection": Kind(
        rf"{PUBLISHER}/[\w/&;.-]+/\d+",
        "vtab/benchmark/1",
        frozenset({"task"}),
        frozenset({"dataset", "language", "network-architecture"}),
    ),
    "Publisher": Kind(PUBLISHER, "vtab"),
}


@functools.cache
def known_tags() -> dict[str, Any]:
    """Returns the allowed values of each tag that has a list: those of tfhub.dev and this project's."""
    lists: dict[str, Any] = yaml.safe_load((TEMPLATES / "hub_tags.yaml").read_text(encoding="utf-8"))
    added = lists.pop("own")
    return {key: frozenset(values) | added.get(key, {}).keys() for key, values in lists.items()}


# What may stand before a full stop inside a sentence: "A", "U.S", "Dr".
_ABBREVIATION = re.compile(r"(?:\w\.)*\w|al|approx|ca|cf|dr|fig|incl|mrs?|ms|prof|st|vs", re.IGNORECASE)

_MARK = re.compile(r"[.!?]\s+(?=[A-Z])")
_WORD = re.compile(r"[\w.]*$")
_GROUP = re.compile(r"\[([\d, ]+)\]")
_MOST = 100  # problems that a rule tells


# The head: first line, description, tags -----------------------------------------------------------------------------
def _head(page: Page) -> Iterator[Problem]:
    word = page.first.removeprefix("# ").split(" ")[0]
    kind = KINDS.get(word)
    if not page.first.startswith("# ") or kind is None:
        text = f"the first line must be '# <kind> <handle>', such as '# Module {KINDS['Module'].example}'"
        yield Problem(1, f"{text}, got {page.first!r}{nearest(word, KINDS)}; the kinds are {', '.join(KINDS)}")
        return
    if not re.fullmatch(rf"# {word} {kind.first}", page.first):
        text = f"{page.first!r} is not the first line of a {word.lower()}; expected '# {word} {kind.example}', say"
        yield Problem(1, f"{text} (a publisher has lower-case letters, digits and '-' only)")
    yield from _description(page, word)
    for line in page.strays:
        text = f"{page.lines[line - 1]!r} is among the tags; expected a line '<!-- key: value -->'"
        yield Problem(line, f"{text}, or a heading before other text")
    yield from _tags(page, word, kind)


def _is_one_sentence(text: str) -> bool:
    """Whether no sentence begins inside a text; the full stop of an initial or abbreviation ends none."""
    for mark in _MARK.finditer(text):
        before = _WORD.search(text, max(0, mark.start() - 20), mark.start())  # no abbreviation is longer
        if mark[0][0] != "." or before is None or not _ABBREVIATION.fullmatch(before[0]):
            return False
    return True


def _description(page: Page, word: str) -> Iterator[Problem]:
    line = 3 if len(page.lines) > 1 and not page.lines[1] else 2
    if not page.description:
        yield Problem(line, "there is no description, expected one sentence below the first line")
    elif word != "Publisher":  # its description is a name
        if not _is_one_sentence(page.description):
            yield Problem(line, f"the description must be one sentence, got {page.description!r}")
        if not page.description.endswith("."):
            yield Problem(line, f"the description must be a sentence that ends with '.', got {page.description!r}")


def _tags(page: Page, word: str, kind: Kind) -> Iterator[Problem]:
    allowed = kind.required | kind.optional
    by_key: dict[str, list[Tag]] = {}
    for tag in page.tags:
        by_key.setdefault(tag.key, []).append(tag)
        if tag.key not in allowed:
            expected = f"expected {', '.join(sorted(allowed))}" if allowed else "expected none"
            text = f"the page of a {word.lower()} has no tag {tag.key!r}{nearest(tag.key, allowed)}"
            yield Problem(tag.line, f"{text}: {expected}")
        elif problem := _value(tag, kind):
            yield Problem(tag.line, problem)
    last = max((tag.line for tag in page.tags), default=min(3, len(page.lines)))
    for key in sorted(kind.required - by_key.keys()):
        yield Problem(last, f"the tag {key!r} is missing, which the page of a {word.lower()} must have")
    for key, tags in by_key.items():
        if len({tag.value for tag in tags}) > 1 and key not in REPEATED:
            values = ", ".join(repr(tag.value) for tag in tags)
            yield Problem(tags[-1].line, f"the tag {key!r} may have one value, got {values}")


def _split(address: str) -> SplitResult:
    """Returns the parts of an address; empty ones for what is none, as http://[a (markdown-it lets no such link by)."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _value(tag: Tag, kind: Kind) -> str | None:
    """Returns what is wrong with a tag's value, or None."""
    key, value = tag.key, tag.value
    if key == "task" and not value.startswith(DOMAINS):
        return f"a task begins with {', '.join(DOMAINS)}, got {value!r}"
    if key in known_tags() and value not in known_tags()[key]:
        text = f"{value!r} is not a {key} of tfhub.dev{nearest(value, known_tags()[key])}"
        return f"{text}; choose one that templates/hub_tags.yaml lists, or add it under `own` there with a reason"
    if key == "fine-tunable" and value not in ("true", "false"):
        return f"fine-tunable must be true or false, got {value!r}"
    if key == "format" and value not in FORMATS:
        return f"format must be {', '.join(FORMATS)}, got {value!r}"
    if key == "parent-model" and not re.fullmatch(HANDLE, value):
        return f"parent-model must be a handle such as google/spice/1, got {value!r}"
    if key == "asset-path":
        return _asset_path(value, kind)
    parts = _split(value)
    if key in ("colab", "demo") and (parts.scheme != "https" or not parts.hostname):
        return f"{key} must be an https address, got {value!r}"
    if key == "colab" and parts.hostname != COLAB:
        return f"colab must lead to {COLAB}, got {value!r}"
    return None


def _asset_path(value: str, kind: Kind) -> str | None:
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"asset-path must be a public address, https://..., got {value!r}"
    if kind.suffix and not value.endswith(kind.suffix):
        return f"asset-path must end with {kind.suffix}, got {value!r}"
    if parts.hostname == "github.com" and "/releases/download/" in parts.path:
        return f"asset-path {value!r} may not be fetched by programs (https://github.com/robots.txt); host it elsewhere"
    return None


# The body: Markdown ---------------------------------------------------------------------------------------------------
def _headings(page: Page) -> Iterator[Problem]:
    headings = page.headings()
    for heading in headings[1:]:
        if heading.level == 1:
            text = f"the heading {heading.text!r} has the level of the page's title"
            yield Problem(heading.line, f"{text}; a page has one '#', and its sections '##'")
    for upper, lower in itertools.pairwise(headings):
        if lower.level > upper.level + 1:
            text = f"the heading {lower.text!r} is of level {lower.level} below one of level {upper.level}"
            yield Problem(lower.line, f"{text}; expected level {upper.level + 1} or less")
    if page.first.startswith(("# Module", "# Placeholder", "# Collection")) and not any(
        heading.text == "Overview" and heading.level == 2 for heading in headings
    ):
        yield Problem(len(page.lines), "there is no section '## Overview'")


def _html(page: Page) -> Iterator[Problem]:
    for piece in page.html():
        comments, other = split_comments(piece.text)
        if other or not comments:
            got = piece.text.split("\n")[0]
            yield Problem(piece.line, f"raw HTML, {got!r}: expected Markdown, and HTML for comments only")
        elif piece.line > page.body and any(map(split_tag, comments)):
            yield Problem(piece.line, f"the tag {piece.text!r} has no effect here; move it above the first heading")


def _links(page: Page) -> Iterator[Problem]:
    for link in page.links():
        parts = urlsplit(link.text)
        if parts.scheme not in ("", "http", "https", "mailto") or (not parts.scheme and link.text.startswith("/")):
            text = f"the link {link.text!r} works on one machine or host only"
            yield Problem(link.line, f"{text}; expected an http or https address, or a path relative to this page")


def _badges(page: Page) -> Iterator[Problem]:
    for link in page.links():
        parts = _split(link.text)
        if page.lines[link.line - 1].startswith(NOTEBOOK_BADGE) and (parts.scheme, parts.hostname) != ("https", COLAB):
            yield Problem(link.line, f"the link to a Colab notebook must lead to https://{COLAB}, got {link.text!r}")


def _images(page: Page) -> Iterator[Problem]:
    for image in page.images():
        if is_elsewhere(image.text):
            text = f"the picture {image.text!r} is on another host, which would learn who reads the page"
            yield Problem(image.line, f"{text}; link to it instead, [its name](its address)")


def _citations(page: Page) -> Iterator[Problem]:
    start = next((heading.line for heading in page.headings() if heading.text == "References"), len(page.lines) + 1)
    listed = {int(match[1]) for line in page.lines[start:] if (match := re.match(r"\[(\d{1,9})\] ", line))}
    groups = functools.cache(lambda line: {*_GROUP.findall(page.lines[line - 1])})
    for piece in page.words():
        for group in _GROUP.findall(piece.text):
            cited = [int(number) for number in re.findall(r"\d{1,9}", group)]
            missing = [number for number in cited if number not in listed]
            is_cited = group in groups(piece.line)  # not so where the brackets are escaped
            if piece.line < start and missing and is_cited and 0 not in cited:  # [0, 1] is an interval
                references = f"end at [{max(listed)}]" if listed else "are missing"
                yield Problem(piece.line, f"[{missing[0]}] is cited, but the references {references}")


def problems(page: Page) -> list[Problem]:
    """Returns where a page breaks the rules."""
    rules = (_head, _headings, _html, _links, _badges, _images, _citations)
    return [problem for rule in rules for problem in itertools.islice(rule(page), _MOST)]


def check(text: str, where: str) -> None:
    """Raises a Fault for a page that breaks a rule; it names `where` and the line of each problem."""
    refuse_problems(where, problems(parse_page(text)))


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.cards.tf_hub_rules", description="Checks pages of a hub.")
    parser.add_argument("page", type=Path, nargs="+", help="a Markdown file")
    args = parser.parse_args(arguments)
    problems_by_page = []
    for path in args.page:
        try:
            refuse_problems(str(path), problems(read_page(path)))
        except FileNotFoundError:
            problems_by_page.append(f"{path}: no such file")
        except Fault as fault:
            problems_by_page.append(str(fault))
    if problems_by_page:
        raise Fault("\n".join(problems_by_page))
    return f"{len(args.page)} pages"


if __name__ == "__main__":
    raise SystemExit(command("hub_rules", main))
