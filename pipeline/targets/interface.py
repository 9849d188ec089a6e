"""What a release asks of a target: the few operations that folders and object stores share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LARGEST_SMALL = 64 << 20  # bytes; what is read into memory and written by one request: pages, shards, metadata


@dataclass(frozen=True)
class Stored:
    """A file of a target.

    Attributes:
        path: in the hub, such as `index/3f.json`.
        size: in bytes.
        tag: differs whenever the content does (an ETag, a generation); comparable only with tags of the same path.
    """

    path: str
    size: int
    tag: str


class AlreadyThere(Exception):
    """create() found a file in its place."""


class Moved(Exception):
    """swap() found another file than it was to replace: somebody else wrote meanwhile."""


class Target(Protocol):
    """A place for a hub. Paths are those of the hub's files; all writes replace a whole file at once or nothing.

    Every operation raises a Fault, one sentence without credentials, when the target cannot be reached, refuses the
    credentials, or is full. Writes that are repeated after a lost answer may find their own file: create() compares
    the content and returns when it is the same, whoever wrote it; swap() does so only when an answer was lost, since
    two that add one to the same number write the same content, too.

    Attributes:
        address: as the user named it, without credentials.
    """

    address: str

    def head(self, path: str) -> Stored | None:
        """Returns what is there, or None."""

    def get(self, path: str) -> tuple[bytes, Stored] | None:
        """Returns the content of a small file, at most LARGEST_SMALL bytes, or None when there is none."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yields the content of a file of any size, in order; raises FileNotFoundError when there is none."""

    def create(self, path: str, content: bytes) -> Stored:
        """Writes a small file that must not be there yet; raises AlreadyThere when another content is."""

    def swap(self, path: str, content: bytes, tag: str | None) -> Stored:
        """Replaces the small file that has this tag (None: there must be none); raises Moved when it has another."""

    def put_large(self, path: str, source: Path, advance: Callable[[int], None]) -> Stored:
        """Writes a file of any size from the disk, replacing any; calls `advance` with the bytes sent.

        It appears at its path only when it is complete. The caller holds the claim of the path, so nobody else writes
        other bytes there.
        """

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yields the files whose paths begin with a prefix, sorted by path."""

    def delete(self, path: str) -> None:
        """Removes a file that the release itself made for a moment, such as that of a probe; none there is no error."""

    def sweep(self) -> int:
        """Removes what interrupted uploads left that nobody continues; returns how many there were."""
