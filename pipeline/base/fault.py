"""The exceptions for faults of inputs, and how messages show names and addresses."""

import difflib
import re
from collections.abc import Iterable, Sequence


class Fault(Exception):
    """Something outside the program is wrong: YAML, a checkpoint, images, a gate, a hub, a disk.

    The message is one sentence (or a sentence and a list) for a person: what, where, expected, got, what to do.
    A broken invariant of ours is never a Fault; it keeps its traceback.
    """


class Unavailable(Exception):
    """A source does not have a file, or cannot be reached; the next one may."""


class Unreachable(Unavailable):
    """No connection to the source's host came about: it is down, or this machine has no network."""


class Forbidden(Unavailable):
    """The source answers, and gives the file to others only."""


class NotCached(Unavailable):
    """Offline mode is on, and the cache does not have the file, or has it damaged."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns " (did you mean 'x'?)" for the known name closest to `name`, or "" when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def list_names(names: Sequence[str], limit: int = 5) -> str:
    """Returns the first `limit` names joined by commas, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def shown(source: str) -> str:
    """Returns an address as messages and records may have it: without user name and password."""
    begun = re.match("(?!file:)[a-z][a-z0-9+.-]*://?", source, re.IGNORECASE)  # one slash: a typing error
    if not begun:
        return source  # a path
    rest = source[begun.end() :]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    # A password with one of these in it, which is no valid address, begins where a port would stand.
    cut_short = re.search(r":(?!\d*$)[^\]]*$", authority) and "@" not in authority
    secret = (rest if cut_short else authority).rpartition("@")[0]
    return begun[0] + rest[len(secret) :].removeprefix("@")
