"""Puts tarballs and other large files into a hub: read at most once, and on one disk linked instead of copied."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import CHUNK, NO_LINKS, make_folder, naming, sha256_of, sync
from pipeline.base.progress import Progress
from pipeline.base.siblings import claiming, holding
from pipeline.hub.entries import PublishedFile

# A linked file is one with two names: whoever writes into it would change the hub. The stages replace their files, and
# nobody may write to a file of this mode.
_MODE = 0o444


@dataclass(frozen=True)
class Hashed:
    """A tarball, or a file of another format, whose bytes were hashed.

    Attributes:
        path: the file.
        sha256: of its bytes, in hexadecimal.
        size: in bytes.
        identity: its device, inode and time of change: another file, or other bytes, have others.
    """

    path: Path
    sha256: str
    size: int
    identity: tuple[int, int, int]

    def is_same_file(self, path: Path) -> bool:
        """Whether this is another name of the file that was read."""
        return path.exists() and _identity(path.stat()) == self.identity


def known_file(path: Path, sha256: str) -> Hashed:
    """Returns a file whose digest is known, and which nothing has happened to since it was hashed."""
    state = path.stat()
    return Hashed(path, sha256, state.st_size, _identity(state))


def hash_file(path: Path, label: str) -> Hashed:
    """Reads a file, with progress under `label`.

    Raises:
        Fault: when it is changed meanwhile.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        before = os.fstat(stream.fileno())
        with Progress(label, before.st_size, "B") as progress:
            buffer = bytearray(CHUNK)
            while size := stream.readinto(buffer):
                digest.update(memoryview(buffer)[:size])
                progress.advance(size)
        after = os.fstat(stream.fileno())
    if _identity(before) != _identity(after) or before.st_size != after.st_size:
        raise _changed(path)
    return Hashed(path, digest.hexdigest(), after.st_size, _identity(after))


def is_missing(source: Hashed, target: Path, listed: PublishedFile | None) -> bool:
    """Returns whether a file has yet to be put into the hub, also in the place of one that no index lists.

    Args:
        source: the file.
        target: its place in the hub.
        listed: what the index lists of that place; None for nothing.

    Raises:
        Fault: when the index lists other bytes, or the published file is damaged.
    """
    if listed and listed.sha256 != source.sha256:
        raise Fault(
            f"{target}: this version is already published with other bytes: sha256 {listed.sha256} there,"
            f" {source.sha256} here; published versions never change, so raise module.version to publish this one"
        )
    if not target.exists():
        return True
    published = source.sha256 if source.is_same_file(target) else sha256_of(target)
    if listed and published != source.sha256:
        raise Fault(
            f"{target}: damaged in the hub: the index has sha256 {source.sha256}, the file {published}; your file"
            " has the published bytes, so delete the file there and run the same command again"
        )
    return published != source.sha256


@contextmanager
def placing(tarball: Hashed, target: Path) -> Iterator[None]:
    """Prepares a hidden sibling of `target`, and renames it onto `target` once the block ends without an exception.

    The sibling is another name of the file that was read; on another disk it is a copy, read once more.

    Raises:
        Fault: when the tarball is not the file that was read any more; nothing is left then.
        OSError: with the name of the target, when it cannot be written.
    """
    make_folder(target.parent)
    with claiming(target, "part") as sibling:
        try:
            with naming(target):
                if not _link(tarball, sibling):
                    _copy(tarball, sibling)
            yield
            with naming(target):
                sibling.replace(target)
                sync(target.parent)
        finally:
            sibling.unlink(missing_ok=True)


def _link(tarball: Hashed, sibling: Path) -> bool:
    """Gives the file a second name; returns whether it may have one."""
    try:
        sibling.hardlink_to(tarball.path.resolve())
        sibling.chmod(_MODE)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        sibling.unlink(missing_ok=True)
        return False
    state = sibling.stat()
    if _identity(state) != tarball.identity or state.st_size != tarball.size:
        raise _changed(tarball.path)
    sync(sibling)
    return True


def _copy(tarball: Hashed, sibling: Path) -> None:
    digest = hashlib.sha256()
    with tarball.path.open("rb") as stream, sibling.open("wb") as out, holding(out.fileno()):
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fchmod(out.fileno(), _MODE)
        os.fsync(out.fileno())
    if digest.hexdigest() != tarball.sha256:
        raise _changed(tarball.path)


def _identity(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_dev, state.st_ino, state.st_mtime_ns


def _changed(path: Path) -> Fault:
    return Fault(
        f"{path}: changed while it was published; let the make that writes it end, then run the same command again"
    )
