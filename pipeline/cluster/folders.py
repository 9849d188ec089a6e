"""Removes the folders of servers that were killed, and marks folders that all nodes must share."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.base.siblings import claiming, holding, name_marker
from pipeline.cluster.frames import PREFIX, STARTING, short_folder

_LAST_WORDS = 2.0  # seconds in which clients look there why their server ended
_ATTEMPTS = 20
RUNNING = "running"  # a file that the server of a folder keeps locked


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Marks the folder of a server as in use while the block runs, and removes it then."""
    with (folder / RUNNING).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def guard(folder: Path) -> None:
    """Starts a process that cleans up after this one, however it ended: it kills its session, and removes a folder.

    This process must lead its session. Some processes of Ray take half a minute to see that theirs has gone.
    """
    read, _write = os.pipe()  # the end that is written to closes with this process
    if os.fork():
        os.close(read)
        return
    os.close(_write)
    os.read(read, 1)
    _kill_session()
    if folder.exists():
        time.sleep(_LAST_WORDS)
    for _ in range(_ATTEMPTS):  # processes of Ray that are about to end may still write there
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(_LAST_WORDS / 4)
    os._exit(0)


def _kill_session() -> None:
    """Kills the other processes of this session."""
    session = str(os.getsid(0))
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if fields[3] == session and int(place.name) != os.getpid():
                os.kill(int(place.name), signal.SIGKILL)


def sweep_folders() -> None:
    """Removes the folders of this user's servers that were killed."""
    for folder in Path(short_folder()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # it starts, or runs, or another process removes it
            if folder.lstat().st_uid == os.getuid():
                _remove_unused(folder)


def _remove_unused(folder: Path) -> None:
    with ExitStack() as stack:
        for name in (STARTING, RUNNING):
            lock = stack.enter_context((folder / name).open("rb"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mark_shared(folders: Sequence[Path], content: str) -> Iterator[tuple[tuple[str, str], ...]]:
    """Writes a hidden file into each folder, or the next one above it that exists, and yields their paths and content.

    A node that sees such a file shares the folder. It is named as what a process fills, which every stage ignores.
    """
    with ExitStack() as stack:
        files: list[tuple[str, str]] = []
        for place in dict.fromkeys(map(_existing, folders)):
            sibling = stack.enter_context(claiming(name_marker(place), "part"))
            stack.callback(sibling.unlink, missing_ok=True)
            stream = stack.enter_context(sibling.open("w", encoding="utf-8"))
            stream.write(content)
            stream.flush()
            stack.enter_context(holding(stream.fileno()))
            files.append((str(sibling), content))
        yield tuple(files)


def _existing(folder: Path) -> Path:
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
