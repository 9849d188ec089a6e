"""Runs a stage's command on Ray until it ends, on another node where one is lost."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.cluster.frames import Kind
from pipeline.cluster.needs import needs_of, why_never
from pipeline.cluster.session import Cancelled, Lost, Session
from pipeline.cluster.task import StageTask

TRIES = 5
INTERRUPTED = 130
_LOST_SIGNALS = (signal.SIGKILL, signal.SIGTERM)  # of a node that ends, or runs out of memory

Reply = Callable[[Kind, bytes], None]


class Attempts:
    """The attempts at one command; another thread may interrupt them."""

    def __init__(self, session: Session, task: StageTask, reply: Reply) -> None:
        """Submits nothing yet.

        Args:
            session: the connection.
            task: the command.
            reply: gets what the command prints.
        """
        self._session, self._task, self._reply = session, task, reply
        self._label = label_of(task)
        self._needs = needs_of(task.stage, task.arguments, Path(task.folder))
        self._lock, self._is_interrupted = threading.Lock(), False
        self._stream: Any = None

    def interrupt(self) -> None:
        """Ends the command."""
        with self._lock:
            self._is_interrupted = True
            if self._stream is not None:
                self._session.cancel(self._stream)

    def run(self) -> int:
        """Returns the exit status of the command, 130 when it was interrupted.

        Raises:
            Fault: when no node can hold it, or it was lost again and again.
        """
        for attempt in range(1, TRIES + 1):
            memories = self._memories()
            if reason := why_never(self._label, self._needs, memories):
                raise Fault(reason)
            if not memories:
                self._reply(
                    Kind.ERRORS, f"{self._label}: waits for a node with cores, which Ray has none of\n".encode()
                )
            try:
                return self._run_once()
            except (Lost, Cancelled) as lost:
                if self._is_interrupted:
                    self._reply(Kind.ERRORS, f"{self._task.stage}: interrupted; earlier outputs are kept\n".encode())
                    return INTERRUPTED
                if attempt == TRIES:
                    raise Fault(f"{self._label}: {lost}, {TRIES} times; see to the nodes, and run make again") from lost
                self._reply(Kind.ERRORS, f"{self._label}: {lost}; trying again\n".encode())
        raise AssertionError

    def _memories(self) -> list[int]:
        return [int(node.get("memory", 0)) for node in self._session.nodes() if node.get("CPU")]

    def _run_once(self) -> int:
        with self._lock:
            if self._is_interrupted:
                return INTERRUPTED
            self._stream = self._session.submit(self._task, self._needs, self._label)
        status: int | None = None
        for kind, content in self._session.read(self._stream):
            if kind == Kind.STATUS:
                status = int(content)
            else:
                self._reply(Kind(kind), content)
        if status is None:
            return INTERRUPTED
        if -status in _LOST_SIGNALS:
            raise Lost(f"it was killed by {signal.Signals(-status).name}, as happens when memory runs out")
        return status if status >= 0 else 128 - status


def label_of(task: StageTask) -> str:
    """Returns what a command is called: the stage, and the member or the file that its command line names first."""
    names = [Path(argument) for argument in task.arguments if not argument.startswith("-") and ":" not in argument]
    members = [path.stem for path in names if path.suffix == ".yaml"]
    return " ".join([task.stage, *(members or [path.name for path in names])[:1]])
