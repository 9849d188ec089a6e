"""Reads a hub wherever it is, without writing anything there: a folder, a static host, a target of make release."""

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar
from urllib.parse import quote

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault, Forbidden, NotFound, Unavailable
from pipeline.base.files import CHUNK, Unreadable, open_regular
from pipeline.targets.interface import LARGEST_SMALL, Target

_Value = TypeVar("_Value")
Advance = Callable[[int], object]


def _count_nothing(count: int) -> None:
    """Is called where nobody wants to know how far a file was read."""


@dataclass(frozen=True)
class Seen:
    """What a file is: its size in bytes, its SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Reader(Protocol):
    """Reads the files of a hub by their paths in it.

    Attributes:
        address: for messages.
    """

    address: str

    def small(self, path: str) -> bytes | None:
        """Returns the content of a file, None without one; raises Fault for more than LARGEST_SMALL bytes."""

    def seen(self, path: str, most: int, advance: Advance = _count_nothing) -> Seen | None:
        """Returns size and digest of a file, None without one; reads no more than `most` bytes and one.

        Calls `advance` with the bytes that were read. A large file is never in memory as a whole.
        """

    def has(self, path: str) -> bool:
        """Whether there is a file."""


class FolderReader:
    """A hub in a folder."""

    def __init__(self, folder: Path) -> None:
        self.address, self._folder = str(folder), folder

    def small(self, path: str) -> bytes | None:
        """See Reader.small()."""
        return self._read(path, lambda stream: _read_small(stream, f"{self.address}/{path}"))

    def seen(self, path: str, most: int, advance: Advance = _count_nothing) -> Seen | None:
        """See Reader.seen()."""
        return self._read(path, lambda stream: digest_stream(stream, most, advance))

    def has(self, path: str) -> bool:
        """See Reader.has()."""
        return os.path.isfile(self._folder / path)  # noqa: PTH113 (Path.is_file() raises OSError for a long name)

    def _read(self, path: str, use: Callable[[BinaryIO], _Value]) -> _Value | None:
        try:
            with open_regular(self._folder / path) as stream:
                return use(stream)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Unreadable as reason:
            raise Fault(f"{self.address}/{path}: {reason}") from None


class WebReader:
    """A hub of a host on the web, which is read with the patience and the bounds of all downloads."""

    def __init__(self, address: str, cache: Path) -> None:
        """Reads below `address`; `cache` is a folder for large files while they are being downloaded."""
        from pipeline.download.small import SmallFiles  # its HTTP client is slow to import

        self.address, self._base, self._cache = public_address(address), address.rstrip("/"), cache
        self._files = SmallFiles()

    def small(self, path: str) -> bytes | None:
        """See Reader.small()."""
        content = self._get(path, LARGEST_SMALL)
        return None if content is None else _read_small(io.BytesIO(content), f"{self.address}/{path}")

    def seen(self, path: str, most: int, advance: Advance = _count_nothing) -> Seen | None:
        """See Reader.seen()."""
        if most <= LARGEST_SMALL:
            content = self._get(path, most)
            return None if content is None else digest_stream(io.BytesIO(content), most, advance)
        with self._explaining(path), downloaded(self._place(path), self._cache) as stream:
            return digest_stream(stream, most, advance)
        return None

    def has(self, path: str) -> bool:
        """See Reader.has()."""
        return self._get(path, 0) is not None

    def _get(self, path: str, most: int) -> bytes | None:
        with self._explaining(path):
            return self._files.get(self._place(path), most, f"{self.address}/{path}")
        return None

    def _place(self, path: str) -> str:
        return f"{self._base}/{quote(path)}"

    @contextmanager
    def _explaining(self, path: str) -> Iterator[None]:
        """Passes over a missing file, and says of another trouble which file it was."""
        try:
            yield
        except (NotFound, Forbidden):  # S3 forbids what is not there to those who may not list
            pass
        except Unavailable as error:
            raise Fault(f"{self.address}/{path}: cannot be downloaded ({error}); try again") from None


class TargetReader:
    """A hub of an object store, with the user's credentials for it."""

    def __init__(self, target: Target) -> None:
        self._target, self.address = target, target.address

    def small(self, path: str) -> bytes | None:
        """See Reader.small()."""
        answer = self._target.get(path)
        return answer[0] if answer else None

    def seen(self, path: str, most: int, advance: Advance = _count_nothing) -> Seen | None:
        """See Reader.seen()."""
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in self._target.chunks(path):
                digest.update(chunk)
                size += len(chunk)
                advance(len(chunk))
                if size > most:
                    break
        except FileNotFoundError:
            return None
        return Seen(size, digest.hexdigest())

    def has(self, path: str) -> bool:
        """See Reader.has()."""
        return self._target.head(path) is not None


@contextmanager
def downloaded(address: str, cache: Path) -> Iterator[BinaryIO]:
    """Yields the file of an http(s) address, which is removed afterwards.

    Raises:
        Unavailable: when it cannot be had.
    """
    from pipeline.download.obtain import Access, obtain_file

    cache.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="verify-", dir=cache) as folder,
        obtain_file(address, Access(Path(folder)), public_address(address)) as file,
        open_regular(file.path) as stream,
    ):
        yield stream


def _read_small(stream: BinaryIO, place: str) -> bytes:
    content = stream.read(LARGEST_SMALL + 1)
    if len(content) > LARGEST_SMALL:
        raise Fault(f"{place}: more than {LARGEST_SMALL:,} bytes, which no such file needs")
    return content


def digest_stream(stream: BinaryIO, most: int, advance: Advance = _count_nothing) -> Seen:
    """Returns size and digest of a stream, of no more than `most` bytes and one; counts them with `advance`."""
    digest, size = hashlib.sha256(), 0
    while size <= most and (chunk := stream.read(min(CHUNK, most + 1 - size))):
        digest.update(chunk)
        size += len(chunk)
        advance(len(chunk))
    return Seen(size, digest.hexdigest())


def open_reader(hub: str, cache: Path) -> Reader:
    """Returns what reads a hub: a folder, an http(s) address, or an address that make release writes to."""
    from pipeline.hub.folder import hub_folder
    from pipeline.targets.open import open_target

    scheme = hub.partition("://")[0].lower() if "://" in hub else ""
    if scheme in ("http", "https"):
        return WebReader(hub, cache)
    if scheme in ("", "file"):
        return FolderReader(hub_folder(hub))
    return TargetReader(open_target(hub))
