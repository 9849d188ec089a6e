"""Runs functions that parse files of strangers in a process of their own, which may crash, hang or take all memory.

A parser in C++ ends its process where one in Python would raise: a damaged byte is enough. A Worker is one process for
many calls; it starts at the first call, and again after a call that ended it.
"""

import atexit
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pipeline.base.fault import Fault

_ROOT = Path(__file__).parents[2]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What a call may take: seconds of wall time, and bytes of memory beside the program itself (not on macOS)."""

    seconds: float
    memory: int


class Ended(Exception):
    """A call did not come to its end; the text says why: "ended by SIGSEGV", "took longer than 60 s"."""


class Worker:
    """A process that runs functions, one at a time. It ends with the process that made it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0  # the process that started it: after a fork, each has its own
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None

    def call(self, limits: Limits, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what a function returns; it, its arguments and its result are pickled.

        Raises:
            Ended: when the process ended or exceeded a limit.
            Fault, OSError: as the function raises them.
            RuntimeError: with the traceback of any other exception.
        """
        with self._lock:
            kind, value = self._exchange(limits, (function, args, kwargs, limits))
        if kind == "raised":
            raise value
        if kind == "memory":
            raise Ended(_too_much(limits))
        if kind == "failed":
            raise RuntimeError(f"{function.__name__} failed in its process:\n{value}")
        result: T = value
        return result

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._stop()

    def _exchange(self, limits: Limits, request: object) -> tuple[str, Any]:
        try:
            connection = self._connection if self._connection and self._owner == os.getpid() else self._start()
            connection.send(request)
            if connection.poll(limits.seconds):
                answer: tuple[str, Any] = connection.recv()
                return answer
        except (EOFError, OSError):
            raise Ended(_describe(self._stop(), limits)) from None
        except BaseException:  # such as Ctrl-C: the next call must not get this one's answer
            self._stop()
            raise
        self._stop()
        raise Ended(f"took longer than {limits.seconds:.0f} s")

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs:
            program = (
                f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from pipeline.base import worker; worker.serve()"
            )
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", program],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._owner, self._connection = os.getpid(), Connection(ours.detach())
        atexit.register(self._stop)
        return self._connection

    def _stop(self) -> int:
        """Ends the process; returns its exit status, that of SIGKILL if it was still running."""
        atexit.unregister(self._stop)
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is None or connection is None:
            return 0
        connection.close()
        with suppress(subprocess.TimeoutExpired):  # one that crashed is about to end
            return process.wait(0.5)
        process.kill()
        return process.wait()


def _describe(status: int, limits: Limits) -> str:
    if status == -signal.SIGXCPU:
        return f"took longer than {limits.seconds:.0f} s"
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _too_much(limits: Limits) -> str:
    return f"took more than {limits.memory / 1e6:,.0f} MB of memory"


# The process ----------------------------------------------------------------------------------------------------------
def serve() -> None:
    """Answers the calls that come through standard input until that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that made this one
    connection = Connection(os.dup(0))
    with Path(os.devnull).open("rb") as null:
        os.dup2(null.fileno(), 0)
    with suppress(EOFError, ConnectionError):
        while True:
            function, args, kwargs, limits = connection.recv()
            _limit(limits)
            connection.send(_answer(function, args, kwargs))


def _limit(limits: Limits) -> None:
    """Sets the limits of a call; the processor time ends a hang also where the maker of this process is gone."""
    _set(resource.RLIMIT_DATA, limits.memory)
    _set(resource.RLIMIT_CPU, int(time.process_time() + limits.seconds) + 1)
    _set(resource.RLIMIT_CORE, 0)


def _set(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _answer(function: Callable, args: tuple, kwargs: dict) -> tuple[str, Any]:
    try:
        return "returned", function(*args, **kwargs)
    except (Fault, OSError) as error:
        return "raised", error
    except MemoryError:
        return "memory", None
    except Exception:  # of a bug: the process that made this one raises it
        return "failed", traceback.format_exc()
