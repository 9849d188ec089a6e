"""The process of a make that holds the connection to Ray: it takes commands from clients until make ends."""

import json
import os
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, escape_controls
from pipeline.base.run_records import VARIABLE, record_refusal
from pipeline.cluster.attempts import INTERRUPTED, Attempts, label_of
from pipeline.cluster.frames import Kind, receive, send
from pipeline.cluster.needs import is_heavy
from pipeline.cluster.parts import part_commands
from pipeline.cluster.session import Session
from pipeline.cluster.task import StageTask


@dataclass(frozen=True)
class Options:
    """What the runner is told.

    Attributes:
        address: host:port of a cluster; empty for Ray on this machine.
        parts: how many tasks classify the images of validate; below 2, validate does it.
        run: a name for this make.
        shared: files that every node must see, and their content.
    """

    address: str
    parts: int
    run: str
    shared: tuple[tuple[str, str], ...]


class Client:
    """The recipe that asked for a command."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lock = threading.Lock()

    def reply(self, kind: Kind, content: bytes) -> None:
        """Sends a message; a client that has gone gets none."""
        with self._lock, suppress(OSError):
            send(self.connection, kind, content)


class _Stopped(Exception):
    """The runner has failed, or make has ended, before a command began."""


class Submitter:
    """Runs the commands of clients, each in threads of its own."""

    def __init__(self, options: Options, listener: socket.socket) -> None:
        self._options, self._listener = options, listener
        self._session: Session | None = None
        self._is_ready = threading.Event()  # connected, or failed
        self._lock, self._publishing = threading.Lock(), threading.Lock()
        self._failure: str | None = None
        self._is_told = False  # whether a client has printed the failure
        self._running: dict[Attempts, Client] = {}

    def start(self) -> None:
        """Accepts clients from now on."""
        threading.Thread(target=self._accept, daemon=True).start()

    def use(self, session: Session) -> None:
        """Runs the commands by a connection."""
        self._session = session
        session.watch(self.fail)
        self._is_ready.set()

    def fail(self, reason: str) -> None:
        """Ends all commands, and those to come; one of the clients prints the reason, a sentence."""
        with self._lock:
            self._failure = self._failure or reason
            clients = list(self._running.values())
        self._is_ready.set()
        for client in clients:
            self._refuse(client)

    def stop(self) -> None:
        """Interrupts all commands."""
        with self._lock:
            attempts = list(self._running)
            self._failure = self._failure or "make has ended"
        with ThreadPoolExecutor() as pool:
            list(pool.map(Attempts.interrupt, attempts))

    def has_commands(self) -> bool:
        """Whether commands run."""
        return bool(self._running)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(Client(connection),), daemon=True).start()

    def _refuse(self, client: Client) -> None:
        with self._lock:
            is_first, self._is_told = not self._is_told, True
        if is_first:
            client.reply(Kind.ERRORS, f"RUNNER=ray: {escape_controls(self._failure or '')}\n".encode())
        client.reply(Kind.STATUS, b"1")

    def _serve(self, client: Client) -> None:
        """Runs the command of a client, and tells it the exit status."""
        with client.connection:
            message, since = receive(client.connection), time.time()
            if message is None:
                return
            self._is_ready.wait()
            if self._failure is not None:
                self._refuse(client)
                return
            task = self._task(json.loads(message.content))
            try:
                status = self._run(client, task)
            except _Stopped:
                self._refuse(client)
                return
            except Fault as fault:
                sentence = f"RUNNER=ray: {escape_controls(str(fault))}"
                _record_refusal(task, since, sentence)
                client.reply(Kind.ERRORS, f"{sentence}\n".encode())
                status = 1
            except Exception:
                if self._failure is not None:
                    return  # of a head node that was lost
                text = traceback.format_exc()
                _record_refusal(task, since, f"it stopped with {text.splitlines()[-1]}; make's output has more")
                client.reply(Kind.ERRORS, text.encode())
                status = 1
            client.reply(Kind.STATUS, str(status).encode())

    def _run(self, client: Client, task: StageTask) -> int:
        with ThreadPoolExecutor(1) as listening, self._one_at_a_time(task):
            if self._failure is not None:  # since it waits for its turn
                raise _Stopped
            commands = part_commands(task.arguments, self._options.parts) if task.stage == "validate" else []
            unrecorded = {name: value for name, value in task.environment.items() if name != VARIABLE}
            part = replace(task, stage="classify", environment=unrecorded)  # the record is that of validate
            parts = [self._attempts(client, replace(part, arguments=each)) for each in commands]
            whole = self._attempts(client, task)
            listening.submit(self._listen, client, [*parts, whole])
            try:
                with ThreadPoolExecutor(max(len(parts), 1)) as pool:
                    statuses = set(pool.map(lambda part: self._run_part(client, part, parts), parts))
                if not any(statuses):
                    return self._run_attempts(client, whole)
                if statuses <= {0, INTERRUPTED}:
                    return INTERRUPTED
                raise Fault(
                    f"{label_of(task)}: a part of its images was not classified, for the reason given above in make's"
                    " output; correct that, and run make again"
                )
            finally:
                client.connection.shutdown(socket.SHUT_RD)  # ends _listen()

    def _attempts(self, client: Client, task: StageTask) -> Attempts:
        assert self._session
        return Attempts(self._session, task, client.reply)

    def _run_attempts(self, client: Client, attempts: Attempts) -> int:
        with self._lock:
            self._running[attempts] = client
        try:
            return attempts.run()
        finally:
            with self._lock:
                del self._running[attempts]

    def _run_part(self, client: Client, part: Attempts, parts: Sequence[Attempts]) -> int:
        """Runs one of several commands, and ends the others where it fails: what they do might take hours."""
        status = None
        try:
            status = self._run_attempts(client, part)
        finally:
            if status != 0:
                for other in parts:
                    other.interrupt()
        return status

    def _one_at_a_time(self, task: StageTask) -> Any:
        """Publishes one member at a time: the locks of some shared file systems do not reach other nodes."""
        return self._publishing if task.stage == "publish" else nullcontext()

    def _task(self, command: dict[str, Any]) -> StageTask:
        return StageTask(
            stage=command["stage"],
            arguments=tuple(command["arguments"]),
            folder=command["folder"],
            environment=command["environment"],
            together=command["together"],
            python=sys.executable,
            run=self._options.run,
            is_heavy=is_heavy(command["stage"]),
            shared=self._options.shared,
        )

    def _listen(self, client: Client, attempts: Sequence[Attempts]) -> None:
        """Interrupts the command when the client gets a signal or is killed."""
        with suppress(OSError):
            receive(client.connection)
        for each in attempts:
            each.interrupt()


def _record_refusal(task: StageTask, since: float, sentence: str) -> None:
    """Records that a command, which came at a time, did not run or was lost, for make summary: it cannot itself."""
    if place := task.environment.get(VARIABLE):
        record_refusal(Path(task.folder, place), task.stage, since, sentence)


def wait_for_end(make: int) -> None:
    """Waits until a process ends."""
    try:
        descriptor = os.pidfd_open(make)
    except ProcessLookupError:
        return
    select.select([descriptor], [], [])
