"""Copies of a process that has done its imports: what they run, and that they end with whoever asked for them."""

import errno
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.forks import ADDRESS, Command, Fork, connect, offering_copies
from tests.conftest import ROOT

SERVER = """
import errno, os, socket, sys
import copied_before
from pipeline.base import forks
from pipeline.base.forks import Server

def fork(connection, command, descriptors, fork=Server._fork):
    if command.arguments == ("no more processes",):
        def refuse():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        forks._fork, real = refuse, forks._fork
    try:
        fork(serving, connection, command, descriptors)
    finally:
        if command.arguments == ("no more processes",):
            forks._fork = real

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
serving = Server(listener)
serving._fork = fork
serving.serve(0.1)
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


def test_a_copy_and_its_connection_may_end_at_once(server: Path) -> None:
    with start(server, "wait") as fork:
        parent = int(Path(f"/proc/{fork.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGSTOP)
        os.kill(fork.pid, signal.SIGKILL)
    os.kill(parent, signal.SIGCONT)
    with start(server, "0") as other:
        assert other.wait() == 0


def test_a_server_that_cannot_fork_serves_on(server: Path) -> None:
    with pytest.raises(ConnectionResetError), start(server, "no more processes"):
        pass
    with start(server, "0") as other:
        assert other.wait() == 0


def test_without_a_server_there_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        start(tmp_path / "socket", "0")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "socket"))
    with pytest.raises(ConnectionRefusedError):
        start(tmp_path / "socket", "0")


OFFERING = """
import os, sys
import copied_before
from pathlib import Path
from pipeline.base import jobs
from pipeline.base.forks import ADDRESS, offering_copies
jobs.COPIED = ("stage",)
with jobs.start_job("stage", ["0"], "a stage") as job:
    print(job.wait(), end="")
with offering_copies():
    with jobs.start_job("stage", ["0"], "a stage") as job:
        print(job.wait(), end="")
    address, os.environ[ADDRESS] = os.environ[ADDRESS], "no/server"
    with jobs.start_job("stage", ["0"], "a stage") as job:
        print(job.wait(), end="")
    os.environ[ADDRESS] = address
    with jobs.start_job("stage", ["wait"], "a stage") as job:
        print(job.process.pid, flush=True)
        if len(sys.argv) > 1:
            sys.stdin.read()
print(ADDRESS in os.environ)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child is left")
"""


def offering(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts a program that runs the module `stage` by jobs, in new processes and in copies of itself."""
    (folder / "copied_before.py").touch()
    (folder / "stage.py").write_text(STAGE)
    (folder / "offering.py").write_text(OFFERING)
    return subprocess.Popen(
        [sys.executable, "offering.py", *arguments],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{folder}", "NAME": "value"},
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def ends(process: int) -> bool:
    """Whether a process ends soon; it may have ended, and its parent, which would have waited for it, too."""
    try:
        end = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    with os.fdopen(end, "rb"):
        return bool(select.select([end], [], [], 20)[0])


def test_jobs_are_copies_of_a_process_that_offers_them_and_end_with_the_block(tmp_path: Path) -> None:
    with offering(tmp_path) as process:
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    new, copy, other, waiting, *rest = printed.splitlines()
    assert new == other == "['0'] value False __main__"  # in place of a copy where the server is gone
    assert copy == "['0'] value True __main__"
    assert rest == ["False", "no child is left"]
    assert ends(int(waiting))


def test_copies_end_with_a_killed_process_that_offered_them(tmp_path: Path) -> None:
    with offering(tmp_path, "wait") as process:
        assert process.stdout
        waiting = [process.stdout.readline() for _ in range(4)][-1]
        process.kill()
    assert ends(int(waiting))


def test_where_the_path_of_a_socket_would_be_too_long_jobs_are_new_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with offering_copies():
        assert ADDRESS not in os.environ


def test_where_the_system_has_no_descriptors_of_processes_jobs_are_new_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(process: int) -> int:
        raise PermissionError(errno.EPERM, "a sandbox")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with offering_copies():
        assert ADDRESS not in os.environ
