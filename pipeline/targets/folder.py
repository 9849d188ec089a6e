"""A target on a disk of this machine, or one that is mounted here."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.base import siblings
from pipeline.base.command import describe_disk
from pipeline.base.fault import Fault, escape
from pipeline.base.files import (
    CHUNK,
    NO_LINKS,
    Unreadable,
    content_digest,
    creating,
    locked,
    make_folder,
    naming,
    open_regular,
    read_bounded,
    replacing,
    sha256_of,
    sync,
)
from pipeline.targets.interface import LARGEST_SMALL, AlreadyThere, Moved, Stored
from pipeline.targets.paths import check_path, check_prefix

_FOR_ALL = 0o444  # what is released may be read by everybody, such as a web server, whatever the umask is


class Folder:
    """A folder; one process at a time creates, swaps or deletes there, which a lock on the folder itself ensures.

    The tag of a small file is its digest, so that an edit by hand is noticed, too. That of a larger one is what changes
    with every write: inode, time and size.

    Attributes:
        address: the path, as the user named it.
    """

    def __init__(self, address: str, root: Path) -> None:
        """Uses a folder that is created when something is written to it."""
        self.address, self._root = address, root

    def head(self, path: str) -> Stored | None:
        """See Target.head()."""
        with self._explaining():
            return self._stored(path)

    def get(self, path: str) -> tuple[bytes, Stored] | None:
        """See Target.get()."""
        with self._explaining(), suppress(FileNotFoundError, NotADirectoryError):
            content = read_bounded(self._place(path), LARGEST_SMALL)
            return content, Stored(path, len(content), content_digest(content))
        return None

    def chunks(self, path: str) -> Iterator[bytes]:
        """See Target.chunks()."""
        place = self._place(path)
        with self._explaining():
            try:
                with open_regular(place) as stream, naming(place):
                    while chunk := stream.read(CHUNK):
                        yield chunk
            except NotADirectoryError:
                raise FileNotFoundError(path) from None

    def create(self, path: str, content: bytes) -> Stored:
        """See Target.create()."""
        place, wanted = self._place(path), Stored(path, len(content), content_digest(content))
        with self._explaining(), self._alone():
            self._make_parent(place)
            try:
                with creating(place) as stream:
                    _allow_all(stream.fileno())
                    stream.write(content)
            except FileExistsError:
                if self._stored(path) != wanted:
                    raise AlreadyThere(path) from None
        return wanted

    def swap(self, path: str, content: bytes, tag: str | None) -> Stored:
        """See Target.swap()."""
        place = self._place(path)
        with self._explaining(), self._alone():
            stored = self._stored(path)
            if (stored.tag if stored else None) != tag:
                raise Moved(path)
            self._make_parent(place)
            with replacing(place) as stream:
                _allow_all(stream.fileno())
                stream.write(content)
        return Stored(path, len(content), content_digest(content))

    def put_large(self, path: str, source: Path, advance: Callable[[int], None]) -> Stored:
        """See Target.put_large(); on one disk the file gets a second name, and no byte is copied."""
        place = self._place(path)
        with self._explaining():
            self._make_parent(place)
            if not _link(source.resolve(strict=True), place, advance):
                _copy(source, place, advance)
            stored = self._stored(path)
        if not stored:
            raise Fault(f"{self.address}: {path} was removed while it was written; run the same command again")
        return stored

    def list(self, prefix: str) -> Iterator[Stored]:
        """See Target.list()."""
        start = self._root / check_prefix(prefix).rpartition("/")[0]
        with self._explaining():
            names = (
                f"{folder}/{name}"
                for folder, _, files in os.walk(start, onerror=_fail)
                for name in files
                if _is_released(name)
            )
            paths = (os.path.relpath(name, self._root) for name in names)
            for path in sorted(path for path in paths if path.startswith(prefix)):
                if stored := self._stored(path):
                    yield stored

    def delete(self, path: str) -> None:
        """See Target.delete(); a folder that is empty after that goes, too."""
        place = self._place(path)
        with self._explaining(), self._alone(), suppress(FileNotFoundError, NotADirectoryError):
            place.unlink()
            if place.parent != self._root:
                with suppress(OSError):  # it has other files
                    place.parent.rmdir()

    def sweep(self) -> int:
        """See Target.sweep()."""
        with self._explaining():
            return sum(siblings.sweep(Path(folder)) for folder, _, _ in os.walk(self._root, onerror=_fail))

    def _place(self, path: str) -> Path:
        return self._root / check_path(path)

    def _stored(self, path: str) -> Stored | None:
        place = self._place(path)
        try:
            with open_regular(place) as stream:
                state = os.fstat(stream.fileno())
        except (FileNotFoundError, NotADirectoryError):
            return None
        if state.st_size <= LARGEST_SMALL:
            return Stored(path, state.st_size, sha256_of(place))
        return Stored(path, state.st_size, f"{state.st_ino}-{state.st_mtime_ns}-{state.st_size}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        make_folder(self._root)
        with locked(self._root):
            yield

    def _make_parent(self, place: Path) -> None:
        new = [folder for folder in place.parents if not folder.exists()]
        make_folder(place.parent)
        for folder in new:
            folder.chmod(folder.stat().st_mode | 0o555)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Turns errors of the disk into faults that name the target and the file."""
        try:
            yield
        except Unreadable as error:
            raise Fault(f"{self.address}: cannot read a file of the hub: {error}") from None
        except OSError as error:
            if not (description := describe_disk(error)):
                raise
            place = escape(os.fsdecode(error.filename or self.address))
            raise Fault(f"{self.address}: cannot use {place}: {description}") from error


def _is_released(name: str) -> bool:
    """Whether a file belongs to the hub: neither being written, nor the lock or mark of those who publish into it."""
    return name not in (".lock", ".clean") and not siblings.is_sibling(name)


def _allow_all(descriptor: int) -> None:
    os.fchmod(descriptor, os.fstat(descriptor).st_mode | _FOR_ALL)


def _link(source: Path, place: Path, advance: Callable[[int], None]) -> bool:
    """Gives a file a second name, where it may have one and everybody may read it; returns whether it has it."""
    with source.open("rb") as stream:
        state = os.fstat(stream.fileno())
        if state.st_mode & _FOR_ALL != _FOR_ALL:
            return False  # the rights belong to the file, not to its names
        os.fsync(stream.fileno())
    with siblings.claiming(place, "part") as sibling, naming(place):
        try:
            sibling.hardlink_to(source)
            sibling.replace(place)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return False
        finally:
            sibling.unlink(missing_ok=True)  # rename(2) leaves it when `place` is the same file already
    sync(place.parent)
    advance(state.st_size)
    return True


def _copy(source: Path, place: Path, advance: Callable[[int], None]) -> None:
    with source.open("rb") as origin, replacing(place) as stream:
        _allow_all(stream.fileno())
        while chunk := origin.read(CHUNK):
            stream.write(chunk)
            advance(len(chunk))


def _fail(error: OSError) -> None:
    """Raises what os.walk() would pass over; a folder that is not there has no files."""
    if not isinstance(error, FileNotFoundError):
        raise error
