"""Files are replaced whole or not at all, locks, and progress lines."""

import contextlib
import errno
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from pipeline.base.files import locked, replacing, replacing_folder, write_text
from pipeline.base.progress import Progress
from tests.conftest import ROOT


def test_an_exception_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with contextlib.suppress(RuntimeError), replacing(path) as stream:
        stream.write(b"new")
        raise RuntimeError("half-way")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_keeps_the_old_folder_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    with contextlib.suppress(RuntimeError), replacing_folder(path) as folder:
        (folder / "new").touch()
        raise RuntimeError("half-way")
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    with replacing_folder(path) as folder:
        (folder / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("what", ["replacing", "replacing_folder"])
def test_a_kill_keeps_the_old_content(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a"
    if what == "replacing":
        path.write_text("old")
    else:
        path.mkdir()
        (path / "old").touch()
    code = f"""
import os, signal, sys
from pathlib import Path
from pipeline.base.files import {what}
with {what}(Path(sys.argv[1])) as out:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert path.read_text() == "old" if what == "replacing" else [p.name for p in path.iterdir()] == ["old"]


def test_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    code = """
import os, signal, sys
from pathlib import Path
from pipeline.base.files import replacing, replacing_folder
with replacing_folder(Path(sys.argv[1])), replacing(Path(sys.argv[1] + "b")):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with replacing_folder(path), replacing(tmp_path / "ab"):
        pass
    assert {entry.name for entry in tmp_path.iterdir()} == {"a", "ab"}


def test_a_failure_between_the_renames_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "old").touch()
    rename = Path.rename

    def fail_second(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_second)
    with contextlib.suppress(KeyboardInterrupt), replacing_folder(path) as folder:
        (folder / "new").touch()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_device_names_the_target(tmp_path: Path) -> None:
    """/dev/full fails every write as a full disk does."""
    with pytest.raises(OSError) as raised, replacing(tmp_path / "a"), Path("/dev/full").open("wb") as full:  # noqa: PT011
        full.write(b"x")
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(tmp_path / "a")


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "folder/a", "é\n")
    assert (tmp_path / "folder/a").read_bytes() == b"\xc3\xa9\n"


def test_progress_off_a_terminal_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("fetch m", 2_000_000, "B", interval=0) as progress:
        progress.advance(1_000_000)
        progress.advance(1_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"fetch m: 1\.0/2\.0 MB, [\d.e+]+ MB/s, \d+ s left", lines[0])
    assert lines[-1].startswith("fetch m: 2.0/2.0 MB, ")
    assert "\r" not in "".join(lines)


def test_progress_starts_at_what_an_earlier_run_did(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("fetch m", 3_000_000_000, "B", interval=0, done=2_000_000_000) as progress:
        progress.advance(1)
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith("fetch m: 2,000.0/3,000.0 MB, ")
    assert float(line.split(", ")[1].removesuffix(" MB/s")) < 1  # MB/s, of the one byte of this run


def test_progress_on_a_terminal_is_a_bar() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    code = """
from pipeline.base.progress import Progress
with Progress("fetch m", 2_000_000, "B") as progress:
    progress.advance(2_000_000)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "fetch m: 100%|" in shown
    assert "2.00M/2.00M [" in shown
    assert "\r" in shown


def test_short_work_stays_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("validate m", 10, "images") as progress:
        progress.advance(10)
    assert capsys.readouterr().err == ""


def test_files_of_a_killed_process_are_removed_before_its_parent_waits_for_it(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is a zombie
    leftover = tmp_path / f".a.{socket.gethostname()}.{process.pid}.part"
    leftover.write_text("half")
    write_text(tmp_path / "a", "whole")
    assert not leftover.exists()
    process.wait()


HOLDER = """
import sys
from pathlib import Path
from pipeline.base.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["new/lock", "."])
def test_a_lock_makes_others_wait_and_ends_with_its_process(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        threading.Timer(0.2, holder.kill).start()
        with locked(path, "waiting for the holder"):
            assert holder.wait(timeout=60) == -signal.SIGKILL
    assert capsys.readouterr().err == "waiting for the holder\n"
    with locked(path, "waiting for nobody"):
        pass
    assert capsys.readouterr().err == ""
