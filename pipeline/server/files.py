"""Opens the files of a hub, and none outside it, with the digest of the opened bytes."""

import asyncio
import errno
import gzip
import hashlib
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import show_name
from pipeline.base.files import CHUNK, Unreadable
from pipeline.base.json_files import LARGEST, parse_facts
from pipeline.server.routes import Names, is_version

# Larger files are sent from the disk, as tarballs are.
LARGEST_IN_MEMORY = 4 << 20  # bytes
# The memory for cached pages, plain and compressed together.
MEMORY = 64 << 20  # bytes
# A file may change twice within a tick of the file system's clock and look the same: so young a file is not cached.
YOUNG = 2.0  # seconds
COMPRESSIBLE = (".html", ".md", ".json", ".css", ".js", ".svg", ".txt", ".xml", ".yaml")
LEAST_COMPRESSED = 500  # bytes; gzip does not shorten less

_NOT_THERE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ENAMETOOLONG,
    errno.ENXIO,  # a socket, or a pipe that nobody writes to
    errno.ELOOP,  # a symbolic link
}  # fmt: skip

Identity = tuple[int, int, int, int, int]


class NotThere(Exception):
    """The hub has no such regular file, or it may not be read."""


class DamagedIndex(NotThere):
    """The hub's index.json cannot be used; the message says why."""


@dataclass(frozen=True)
class Form:
    """A form in which a file is sent: as on the disk, or compressed.

    Attributes:
        content: the bytes.
        sha256: their digest, 32 bytes.
    """

    content: bytes
    sha256: bytes

    @classmethod
    def of(cls, content: bytes) -> "Form":
        return cls(content, hashlib.sha256(content).digest())


@dataclass(frozen=True)
class Page:
    """A small file, in memory.

    Attributes:
        modified: when it was last changed, in seconds since 1970.
        plain: as on the disk.
        compressed: with gzip; None where that saves nothing.
    """

    modified: int
    plain: Form
    compressed: Form | None


@dataclass(frozen=True)
class Large:
    """An open file; the caller closes its descriptor.

    Attributes:
        descriptor: open for reading; what it reads stays the same when another file takes the name.
        size: in bytes.
        sha256: the digest of all its bytes, 32 bytes.
        modified: when it was last changed, in seconds since 1970.
    """

    descriptor: int
    size: int
    sha256: bytes
    modified: int


@dataclass(frozen=True)
class Digests:
    """The digests that index.json has, and its counts.

    Attributes:
        sha256: 32 bytes by path and size.
        modules: how many modules there are, each with its versions.
        collections: how many collections there are.
        written: when it was written, in nanoseconds.
    """

    sha256: dict[tuple[str, int], bytes]
    modules: int
    collections: int
    written: int


def identity_of(status: os.stat_result) -> Identity:
    """Returns what tells a file from another, or from an earlier state of it."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@contextmanager
def _absent() -> Iterator[None]:
    """Turns the errors of opening what is not a readable file into NotThere; errors of the disk are raised."""
    try:
        yield
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise NotThere from None
        raise


@contextmanager
def _folder(root: Path, names: Names) -> Iterator[int]:
    """Opens a folder of the hub, name by name, so that a symbolic link is refused even if it was made just now."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def open_file(root: Path, names: Names) -> tuple[int, os.stat_result]:
    """Opens a regular file of the hub; the root itself may be a link, so that a whole hub can be swapped.

    Raises:
        NotThere: for anything else.
    """
    with _absent(), _folder(root, names[:-1]) as folder:
        # Without O_NONBLOCK a named pipe would wait for a writer.
        descriptor = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotThere
    return descriptor, status


def read_all(descriptor: int) -> bytes:
    """Returns all of an open file, which stays open."""
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        return stream.read()


def _digest_and_close(descriptor: int, size: int) -> bytes:
    """Returns the SHA-256 of an open file of `size` bytes, and closes it; what is appended meanwhile is not read."""
    digest, offset = hashlib.sha256(), 0
    try:
        while chunk := os.pread(descriptor, min(CHUNK, size - offset), offset):
            digest.update(chunk)
            offset += len(chunk)
    finally:
        os.close(descriptor)
    return digest.digest()


def _read_index(descriptor: int, status: os.stat_result) -> Digests | str:
    """Reads and parses index.json; returns what is wrong with one that is malformed."""
    if status.st_size > LARGEST:
        return f"more than {LARGEST / 1e6:,.0f} MB"
    try:
        return _index_digests(parse_facts(read_all(descriptor)), status.st_mtime_ns)
    except Unreadable as reason:
        return f"line {reason.line}: {reason}" if reason.line else str(reason)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"not what make publish writes ({show_name(repr(error))})"


def _index_digests(index: Any, written: int) -> Digests:
    entries = [entry for kind in ("modules", "collections") for entry in index[kind].values()]
    files = [file for entry in entries for file in entry["files"]]
    sha256 = {(file["path"], file["size"]): bytes.fromhex(file["sha256"]) for file in files}
    if any(len(digest) != 32 for digest in sha256.values()):
        raise ValueError("a digest is not a SHA-256")
    modules = {handle.rpartition("/")[0] for handle in index["modules"]}
    return Digests(sha256, len(modules), len(index["collections"]), written)


class HubFiles:
    """The folder of a hub, with a cache of its pages; one object serves all requests of an event loop.

    Raises, from every method:
        NotThere: when there is no such file.
        OSError: when the disk fails.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pages: OrderedDict[Names, tuple[Identity, Page]] = OrderedDict()
        self._memory = 0
        self._computed: OrderedDict[Identity, asyncio.Task[bytes]] = OrderedDict()
        self._index: tuple[Identity, Digests | str] | None = None  # or what is wrong with it

    def index(self) -> Digests:
        """Reads index.json, if it has changed; raises DamagedIndex for one that is malformed."""
        descriptor, status = open_file(self._root, ("index.json",))
        try:
            if self._index is None or self._index[0] != identity_of(status):
                self._index = identity_of(status), _read_index(descriptor, status)
        finally:
            os.close(descriptor)
        digests = self._index[1]
        if isinstance(digests, str):
            raise DamagedIndex(digests)
        return digests

    def newest(self, names: Names, without: frozenset[str] = frozenset()) -> str:
        """Returns the greatest version of a module or collection, by number: 10 comes after 9.

        A version of a module counts once its tarball is there; its page alone does not count. Those in `without` do
        not count either.
        """
        with _absent(), _folder(self._root, names) as folder, os.scandir(folder) as scanned:
            entries = [entry.name for entry in scanned if entry.is_file(follow_symlinks=False)]
        for suffix in (".tar.gz", ".html", ".md"):
            stems = (entry.removesuffix(suffix) for entry in entries if entry.endswith(suffix))
            if versions := {stem for stem in stems if is_version(stem)}:
                if not (usable := versions - without):
                    break
                return max(usable, key=int)
        raise NotThere

    def has(self, names: Names) -> bool:
        """Returns whether there is such a file."""
        try:
            os.close(open_file(self._root, names)[0])
        except NotThere:
            return False
        return True

    async def open(self, names: Names) -> Page | Large:
        """Opens a file; a small one comes from the cache unless it has changed."""
        descriptor, status = open_file(self._root, names)
        keep = False
        try:
            if status.st_size <= LARGEST_IN_MEMORY and not names[-1].endswith(".gz"):
                return self._page(names, descriptor, status)
            sha256 = await self._sha256("/".join(names), descriptor, status)
            keep = True
            return Large(descriptor, status.st_size, sha256, int(status.st_mtime))
        finally:
            if not keep:
                os.close(descriptor)

    def _page(self, names: Names, descriptor: int, status: os.stat_result) -> Page:
        identity = identity_of(status)
        cached = self._pages.get(names)
        if cached and cached[0] == identity:
            self._pages.move_to_end(names)
            return cached[1]
        plain = Form.of(os.pread(descriptor, status.st_size, 0))  # also of a file that grows
        is_compressible = names[-1].endswith(COMPRESSIBLE) and len(plain.content) >= LEAST_COMPRESSED
        compressed = Form.of(gzip.compress(plain.content, 6, mtime=0)) if is_compressible else None
        page = Page(int(status.st_mtime), plain, compressed)
        if abs(time.time() - status.st_mtime) > YOUNG:  # a file may be of a machine whose clock is ahead
            self._cache(names, identity, page)
        return page

    def _cache(self, names: Names, identity: Identity, page: Page) -> None:
        """Keeps a page in place of the one of that name, and drops the least recently used pages beyond MEMORY."""
        if names in self._pages:
            self._memory -= _size(self._pages.pop(names)[1])
        self._pages[names] = identity, page
        self._memory += _size(page)
        while self._memory > MEMORY and len(self._pages) > 1:
            _, (_, dropped) = self._pages.popitem(last=False)
            self._memory -= _size(dropped)

    async def _sha256(self, path: str, descriptor: int, status: os.stat_result) -> bytes:
        """Returns the digest that index.json has of a file, or computes it, once for all requests.

        publish writes the index last. A file younger than it may have replaced the one that it describes.
        """
        try:
            index = self.index()
        except NotThere:
            index = Digests({}, 0, 0, 0)
        recorded = index.sha256.get((path, status.st_size))
        if recorded and status.st_mtime_ns <= index.written:
            return recorded
        identity = identity_of(status)
        if identity not in self._computed:
            self._computed[identity] = asyncio.create_task(
                asyncio.to_thread(_digest_and_close, os.dup(descriptor), status.st_size)
            )
            if len(self._computed) > 10_000:
                self._computed.popitem(last=False)
        try:
            return await asyncio.shield(self._computed[identity])
        except OSError:  # of the disk; the next request tries again
            self._computed.pop(identity, None)
            raise


def _size(page: Page) -> int:
    return len(page.plain.content) + (len(page.compressed.content) if page.compressed else 0)
