"""Reads YAML sections into frozen dataclasses; refuses unknown, missing or mistyped keys with file and line.

A file is parsed once, by Member or YamlFile, and its sections are built from that parse when they are needed. The
dataclass of each section lies in the package that uses it; this module knows only the sections' names.
"""

import dataclasses
import re
import types
import typing
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault, nearest
from pipeline.base.text import read_text

Section = TypeVar("Section")
SECTIONS = ("checkpoint", "model", "evaluation", "module")

# libyaml is several times faster than the pure-Python loader, and every make run reads every member.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class _Place:
    """Where a value stands, for messages: the file, the line from 1, and a name such as "model.variant"."""

    path: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.name}"

    def below(self, suffix: str, line: int) -> "_Place":
        return _Place(self.path, line, self.name + suffix)


class YamlFile:
    """A YAML file that holds a mapping, parsed once.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        """Parses the file.

        Raises:
            Fault: when it is missing, not UTF-8, not valid YAML or not a mapping, or repeats a key.
        """
        self.path = path
        self._root = _parse(path)
        self._items = _items(path, self._root)

    def plain(self) -> dict[str, Any]:
        """Returns the plain values of the top-level keys, unchecked but for tags and dates that YAML cannot build."""
        return {key: _plain(self.path, node) for key, (_, node) in self._items.items()}

    def key(self, key: str, kind: type[Section], name: str | None = None) -> Section | None:
        """Builds the value of one top-level key, or returns None where the file lacks it.

        Args:
            key: the top-level key.
            kind: its frozen dataclass, or any type that may annotate a field of one.
            name: what messages call it; None for "<file>.<key>".

        Raises:
            Fault: names file and line of an unknown, repeated or missing key or of a value of the wrong type.
        """
        if key not in self._items:
            return None
        line, node = self._items[key]
        return typing.cast(Section, _build(_Place(self.path, line, name or f"{self.path.stem}.{key}"), node, kind))

    def line_of(self, path: Sequence[str | int], line_of_text: int = 1) -> int:
        """Returns the line of a value in the file, from 1; that of the nearest value around it where it is missing.

        Args:
            path: the keys and indices that lead to the value.
            line_of_text: which line of a text is meant, from 1; it counts where the text begins below its key.
        """
        node, line = typing.cast(yaml.Node, self._root), 1
        for part in path:
            if isinstance(node, yaml.MappingNode) and part in (items := _items(self.path, node)):
                line, node = items[str(part)]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                return line
        is_block = isinstance(node, yaml.ScalarNode) and node.style == "|"
        return line + line_of_text if is_block else line

    def whole(self, kind: type[Section], keys_of_others: Sequence[str] = ()) -> Section:
        """Builds the whole file into a dataclass.

        Args:
            kind: the frozen dataclass of the file.
            keys_of_others: top-level keys to skip; other code reads them with key().

        Raises:
            Fault: as key() does.
        """
        pairs = [pair for pair in self._root.value if pair[0].value not in keys_of_others]
        root = yaml.MappingNode(self._root.tag, pairs, self._root.start_mark, self._root.end_mark)
        return typing.cast(Section, _build(_Place(self.path, 1, self.path.stem), root, kind))


class Member(YamlFile):
    """A member's YAML file, `model_cards/<collection>/<member>.yaml`, parsed once.

    Attributes:
        path: the file.
        name: the member's name.
        folder: the collection's folder; paths in the file are relative to it.
    """

    def __init__(self, path: Path) -> None:
        """Parses the file; raises Fault as YamlFile does, and for a section that is not one of SECTIONS."""
        super().__init__(path)
        self.name, self.folder = path.stem, path.parent
        for key, (line, _) in self._items.items():
            if key not in SECTIONS:
                expected = f"{nearest(key, SECTIONS)}: expected {', '.join(SECTIONS)}"
                raise Fault(f"{path}:{line}: unknown section {key!r}{expected}")

    def section(self, name: str, kind: type[Section]) -> Section:
        """Builds a section, one of SECTIONS, into its dataclass; raises Fault as key() does, or where it is missing."""
        section = self.key(name, kind, name)
        if section is None:
            raise Fault(f"{self.path}: section {name!r} is missing")
        return section

    def checkpoint_name(self) -> str:
        """Returns the checkpoint's upstream name, for code that needs nothing else of that section.

        The section's dataclass would bring the code of downloads with it, and an edit of that would rebuild what the
        caller makes.
        """
        section = self.section("checkpoint", dict)
        if not isinstance(section.get("name"), str):
            raise Fault(f"{self.path}: checkpoint.name must be {_WORDS[str]}, got {section.get('name')!r}")
        return str(section["name"])


def load(path: Path, section: str, kind: type[Section]) -> Section:
    """Parses a member's file for one section alone, see Member.section()."""
    return Member(path).section(section, kind)


def _parse(path: Path) -> yaml.MappingNode:
    """Parses a file into nodes, which know their lines; its top level must be a mapping."""
    try:
        text = read_text(path, "save it as UTF-8")
    except FileNotFoundError:
        raise Fault(f"{path}: no such file") from None
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Fault(f"{path}:{line}: not valid YAML: {error.problem}{_find_invisible(text)}") from None
    except yaml.reader.ReaderError as error:  # whose position counts the bytes of UTF-8
        line = text.encode()[: error.position].count(b"\n") + 1
        raise Fault(f"{path}:{line}: not valid YAML: the character U+{error.character:04X}; delete it") from None
    except yaml.YAMLError as error:
        raise Fault(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(root, yaml.MappingNode):
        raise Fault(f"{path}:1: expected a mapping of sections")
    return root


def _find_invisible(text: str) -> str:
    """Returns a hint at the first character that looks like a space or like nothing, and is not a space for YAML."""
    match = re.search(r"^ *\t|[\u00a0\u200b-\u200f\u2060\ufeff]", text, re.MULTILINE)
    if match is None:
        return ""
    character = match[0][-1]
    name = unicodedata.name(character, "tab").lower().replace("_", " ")
    return f"; line {text.count(chr(10), 0, match.end()) + 1} has a {name}: write spaces"


def _items(path: Path, node: yaml.MappingNode) -> dict[str, tuple[int, yaml.Node]]:
    """Returns each key's line and value node; raises Fault for a key that stands twice."""
    items: dict[str, tuple[int, yaml.Node]] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise Fault(f"{path}:{line}: a key must be a plain word")
        if key.value in items:
            raise Fault(f"{path}:{line}: {key.value!r} stands twice, first on line {items[key.value][0]}")
        items[key.value] = (line, value)
    return items


def _plain(path: Path, node: yaml.Node) -> Any:
    """Returns the plain Python value of a node; raises Fault for a tag or date that YAML cannot construct."""
    loader = _LOADER("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        raise Fault(f"{path}:{node.start_mark.line + 1}: not a plain value: {reason}") from None
    finally:
        loader.dispose()


def _build(place: _Place, node: yaml.Node, kind: Any) -> Any:
    """Builds a value of the annotated type `kind` from a node; raises Fault where the node does not fit it."""
    for alternative in _alternatives(kind):
        if dataclasses.is_dataclass(alternative) and (kind is alternative or isinstance(node, yaml.MappingNode)):
            return _build_dataclass(place, node, alternative)
        if typing.get_origin(alternative) is tuple and isinstance(node, yaml.SequenceNode):
            item = typing.get_args(alternative)[0]
            return tuple(
                _build(place.below(f"[{number}]", child.start_mark.line + 1), child, item)
                for number, child in enumerate(node.value)
            )
    value = _plain(place.path, node)
    if not _fits(value, kind):
        got = public_address(value) if isinstance(value, str) else value
        raise Fault(f"{place} must be {_describe(kind)}, got {got!r} ({type(value).__name__})")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and _accepts_float(kind) else value


def _build_dataclass(place: _Place, node: yaml.Node, kind: Any) -> Any:
    if not isinstance(node, yaml.MappingNode):
        raise Fault(f"{place} must be a mapping, got {_plain(place.path, node)!r}")
    items = _items(place.path, node)
    hints = typing.get_type_hints(kind)
    for key, (line, _) in items.items():
        if key not in hints:
            expected = f"{nearest(key, hints)}: expected {', '.join(hints)}"
            raise Fault(f"{place.path}:{line}: unknown key {key!r} in {place.name}{expected}")
    for field in dataclasses.fields(kind):
        if field.name not in items and field.default is dataclasses.MISSING:
            raise Fault(f"{place} lacks the key {field.name!r} ({_describe(hints[field.name])})")
    values = {key: _build(place.below(f".{key}", line), child, hints[key]) for key, (line, child) in items.items()}
    try:
        return kind(**values)
    except Fault as fault:  # a dataclass checks its own values, and does not know where they stand
        raise Fault(f"{place.path}:{place.line}: {fault}") from None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """Returns the alternatives of a union, or the type itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)


def _accepts_float(kind: Any) -> bool:
    return float in _alternatives(kind) and int not in _alternatives(kind)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a plain YAML value is of the annotated type; an int fits float, a bool fits bool alone."""
    for alternative in _alternatives(kind):
        if typing.get_origin(alternative) is tuple or dataclasses.is_dataclass(alternative):
            continue  # built from their own nodes; a plain value is neither
        if alternative is bool or isinstance(value, bool):
            if alternative is bool and isinstance(value, bool):
                return True
        elif isinstance(value, (int, float) if alternative is float else alternative):
            return True
    return False


_WORDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def _describe(kind: Any) -> str:
    """Returns an annotated type in words, for messages."""
    names = []
    for alternative in _alternatives(kind):
        if typing.get_origin(alternative) is tuple:
            names.append("a list, each " + _describe(typing.get_args(alternative)[0]))
        else:
            names.append(_WORDS.get(alternative, "a mapping"))
    return " or ".join(names)
