"""remote: any file of another machine as a file of this one, through the cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.fault import NotCached, shown
from pipeline.download import cache, cloud
from pipeline.download.address import Address, resolve
from pipeline.download.cache import Entry, Record
from pipeline.download.http import Policy, download


@dataclass(frozen=True)
class Access:
    """How files of other machines are had.

    Attributes:
        cache: the folder of the cache, shared between clones.
        offline: whether to do without any network.
        policy: how patient downloads are.
    """

    cache: Path
    offline: bool = False
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class CachedFile:
    """A file in the cache, and its SHA-256, taken just now."""

    path: Path
    sha256: str
    entry: Entry

    def discard(self) -> None:
        """Removes it from the cache: it is broken, whatever anybody expects of it."""
        self.entry.drop()


@contextmanager
def obtain_file(source: str, access: Access, label: str, expected: str | None = None) -> Iterator[CachedFile]:
    """Yields a remote source's file (pipeline.download.address.is_remote); no other process changes it until the block
        ends.

    Args:
        source: its address.
        access: cache, offline mode and patience.
        label: for progress.
        expected: its SHA-256 where it is known; the cache's file of that digest is taken without asking the source.

    Raises:
        Unavailable: when the source does not give it.
        NotCached: when offline mode is on and the cache does not have it.
    """
    address = Address(source) if source.startswith("s3:") else resolve(source)
    with cache.entry(access.cache, shown(address.url), label) as entry:
        if access.offline:
            sha256 = _cached(entry, access.cache, expected)
        elif source.startswith("s3:"):
            sha256 = _from_s3(source, entry, label, expected)
        else:
            sha256 = download(address, entry, label, access.policy, expected)
        yield CachedFile(entry.file, sha256, entry)


def _cached(entry: Entry, folder: Path, expected: str | None) -> str:
    sha256 = entry.sound(expected)
    if sha256 is None and entry.whole() is None:
        raise NotCached(f"OFFLINE=1, and the cache {folder} does not have it")
    if sha256 is None:
        raise NotCached(f"OFFLINE=1, and the file in the cache {folder} is damaged")
    return sha256


def _from_s3(source: str, entry: Entry, label: str, expected: str | None) -> str:
    found = entry.sound(expected)
    if found is not None and found == expected:
        return found
    entry.begin(Record(shown(source)))
    sha256 = cloud.copy_s3(source, entry.part, label)
    entry.finish(Record(shown(source), length=entry.part.stat().st_size, sha256=sha256))
    return sha256
