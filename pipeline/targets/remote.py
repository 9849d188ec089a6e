"""A target on a server: repeats what failed on the way, and tells a lost answer from somebody else's write."""

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.base.fault import Fault
from pipeline.base.files import CHUNK
from pipeline.targets.failures import ConditionFailed, Failed, Help, explain
from pipeline.targets.headers import Headers, headers_of
from pipeline.targets.interface import LARGEST_SMALL, AlreadyThere, Moved, Stored
from pipeline.targets.paths import check_path, check_prefix

_T = TypeVar("_T")


@dataclass(frozen=True)
class Patience:
    """How often a request is sent, and the pauses in between; times in seconds.

    Attributes:
        tries: of each request.
        pause: before the second try; it doubles each time, up to `longest`.
        longest: pause.
        abandoned: the age from which an unfinished upload counts as nobody's.
        sleep: what waits.
    """

    tries: int = 6
    pause: float = 0.5
    longest: float = 15.0
    abandoned: float = 86_400.0
    sleep: Callable[[float], None] = time.sleep


class Client(Protocol):
    """A store's library. Each method sends its requests once, raises Failed, and knows only valid paths of a hub.

    upload() and stream() repeat their parts themselves.
    """

    help: Help

    def head(self, path: str) -> Stored | None:
        """Returns what is there, or None."""

    def get(self, path: str, most: int) -> tuple[bytes, Stored] | None:
        """Returns a file, or None when there is none; of one with more than `most` bytes no content."""

    def stream(self, path: str) -> Iterator[bytes]:
        """Yields a file's content; raises FileNotFoundError when there is none."""

    def write(self, path: str, content: bytes, headers: Headers, tag: str | None) -> Stored:
        """Replaces the file of this tag, or creates it (None); raises ConditionFailed."""

    def upload(self, path: str, source: "Source", headers: Headers) -> None:
        """Writes a large file; nobody sees it before it is complete."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yields the files whose paths begin with a prefix, in any order."""

    def delete(self, path: str) -> None:
        """Removes a file, if it is there."""

    def sweep(self, seconds: float, path: str) -> int:
        """Removes unfinished uploads begun so long ago, of one path or of all ("")."""


class Source:
    """A file of the disk on its way: its parts in order, which count what is read."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        self._path, self._advance, self._sent = path, advance, 0
        self.size = path.stat().st_size
        self._reading: Generator[bytes, None, None] | None = None

    def parts(self, size: int = CHUNK) -> Iterator[bytes]:
        """Yields the content from its start.

        Raises:
            Fault: when the file changed meanwhile, before the last part, so that the upload is not completed.
        """
        self._reading = self._read(size)
        return self._reading

    def _read(self, size: int) -> Generator[bytes, None, None]:
        with self._path.open("rb") as stream:
            before = _state(stream.fileno())
            while part := stream.read(size):
                self._sent += len(part)
                if self._sent >= self.size:
                    self._compare(stream.fileno(), before)
                self._advance(len(part))
                yield part
            self._compare(stream.fileno(), before)

    def _compare(self, descriptor: int, before: tuple[int, int]) -> None:
        if _state(descriptor) != before or self._sent != self.size:
            raise Fault(f"{self._path}: changed while it was uploaded; run the same command again")

    def rewind(self) -> None:
        """Closes the file, and takes back what was counted, for another try."""
        self.close()
        if self._sent:
            self._advance(-self._sent)
            self._sent = 0

    def close(self) -> None:
        """Closes the file, which a failed upload leaves open."""
        if self._reading:
            self._reading.close()


class Remote:
    """A target behind a client of a store.

    Attributes:
        address: as the user named it.
    """

    def __init__(self, address: str, client: Client, patience: Patience) -> None:
        self.address, self._client, self._patience = address, client, patience

    def head(self, path: str) -> Stored | None:
        """See Target.head()."""
        check_path(path)
        return self._repeat(lambda: self._client.head(path))

    def get(self, path: str) -> tuple[bytes, Stored] | None:
        """See Target.get()."""
        check_path(path)
        there = self._repeat(lambda: self._client.get(path, LARGEST_SMALL))
        if there and there[1].size > LARGEST_SMALL:
            raise Fault(
                f"{self.address}: {path} has more than {LARGEST_SMALL:,} bytes, which no such file of a hub needs"
            )
        return there

    def chunks(self, path: str) -> Iterator[bytes]:
        """See Target.chunks()."""
        check_path(path)

        def begin() -> Iterator[bytes]:
            stream = self._client.stream(path)
            first = next(stream, b"")
            return chain([first] if first else [], stream)

        try:
            yield from self._repeat(begin)
        except Failed as error:
            raise explain(self.address, error.failure, self._client.help) from None

    def create(self, path: str, content: bytes) -> Stored:
        """See Target.create()."""
        stored, _ = self._write(path, content, None)
        if stored:
            return stored
        if (there := self.get(path)) and there[0] == content:
            return there[1]
        raise AlreadyThere(path)

    def swap(self, path: str, content: bytes, tag: str | None) -> Stored:
        """See Target.swap()."""
        stored, is_lost = self._write(path, content, tag)
        if stored:
            return stored
        if is_lost and (there := self.get(path)) and there[0] == content:
            return there[1]
        raise Moved(path)

    def put_large(self, path: str, source: Path, advance: Callable[[int], None]) -> Stored:
        """See Target.put_large(); what an interrupted upload left of the same path is removed."""
        check_path(path)
        sending = Source(source, advance)

        def send() -> None:
            sending.rewind()
            self._client.upload(path, sending, headers_of(path))

        with closing(sending):
            self._repeat(send)
        self._repeat(lambda: self._client.sweep(0, path))
        stored = self.head(path)
        if not stored or stored.size != sending.size:
            size = f"{stored.size:,} bytes" if stored else "nothing"
            raise Fault(
                f"{self.address}: {path} was sent with {sending.size:,} bytes, and {size} is there; run it again"
            )
        return stored

    def list(self, prefix: str) -> Iterator[Stored]:
        """See Target.list()."""
        check_prefix(prefix)
        # A store need not sort, and fails between its pages at times: all is read before the first is used.
        yield from self._repeat(lambda: sorted(self._client.list(prefix), key=lambda stored: stored.path))

    def delete(self, path: str) -> None:
        """See Target.delete()."""
        check_path(path)
        self._repeat(lambda: self._client.delete(path))

    def sweep(self) -> int:
        """See Target.sweep(); an upload that began within the last day may be another publisher's, and stays."""
        return self._repeat(lambda: self._client.sweep(self._patience.abandoned, ""))

    def _write(self, path: str, content: bytes, tag: str | None) -> tuple[Stored | None, bool]:
        """Returns what was written, or None when the condition failed; whether an answer was lost before."""
        check_path(path)
        is_lost = False

        def send() -> Stored | None:
            nonlocal is_lost
            try:
                return self._client.write(path, content, headers_of(path), tag)
            except ConditionFailed:
                return None
            except Failed as error:
                is_lost = is_lost or error.failure.may_be_done
                raise

        return self._repeat(send), is_lost

    def _repeat(self, send: Callable[[], _T]) -> _T:
        """Sends a request until it succeeds, and raises a Fault when that is without hope."""
        pause = self._patience.pause
        for left in reversed(range(self._patience.tries)):
            try:
                return send()
            except Failed as error:
                if not left or not error.failure.is_transient:
                    raise explain(self.address, error.failure, self._client.help) from None
                if pause >= 1:
                    print(f"{self.address}: {error}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
            self._patience.sleep(pause)
            pause = min(2 * pause, self._patience.longest)
        raise AssertionError("a request has at least one try")


def _state(descriptor: int) -> tuple[int, int]:
    state = os.fstat(descriptor)
    return state.st_size, state.st_mtime_ns
