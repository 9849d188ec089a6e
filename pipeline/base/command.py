"""Runs a stage as a command: faults become one sentence and an exit status."""

import errno
import io
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from pipeline.base.addresses import hide_secrets
from pipeline.base.fault import Fault, escape_controls
from pipeline.base.forks import peak_of_copies
from pipeline.base.run_records import Outcome, Recorder

INTERRUPTED = 130  # the exit status after Ctrl-C, as shells have it: 128 and the number of SIGINT

# Errors of writing an output, and what a person can do about each.
_DISK = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EFBIG: "the file is too large for the file system, or for this user's limit; choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder (ARTIFACTS=, HUB= or CACHE=)",
    errno.EACCES: "permission denied; make it accessible to this user, or choose another folder with its setting",
    errno.EPERM: "operation not permitted; make it accessible to this user, or choose another folder with its setting",
    errno.EIO: "the device reports an input/output error",
    errno.EEXIST: "a file stands where a folder is needed; move it or choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed; move it or choose another folder",
    errno.EISDIR: "a folder stands where a file is needed; move it or choose another folder",
    errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter path",
    errno.ENXIO: "a socket or a device stands where a file is needed; move it or choose another folder",
    errno.ELOOP: "its links lead in a circle; choose another folder",
}


def describe_disk(error: OSError) -> str:
    """Returns what is wrong with the disk, and what to do; empty for an error that is not the disk's."""
    if error.errno == errno.EEXIST and isinstance(error.filename, str):
        place = Path(error.filename)
        if place.is_symlink() and not place.exists():
            target = escape_controls(hide_secrets(str(place.readlink())))
            return f"it is a link to nothing: there is no {target}; make that folder, or remove the link"
    return _DISK.get(error.errno or 0, "")


def command_line() -> list[str]:
    """Returns the arguments of the command line, with the value of a variable in the place of env:<NAME>.

    Every user of a machine can read all command lines, and only its owner a process's environment: make passes
    addresses so, as `env:MODULE`, `--index=env:INDEX` or `hub=env:HUB`. A file of such a name is ./env:<NAME>.

    Raises:
        Fault: when there is no such variable, or the value would be read as an option.
    """
    return [_read_variable(argument) for argument in sys.argv[1:]]


def _read_variable(argument: str) -> str:
    reference = re.fullmatch(r"((?:--)?[a-z_-]+=|)env:([A-Z_]+)", argument)
    if not reference:
        return argument
    option, name = reference.groups()
    if name not in os.environ:
        raise Fault(f"{argument}: expected a variable of the environment, and there is no {name}; set it")
    if not option and os.environ[name].startswith("-"):
        raise Fault(f"{argument}: the value begins with -; write ./-... for a path")
    return option + os.environ[name]


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints a traceback without the secrets of addresses, which messages of other libraries may repeat."""
    sys.stderr.write(hide_secrets("".join(traceback.format_exception(kind, error, trace))))


def peak_memory() -> int:
    """Returns the peak resident memory of this process, or of the largest process that it ran, in bytes."""
    kilobyte = 1 if sys.platform == "darwin" else 1024  # getrusage(2): macOS counts bytes, Linux kilobytes
    processes = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(peak_of_copies(), *(resource.getrusage(who).ru_maxrss for who in processes)) * kilobyte


def guarded(stage: str, body: Callable[[], None]) -> int:
    """Runs `body`; prints a fault of inputs or of the disk as one sentence on stderr, and records the run.

    See pipeline.base.run_records for the record.

    Returns:
        The exit status: 0, 1 for a fault, 130 after Ctrl-C.
    """
    # The implementation that protobuf chooses by itself is always there; people choose another for an older protobuf.
    os.environ.pop("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", None)
    sys.excepthook = _print_traceback
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files need not be UTF-8
    recorder = Recorder(stage, peak_memory)
    try:
        status, sentence = _guard(body)
    except KeyboardInterrupt:
        status, sentence = INTERRUPTED, "interrupted; earlier outputs are kept"
    except BaseException as error:
        recorder.end(Outcome.FAILED, f"it stopped with {type(error).__name__}; make's output has more")
        raise
    if sentence:
        print(f"{stage}: {sentence}", file=sys.stderr)
    recorder.end({0: Outcome.DONE, INTERRUPTED: Outcome.STOPPED}.get(status, Outcome.FAILED), sentence)
    return status


def _guard(body: Callable[[], None]) -> tuple[int, str]:
    """Runs `body`; returns the exit status, and the sentence on its fault, "" without one."""
    try:
        body()
    except Fault as fault:
        return 1, escape_controls(hide_secrets(str(fault)))
    except OSError as error:
        if not (description := describe_disk(error)):
            raise
        place = hide_secrets(str(error.filename or "the output folder"))
        return 1, f"cannot use {escape_controls(place)}: {description}"
    return 0, ""


def command(stage: str, main: Callable[[Sequence[str]], str]) -> int:
    """Runs one stage as a command, guarded; prints its subject, wall time and peak memory at its end.

    A stage may run several processes; the memory is that of the largest one.

    Args:
        stage: the stage's name, the first word of every line it prints.
        main: runs the stage with the arguments of the command line; returns its subject, such as the member.

    Returns:
        The exit status, see guarded().
    """
    started = time.monotonic()

    def body() -> None:
        subject = main(command_line())
        seconds = time.monotonic() - started
        print(f"{stage} {subject}: {seconds:.1f} s, peak memory {peak_memory() / 1e9:.2f} GB", file=sys.stderr)

    return guarded(stage, body)
