"""Messages between a recipe's client and the runner, and the folder in which both find each other.

A message is a letter, the length of its content and the content, over a Unix socket. The client asks for one command;
the runner sends what it prints, piece by piece, and its exit status. This module and the client import only what starts
at once: make runs a client for every recipe.
"""

import fcntl
import hashlib
import os
import socket
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

_HEAD = struct.Struct("<cI")
_LONGEST_PARENT = 22  # bytes of a folder's path: the paths of Ray's sockets below must stay below 108 (unix(7))
PREFIX = "vitp-"
SOCKET, STARTING = "socket", "starting"
CLOSED = (ConnectionRefusedError, FileNotFoundError)
TRIES = 5


class Kind(StrEnum):
    """What a message says."""

    COMMAND = "C"  # to the runner: the command, as JSON
    SIGNAL = "G"  # to the runner: the number of a signal
    OUTPUT = "O"  # to the client: printed to standard output
    ERRORS = "E"  # to the client: printed to standard error
    STATUS = "S"  # to the client: the exit status; nothing follows


@dataclass(frozen=True)
class Message:
    kind: Kind
    content: bytes


def send(connection: socket.socket, kind: Kind, content: bytes) -> None:
    """Sends a message. Raises OSError when the other side has gone."""
    connection.sendall(_HEAD.pack(kind.encode(), len(content)) + content)


def receive(connection: socket.socket) -> Message | None:
    """Returns the next message, or None when the other side has gone."""
    try:
        letter, length = _HEAD.unpack(_read(connection, _HEAD.size))
        return Message(Kind(letter.decode()), _read(connection, length))
    except (EOFError, ConnectionError):
        return None


def _read(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def started_at(process: int) -> str | None:
    """Returns when a process started, in ticks since the machine did (proc(5)); None for one that has ended."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - starts faster
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def short_folder() -> str:
    """Returns the folder for temporary files, or /tmp where its path is too long for the sockets of Ray."""
    folder = os.environ.get("TMPDIR", "").rstrip("/") or "/tmp"
    return folder if len(os.fsencode(folder)) <= _LONGEST_PARENT else "/tmp"


def run_folder(*parts: str) -> str:
    """Returns the path of a folder of this user for what `parts` name, such as a run of make; it need not exist."""
    text = "\0".join((str(os.getuid()), *parts))
    return f"{short_folder()}/{PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def open_server(folder: str, start: Callable[[], None]) -> socket.socket:
    """Connects to the server of a private folder; the first of several processes starts it.

    Args:
        folder: where the server listens, at SOCKET; it is made where it is missing.
        start: starts the server, and returns when it listens.

    Raises:
        PermissionError: when the folder is another user's, or others may enter it.
        OSError: when there is no server after its start.
    """
    for _ in range(TRIES):
        if not make_private(folder):
            raise PermissionError(f"{folder} is another user's, or others may enter it; remove it, or set TMPDIR")
        try:
            return connect(folder)
        except CLOSED:
            pass
        try:
            with open(f"{folder}/{STARTING}", "wb") as lock:  # noqa: PTH123 - starts faster
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    return connect(folder)
                except CLOSED:
                    start()
        except FileNotFoundError:  # a server that ends removed the folder
            continue
    return connect(folder)


def connect(folder: str) -> socket.socket:
    """Connects to the server of a folder. Raises CLOSED where there is none."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"{folder}/{SOCKET}")
    except OSError:
        connection.close()
        raise
    return connection


def listen(folder: str) -> socket.socket:
    """Listens at the socket of a folder, whose lock the caller's parent holds."""
    path = f"{folder}/{SOCKET}"
    if os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108 - of a server that was killed
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(256)
    return listener


def make_private(folder: str) -> bool:
    """Makes a folder that only this user can enter; returns False where another user's is in its place."""
    try:
        os.mkdir(folder, 0o700)  # noqa: PTH102 - starts faster
    except FileExistsError:
        found = os.lstat(folder)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return True
