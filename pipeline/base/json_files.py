"""Reads JSON files, however damaged they are, in bounded time and memory.

Two kinds of files are read again: facts, which cannot be made again (load_json() says what is wrong with them), and
memory, which can (recall_json() lets damaged memory count as missing, so that it is written again). It imports nothing
but the standard library, since every make reads memory.
"""

import dataclasses
import functools
import json
import math
import re
import sys
import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from pipeline.base.fault import Fault, show_name
from pipeline.base.files import Unreadable, read_bounded
from pipeline.base.text import decode_text

T = TypeVar("T")

# The largest honest memory is that of a member's own images: 15 MB and 200,000 values for 50,000 of them. The largest
# honest fact is a hub's index: 2 kB and 60 values a module, and there are some thousand modules at most.
LARGEST = 64 << 20  # bytes
MOST_REMEMBERED = 4_000_000  # values, of about 100 bytes in memory each
MOST_VALUES = 1_000_000  # of facts, whose values are looked at one by one
DEEPEST = 64  # levels; report.json has 7. Python itself stops at about 1,000, in reading or only in writing again


def load_json(path: Path, repair: str, nan: bool = False) -> Any:
    """Reads a file that cannot be made again.

    Each object has each key once; integers have 64 bits, other numbers are finite, and text is Unicode.

    Args:
        path: the file; Faults begin with it.
        repair: what to do about a damaged file, such as "restore it".
        nan: whether NaN and Infinity are numbers.

    Raises:
        FileNotFoundError: when there is nothing of this name, not even a link.
        Fault: when it is no regular file, or is not such JSON.
    """
    return parse_content(path, load_content(path, repair), repair, nan)


def load_content(path: Path, repair: str) -> bytes:
    """Returns the content of a file that load_json() would parse; raises as it does, except for what the content is."""
    try:
        return _read(path)
    except FileNotFoundError:
        if path.is_symlink():
            raise Fault(f"{path}: a link to a file that does not exist; {repair}") from None
        raise
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; {repair}") from None


def parse_content(place: Path | str, content: bytes, repair: str, nan: bool = False) -> Any:
    """Parses the content of a file, as load_json() does; Faults begin with `place`, its path or its address."""
    try:
        return parse_facts(content, nan)
    except Unreadable as reason:
        line = f":{reason.line}" if reason.line else ""
        raise Fault(f"{place}{line}: {reason}; {repair}") from None


def recall_json(path: Path, kind: type[T]) -> T | None:
    """Reads a file that can be made again.

    Args:
        path: the file.
        kind: what its content must be: a frozen dataclass, or dict[...], list[...], tuple[...] and plain types.

    Returns:
        None when it is missing or damaged; a damaged one is named on stderr.
    """
    try:
        content: T = build(kind, _parse(_read(path), MOST_REMEMBERED))
    except FileNotFoundError:
        return None
    except (Unreadable, OSError) as reason:
        text = f"{reason.strerror}" if isinstance(reason, OSError) else str(reason)
        print(f"{path}: {text}; it counts as missing and is made again", file=sys.stderr, flush=True)
        return None
    return content


def parse_facts(content: bytes, nan: bool = False) -> Any:
    """Parses what load_json() reads; raises Unreadable with the reason."""
    value = _parse(content, MOST_VALUES, object_pairs_hook=_refuse_repeated_keys)
    for level, values in enumerate(_levels(value)):
        if level == DEEPEST:
            raise Unreadable(f"it is nested more than {DEEPEST} deep")
        for item in values:
            _check_scalar(item, nan)
    return value


def _read(path: Path) -> bytes:
    return read_bounded(path, LARGEST)


def _parse(content: bytes, most: int, **hooks: Any) -> Any:
    """Parses JSON of at most `most` values, with json's errors as Unreadable; `hooks` are those of json.loads()."""
    if not content.strip():
        raise Unreadable("not valid JSON (it is empty)", 1)
    if sum(map(content.count, (b",", b"[", b"{"))) > most:
        raise Unreadable(f"it has more than {most:,} values")
    try:
        return json.loads(decode_text(content), **hooks)
    except json.JSONDecodeError as error:
        raise Unreadable(f"not valid JSON ({error.msg})", error.lineno) from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise Unreadable(f"not valid JSON ({error})") from None


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        repeated = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise Unreadable(f"the key '{show_name(repeated)}' stands twice in one object")
    return values


def _levels(value: Any) -> Iterator[list[Any]]:
    """Yields the values of each level of nesting, the outermost first; the keys of an object count as values."""
    level = [value]
    while level:
        yield level
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = below


def _check_scalar(value: Any, nan: bool) -> None:
    """Raises Unreadable for a number or text that other code could not compute with or write again."""
    if isinstance(value, str):
        if not value.isascii() and re.search("[\ud800-\udfff]", value):
            raise Unreadable(f"'{show_name(value)}' is not Unicode text: it has half of a surrogate pair")
    elif isinstance(value, float):
        if not nan and not math.isfinite(value):
            raise Unreadable(f"{value} is not a number of JSON; expected finite numbers")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Unreadable("an integer has more than 64 bits")


def build(kind: Any, value: Any, name: str = "") -> Any:
    """Builds what a type describes from JSON's values, without conversions.

    Args:
        kind: see recall_json(); a tuple is a list of that length in JSON, an enumeration one of its values.
        value: what JSON has.
        name: of the value in messages, such as "files.size".

    Raises:
        Unreadable: names the first value that does not fit.
    """
    if kind is Any:
        return value
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict and isinstance(value, dict):
        return {key: build(parts[1], item, _below(name, key)) for key, item in value.items()}
    if origin is list and isinstance(value, list):
        return [build(parts[0], item, _below(name, number)) for number, item in enumerate(value)]
    if origin is tuple and isinstance(value, list) and len(value) == len(parts):
        return tuple(build(part, value[number], _below(name, number)) for number, part in enumerate(parts))
    if origin in (types.UnionType, typing.Union):
        return None if value is None else build(next(part for part in parts if part is not type(None)), value, name)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _build_dataclass(kind, value, name)
    if isinstance(kind, type) and issubclass(kind, Enum) and value in list(kind):
        return kind(value)
    if type(value) is kind:  # not isinstance(): True is no integer here
        return value
    raise Unreadable(f"{name or 'it'} is not what this program writes, got {_shorten(value)}")


@functools.cache  # every make reads thousands of small files of a few kinds
def _describe(kind: type) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    """Returns the types and the fields of a dataclass, by name."""
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    return typing.get_type_hints(kind), fields


def _build_dataclass(kind: type[T], value: Mapping[str, Any], name: str) -> T:
    hints, fields = _describe(typing.cast(Any, kind))
    for key in value:
        if key not in fields:
            raise Unreadable(f"{_below(name, key)} is an unknown key")
    for key, field in fields.items():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if key not in value and not optional:
            raise Unreadable(f"{_below(name, key)} is missing")
    return kind(**{key: build(hints[key], item, _below(name, key)) for key, item in value.items()})


def _below(name: str, key: str | int) -> str:
    return ".".join(filter(None, (name, show_name(str(key)))))


def _shorten(value: Any) -> str:
    """Returns a value for a message: a list or an object by its kind alone, which may be large."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else f"a list of {len(value):,}"
    return show_name(json.dumps(value))
