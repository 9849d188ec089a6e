"""Receives a body into a part of the cache, and computes the digests of the whole file on the way."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import requests
import urllib3.exceptions

from pipeline.base.files import CHUNK, naming
from pipeline.base.progress import Progress
from pipeline.download.cache import Part
from pipeline.download.checksums import Hashing
from pipeline.download.network import describe_error
from pipeline.download.retry import Policy, TryAgain

_PIECE = 1 << 18  # bytes; larger pieces are no faster, and cost the memory allocator more
_BROKEN = (urllib3.exceptions.HTTPError, requests.RequestException, OSError)


def receive_body(response: requests.Response, path: Path, part: Part, label: str, policy: Policy) -> dict[str, str]:
    """Appends an answer's body to the part of a file.

    Args:
        response: the answer.
        path: where the part lies.
        part: its record and size.
        label: for progress.
        policy: the slowest connection that is accepted.

    Returns:
        The digests of the whole file in hexadecimal by kind: its SHA-256, and those of the record's checksums.

    Raises:
        TryAgain: when the connection breaks, ends too early, or is too slow.
        OSError: when the part cannot be written, with its name.
    """
    length = part.record.length
    with Hashing(part.record.checksums) as hashing, Progress(label, length, "B", done=part.size) as progress:
        with path.open("r+b") as out, naming(path):
            _hash(out, part.size, hashing)
            response.raw.enforce_content_length = False  # it is checked below, with a message of ours
            speed = _SpeedLimit(policy)
            while chunk := _read(response, hashing.count):
                out.write(chunk)
                hashing.update(chunk)
                progress.advance(len(chunk))
                speed.check(len(chunk))
        if length is not None and hashing.count < length:
            raise TryAgain(f"the connection ended after {hashing.count} of {length} bytes")
        return hashing.results()


def compute_digests(path: Path, kinds: Iterable[str]) -> dict[str, str]:
    """Returns a file's SHA-256 and its digests of other kinds, in hexadecimal by kind."""
    with path.open("rb") as stream, Hashing(kinds) as hashing:
        _hash(stream, path.stat().st_size, hashing)
        return hashing.results()


def _hash(stream: BinaryIO, size: int, hashing: Hashing) -> None:
    """Adds the next `size` bytes of a stream, or fewer if it ends before."""
    while hashing.count < size and (chunk := stream.read(min(CHUNK, size - hashing.count))):
        hashing.update(chunk)


def _read(response: requests.Response, count: int) -> bytes:
    """Returns the next bytes of a body, b"" at its end; `count` bytes of the file came before."""
    try:
        return bytes(response.raw.read1(_PIECE, decode_content=False) or b"")
    except _BROKEN as error:
        raise TryAgain(f"the connection broke after {count} bytes: {describe_error(error)}") from error


class _SpeedLimit:
    """Gives up a connection that is slower than the policy accepts."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._since, self._count = policy, time.monotonic(), 0

    def check(self, count: int) -> None:
        """Adds `count` bytes; raises TryAgain when a stretch of time has brought too few."""
        self._count += count
        seconds = time.monotonic() - self._since
        if seconds >= self._policy.stretch:
            if self._count < self._policy.slowest * seconds:
                rate = f"{self._count / seconds:.0f} bytes per second"
                raise TryAgain(f"the connection brings only {rate}", may_progress=False)
            self._since, self._count = time.monotonic(), 0
