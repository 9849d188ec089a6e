"""Replaces files and folders atomically, computes digests, and locks files."""

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from pipeline.base.siblings import claiming, holding

CHUNK = 1 << 22  # bytes read at a time
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)  # of a place that this user may not change
NO_LINKS = (
    errno.EPERM,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EXDEV,
)  # of a file that gets no second name
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)  # of NFS, FUSE and Lustre, as they are mounted

_SWAPS = 100  # times that a folder is given a name that other processes give to theirs


def expand_home(path: str | Path) -> Path:
    """Returns a path with its ~ expanded, or as it is where there is no such user, or none with a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def stream_digest(stream: IO[bytes]) -> str:
    """Returns the SHA-256 of the rest of a stream in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def content_digest(content: bytes) -> str:
    """Returns the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return stream_digest(stream)


# Hidden files of an Orbax folder that say how the bytes of its arrays are read.
_ZARR = (".zarray", ".zattrs", ".zgroup")


def folder_digest(folder: Path, digest: Callable[[Path], str] = sha256_of) -> str:
    """Returns the digest of the names and contents of all files in a folder, hidden ones aside but for zarr's.

    Args:
        folder: the folder.
        digest: returns that of one file.
    """
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.is_file() and not any(part.startswith(".") and part not in _ZARR for part in name.parts):
            whole.update(f"{name}\n{digest(file)}\n".encode())
    return whole.hexdigest()


class Unreadable(Exception):
    """A file's content cannot be used; the message is a clause that says why, without the file's name.

    Attributes:
        line: where it is wrong, from 1; 0 where that says nothing.
    """

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


def read_bounded(path: Path, most: int) -> bytes:
    """Returns the content of a regular file.

    Args:
        path: the file.
        most: how many bytes it may have.

    Raises:
        OSError: when it cannot be opened.
        Unreadable: when it is no regular file, or has more bytes; it is not read then.
    """
    with open_regular(path) as stream, naming(path):
        if os.fstat(stream.fileno()).st_size <= most:
            content = stream.read(most + 1)  # its size may have changed a moment ago
            if len(content) <= most:
                return content
    raise Unreadable(f"it has more than {most:,} bytes, which no such file needs")


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file for reading.

    Raises:
        OSError: when it cannot be opened.
        Unreadable: when it is anything else, such as a named pipe, which might never answer.
    """
    try:
        # Without O_NONBLOCK a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise Unreadable("it is a socket, expected a file") from None
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise Unreadable(f"it is {'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'}, expected a file")


def sync(path: Path) -> None:
    """Flushes a file's content, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flushes a folder and everything in it to the disk."""
    for entry in [*sorted(folder.rglob("*")), folder]:
        sync(entry)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, and flushes the names of those that are new to the disk."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        with suppress(PermissionError):  # of a folder that this user may write, and not read
            sync(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the file's name to an OSError without one, such as that of a failed write(), or with a sibling's."""
    try:
        yield
    except OSError as error:
        if not error.filename or Path(error.filename).name.startswith(f".{path.name}."):
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a sibling of `path` for writing and renames it onto `path` once the block ends without an exception.

    The sibling is removed if the block fails. If the process is killed, the next writer removes it.

    Raises:
        OSError: with the name of the target, when writing fails.
    """
    with _filling(path, Path.replace) as stream:
        yield stream


@contextmanager
def creating(path: Path) -> Iterator[BinaryIO]:
    """Opens a sibling of `path` for writing, as replacing() does, which becomes `path` unless something is there.

    Where the file system has no hard links, only a lock that all writers hold keeps two from creating the same file.

    Raises:
        FileExistsError: when something is there, also if it came while the block ran.
        OSError: with the name of the target, when writing fails.
    """
    with _filling(path, _link) as stream:
        yield stream


def _link(sibling: Path, path: Path) -> None:
    try:
        path.hardlink_to(sibling)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        sibling.replace(path)


def share_file(source: Path, copy: Path) -> None:
    """Gives a file a second name, or copies it where the file system gives none; makes the folder of the name.

    Raises:
        OSError: when there is a file of that name, or it cannot be written; a copy's has the name.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        copy.hardlink_to(source.resolve())
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with naming(copy):
            shutil.copyfile(source, copy)


@contextmanager
def _filling(path: Path, place: Callable[[Path, Path], object]) -> Iterator[BinaryIO]:
    """Opens a sibling for writing; calls `place` with it and `path` once the block ends without an exception."""
    make_folder(path.parent)
    with claiming(path, "part") as sibling:
        try:
            with naming(path):
                with sibling.open("wb") as stream, holding(stream.fileno()):
                    yield stream
                    stream.flush()
                    os.fsync(stream.fileno())
                place(sibling, path)
                sync(path.parent)
        finally:
            sibling.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[bool]:
    """Holds an exclusive lock (flock(2)) while the block runs; other processes that ask for it wait.

    The operating system releases the lock when the process ends, also when it is killed. Another user's lock file
    serves if it can be read. On a file system without locks a line says so, and nobody waits.

    Args:
        path: a folder that exists, or a file, which is created together with its folder.
        waiting: a message for stderr when another process holds the lock; empty for none.

    Yields:
        Whether the lock is held; False where the file system has none.

    Raises:
        OSError: when there is no such file and it cannot be created.
    """
    descriptor, is_held = _open_lock(path), True
    try:
        try:
            _lock(descriptor, waiting)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            is_held = False
            text = f"this file system has no locks ({error.strerror}); run one command at a time that writes there"
            print(f"{path.parent}: {text}", file=sys.stderr, flush=True)
        yield is_held
    finally:
        os.close(descriptor)  # releases the lock


def _open_lock(path: Path) -> int:
    make_folder(path.parent)
    if path.is_dir():
        return os.open(path, os.O_RDONLY)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in NOT_WRITABLE or not path.exists():
            raise
        return os.open(path, os.O_RDONLY)


def _lock(descriptor: int, waiting: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting:
            print(waiting, file=sys.stderr, flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def write_text(path: Path, text: str) -> None:
    """Replaces a file by UTF-8 text, as replacing() does. Names of files that are not UTF-8 keep their bytes."""
    with replacing(path) as stream:
        stream.write(text.encode(errors="surrogateescape"))


def has_text(path: Path, text: str) -> bool:
    """Whether a file can be read and has this text, as write_text() writes it."""
    return has_content(path, text.encode(errors="surrogateescape"))


def has_content(path: Path, content: bytes) -> bool:
    """Whether a file can be read and has these bytes."""
    try:
        return read_bounded(path, len(content)) == content
    except (Unreadable, OSError):
        return False


def write_memory(path: Path, text: str) -> None:
    """Replaces a file that can be made again, as write_text() does; an empty folder in its place is removed."""
    make_way(path)
    write_text(path, text)


def make_way(path: Path) -> None:
    """Removes an empty folder that stands in the place of a file; of another, the writer says that it stands there."""
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):
            path.rmdir()


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty sibling folder to fill, which replaces `path` once the block ends without an exception.

    All files are flushed to the disk first. Two renames swap the folders, since POSIX cannot replace a folder that is
    not empty at once. A failure between the two restores the old folder; a kill between them leaves no folder at
    `path`, and the next make builds it again.
    """
    make_folder(path.parent)
    with claiming(path, "part") as sibling, claiming(path, "old") as old:
        sibling.mkdir()
        try:
            with _holding_folder(sibling):
                yield sibling
                sync_folder(sibling)
                _swap(sibling, path, old)
                sync(path.parent)
        finally:
            if old.exists() and not path.exists():
                _rename_unless_taken(old, path)
            shutil.rmtree(sibling, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _rename_unless_taken(folder: Path, path: Path) -> None:
    """Renames a folder, unless another process has put one in that place meanwhile."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _swap(sibling: Path, path: Path, old: Path) -> None:
    """Gives a sibling folder the name `path`, and what had it the name `old`.

    Another process may do the same at that moment, such as a second attempt of a stage on another machine: the last
    one's folder stays.

    Raises:
        OSError: when the folder cannot be renamed.
    """
    for attempt in range(_SWAPS):
        with suppress(FileNotFoundError):  # there is none, or another process has just moved it
            shutil.rmtree(old, ignore_errors=True)  # of an attempt before
            path.rename(old)
        try:
            sibling.rename(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _SWAPS - 1:
                raise


@contextmanager
def _holding_folder(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with holding(descriptor):
            yield
    finally:
        os.close(descriptor)
