"""Parses YAML into nodes: files of bounded size, and only values that every reader of the file understands alike.

YAML 1.1, which PyYAML reads, takes 010 for 8, 1:30 for 90 and 2024-01-01 for a date; YAML 1.2 and most people do not.
Such values are refused, as are tags, merge keys and keys that are no words, which files of facts do not need.

Files come from strangers, too. libyaml takes quadratic time for deep nesting, composing nodes nests as deep on the C
stack as the file does, and aliases repeat what they name. Its events need neither, so they are counted first.
"""

import math
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.fault import Fault, show_name
from pipeline.base.text import read_text

# This project's longest file has 4 kB. A collection with 100 references and their BibTeX has about 80 kB.
MAX_BYTES = 256 * 1024
MAX_DEPTH = 20  # lists and mappings within each other; a reference of a collection has a depth of 3

# Where `make new` leaves something to the author: what to write follows. No text of a page begins so.
OPEN_PLACE = "TODO:"

# libyaml is several times faster than the pure-Python loader, and every make run reads every member.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")  # fits into 64 bits
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def compose(path: Path) -> yaml.MappingNode:
    """Parses a file into nodes, which know their lines; its top level must be a mapping.

    Raises:
        Fault: names file and line where the file is missing, too large, not UTF-8, not valid YAML or not a mapping,
            repeats a key, has a value that can be understood in two ways, or places that are open (OPEN_PLACE).
    """
    text = _read(path)
    try:
        _count(path, text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        column = f", at column {where.column + 1}" if where else ""
        line = where.line + 1 if where else 1
        raise Fault(f"{path}:{line}: not valid YAML: {error.problem}{column}{_find_invisible(text)}") from None
    except yaml.reader.ReaderError as error:  # whose position counts the bytes of UTF-8
        line = text.encode()[: error.position].count(b"\n") + 1
        raise Fault(f"{path}:{line}: not valid YAML: the character U+{error.character:04X}; delete it") from None
    if not isinstance(root, yaml.MappingNode):
        raise Fault(f"{path}:1: expected a mapping of sections")
    _check(path, root)
    if places := list(_find_open(root)):
        lines = "\n".join(f"  {path}:{line}: {name}: {to_do}" for line, name, to_do in places)
        count, each = (f"{len(places)} places are", "each") if len(places) > 1 else ("a place is", "it")
        raise Fault(f"{path}: {count} open; write what {each} says instead of it:\n{lines}")
    return root


def items(path: Path, node: yaml.MappingNode) -> dict[str, tuple[int, yaml.Node]]:
    """Returns each key's line and value node; raises Fault for a key that is no word or stands twice."""
    values: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value:
        line = _line(key)
        if not isinstance(key, yaml.ScalarNode):
            raise Fault(f"{path}:{line}: a key must be a plain word")
        if key.tag != f"{_TAG}str":
            raise Fault(
                f"{path}:{line}: YAML reads the key {show_name(key.value)} as {_kind(key)}; a key must be a word"
            )
        if key.value in values:
            raise Fault(f"{path}:{line}: {show_name(key.value)!r} stands twice, first on line {values[key.value][0]}")
        values[key.value] = (line, value)
    return values


def construct(node: yaml.Node) -> Any:
    """Returns the plain Python value of a node that compose() returned."""
    loader = _LOADER("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _read(path: Path) -> str:
    try:
        return read_text(path, "save it as UTF-8", MAX_BYTES)
    except FileNotFoundError:
        raise Fault(f"{path}: no such file") from None


def _find_invisible(text: str) -> str:
    """Returns a hint at the first character that looks like a space or like nothing, and is not a space for YAML."""
    match = re.search(r"^ *\t|[\u00a0\u200b-\u200f\u2060\ufeff]", text, re.MULTILINE)
    if match is None:
        return ""
    character = match[0][-1]
    name = unicodedata.name(character, "tab").lower().replace("_", " ")
    return f"; line {text.count(chr(10), 0, match.end()) + 1} has a {name}: write spaces"


# The size -------------------------------------------------------------------------------------------------------------
class _Size:
    """Adds up what a file holds when every alias is written out: 1 for each node, and the characters of texts.

    Attributes:
        total: of the nodes so far.
        open: the lists and mappings that have not ended: the anchor of each, or None, and the total before it.
    """

    def __init__(self) -> None:
        self.total = 0
        self.open: list[tuple[str | None, int]] = []
        self._anchors: dict[str | None, int] = {}

    def add(self, event: yaml.Event) -> None:
        """Adds a node by its event."""
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append((event.anchor, self.total))
            self.total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            self._anchors[anchor] = self.total - before
        elif isinstance(event, yaml.ScalarEvent):
            self._anchors[event.anchor] = 1 + len(event.value)
            self.total += 1 + len(event.value)
        elif isinstance(event, yaml.AliasEvent):
            self.total += self._anchors.get(event.anchor, 0)  # 0 for one that composing refuses


def _count(path: Path, text: str) -> None:
    """Raises Fault for nesting, aliases and tags that files of facts do not have."""
    size = _Size()
    for event in yaml.parse(text, Loader=_LOADER):
        size.add(event)
        if problem := _problem(event, size):
            raise Fault(f"{path}:{_line(event)}: {problem}")


def _line(part: Any) -> int:
    """Returns the line of an event or a node, from 1."""
    return int(part.start_mark.line) + 1


def _problem(event: Any, size: _Size) -> str | None:
    if len(size.open) > MAX_DEPTH:
        column = event.start_mark.column + 1
        return f"more than {MAX_DEPTH} lists and mappings within each other, at column {column}; remove some"
    if size.total > MAX_BYTES:
        return f"with its aliases (*name) written out, the file has more than {MAX_BYTES:,} characters; remove some"
    if isinstance(event, yaml.AliasEvent) and any(event.anchor == anchor for anchor, _ in size.open):
        return f"the alias {show_name(f'*{event.anchor}')} repeats what it is part of, without end; write a value"
    if tag := getattr(event, "tag", None):
        return f"the tag {show_name(tag.replace(_TAG, '!!'))} is not supported; remove it, and put a text into quotes"
    return None


# The values -----------------------------------------------------------------------------------------------------------
def _check(path: Path, node: yaml.Node) -> None:
    """Raises Fault for keys as items() does, for control characters, and for values with two meanings."""
    if isinstance(node, yaml.MappingNode):
        items(path, node)
        for pair in node.value:
            for part in pair:
                _check(path, part)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            _check(path, part)
    elif problem := _wrong_scalar(node):
        raise Fault(f"{path}:{_line(node)}: {problem}")


def _find_open(node: Any, name: str = "") -> Iterator[tuple[int, str, str]]:
    """Yields the line, the name and the task of each open place: a text with a line that begins with OPEN_PLACE."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _find_open(value, f"{name}.{key.value}".lstrip("."))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _find_open(value, f"{name}[{number}]")
    elif OPEN_PLACE in node.value:
        first = _line(node) + (node.style in ("|", ">"))
        for offset, text in enumerate(node.value.split("\n")):
            if text.lstrip().startswith(OPEN_PLACE):
                yield first + offset, name, show_name(text.lstrip().removeprefix(OPEN_PLACE).strip(), 400)


def _wrong_scalar(node: yaml.Node) -> str | None:
    """Returns what is wrong with a value, None for nothing. One in quotes has the tag of a string."""
    if control := _CONTROL.search(node.value):
        return f"a text has the character U+{ord(control[0]):04X}; remove it"
    kind, text = node.tag.removeprefix(_TAG), node.value
    if kind in ("str", "bool", "null"):
        return None
    if kind == "int" and _INT.fullmatch(text):
        return None
    if kind == "float" and _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return None
    means = f"YAML reads {show_name(text)} as {_kind(node)}"
    if kind in ("int", "float"):
        return f"{means}; write a decimal number, or put it into quotes if it is a text"
    return f"{means}; put it into quotes"


def _kind(node: yaml.Node) -> str:
    """Returns what YAML makes of a value without quotes, in words."""
    kind = node.tag.removeprefix(_TAG)
    if kind in ("int", "float"):
        return str(construct(node)) if len(node.value) <= 20 else "a long number"
    return {"bool": "true or false", "null": "null", "timestamp": "a date"}.get(kind, "a command")
