"""client: runs a stage's command by the runner of this make, as if it ran here: same output, same exit status.

    python -S -m pipeline.cluster.client MAKE OPTION... -- STAGE ARGUMENT...

MAKE is make's process number, the options are those of pipeline.runner, which the first client of a make starts. The
client imports little and starts in a few hundredths of a second. When it is killed, the command ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from types import FrameType

from pipeline.cluster.frames import Kind, open_server, receive, run_folder, send, started_at

LOG, TOLD = "log", "told"


class NoRunner(Exception):
    """There is no runner and none can be started; the message says why."""


def open_runner(make: int, options: list[str]) -> socket.socket:
    """Connects to the runner of a make, and starts it where there is none.

    Raises:
        NoRunner: when that cannot be.
    """
    started = started_at(make)
    if started is None:
        raise NoRunner(f"there is no make of the process number {make} on this machine; run make RUNNER=ray")
    folder = run_folder(str(make), started)
    try:
        return open_server(folder, lambda: _start(folder, make, options))
    except OSError as error:
        raise NoRunner(f"{error}\n{_log(folder)}".rstrip()) from None


def _start(folder: str, make: int, options: list[str]) -> None:
    """Starts the runner, and waits until it listens."""
    ready, theirs = os.pipe()
    with open(f"{folder}/{LOG}", "wb") as log:  # noqa: PTH123 - starts faster
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.runner", folder, str(make), str(theirs), *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs], start_new_session=True,
        )  # fmt: skip
    os.close(theirs)
    if not os.read(ready, 1):
        raise NoRunner(f"the process that submits the stages does not start:\n{_log(folder)}")
    os.close(ready)


def _log(folder: str) -> str:
    try:
        with open(f"{folder}/{LOG}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - starts faster
            return file.read()[-2000:].strip()
    except OSError:
        return ""


def run(connection: socket.socket, arguments: list[str]) -> int:
    """Sends a command; passes on what it prints and the signals that come; returns its exit status.

    Raises:
        NoRunner: when the runner ends before the command.
    """
    together = os.path.sameopenfile(1, 2)
    command = {
        "stage": arguments[0],
        "arguments": arguments[1:],
        "folder": os.getcwd(),  # noqa: PTH109 - starts faster
        "environment": dict(os.environ),
        "together": together,
    }

    def pass_on(number: int, frame: FrameType | None) -> None:
        send(connection, Kind.SIGNAL, str(number).encode())

    send(connection, Kind.COMMAND, json.dumps(command).encode())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup ignores SIGHUP
            signal.signal(number, pass_on)
    while message := receive(connection):
        if message.kind is Kind.STATUS:
            return int(message.content)
        _write(1 if message.kind is Kind.OUTPUT else 2, message.content)
    raise NoRunner(_why_lost(os.path.dirname(connection.getpeername())))  # noqa: PTH120 - starts faster


def _why_lost(folder: str) -> str:
    """Returns why the runner ended early, to the first client; the others get an empty text."""
    try:
        os.close(os.open(f"{folder}/{TOLD}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return ""
    except OSError:  # the folder is gone
        pass
    return (
        "the process that submits the stages was lost, as it is with the head node of Ray or the node of this machine;"
        " start Ray again, then run make again"
    )


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def main() -> int:
    make, *rest = sys.argv[1:]
    end = rest.index("--")
    try:
        with open_runner(int(make), rest[:end]) as connection:
            return run(connection, rest[end + 1 :])
    except NoRunner as error:
        if str(error):
            print(f"RUNNER=ray: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
