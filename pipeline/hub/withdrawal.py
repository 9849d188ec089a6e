"""What a hub says of versions that it advises against: yanked ones, and deprecated ones that have a successor.

Their files stay, and their exact handles work. The words are PyPI's (PEP 592) and npm's.
"""

import re
from dataclasses import dataclass
from datetime import date

from pipeline.base.fault import Fault, show_name
from pipeline.hub.values import Entry, line, required

NAME = r"[A-Za-z0-9][\w.-]{0,199}"  # 255 bytes is the longest name of a file, and it gets a suffix
HANDLE = re.compile(f"{NAME}/{NAME}/[1-9][0-9]{{0,8}}", re.ASCII)
LONGEST_REASON = 500  # characters; it stands in one line of pages and of a header


@dataclass(frozen=True)
class Yank:
    """A version that nobody should use any more: why, and since when (a date, YYYY-MM-DD)."""

    reason: str
    date: str

    def to_json(self) -> Entry:
        return {"reason": self.reason, "date": self.date}


@dataclass(frozen=True)
class Deprecation:
    """A version that another one replaces: the successor's handle, and since when (a date, YYYY-MM-DD)."""

    successor: str
    date: str

    def to_json(self) -> Entry:
        return {"successor": self.successor, "date": self.date}


def check_reason(reason: str) -> str:
    """Returns a reason for pages without the spaces around it.

    Raises:
        Fault: when it is empty, too long, or has line breaks or other control characters.
    """
    try:
        return line({"REASON": reason.strip()}, "REASON", LONGEST_REASON)
    except ValueError as error:
        raise Fault(f"{error}; say in one line why nobody should use this version") from None


def read_yank(entry: Entry) -> Yank:
    """Reads a yank; raises KeyError, TypeError or ValueError where it is malformed."""
    return Yank(line(entry, "reason", LONGEST_REASON), _date(entry))


def read_deprecation(entry: Entry) -> Deprecation:
    """Reads a deprecation; raises KeyError, TypeError or ValueError where it is malformed."""
    successor = required(entry, "successor", str)
    if not HANDLE.fullmatch(successor):
        raise ValueError(f"successor is '{show_name(successor)}', expected <publisher>/<module>/<version>")
    return Deprecation(successor, _date(entry))


def optional_date(entry: Entry, key: str) -> str | None:
    """Returns a date, YYYY-MM-DD; None where there is none. Raises TypeError or ValueError where it is malformed."""
    return _date(entry, key) if entry.get(key) is not None else None


def _date(entry: Entry, key: str = "date") -> str:
    text = required(entry, key, str)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(f"{key} is '{show_name(text)}', expected YYYY-MM-DD")
    date.fromisoformat(text)
    return text
