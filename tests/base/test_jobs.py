"""jobs: a job's output, faults and crashes reach the process that started it."""

import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from pipeline.base.fault import Fault
from pipeline.base.jobs import start_job

SCRIPT = """
import os, sys
from pathlib import Path
from pipeline.base.fault import Fault
from pipeline.base.jobs import run_job, start_copy

def main(arguments):
    print("a warning", file=sys.stderr)
    {body}

run_job("job", main)
"""


@pytest.fixture
def write_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    return tmp_path / "job.py"


def test_a_job_returns_what_it_prints(write_job: Path) -> None:
    write_job.write_text(SCRIPT.format(body="print(arguments)"))
    with start_job("job", ["word", Path("/a file")], "the test") as job:
        assert job.wait() == "['word', '/a file']\n"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("raise Fault('a.npz: damaged:\\n  name')", Fault, r"^a\.npz: damaged:\n  name$"),
        ("raise ValueError('a bug')", RuntimeError, r"(?s)^the test: job ended with status 1:.*ValueError: a bug"),
        ("os.kill(os.getpid(), 11)", Fault, "^the test was killed by SIGSEGV; unless .*\na warning$"),
        ("raise OSError(28, 'full', 'out')", Fault, "^cannot use out: the disk is full; free some space"),
    ],
)
def test_a_job_that_fails_raises_in_its_parent(write_job: Path, body: str, kind: type[Exception], message: str) -> None:
    write_job.write_text(SCRIPT.format(body=body))
    with start_job("job", [], "the test") as job, pytest.raises(kind, match=message):
        job.wait()


def test_temporary_files_of_a_killed_job_are_removed(
    write_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    write_job.write_text(SCRIPT.format(body="Path(os.environ['TMPDIR'], 'left').touch(); os.kill(os.getpid(), 9)"))
    with start_job("job", [], "the test") as job:
        with pytest.raises(Fault, match="SIGKILL"):
            job.wait()
        assert len(list(tmp_path.glob("temporary/*/left"))) == 1
    assert not list((tmp_path / "temporary").iterdir())


def test_a_job_is_killed_at_the_end_of_the_block(write_job: Path) -> None:
    write_job.write_text(SCRIPT.format(body="import time; time.sleep(600)"))
    with start_job("job", [], "the test") as job:
        pass
    assert job.process.wait() == -9


# The same job in two halves: what `own` and `copy` name are statements.
HALVES = """
import os, sys, time
from pathlib import Path
from pipeline.base.fault import Fault
from pipeline.base.jobs import run_job, start_copy

def copied():
    {copy}

def main(arguments):
    with start_copy("job", copied):
        {own}
    Path("whole").touch()

run_job("job", main)
"""
SLEEP = "time.sleep(600)"


@pytest.fixture
def write_halves(write_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.chdir(tmp_path)
    return lambda own, copy: cast(None, write_job.write_text(HALVES.format(own=own, copy=copy)))


def test_a_copy_works_beside_its_job(write_halves: Callable[[str, str], None], tmp_path: Path) -> None:
    write_halves("Path('own').touch()", "Path('copy').touch()")
    with start_job("job", [], "the test") as job:
        assert job.wait() == ""
    assert all((tmp_path / name).exists() for name in ("own", "copy", "whole"))


@pytest.mark.parametrize(
    ("own", "copy", "kind", "message"),
    [
        ("pass", "raise Fault('of the copy')", Fault, "^of the copy$"),
        ("pass", "raise ValueError('a bug')", RuntimeError, r"(?s)ended with status 1:.*ValueError: a bug"),
        ("pass", "os.kill(os.getpid(), 9)", Fault, "^the test was killed by SIGKILL; unless"),
        ("raise Fault('its own')", "raise Fault('of the copy')", Fault, "^its own$"),
        ("raise Fault('its own')", SLEEP, Fault, "^its own$"),
    ],
)
def test_a_job_fails_as_its_copy_does(
    write_halves: Callable[[str, str], None], tmp_path: Path, own: str, copy: str, kind: type[Exception], message: str
) -> None:
    write_halves(own, copy)
    with start_job("job", [], "the test") as job, pytest.raises(kind, match=message):
        job.wait()
    assert not (tmp_path / "whole").exists()


def test_the_copy_of_a_killed_job_ends_with_the_block(write_halves: Callable[[str, str], None], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "copy")
    os.mkfifo(tmp_path / "go")
    write_halves(
        "Path('go').read_text()\n        os.kill(os.getpid(), 9)",
        f"Path('copy').write_text(str(os.getpid())); {SLEEP}",
    )
    with start_job("job", [], "the test") as job:
        end = os.pidfd_open(int((tmp_path / "copy").read_text()))
        (tmp_path / "go").write_text("")
        with pytest.raises(Fault, match="SIGKILL"):
            job.wait()
    ended, _, _ = select.select([end], [], [], 20)
    os.close(end)
    assert ended
