"""Records of runs: how a command ended, what it took, and that nothing but the command itself writes one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.base.command import command, guarded
from pipeline.base.fault import Fault
from pipeline.base.run_records import VARIABLE, Outcome, Recorder, RunRecord, read_record, record_refusal
from tests.conftest import ROOT


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a record, which the next command is told."""
    path = tmp_path / "runs/mini/card.json"
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.setattr(sys, "argv", ["card"])
    return path


def read(path: Path) -> RunRecord:
    found = read_record(path)
    assert found
    return found


def fail(error: BaseException) -> None:
    raise error


def test_a_run_records_what_it_took(record: Path) -> None:
    seen = []

    def main(_: object) -> str:
        seen.append(read(record))
        assert VARIABLE not in os.environ  # processes that it starts record nothing
        return "mini"

    before = time.time()
    assert command("card", main) == 0
    assert seen[0].outcome is Outcome.RUNNING
    done = read(record)
    assert (done.stage, done.outcome, done.sentence) == ("card", Outcome.DONE, "")
    assert before <= done.started <= time.time()
    assert 0 < done.seconds < 60
    assert 1e6 < done.peak_memory < 1e11
    assert [path.name for path in record.parent.iterdir()] == ["card.json"]


def test_nothing_is_recorded_unless_a_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert guarded("card", lambda: None) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (Fault("mini.yaml:3: no variant\x1b"), 1, "mini.yaml:3: no variant\\x1b"),
        (Fault("https://me:secret@a.example: gone"), 1, "https://a.example: gone"),
        (OSError(28, "full", "out"), 1, "cannot use out: the disk is full; free some space"),
    ],
)
def test_a_fault_is_recorded_as_it_is_printed(
    error: BaseException, status: int, sentence: str, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded("card", lambda: fail(error)) == status
    failed = read(record)
    assert failed.outcome is Outcome.FAILED
    assert failed.sentence.startswith(sentence)
    assert capsys.readouterr().err == f"card: {failed.sentence}\n"
    assert "secret" not in record.read_text()


def test_an_interrupted_run_is_no_failure(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded("card", lambda: fail(KeyboardInterrupt())) == 130
    stopped = read(record)
    assert (stopped.outcome, stopped.sentence) == (Outcome.STOPPED, "interrupted; earlier outputs are kept")
    assert capsys.readouterr().err == f"card: {stopped.sentence}\n"


@pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError(), SystemExit(2)])
def test_an_error_with_a_traceback_is_recorded_and_kept(error: BaseException, record: Path) -> None:
    with pytest.raises(type(error)):
        guarded("card", lambda: fail(error))
    failed = read(record)
    assert failed.outcome is Outcome.FAILED
    assert failed.sentence == f"it stopped with {type(error).__name__}; make's output has more"


def test_a_killed_run_stays_running(record: Path) -> None:
    code = "import os; from pipeline.base.command import guarded; guarded('card', lambda: os.kill(os.getpid(), 9))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert read(record).outcome is Outcome.RUNNING


def test_a_place_that_takes_no_record_stops_no_stage(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record.parent.parent.write_text("a file")
    assert guarded("card", lambda: None) == 0
    assert f"card: {record}: this run is not recorded: " in capsys.readouterr().err


def test_a_run_that_was_lost_is_recorded_for_it(record: Path) -> None:
    Recorder("card", lambda: 1)
    since = time.time() - 60
    record_refusal(record, "card", since, "its node was lost, 5 times")
    lost = read(record)
    assert (lost.outcome, lost.started, lost.sentence) == (Outcome.FAILED, since, "its node was lost, 5 times")
    assert 60 <= lost.seconds < 120
    assert lost.peak_memory == 0
