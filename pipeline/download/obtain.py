"""Makes any remote file a file on this machine, through the cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.addresses import public_address
from pipeline.base.fault import NotCached
from pipeline.download import cache, cloud
from pipeline.download.address import Address, resolve
from pipeline.download.cache import Entry, Record
from pipeline.download.http import download
from pipeline.download.retry import Policy


@dataclass(frozen=True)
class Access:
    """How remote files are downloaded.

    Attributes:
        cache: the folder of the cache, shared between clones.
        offline: whether to use the cache alone and no network.
        policy: how patient downloads are.
    """

    cache: Path
    offline: bool = False
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class CachedFile:
    """A file in the cache.

    Attributes:
        path: where it lies.
        sha256: its digest in hexadecimal, computed just now.
    """

    path: Path
    sha256: str
    _entry: Entry

    def discard(self) -> bool:
        """Removes it from the cache, because it is broken whatever digest is expected; returns whether it could."""
        self._entry.drop_file()
        return self._entry.is_writable


@contextmanager
def obtain_file(source: str, access: Access, label: str, expected: str | None = None) -> Iterator[CachedFile]:
    """Yields a remote source's file; no other process changes it until the block ends.

    Args:
        source: its address (pipeline.download.address.is_remote).
        access: the cache, offline mode and patience.
        label: for progress.
        expected: its SHA-256, if it is known; a file in the cache with this digest is used without a request.

    Raises:
        Unavailable: when the source does not have it or cannot be reached.
        NotCached: when offline mode is on and the cache does not have it.
    """
    address = Address(source) if source.startswith("s3:") else resolve(source)
    with cache.open_entry(access.cache, address.url, label) as entry:
        if access.offline:
            sha256 = _verify_offline(entry, access.cache, expected)
        elif source.startswith("s3:"):
            sha256 = _download_from_s3(source, entry, label, access.policy, expected)
        else:
            sha256 = download(address, entry, label, access.policy, expected)
        yield CachedFile(entry.file, sha256, entry)


def _verify_offline(entry: Entry, folder: Path, expected: str | None) -> str:
    sha256 = entry.verify_file(expected)
    if sha256 is None and entry.read_whole() is None:
        raise NotCached(f"OFFLINE=1, and the cache {folder} does not have it")
    if sha256 is None:
        raise NotCached(f"OFFLINE=1, and the file in the cache {folder} is damaged")
    return sha256


def _download_from_s3(source: str, entry: Entry, label: str, policy: Policy, expected: str | None) -> str:
    sha256 = entry.verify_file(expected)
    if sha256 is not None and sha256 == expected:
        return sha256
    entry.start_part(Record(public_address(source)))
    sha256 = cloud.copy_s3(source, entry.part_file, label, policy)
    entry.finish_part(Record(public_address(source), length=entry.part_file.stat().st_size, sha256=sha256))
    return sha256
