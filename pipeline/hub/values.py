"""Reads the values of an index's entries: of the right type, within bounds, present or None."""

from typing import Any, TypeVar

from pipeline.base.fault import show_name

Entry = dict[str, Any]  # an entry as JSON has it
_Value = TypeVar("_Value")


def required(entry: Entry, key: str, kind: type[_Value]) -> _Value:
    """Returns a value; raises KeyError where the entry lacks it, and TypeError when it is of another type."""
    value = entry[key]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:  # not isinstance(): True is no integer here
        raise TypeError(f"{key} is {show_name(repr(value))}")
    return value


def optional(entry: Entry, key: str, kind: type[_Value]) -> _Value | None:
    """Returns a value as required() does, None where the entry lacks it."""
    return required(entry, key, kind) if entry.get(key) is not None else None


def count(entry: Entry, key: str) -> int:
    """Returns how many or how much of something there is; raises ValueError for less than none."""
    value = required(entry, key, int)
    if value < 0:
        raise ValueError(f"{key} is {value}")
    return value


def optional_count(entry: Entry, key: str) -> int | None:
    """Returns a count as count() does, None where the entry lacks it."""
    return count(entry, key) if entry.get(key) is not None else None


def share(value: Any, name: str) -> float:
    """Returns a number from 0 to 1; raises ValueError for any other."""
    number = required({name: value}, name, float)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} is {number}, expected 0 to 1")
    return number


def line(entry: Entry, key: str, longest: int) -> str:
    """Returns a text of one line; raises ValueError for an empty, a longer one, or one with control characters."""
    text = required(entry, key, str)
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise ValueError(f"{key} is '{show_name(text)}', expected a line of 1 to {longest:,} characters")
    return text
