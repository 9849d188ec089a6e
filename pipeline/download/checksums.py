"""Computes digests of streams, and reads the checksums that servers announce in their headers."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import BinaryIO, Protocol

import google_crc32c

from pipeline.base.fault import show_name
from pipeline.base.files import CHUNK
from pipeline.base.progress import Progress


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


KINDS = {"sha256": hashlib.sha256, "md5": lambda: hashlib.md5(usedforsecurity=False), "crc32c": google_crc32c.Checksum}
_QUEUE_LENGTH = 32  # pieces between the reader and each digest; bounds the memory


class Hashing:
    """Computes the SHA-256 of a stream and digests of other kinds, each in a thread: hashlib releases Python's lock.

    Attributes:
        count: the bytes so far.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        """Begins; `more` may name "md5" and "crc32c"."""
        self._hashes: dict[str, _Hash] = {kind: KINDS[kind]() for kind in {"sha256", *more}}
        self._queues: list[Queue[bytes | None]] = [Queue(_QUEUE_LENGTH) for _ in self._hashes]
        self._threads = [
            Thread(target=self._run, args=pair, daemon=True)
            for pair in zip(self._hashes.values(), self._queues, strict=True)
        ]
        self.count = 0

    def __enter__(self) -> "Hashing":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    @staticmethod
    def _run(hash_: _Hash, queue: "Queue[bytes | None]") -> None:
        while (chunk := queue.get()) is not None:
            hash_.update(chunk)

    def _finish(self) -> None:
        for thread, queue in zip(self._threads, self._queues, strict=True):
            if thread.is_alive():
                queue.put(None)
                thread.join()

    def update(self, chunk: bytes) -> None:
        """Adds bytes; the buffer must not change afterwards."""
        self.count += len(chunk)
        for queue in self._queues:
            queue.put(chunk)

    def results(self) -> dict[str, str]:
        """Returns the digests in hexadecimal by kind; nothing can be added afterwards."""
        self._finish()
        return {kind: hash_.digest().hex() for kind, hash_ in self._hashes.items()}


def copy(source: Path, out: BinaryIO, label: str) -> str:
    """Copies a file to an open stream, with progress under `label`; returns its SHA-256 in hexadecimal."""
    with source.open("rb") as stream, Hashing() as hashing, Progress(label, source.stat().st_size, "B") as progress:
        while chunk := stream.read(CHUNK):
            out.write(chunk)
            hashing.update(chunk)
            progress.advance(len(chunk))
        return hashing.results()["sha256"]


def parse_checksums(all_headers: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Returns the checksums that the headers of a response and of its redirects announce, in hexadecimal by kind.

    Google Cloud Storage sends `x-goog-hash: crc32c=<base64>` and `md5=<base64>` of the bytes as stored
    (https://cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash). Hugging Face sends `X-Linked-Etag` with
    the redirect to the file itself: the SHA-256, if the file is kept in large file storage.
    """
    checksums = {}
    for headers in all_headers:
        linked = re.fullmatch(r'"?([0-9a-f]{64})"?', headers.get("x-linked-etag", ""))
        if linked:
            checksums["sha256"] = linked[1]
        if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
            continue  # the checksum is not of the plain bytes
        for part in headers.get("x-goog-hash", "").split(","):
            kind, _, value = part.strip().partition("=")
            if kind in ("crc32c", "md5"):
                try:
                    checksums[kind] = base64.b64decode(value, validate=True).hex()
                except ValueError:  # of what is not base64, or not ASCII
                    checksums[kind] = f"no base64: {show_name(value)}"  # matches no file, so that it is reported
    return checksums
