"""Files are replaced whole or not at all, locks, and progress lines."""

import contextlib
import errno
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from pipeline.base import siblings
from pipeline.base.files import locked, replacing, replacing_folder, share_file, write_text
from pipeline.base.progress import Progress
from tests.conftest import ROOT, without_privileges


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
    leftover = tmp_path / f".a.{siblings.host()}.{process.pid}.part"
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


def test_a_lock_of_another_user_is_waited_for(tmp_path: Path) -> None:
    """It can be read and not written."""
    path = tmp_path / "folder/lock"
    path.parent.mkdir()
    path.touch(0o444)
    path.parent.chmod(0o555)
    program = HOLDER.replace("locked(Path(sys.argv[1]))", "locked(Path(sys.argv[1]), 'waiting')")
    command = without_privileges(sys.executable, "-c", program, path)
    with locked(path), subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr
        assert waiting.stderr.readline() == "waiting\n"
        waiting.kill()
    path.parent.chmod(0o755)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As NFS without its lock daemon answers."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "lock", "waiting"):
        pass
    assert capsys.readouterr().err == (
        f"{tmp_path}: this file system has no locks ({os.strerror(number)}); run one command at a time that writes"
        " there\n"
    )


def test_a_place_that_cannot_be_written_is_named_itself(tmp_path: Path) -> None:
    """Not the hidden file beside it that would replace it."""
    code = "import sys; from pathlib import Path; from pipeline.base.files import write_text; "
    code += (
        "from pipeline.base.command import guarded; guarded('test', lambda: write_text(Path(sys.argv[1]), 'x' * 9999))"
    )
    (tmp_path / "folder").mkdir(0o555)
    command = without_privileges(sys.executable, "-c", code, tmp_path / "folder/a")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.startswith(f"test: cannot use {tmp_path}/folder/a: permission denied; make it accessible")
    limit = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", sys.executable, "-c", code, str(tmp_path / "b")]
    done = subprocess.run(limit, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.startswith(f"test: cannot use {tmp_path}/b: the file is too large for the file system")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_gets_a_second_name_or_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "model"
    source.write_bytes(b"weights")
    share_file(source, tmp_path / "a/linked")
    assert source.samefile(tmp_path / "a/linked")
    with pytest.raises(FileExistsError):
        share_file(source, tmp_path / "a/linked")

    def refuse(path: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(target), None, str(path))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    share_file(source, tmp_path / "b/copied")
    assert (tmp_path / "b/copied").read_bytes() == b"weights"
    assert not source.samefile(tmp_path / "b/copied")
