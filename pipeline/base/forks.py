"""Runs commands of the pipeline in copies of a process that has imported their libraries already.

Importing TensorFlow and JAX takes seconds of each process. A server has imported them, starts no threads, and forks
for every request: the copy runs `python -m module arguments` with the folder, environment and standard streams of who
asked. Its memory goes back to the system when it ends, and it computes what a new process would.

A request is a connection to the server's Unix socket, and its copy is killed when that is closed. A server without
connections ends after a while. pipeline.cluster.warm is one for many stages; a stage that starts jobs is one for them,
with offering_copies().
"""

import atexit
import ctypes
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import struct
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NoReturn, Self

# The variable that tells a stage the socket of the server that it is a copy of, or has; start_job() asks it for copies.
ADDRESS = "VIT_PUBLISHER_FORKS"
IDLE = 5.0  # seconds; then a server without connections ends
_LONGEST = 100  # bytes of a socket's path, of which Linux takes 107
_NUMBER, _END = struct.Struct("<q"), struct.Struct("<qq")
_MOST_DESCRIPTORS = 8
_peak = 0
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Command:
    """A command to run in a copy of the server.

    Attributes:
        module: the dotted name of a module that can be run with `python -m`.
        arguments: its command line.
        folder: its current folder.
        environment: its variables, all of them.
        temporary: a folder that the server removes when the command has ended; empty for none.
    """

    module: str
    arguments: tuple[str, ...]
    folder: str
    environment: dict[str, str] = field(repr=False)
    temporary: str = ""


class Fork:
    """A command that runs in a copy of a server; it is killed at the end of the block if it still runs.

    Attributes:
        pid: its process number; it leads a process group of this number.
    """

    def __init__(self, address: str | Path, command: Command, descriptors: Sequence[int]) -> None:
        """Waits until the server has done its imports and forked.

        Args:
            address: the server's socket.
            command: what to run.
            descriptors: its standard input, output and error; those after them are only held open by the copy.

        Raises:
            OSError: when there is no server, or it ended.
        """
        self._connection = connect(address)
        try:
            content = json.dumps(asdict(command)).encode(errors="surrogatepass")
            socket.send_fds(self._connection, [_NUMBER.pack(len(content))], descriptors)
            self._connection.sendall(content)
            self.pid: int = _NUMBER.unpack(_receive(self._connection, _NUMBER.size))[0]
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fileno(self) -> int:
        """Returns a descriptor that can be read when the command has ended, or the server."""
        return self._connection.fileno()

    def send_signal(self, number: int) -> None:
        """Sends a signal to the processes of the command."""
        with suppress(OSError):  # it has ended
            self._connection.sendall(bytes([number]))

    def wait(self) -> int:
        """Waits for the end, and returns the exit status, or the negative number of the signal that ended it.

        Raises:
            OSError: when the server ended before.
        """
        global _peak
        status: int
        status, peak = _END.unpack(_receive(self._connection, _END.size))
        _peak = max(_peak, peak)
        return status


def peak_of_copies() -> int:
    """Returns the largest peak memory of a copy that this process has waited for, as getrusage(2) counts it."""
    return _peak


def connect(address: str | Path) -> socket.socket:
    """Connects to a server, which lives as long as there is a connection.

    Raises:
        OSError: when there is none.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except BaseException:
        connection.close()
        raise
    return connection


def _receive(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise ConnectionResetError("the process that has imported the libraries ended")
        content += part
    return content


# The server -----------------------------------------------------------------------------------------------------------
class Server:
    """Forks for each request that comes to a listening Unix socket."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._commands: dict[socket.socket, int] = {}  # connections, and the process of each; 0 for none yet
        self._temporary: dict[socket.socket, str] = {}
        self._ends: dict[int, socket.socket] = {}  # descriptors of processes (pidfd_open(2)), and their connections

    def serve(self, idle: float | None = IDLE) -> None:
        """Serves until there were no connections for `idle` seconds; for ever without such a time."""
        while True:
            events = self._selector.select(None if self._commands else idle)
            if not events and not self._commands:
                return
            for key, _ in events[:1]:  # one of the others may be of what this one closes; they come again
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._hear(key.fileobj)
                else:
                    self._finish(key.fd)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._commands[connection] = 0
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> None:
        process = self._commands[connection]
        try:
            if process:
                if not (signals := connection.recv(1)):
                    raise ConnectionResetError
                _signal(process, signals[0])
                return
            header, descriptors, _, _ = socket.recv_fds(connection, _NUMBER.size, _MOST_DESCRIPTORS)
            if len(header) < _NUMBER.size:  # a connection that only kept the server alive
                raise ConnectionResetError
            values = json.loads(_receive(connection, _NUMBER.unpack(header)[0]).decode(errors="surrogatepass"))
            self._fork(connection, Command(**values | {"arguments": tuple(values["arguments"])}), descriptors)
        except OSError:  # of the connection, or there may be no more processes
            self._drop(connection)

    def _fork(self, connection: socket.socket, command: Command, descriptors: Sequence[int]) -> None:
        server = os.getpid()
        try:
            if not (process := _fork()):
                self._forget()
                _become(command, descriptors, server)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            end = os.pidfd_open(process)
        except OSError:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise
        self._commands[connection] = process
        self._temporary[connection] = command.temporary
        self._ends[end] = connection
        self._selector.register(end, selectors.EVENT_READ)
        connection.sendall(_NUMBER.pack(process))

    def _forget(self) -> None:
        """Closes what is the server's in a copy of it."""
        self._selector.close()
        self._listener.close()
        for connection in self._commands:
            connection.close()
        for end in self._ends:
            os.close(end)

    def _finish(self, end: int) -> None:
        connection = self._ends.pop(end)
        self._selector.unregister(end)
        os.close(end)
        process, self._commands[connection] = self._commands[connection], 0
        _, status, usage = os.wait4(process, 0)
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)  # what it left behind
        with suppress(OSError):
            connection.sendall(_END.pack(os.waitstatus_to_exitcode(status), usage.ru_maxrss))
        self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        process, temporary = self._commands.pop(connection), self._temporary.pop(connection, "")
        self._selector.unregister(connection)
        connection.close()
        if process:
            end = next(end for end, other in self._ends.items() if other is connection)
            del self._ends[end]
            self._selector.unregister(end)
            os.close(end)
            _signal(process, signal.SIGKILL)
            os.waitpid(process, 0)
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _signal(process: int, number: int) -> None:
    """Sends a signal to a copy, which was not waited for, and to what it started."""
    try:
        os.killpg(process, number)
    except ProcessLookupError:  # it has not got as far as to lead a group
        os.kill(process, number)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # since Python 3.12, of any thread
        return os.fork()


@contextmanager
def offering_copies() -> Iterator[None]:
    """Serves copies of this process as it is now, for the jobs that it starts in the block (pipeline.base.jobs.COPIED).

    It should have imported what they import, and must not have started threads, which a copy would not have. Without
    Linux 5.3 or later, in a copy of a server, or where the path of temporary files is too long for a socket, nothing is
    done: jobs are then what they are elsewhere.
    """
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder, "socket"))
        if ADDRESS in os.environ or not can_serve_at(address):
            yield
            return
        process = _serve_at(address)
        try:
            with connect(address):  # without which the server would end
                os.environ[ADDRESS] = address
                yield
        finally:
            os.environ.pop(ADDRESS, None)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def can_serve_at(address: str) -> bool:
    """Whether a server can be at the path of a socket, on this system.

    It must have descriptors of processes: a sandbox may refuse what Python and the kernel have.
    """
    if len(os.fsencode(address)) > _LONGEST:
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _serve_at(address: str) -> int:
    """Starts a copy of this process that is a server, and ends with this process; returns its number."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        if not (process := _fork()):
            try:
                os.setpgid(0, 0)  # a terminal's Ctrl-C is for the process that waits for the jobs
                _end_with(parent)
                atexit._clear()  # what this process does at its end, such as removing its folders, is not for copies
                Server(listener).serve()
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(1)
    return process


# The copy -------------------------------------------------------------------------------------------------------------
def _become(command: Command, descriptors: Sequence[int], server: int) -> NoReturn:
    """Runs the command as `python -m` does, and ends the process, with the server if that ends first."""
    status = 1
    try:
        os.setsid()
        _end_with(server)
        for number, descriptor in enumerate(descriptors[:3]):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(command.folder)
        os.environ.clear()
        os.environ.update(command.environment)
        tempfile.tempdir = None
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # Ray blocks SIGINT for what it starts
        _open_streams()
        sys.argv = [command.module, *command.arguments]
        sys.modules.pop(command.module, None)  # runpy warns of a module that was imported before it runs
        runpy.run_module(command.module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        if ended.code and not isinstance(ended.code, int):
            print(ended.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(BaseException):
            atexit._run_exitfuncs()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status & 0xFF)


def _open_streams() -> None:
    """Opens the standard streams anew: those of the server belong to its files.

    Each line is written at once, as on a terminal, so that both streams keep the order of what was printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        mode, errors = "w" if number else "r", "backslashreplace" if number == 2 else "strict"
        stream = open(number, mode, 1, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _end_with(parent: int) -> None:
    """Has the system kill this process when the thread that started it ends (prctl(2), on Linux alone).

    Args:
        parent: the number of that thread's process, which may have ended a moment ago.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
