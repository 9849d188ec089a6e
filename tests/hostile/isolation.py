"""Runs a function in a forked process with limits, and tells how it ended (Linux)."""

import os
import resource
import select
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pipeline.base.fault import Fault

SECONDS = 10.0  # of wall time; the process is ended after them
MEMORY = 1_000_000_000  # resident bytes of the largest process
# The machine survives what must not happen: the process gets a MemoryError, or aborts.
_DATA = 2_500_000_000
_OUTPUT = 20_000  # bytes of output that are kept; a refusal has one sentence


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        status: its exit status, negative for a signal.
        output: what it printed on stdout and stderr.
        seconds: from the fork to its end.
        memory: the peak of resident memory of the largest process, in bytes.
        changes: files that it left, changed or removed, apart from the folder `out` beside the input.
    """

    status: int
    output: str
    seconds: float
    memory: int
    changes: list[str]


def isolate(act: Callable[[Path], object], path: Path, root: Path) -> Outcome:
    """Runs act(path) in a forked process.

    Args:
        act: returns, raises a Fault or SystemExit, or does something that it must not.
        path: the input, below `root`.
        root: the folder of all that the process may see; it has folders `tmp` for temporary files and `work`, the
            process's current folder.
    """
    before = _list(root, path)
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = os.fork()
        if not process:
            _become(act, path, root, log.fileno())
        status, usage = _wait(process)
        seconds = time.monotonic() - started
        log.seek(0)
        output = log.read(_OUTPUT).decode(errors="backslashreplace")
    after = _list(root, path)
    changes = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return Outcome(os.waitstatus_to_exitcode(status), output, seconds, usage.ru_maxrss * 1024, changes)


def _list(root: Path, path: Path) -> dict[str, tuple[int, int, int]]:
    """Returns type, size and time of each file below `root` by its name, apart from the folder `out` of the input."""
    found = {}
    for folder, names, files in os.walk(root):
        if Path(folder) == path.parent and "out" in names:
            names.remove("out")
        for name in (*names, *files):
            full = Path(folder, name)
            status = full.lstat()
            contents = (0, 0) if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns)
            found[str(full.relative_to(root))] = (status.st_mode, *contents)
    return found


def _become(act: Callable[[Path], object], path: Path, root: Path, log: int) -> NoReturn:
    """Is the forked process; never returns."""
    status = 70  # EX_SOFTWARE of sysexits.h: an exception that nobody expected
    try:
        os.setsid()  # so that its own children end with it
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(root / "work")
        tempfile.tempdir = None
        os.environ["TMPDIR"] = str(root / "tmp")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (_DATA, _DATA))
        act(path)
        status = 0
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else 1 if exit_.code else 0
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.stderr)
    except Fault as fault:
        status = 1
        print(f"fault: {fault}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _wait(process: int) -> tuple[int, resource.struct_rusage]:
    """Waits for a process, and ends its whole session after SECONDS, and what its children left behind."""
    handle = os.pidfd_open(process)
    try:
        select.select([handle], [], [], SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
    finally:
        os.close(handle)
    _, status, usage = os.wait4(process, 0)
    return status, usage
