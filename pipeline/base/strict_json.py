"""Reads JSON into frozen dataclasses, strictly: no key missing, none unknown, no conversions such as of "1" to 1."""

import functools
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pipeline.base.fault import show_name

T = TypeVar("T")

# A dataclass that parse_json() reads has this as its class variable __pydantic_config__; those within it need nothing.
STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}


def parse_json(kind: type[T], text: str) -> T:
    """Builds a dataclass from JSON; NaN and Infinity are numbers.

    Args:
        kind: the dataclass, see STRICT.
        text: a JSON object with a key for each field that has no default.

    Raises:
        ValueError: names the first three keys that are missing, unknown or wrong.
    """
    from pydantic import ValidationError  # 0.2 s, which commands that read no JSON do without

    try:
        value: T = _reader(cast(Any, kind)).validate_json(text)
    except ValidationError as error:
        raise ValueError("; ".join(_problem(entry) for entry in error.errors()[:3])) from None
    return value


@functools.cache
def _reader(kind: Any) -> Any:
    """Returns what builds a dataclass from JSON; made once, since it takes some milliseconds."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _problem(entry: Mapping[str, Any]) -> str:
    """Returns one of pydantic's complaints as a clause that begins with the key's path."""
    key = show_name(".".join(str(part) for part in entry["loc"] if part != "[key]"))
    if entry["type"] == "missing":
        return f"{key} is missing"
    if entry["type"] == "unexpected_keyword_argument":
        return f"{key} is an unknown key"
    return f"{key}: {entry['msg'][0].lower()}{entry['msg'][1:]}, got {show_name(repr(str(entry['input'])))}"
