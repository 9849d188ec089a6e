"""Names the hidden files and folders that are filled beside their targets, and removes those of killed processes.

A sibling is called `.<target>.<host>.<process>.part`; a folder that is being replaced is `.old` meanwhile. Whoever
fills one holds a lock (flock(2)) on it, which ends with its process, also in another container of the same host name.
The host is its name and a digest of its machine-id(5): machines of one name may share a disk, and a process number says
nothing about the processes of another machine.
"""

import fcntl
import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# A number may be another process's by now. What has that number, is not locked and was not written to for so many
# seconds is nobody's; where there are no locks, it stays.
REUSED = 86_400
QUIET = 600  # seconds; of what another host has, which may be locked a moment after it was made
_filling: set[Path] = set()  # by this process
_swept: set[Path] = set()  # folders that this process sweeps once alone
_MACHINE = Path("/etc/machine-id")
_MARKER = "shared-by-nodes"  # no output is called so


@cache
def host() -> str:
    """Returns the name of this machine among those that may share a disk."""
    try:
        machine = _MACHINE.read_bytes().strip()
    except OSError:  # macOS, and containers without it
        machine = b""
    return socket.gethostname() + (f"-{hashlib.sha256(machine).hexdigest()[:8]}" if machine else "")


@contextmanager
def claiming(path: Path, suffix: str) -> Iterator[Path]:
    """Yields the name of a hidden sibling of `path` for this process alone; its folder is swept first."""
    if path.parent.absolute() not in _swept:
        sweep(path.parent)
    sibling = path.with_name(f".{path.name}.{host()}.{os.getpid()}.{suffix}")
    mine = sibling.absolute()
    _filling.add(mine)
    try:
        yield sibling
    finally:
        _filling.discard(mine)


@contextmanager
def sweeping_once(folder: Path) -> Iterator[None]:
    """Sweeps a folder now, and not again while the block writes thousands of files there."""
    sweep(folder)
    mine = folder.absolute()
    _swept.add(mine)
    try:
        yield
    finally:
        _swept.discard(mine)


@contextmanager
def holding(descriptor: int) -> Iterator[None]:
    """Locks an open sibling while the block runs, where the file system has locks."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield


def name_marker(folder: Path) -> Path:
    """Returns what claiming() is given for a marker: a hidden file that its process fills at once, and keeps locked.

    It stands for a folder that several hosts share. Only its own host sweeps it: where locks do not reach the others,
    they cannot tell that it is held.
    """
    return folder / _MARKER


def is_marker(name: str) -> bool:
    """Whether a sibling is the marker of a folder, of any host."""
    return name.startswith(f".{_MARKER}.")


def is_sibling(name: str) -> bool:
    """Whether a file or folder of this name is being filled, or was left by a killed process, of any host."""
    return bool(re.fullmatch(r"\..+\.\d{1,10}\.(part|old)", name, re.DOTALL))


def sweep(folder: Path) -> int:
    """Removes the siblings, of any target in the folder, whose processes have ended.

    Whether a process of another host runs, which may share the disk, only its lock tells: what nobody holds, and nobody
    has changed for a day, goes; on a file system without locks it stays.

    Returns:
        How many it has removed.
    """
    count = 0
    ours = re.compile(rf"\..+\.{re.escape(host())}\.(\d{{1,10}})\.(part|old)", re.DOTALL)
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a Path for each of 10,000 files takes ten times as long)
    except FileNotFoundError:  # removed by another process, such as the probe of another release to the same folder
        return 0
    for path in (folder / name for name in names if name.startswith(".")):
        match = ours.fullmatch(path.name)
        is_others = not match and is_sibling(path.name) and not is_marker(path.name)
        if (match and _is_left(path, int(match[1]))) or (is_others and _is_abandoned(path)):
            with suppress(PermissionError, FileNotFoundError):  # another user's, or swept by another process
                _remove(path)
                count += 1
    return count


def sweep_tree(root: Path) -> int:
    """Removes the siblings of any host that nobody fills, in a folder and below it, whose lock the caller holds.

    That of another host goes when no process holds it and nothing has happened to it for some time; on a file system
    without locks it stays.

    Returns:
        How many it has removed.
    """
    count = 0
    for folder, folders, files in os.walk(root):
        count += sweep(Path(folder))
        for path in (Path(folder, name) for name in (*folders, *files) if is_sibling(name) and not is_marker(name)):
            with suppress(PermissionError, FileNotFoundError):
                if _is_quiet(path) and _is_locked(path) is False and path.absolute() not in _filling:
                    _remove(path)
                    count += 1
    return count


def _is_abandoned(sibling: Path) -> bool:
    """Whether a sibling of another host is left of a process that has ended."""
    try:
        return time.time() - sibling.lstat().st_ctime > REUSED and _is_locked(sibling) is False
    except FileNotFoundError:  # removed by another process
        return False


def _is_quiet(sibling: Path) -> bool:
    """Whether nothing happened to a sibling for some time; a file that was linked has the time of its link."""
    return time.time() - sibling.lstat().st_ctime > QUIET


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_left(sibling: Path, process: int) -> bool:
    """Whether nobody fills a sibling any more."""
    if process == os.getpid():  # of an earlier process with this number, unless this one fills it
        return sibling.absolute() not in _filling and _is_locked(sibling) is not True
    if not _is_alive(process):
        return _is_locked(sibling) is not True
    with suppress(OSError):
        return time.time() - sibling.lstat().st_mtime > REUSED and _is_locked(sibling) is False
    return False


def _is_locked(sibling: Path) -> bool | None:
    """Whether a process holds a sibling; None where that cannot be told."""
    try:
        # For writing: NFS gives no exclusive lock to a file that is only read (flock(2)).
        mode = os.O_RDONLY if sibling.is_dir() else os.O_RDWR
        descriptor = os.open(sibling, mode | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _is_alive(process: int) -> bool:
    """Whether a process of this machine runs; a zombie does not (proc(5), where there is a /proc)."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_bytes().rpartition(b")")[2].split()[0] != b"Z"
