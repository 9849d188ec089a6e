"""YAML sections to frozen dataclasses, refusing what is unknown, missing or of the wrong type with its place."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pipeline.base.fault import Fault, nearest, shown

Section = TypeVar("Section")
SECTIONS = ("checkpoint", "model", "evaluation", "module")

# libyaml is several times faster than the pure-Python loader, and every make run reads every member.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _parse(path: Path) -> yaml.MappingNode:
    """Parses a file into nodes, which know their lines; its top level must be a mapping."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except FileNotFoundError:
        raise Fault(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise Fault(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Fault(f"{path}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise Fault(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(root, yaml.MappingNode):
        raise Fault(f"{path}:1: expected a mapping of sections")
    return root


def _items(path: Path, node: yaml.MappingNode) -> dict[str, tuple[int, yaml.Node]]:
    """Returns the mapping's values with their keys' lines; a key that stands twice is a fault."""
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
    """Constructs the plain Python value of a node; a tag or date that YAML cannot construct is a fault."""
    loader = _LOADER("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        raise Fault(f"{path}:{node.start_mark.line + 1}: not a plain value: {reason}") from None
    finally:
        loader.dispose()


def sections(path: Path) -> dict[str, Any]:
    """Returns the plain values of a file's top-level keys, unchecked; for stamps."""
    return {key: _plain(path, node) for key, (_, node) in _items(path, _parse(path)).items()}


def load(path: Path, section: str, kind: type[Section]) -> Section:
    """Reads one section of a member's file into its dataclass.

    Args:
        path: a member's YAML file.
        section: one of SECTIONS.
        kind: the frozen dataclass of that section.

    Raises:
        Fault: names file and line of an unknown, repeated or missing key or a value of the wrong type.
    """
    items = _items(path, _parse(path))
    for key, (line, _) in items.items():
        if key not in SECTIONS:
            raise Fault(
                f"{path}:{line}: unknown section {key!r}{nearest(key, SECTIONS)}: expected {', '.join(SECTIONS)}"
            )
    if section not in items:
        raise Fault(f"{path}: section {section!r} is missing")
    line, node = items[section]
    return typing.cast(Section, _build(path, line, section, node, kind))


def load_whole(path: Path, kind: type[Section], keys_of_others: Sequence[str] = ()) -> Section:
    """Reads a whole file, such as collection.yaml, into a dataclass.

    Args:
        path: the YAML file.
        kind: the frozen dataclass of the file.
        keys_of_others: top-level keys that are allowed and passed over: other code reads them with load_key().

    Raises:
        Fault: as load() does.
    """
    root = _parse(path)
    root.value = [pair for pair in root.value if pair[0].value not in keys_of_others]
    return typing.cast(Section, _build(path, 1, path.stem, root, kind))


def load_key(path: Path, key: str, kind: type[Section]) -> Section | None:
    """Reads one top-level key of a whole file into its dataclass; None where the file lacks it.

    Raises:
        Fault: as load() does, about that key alone.
    """
    items = _items(path, _parse(path))
    if key not in items:
        return None
    line, node = items[key]
    return typing.cast(Section, _build(path, line, f"{path.stem}.{key}", node, kind))


def _build(path: Path, line: int, where: str, node: yaml.Node, kind: Any) -> Any:
    """Builds a value of the annotated type `kind` from a node, or says why that cannot be."""
    for member in _members(kind):
        if dataclasses.is_dataclass(member) and (kind is member or isinstance(node, yaml.MappingNode)):
            return _build_dataclass(path, line, where, node, member)
        if typing.get_origin(member) is tuple and isinstance(node, yaml.SequenceNode):
            item = typing.get_args(member)[0]
            return tuple(
                _build(path, child.start_mark.line + 1, f"{where}[{number}]", child, item)
                for number, child in enumerate(node.value)
            )
    value = _plain(path, node)
    if not _fits(value, kind):
        got = shown(value) if isinstance(value, str) else value
        raise Fault(f"{path}:{line}: {where} must be {_describe(kind)}, got {got!r} ({type(value).__name__})")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and _accepts_float(kind) else value


def _build_dataclass(path: Path, line: int, where: str, node: yaml.Node, kind: Any) -> Any:
    if not isinstance(node, yaml.MappingNode):
        raise Fault(f"{path}:{line}: {where} must be a mapping, got {_plain(path, node)!r}")
    items = _items(path, node)
    hints = typing.get_type_hints(kind)
    for key, (key_line, _) in items.items():
        if key not in hints:
            raise Fault(
                f"{path}:{key_line}: unknown key {key!r} in {where}{nearest(key, hints)}: expected {', '.join(hints)}"
            )
    for field in dataclasses.fields(kind):
        if field.name not in items and field.default is dataclasses.MISSING:
            raise Fault(f"{path}:{line}: {where} lacks the key {field.name!r} ({_describe(hints[field.name])})")
    values = {key: _build(path, at, f"{where}.{key}", child, hints[key]) for key, (at, child) in items.items()}
    try:
        return kind(**values)
    except Fault as fault:  # a dataclass checks its own values; the place is known here
        raise Fault(f"{path}:{line}: {fault}") from None


def _members(kind: Any) -> tuple[Any, ...]:
    """Returns the alternatives of a union, or the type itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)


def _accepts_float(kind: Any) -> bool:
    return float in _members(kind) and int not in _members(kind)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a plain YAML value is of the annotated type; an int may stand for a float, a bool only for a bool."""
    for member in _members(kind):
        if typing.get_origin(member) is tuple or dataclasses.is_dataclass(member):
            continue  # built from their own nodes; a plain value is neither
        if member is bool or isinstance(value, bool):
            if member is bool and isinstance(value, bool):
                return True
        elif isinstance(value, (int, float) if member is float else member):
            return True
    return False


_WORDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def _describe(kind: Any) -> str:
    """Returns an annotated type in words, for messages."""
    names = []
    for member in _members(kind):
        if typing.get_origin(member) is tuple:
            names.append("a list, each " + _describe(typing.get_args(member)[0]))
        else:
            names.append(_WORDS.get(member, "a mapping"))
    return " or ".join(names)
