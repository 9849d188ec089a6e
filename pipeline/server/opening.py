"""Opens files of a hub, and none outside it."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.server.routes import Names

_NOT_THERE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.ENAMETOOLONG,
    errno.ENXIO,  # a socket, or a pipe that nobody writes to
    errno.ELOOP,  # a symbolic link
}  # fmt: skip

Identity = tuple[int, int, int, int, int]


class NotThere(Exception):
    """The hub has no such regular file, or it may not be read."""


def identity_of(status: os.stat_result) -> Identity:
    """Returns what tells a file from another, or from an earlier state of it."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@contextmanager
def absent() -> Iterator[None]:
    """Turns the errors of opening what is not a readable file into NotThere; errors of the disk are raised."""
    try:
        yield
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise NotThere from None
        raise


@contextmanager
def open_folder(root: Path, names: Names) -> Iterator[int]:
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
    with absent(), open_folder(root, names[:-1]) as folder:
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
