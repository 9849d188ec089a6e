"""Tries whether a target refuses the writes that it must refuse: without that, two publishers overwrite each other."""

import secrets
import time
from contextlib import suppress

from pipeline.base.fault import Fault
from pipeline.targets.failures import Unsupported
from pipeline.targets.interface import AlreadyThere, Moved, Target

FOLDER = ".probe/"
_LEFT = 86_400  # seconds after which the file of a probe is nobody's


def probe(target: Target) -> None:
    """Writes a small file on conditions that hold and on some that don't, and removes it.

    Files that killed probes left are removed after a day.

    Raises:
        Fault: when the target ignores a condition, or knows none; it says what to do instead.
    """
    _sweep(target)
    path = f"{FOLDER}{int(time.time())}-{secrets.token_hex(8)}"
    try:
        broken = _find_broken(target, path)
    except Unsupported as fault:
        raise _refusal(target, f"it knows no conditional writes: {fault}") from None
    finally:
        target.delete(path)
    if broken:
        raise _refusal(target, broken)


def _find_broken(target: Target, path: str) -> str:
    """Returns which condition a target ignores, or refuses though it holds; empty when all is well."""
    first = target.create(path, b"first")
    with suppress(AlreadyThere):
        target.create(path, b"other")
        return "it replaced a file by a write that must only create (If-None-Match)"
    try:
        second = target.swap(path, b"second", first.tag)
    except Moved:
        return "it refused to replace a file that nobody had changed (If-Match)"
    with suppress(Moved):
        target.swap(path, b"other", first.tag)
        return "it replaced a file that had changed meanwhile (If-Match)"
    there = target.get(path)
    if there != (b"second", second):
        return "it does not return what was written last"
    return ""


def _refusal(target: Target, reason: str) -> Fault:
    return Fault(
        f"{target.address}: cannot be a target, since {reason}, so that two releases at once could undo each other."
        " Release into a folder instead and copy that there, one publisher at a time: first all but index/, metadata/"
        " and the pages, then those, with metadata/timestamp.json and index.html last (docs/releasing.md)"
    )


def _sweep(target: Target) -> None:
    for stored in list(target.list(FOLDER)):
        begun = stored.path.removeprefix(FOLDER).partition("-")[0]
        if begun.isdecimal() and time.time() - int(begun) > _LEFT:
            target.delete(stored.path)
