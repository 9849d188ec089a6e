"""The exceptions for faults of inputs, and the names in their messages."""

import difflib
import re
from collections.abc import Iterable, Sequence


class Fault(Exception):
    """Something outside the program is wrong: YAML, a checkpoint, images, a gate, a hub, a disk.

    The message is one sentence (or a sentence and a list) for a person: what is wrong, where, what was expected, what
    is there, and what to do. A bug of the pipeline is never a Fault; it keeps its traceback.
    """


class UnusableFile(Fault):
    """A file is cut short, damaged or of another kind, whatever digest is pinned; another copy of it may be whole."""


class Unavailable(Exception):
    """A source does not have a file, or cannot be reached; the next one may."""


class Unreachable(Unavailable):
    """The source's host does not answer: it is down, or this machine has no network."""


class Forbidden(Unavailable):
    """The source answers, but does not give this user the file."""


class NotFound(Unavailable):
    """The source answers, but has no such file."""


class Misconfigured(Unavailable):
    """This machine's settings are in the way: the proxy, or the certificates that it trusts. The message names them."""


class NotCached(Unavailable):
    """Offline mode is on, and the cache does not have the file, or only a damaged copy of it."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns " (did you mean 'x'?)" for the known name closest to `name` in any case, or "" when none is close."""
    names = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(name.casefold(), names, n=3)
    close.sort(key=lambda other: sorted(other) != sorted(name.casefold()))  # swapped letters are the likelier slip
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def escape(text: str) -> str:
    """Returns a text of a stranger with its control characters and line ends written out, as in "\\x1b[2J"."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def escape_controls(text: str) -> str:
    """Returns a message of several lines with the control characters written out that would act on a terminal."""
    return re.sub("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", lambda match: escape(match[0]), text)


def show_name(name: str, limit: int = 100) -> str:
    """Returns a name of a stranger for a message: without control characters, and in at most `limit` characters."""
    shown = escape(name if len(name) <= 2 * limit else f"{name[:limit]}{name[-limit:]}")  # it may have megabytes
    return shown if len(shown) <= limit else f"{shown[: limit - 20]}...{shown[-17:]}"


def list_names(names: Sequence[str], limit: int = 5) -> str:
    """Returns the first `limit` names joined by commas, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
