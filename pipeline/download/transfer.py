"""Receives a body into a part of the cache, and computes the digests of the whole file on the way."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import requests
import urllib3.exceptions

from pipeline.base.fault import Misconfigured, Unavailable
from pipeline.base.files import CHUNK, naming
from pipeline.base.progress import Progress
from pipeline.download.cache import Part
from pipeline.download.checksums import Hashing
from pipeline.download.network import describe_error, is_malformed
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
        policy: the slowest connection and the largest file that are accepted.

    Returns:
        The digests of the whole file in hexadecimal by kind: its SHA-256, and those of the record's checksums.

    Raises:
        TryAgain: when the connection breaks, ends too early, or is too slow.
        Unavailable: when the file is too large.
        Misconfigured: when the disk has no place for it.
        OSError: when the part cannot be written, with its name.
    """
    length = part.record.length
    room = check_room(length, part.size, path.parent, policy)
    with Hashing(part.record.checksums) as hashing, Progress(label, length, "B", done=part.size) as progress:
        with path.open("r+b") as out, naming(path):
            _hash(out, part.size, hashing)
            response.raw.enforce_content_length = False  # it is checked below, with a message of ours
            speed = _SpeedLimit(policy)
            while chunk := _read(response, hashing.count, policy):
                out.write(chunk)
                hashing.update(chunk)
                progress.advance(len(chunk))
                speed.check(len(chunk))
                if length is None and hashing.count > room:
                    raise Unavailable(f"it announces no length, and sends more than {_gigabytes(room)}")
                if hashing.count > room:
                    break  # whoever checks the size says so
        if length is not None and hashing.count < length:
            raise TryAgain(f"the connection ended after {hashing.count} of {length} bytes")
        return hashing.results()


def receive_bytes(response: requests.Response, length: int | None, most: int, policy: Policy) -> bytes:
    """Returns an answer's body, or its first `most` bytes and one if it is larger.

    Args:
        response: the answer.
        length: the announced length, if there is one.
        most: how many bytes are wanted.
        policy: the slowest connection that is accepted.

    Raises:
        TryAgain: when the connection breaks, ends too early, or is too slow.
    """
    response.raw.enforce_content_length = False  # it is checked below, with a message of ours
    content, speed = bytearray(), _SpeedLimit(policy)
    while len(content) <= most and (chunk := _read(response, len(content), policy)):
        content += chunk
        speed.check(len(chunk))
    if length is not None and len(content) < min(length, most + 1):
        raise TryAgain(f"the connection ended after {len(content)} of {length} bytes")
    return bytes(content[: most + 1])


def compute_digests(path: Path, kinds: Iterable[str]) -> dict[str, str]:
    """Returns a file's SHA-256 and its digests of other kinds, in hexadecimal by kind."""
    with path.open("rb") as stream, Hashing(kinds) as hashing:
        _hash(stream, path.stat().st_size, hashing)
        return hashing.results()


def _hash(stream: BinaryIO, size: int, hashing: Hashing) -> None:
    """Adds the next `size` bytes of a stream, or fewer if it ends before."""
    while hashing.count < size and (chunk := stream.read(min(CHUNK, size - hashing.count))):
        hashing.update(chunk)


def check_room(length: int | None, size: int, folder: Path, policy: Policy) -> int:
    """Returns how many bytes may come: a server may announce any number, or none and never end.

    Args:
        length: the announced length, if there is one.
        size: the bytes that are on the disk already.
        folder: where the file lies.
        policy: the largest file that is accepted.

    Raises:
        Unavailable: when the file is larger than that.
        Misconfigured: when the disk has less place.
    """
    if length is not None and length > policy.largest:
        raise Unavailable(f"it has {_gigabytes(length)}, expected at most {_gigabytes(policy.largest)}")
    disk = shutil.disk_usage(folder)
    room = size + disk.free if disk.total else policy.largest  # some file systems over networks say nothing
    if length is not None and length > room:
        raise Misconfigured(
            f"it has {_gigabytes(length)}, and the disk of {folder} has only {_gigabytes(disk.free)} free; make room,"
            " or set CACHE=<a folder on another disk>"
        )
    if length is not None:
        return length
    # A tenth of the disk is left: whoever else writes there does not expect that it is full.
    return min(size + (room - size) * 9 // 10, policy.largest_unannounced, policy.largest)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.0f} GB" if size >= 1e10 else f"{size / 1e9:.3g} GB"


def _read(response: requests.Response, count: int, policy: Policy) -> bytes:
    """Returns the next bytes of a body, b"" at its end; `count` bytes of the file came before."""
    try:
        return bytes(response.raw.read1(_PIECE, decode_content=False) or b"")
    except _BROKEN as error:
        if is_malformed(error):
            reason = f"the answer is malformed after {count} bytes: {describe_error(error)}"
            raise TryAgain(reason, may_progress=False, cost=policy.half) from error
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
