"""Copies of a process that has done its imports: what they run, and that they end with whoever asked for them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.forks import Command, Fork, connect
from tests.conftest import ROOT

SERVER = """
import socket, sys
import copied_before
from pipeline.base.forks import Server
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
Server(listener).serve(0.1)
"""
STAGE = """
import os, sys, time
print(sys.argv[1:], os.environ.get("NAME"), "copied_before" in sys.modules, __name__)
print("to errors", file=sys.stderr)
if sys.argv[1] == "wait":
    time.sleep(60)
raise SystemExit(int(sys.argv[1]))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    """The socket of a server in whose folder there is the module `stage`; it must end by itself."""
    (tmp_path / "copied_before.py").touch()
    (tmp_path / "stage.py").write_text(STAGE)
    address = tmp_path / "socket"
    line = [sys.executable, "-c", SERVER, str(address)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    with subprocess.Popen(line, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        yield address
        assert process.wait(20) == 0


def start(server: Path, *arguments: str, temporary: str = "") -> Fork:
    command = Command("stage", arguments, str(server.parent), {**os.environ, "NAME": "value"}, temporary)
    with (server.parent / "output").open("wb") as output, Path(os.devnull).open("rb") as nothing:
        return Fork(server, command, [nothing.fileno(), output.fileno(), output.fileno()])


def test_a_copy_runs_a_module_with_the_imports_and_returns_its_status(server: Path) -> None:
    with start(server, "3", "ö") as fork:
        assert fork.wait() == 3
    assert (server.parent / "output").read_text() == "['3', 'ö'] value True __main__\nto errors\n"


def test_a_signal_that_ends_a_copy_is_told(server: Path) -> None:
    with start(server, "wait") as fork:
        os.kill(fork.pid, signal.SIGSEGV)
        assert fork.wait() == -signal.SIGSEGV


def test_a_copy_ends_with_its_connection_and_its_folder_goes(server: Path) -> None:
    temporary = server.parent / "temporary"
    temporary.mkdir()
    with start(server, "wait", temporary=str(temporary)) as fork:
        end = os.pidfd_open(fork.pid)
    with os.fdopen(end, "rb"), connect(server) as other:
        other.sendall(b"")  # the server has seen both connections once it answers a request after them
        with start(server, "0") as last:
            assert last.wait() == 0
        assert not Path(f"/proc/{fork.pid}").exists()
    assert not temporary.exists()


def test_without_a_server_there_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(tmp_path / "socket", "0")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "socket"))
    with pytest.raises(ConnectionRefusedError):
        start(tmp_path / "socket", "0")
