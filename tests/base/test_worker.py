"""Functions that run in a process of their own: what they return and raise, and what happens when they do not end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pipeline.base.fault import Fault
from pipeline.base.worker import Ended, Limits, Worker
from tests.conftest import ROOT

LIMITS = Limits(seconds=20, memory=400_000_000)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def double(number: int) -> int:
    return 2 * number


def refuse() -> None:
    raise Fault("a sentence")


def test_a_process_is_used_again(worker: Worker) -> None:
    assert worker.call(LIMITS, double, 4) == 8
    process = worker.call(LIMITS, os.getpid)
    assert process == worker.call(LIMITS, os.getpid) != os.getpid()


def test_faults_and_errors_of_files_are_raised(worker: Worker) -> None:
    with pytest.raises(Fault, match=r"^a sentence$"):
        worker.call(LIMITS, refuse)
    with pytest.raises(FileNotFoundError) as raised:
        worker.call(LIMITS, os.stat, "/nowhere")
    assert raised.value.filename == "/nowhere"


def test_a_bug_keeps_its_traceback(worker: Worker) -> None:
    with pytest.raises(RuntimeError, match=r"double failed in its process:\nTraceback[^$]*TypeError"):
        worker.call(LIMITS, double, None)  # type: ignore[arg-type]


def test_a_signal_is_named_and_the_next_call_answered(worker: Worker) -> None:
    with pytest.raises(Ended, match=r"^ended by SIGABRT$"):
        worker.call(LIMITS, os.abort)
    assert worker.call(LIMITS, double, 4) == 8


def test_memory_is_limited(worker: Worker) -> None:
    with pytest.raises(Ended, match=r"^took more than 400 MB of memory$"):
        worker.call(LIMITS, bytes, 1_000_000_000)
    assert len(worker.call(LIMITS, bytes, 1_000_000)) == 1_000_000


def test_a_hang_is_ended(worker: Worker) -> None:
    with pytest.raises(Ended, match=r"^took longer than 0 s$"):
        worker.call(Limits(0.05, LIMITS.memory), time.sleep, 60)
    assert worker.call(LIMITS, double, 4) == 8


@pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("lambda: 3", 3, ""),
        ("lambda: sys.exit('bad')", 1, ""),
        ("lambda: [note('loading m'), os.abort()]", 1, "a: ended by SIGABRT while it was loading m: what it read is d"),
        ("lambda: os.kill(os.getpid(), 9)", 1, "a: ended by SIGKILL: unless somebody did that, memory ran out"),
        ("lambda: os.kill(os.getppid(), 15) or time.sleep(60)", 128 + signal.SIGTERM, ""),
    ],
)
def test_a_supervised_command(body: str, status: int, message: str) -> None:
    script = f"import os, sys, time; from pipeline.base.supervision import *; sys.exit(supervised('a', {body}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
