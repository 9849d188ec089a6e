"""Checks the metadata that other hosts read: which keys there are, and of which types."""

from collections.abc import Iterable, Iterator, Mapping

from pipeline.base.fault import Fault, nearest

Kinds = Mapping[str, type]


def wrong_keys(values: Mapping[str, object], kinds: Kinds, required: Iterable[str]) -> Iterator[str]:
    """Yields the keys that are unknown, missing, empty or of another type than `kinds` says."""
    for key, value in values.items():
        if key not in kinds:
            yield f"unknown key {key!r}{nearest(key, kinds)}: expected {', '.join(kinds)}"
        elif not isinstance(value, kinds[key]):
            yield f"{key} must be a {kinds[key].__name__}, got {value!r}"
        elif value in ("", []):
            yield f"{key} is empty; leave it out where the fact is unknown"
    for key in sorted(set(required) - values.keys()):
        yield f"the key {key!r} is missing"


def refuse(where: str, problems: Iterable[str]) -> None:
    """Raises a Fault that lists the problems of the file `where`; nothing when there are none."""
    if lines := [f"{where}: {problem}" for problem in problems]:
        raise Fault("\n".join(lines))
