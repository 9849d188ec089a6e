"""What a hub's index has of digests and counts: read from its shards, or from index.json in a hub without shards."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import LARGEST, parse_facts
from pipeline.base.media_types import LASTING
from pipeline.base.shard_names import EXPORT, ROOT, shard_of, shard_path
from pipeline.server.opening import NotThere
from pipeline.server.parsed_files import ParsedFiles
from pipeline.server.routes import Names

_SHARD = re.compile("[0-9a-f]{2}")
_MOST_PARSED = 64  # files of the index whose digests are in memory
_TOO_LARGE = f"more than {LARGEST / 1e6:,.0f} MB"


class DamagedIndex(NotThere):
    """A file of the index cannot be used; the message says which one, and why."""


@dataclass(frozen=True)
class Digests:
    """What a file of the index has.

    Attributes:
        sha256: digests of 32 bytes by path and size, of tarballs and models: others are hashed when they are sent.
        count: how many modules there are, each with its versions, and how many collections.
        written: when it was written, in nanoseconds.
    """

    sha256: dict[tuple[str, int], bytes]
    count: tuple[int, int]
    written: int


class IndexDigests:
    """The index of a hub; each file of it is read again when it has changed.

    Raises, from every method:
        DamagedIndex: when a file of the index is missing or malformed.
        OSError: when the disk fails.
    """

    def __init__(self, root: Path) -> None:
        self._files = ParsedFiles[Any](root, _parse, _TOO_LARGE, _MOST_PARSED)
        self._counts = ParsedFiles[Any](root, _count, _TOO_LARGE)  # small ones, of all files

    def recorded(self, names: Names, size: int, modified: int) -> bytes | None:
        """Returns the SHA-256, 32 bytes, of a tarball or model; None for what the index does not list.

        publish writes the index last. A file younger than it may have replaced the one that it describes.

        Args:
            names: of its folders, and its own.
            size: in bytes.
            modified: when it was last changed, in nanoseconds.
        """
        shards = self._shards()
        shard = shard_of("/".join(names[:2]))
        if shards is not None and shard not in shards:
            return None
        digests = self._digests(EXPORT if shards is None else shard_path(shard))
        return digests.sha256.get(("/".join(names), size)) if modified <= digests.written else None

    def counts(self) -> Iterator[tuple[int, int]]:
        """Yields how many modules, each with its versions, and collections each file of the index has."""
        shards = self._shards()
        for path in [EXPORT] if shards is None else map(shard_path, shards):
            yield self._parsed_part(path, self._counts)

    def _shards(self) -> tuple[str, ...] | None:
        """Returns the shards that the root lists; None for a hub of an older version, which has no root."""
        try:
            shards: tuple[str, ...] = self._parsed(ROOT)
        except DamagedIndex:
            raise
        except NotThere:
            return None
        return shards

    def _digests(self, path: str) -> Digests:
        digests: Digests = self._parsed_part(path, self._files)
        return digests

    def _parsed_part(self, path: str, files: ParsedFiles[Any]) -> Any:
        """Returns what a shard holds, or index.json in a hub without shards."""
        try:
            return self._parsed(path, files)
        except DamagedIndex:
            raise
        except NotThere:
            raise DamagedIndex(f"{path} is missing") from None

    def _parsed(self, path: str, files: ParsedFiles[Any] | None = None) -> Any:
        """Returns what a file of the index holds; raises NotThere where there is none."""
        content = (files or self._files).read(path)
        if isinstance(content, str):
            raise DamagedIndex(f"{path} is damaged: {content}")
        return content


def _parse(path: str, content: bytes, written: int) -> Any:
    """Returns the shards that a root lists, the Digests of another file, or what is wrong with a malformed one."""
    try:
        document = parse_facts(content)
        return _listed(document) if path == ROOT else _digests(document, written)
    except Unreadable as reason:
        return f"line {reason.line}: {reason}" if reason.line else str(reason)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"not what make publish writes ({show_name(repr(error))})"


def _count(path: str, content: bytes, written: int) -> Any:
    """Returns how much a file lists, or what is wrong with a malformed one."""
    parsed = _parse(path, content, written)
    return parsed.count if isinstance(parsed, Digests) else parsed


def _listed(root: Any) -> tuple[str, ...]:
    if not all(map(_SHARD.fullmatch, root["shards"])):
        raise ValueError("a shard is not 00 to ff")
    return tuple(root["shards"])


def _digests(part: Any, written: int) -> Digests:
    entries = [entry for kind in ("modules", "collections") for entry in part[kind].values()]
    files = [file for entry in entries for file in entry["files"]]
    sha256 = {(file["path"], file["size"]): bytes.fromhex(file["sha256"]) for file in files}
    if any(len(digest) != 32 for digest in sha256.values()):
        raise ValueError("a digest is not a SHA-256")
    lasting = {(path, size): digest for (path, size), digest in sha256.items() if path.endswith(LASTING)}
    modules = {handle.rpartition("/")[0] for handle in part["modules"]}
    return Digests(lasting, (len(modules), len(part["collections"])), written)
