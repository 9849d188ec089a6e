"""Reads YAML sections into frozen dataclasses; refuses unknown, missing or mistyped keys with file and line.

A file is parsed once, by Member or YamlFile, and its sections are built from that parse when they are needed. The
dataclass of each section lies in the package that uses it; this module knows only the sections' names.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pipeline.base import strict_yaml
from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault, nearest, show_name

Section = TypeVar("Section")
SECTIONS = ("checkpoint", "model", "evaluation", "module", "formats")
_LIKE_A_NUMBER = re.compile(r"[-+]?[.0-9][0-9.,_:xobeE+-]{0,40}")


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
            Fault: see strict_yaml.compose().
        """
        self.path = path
        self._root = strict_yaml.compose(path)
        self._items = strict_yaml.items(path, self._root)

    def plain(self) -> dict[str, Any]:
        """Returns the plain values of the top-level keys, whatever they are."""
        return {key: strict_yaml.construct(node) for key, (_, node) in self._items.items()}

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
            if isinstance(node, yaml.MappingNode) and part in (items := strict_yaml.items(self.path, node)):
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
                raise Fault(f"{path}:{line}: unknown section {show_name(key)!r}{expected}")

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
            raise Fault(f"{self.path}: checkpoint.name must be {_WORDS[str]}, got {_show(section.get('name'))}")
        return str(section["name"])


def load(path: Path, section: str, kind: type[Section]) -> Section:
    """Parses a member's file for one section alone, see Member.section()."""
    return Member(path).section(section, kind)


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
        if typing.get_origin(alternative) is Mapping and isinstance(node, yaml.MappingNode):
            item, items = typing.get_args(alternative)[1], strict_yaml.items(place.path, node)
            return {key: _build(place.below(f".{key}", line), child, item) for key, (line, child) in items.items()}
    value = strict_yaml.construct(node)
    if not _fits(value, kind):
        got = f"{_show(value)} ({type(value).__name__})"
        raise Fault(f"{place} must be {_describe(kind)}, got {got}{_advise(node, value, kind)}")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and _accepts_float(kind) else value


def _show(value: Any) -> str:
    """Returns a value for a message."""
    return show_name(repr(public_address(value) if isinstance(value, str) else value))


def _advise(node: yaml.Node, value: Any, kind: Any) -> str:
    """Returns what to write where YAML makes a text of a number, or another thing of a text."""
    if not isinstance(node, yaml.ScalarNode):
        return ""
    if str in _alternatives(kind) and not isinstance(value, str):
        return f"; YAML reads {show_name(node.value)} so without quotes: put it into quotes"
    if {int, float} & {*_alternatives(kind)} and _LIKE_A_NUMBER.fullmatch(str(value)):
        return "; write a decimal number without quotes, such as 1000 or 0.5"
    return ""


def _build_dataclass(place: _Place, node: yaml.Node, kind: Any) -> Any:
    if not isinstance(node, yaml.MappingNode):
        raise Fault(f"{place} must be a mapping, got {_show(strict_yaml.construct(node))}")
    items = strict_yaml.items(place.path, node)
    hints = typing.get_type_hints(kind)
    for key, (line, _) in items.items():
        if key not in hints:
            expected = f"{nearest(key, hints)}: expected {', '.join(hints)}"
            raise Fault(f"{place.path}:{line}: unknown key {show_name(key)!r} in {place.name}{expected}")
    for field in dataclasses.fields(kind):
        if field.name not in items and field.default is field.default_factory is dataclasses.MISSING:
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
        if typing.get_origin(alternative) in (tuple, Mapping) or dataclasses.is_dataclass(alternative):
            continue  # built from their own nodes; a plain value is none of them
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
