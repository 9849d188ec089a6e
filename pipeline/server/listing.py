"""What a hub's index says of a module's versions that clients should know: the latest one, and which are withdrawn.

The headers are standard where there is a standard: Deprecation (RFC 9745) and Link with the relations successor-version
and latest-version (RFC 5829). For a reason to withdraw there is none: Warning is obsolete (RFC 9111, section 5.5), so
it has a header of its own, Yanked, a display string (RFC 9651).
"""

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.base.fault import show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import parse_facts
from pipeline.base.shard_names import EXPORT, ROOT, shard_of, shard_path
from pipeline.server.log import log
from pipeline.server.opening import NotThere, open_file
from pipeline.server.parsed_files import ParsedFiles
from pipeline.server.routes import Names

_HANDLE = re.compile(r"[A-Za-z0-9][\w.-]{0,199}/[A-Za-z0-9][\w.-]{0,199}/[1-9][0-9]{0,8}", re.ASCII)
_MOST_PARSED = 64  # files of the index in memory


@dataclass(frozen=True)
class Withdrawal:
    """Why and since when a version should not be used: a time in seconds since 1970, a reason, a successor's handle."""

    since: int
    reason: str | None = None
    successor: str | None = None


@dataclass(frozen=True)
class Listing:
    """What the index says of one module.

    Attributes:
        latest: the version that "latest" stands for; None where there is none.
        withdrawn: the withdrawals of each version that has some.
    """

    latest: str | None = None
    withdrawn: dict[str, tuple[Withdrawal, ...]] = field(default_factory=dict)

    @property
    def yanked(self) -> frozenset[str]:
        """The versions that are yanked."""
        return frozenset(
            version for version, notices in self.withdrawn.items() if any(notice.reason for notice in notices)
        )

    def headers(self, path: str, names: Names) -> dict[str, str]:
        """Returns the headers that warn of a version; none for one that is not withdrawn.

        Args:
            path: of the request, which links are relative to.
            names: publisher, module and version.
        """
        notices = self.withdrawn.get(names[2], ())
        if not notices:
            return {}
        up = "../" * (path.count("/") - 1)
        links = [f'<{up}{notice.successor}>; rel="successor-version"' for notice in notices if notice.successor]
        if self.latest and self.latest != names[2]:
            links.append(f'<{up}{names[0]}/{names[1]}/{self.latest}>; rel="latest-version"')
        headers = {"Deprecation": f"@{min(notice.since for notice in notices)}"}
        if links:
            headers["Link"] = ", ".join(links)
        for notice in notices:
            if notice.reason:
                headers["Yanked"] = display_string(notice.reason)
        return headers


def display_string(text: str) -> str:
    """Returns a text as a display string of HTTP's structured fields (RFC 9651, section 4.1.11)."""
    letters = (
        chr(byte) if 0x20 <= byte <= 0x7E and byte not in b'%"' else f"%{byte:02x}" for byte in text.encode("utf-8")
    )
    return f'%"{"".join(letters)}"'


class Listings:
    """The listings of a hub's modules, read again when their file of the index has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = ParsedFiles[dict[str, Listing]](root, _parse, {}, _MOST_PARSED)

    def of(self, publisher: str, module: str) -> Listing:
        """Returns what the index says of a module; nothing where it does not list it, or is damaged."""
        name = f"{publisher}/{module}"
        path = shard_path(shard_of(name)) if self._is_there(ROOT) else EXPORT
        try:
            return self._files.read(path).get(name, Listing())
        except NotThere:
            return Listing()

    def _is_there(self, path: str) -> bool:
        try:
            os.close(open_file(self._root, tuple(path.split("/")))[0])
        except NotThere:
            return False
        return True


def _parse(path: str, content: bytes, _: int) -> dict[str, Listing]:
    """Returns the listings by <publisher>/<module>; of a damaged file nothing, and a line for the operator."""
    try:
        document = parse_facts(content)
        withdrawn: dict[str, dict[str, tuple[Withdrawal, ...]]] = {}
        for handle, entry in document["modules"].items():
            name, _, version = handle.rpartition("/")
            if notices := tuple(_withdrawals(entry)):
                withdrawn.setdefault(name, {})[version] = notices
        latest = {name: aliases.get("latest") for name, aliases in document.get("aliases", {}).items()}
        return {
            name: Listing(str(latest[name]) if latest.get(name) else None, withdrawn.get(name, {}))
            for name in withdrawn.keys() | latest.keys()
        }
    except (Unreadable, ValueError, KeyError, TypeError, AttributeError) as error:
        log("index", f"{path} cannot be used, so no version is known to be withdrawn: {show_name(repr(error))}")
        return {}


def _withdrawals(entry: Any) -> list[Withdrawal]:
    notices = []
    if yanked := entry.get("yanked"):
        notices.append(Withdrawal(_seconds(yanked["date"]), reason=str(yanked["reason"])))
    if deprecated := entry.get("deprecated"):
        if not _HANDLE.fullmatch(deprecated["successor"]):  # it becomes part of a header
            raise ValueError("a successor is no handle")
        notices.append(Withdrawal(_seconds(deprecated["date"]), successor=deprecated["successor"]))
    return notices


def _seconds(date: str) -> int:
    return int(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
