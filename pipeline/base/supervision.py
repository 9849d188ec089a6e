"""Runs a command in a forked process, so that a library which ends it by a signal leaves a sentence behind.

TensorFlow aborts, or crashes, over some damaged models; Python cannot catch that. On Linux only: libraries of macOS do
not bear a fork, and there the command runs as it is.
"""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_activity = -1  # the descriptor that note() writes to


def supervised(stage: str, body: Callable[[], int]) -> int:
    """Runs `body` in a forked process; returns its exit status, or prints why it has none and returns 1.

    Args:
        stage: the stage's name, the first word of the sentence.
        body: does the work, and returns an exit status.
    """
    if sys.platform != "linux":
        return body()
    with tempfile.TemporaryDirectory() as temporary:  # a process that crashes leaves its temporary files behind
        (alive, parent), (activity, writer) = os.pipe(), os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if not child:
            os.close(parent)
            os.close(activity)
            _run(body, temporary, alive, writer)
        os.close(alive)
        os.close(writer)
        status = _wait(child)
        with open(activity, "rb") as notes:  # noqa: PTH123 - of a descriptor
            doing = notes.read().decode(errors="replace").split("\0")[-1]
        os.close(parent)
    return status if status >= 0 else _explain(stage, -status, doing)


def note(activity: str) -> None:
    """Tells the supervisor what this process is about to do, for its sentence: "loading /tmp/model"."""
    if _activity >= 0:
        os.write(_activity, f"\0{activity[:1000]}".encode(errors="replace"))


def _run(body: Callable[[], int], temporary: str, alive: int, writer: int) -> None:
    """Is the forked process; never returns. It ends with its parent."""
    global _activity
    _activity = writer
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
    status = 1
    try:
        status = body()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1 if error.code else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _end_with_parent(alive: int) -> None:
    os.read(alive, 1)
    os._exit(1)


def _wait(child: int) -> int:
    """Waits for the child; passes on what is meant to end both, but for Ctrl-C, which a terminal sends to both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in _PASSED_ON:
        signal.signal(number, lambda number, frame: os.kill(child, number))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _explain(stage: str, number: int, doing: str) -> int:
    if number in (*_PASSED_ON, signal.SIGINT):
        return 128 + number
    name, during = signal.Signals(number).name, f" while it was {doing}" if doing else ""
    reason = (
        "unless somebody did that, memory ran out: use a machine with more, or measure a smaller model"
        if number == signal.SIGKILL
        else "what it read is damaged or was made to do harm, or TensorFlow has a fault; get the model again"
    )
    print(f"{stage}: ended by {name}{during}: {reason}", file=sys.stderr)
    return 1
