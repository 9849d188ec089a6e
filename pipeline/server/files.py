"""Opens the files of a hub, and none outside it, with the digest of the opened bytes."""

import asyncio
import gzip
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.files import CHUNK
from pipeline.server.index_digests import DamagedIndex, IndexDigests
from pipeline.server.opening import Identity, NotThere, absent, identity_of, open_file, open_folder
from pipeline.server.routes import Names, is_version

# Larger files are sent from the disk, as tarballs are.
LARGEST_IN_MEMORY = 4 << 20  # bytes
# The memory for cached pages, plain and compressed together.
MEMORY = 64 << 20  # bytes
# A file may change twice within a tick of the file system's clock and look the same: so young a file is not cached.
YOUNG = 2.0  # seconds
COMPRESSIBLE = (".html", ".md", ".json", ".css", ".js", ".svg", ".txt", ".xml", ".yaml")
LEAST_COMPRESSED = 500  # bytes; gzip does not shorten less


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
        self._index = IndexDigests(root)

    def counts(self) -> Iterator[tuple[int, int]]:
        """Yields how many modules and collections each file of the index has.

        Raises:
            DamagedIndex: for one that cannot be used.
        """
        return self._index.counts()

    def newest(self, names: Names, without: frozenset[str] = frozenset()) -> str:
        """Returns the greatest version of a module or collection, by number: 10 comes after 9.

        A version of a module counts once its tarball is there; its page alone does not count. Those in `without` do
        not count either.
        """
        with absent(), open_folder(self._root, names) as folder, os.scandir(folder) as scanned:
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
            sha256 = await self._sha256(names, descriptor, status)
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

    async def _sha256(self, names: Names, descriptor: int, status: os.stat_result) -> bytes:
        """Returns the digest that the index has of a file, or computes it, once for all requests."""
        with suppress(DamagedIndex):  # then /healthz says so
            if recorded := self._index.recorded(names, status.st_size, status.st_mtime_ns):
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
