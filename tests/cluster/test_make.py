"""make RUNNER=ray itself: a stage, nothing to do, Ctrl-C, and a make that is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.runs import attempts, processes_of, short_temporary, wait_until
from tests.conftest import make

pytestmark = [pytest.mark.slow, pytest.mark.long]

# In the place of fetch: it waits for ever.
WAITING = """
import sys, time
from pipeline.base.command import command
def main(arguments):
    with open({file!r}, "a") as attempts:
        import os
        attempts.write(f"{{os.getpid()}} {{os.getppid()}}\\n")
    while True:
        time.sleep(0.02)
if __name__ == "__main__":
    raise SystemExit(command("fetch", main))
"""


@contextmanager
def making(tree: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A make that waits in fetch; nothing of it is left at the end."""
    file = tree / "attempts"
    (tree / "pipeline/fetch.py").write_text(WAITING.format(file=str(file)))
    with short_temporary() as temporary:
        line = ["make", f"PYTHON={sys.executable}", "RUNNER=ray", "fetch", "MODEL=mini"]
        variables = os.environ | {"TMPDIR": str(temporary)}
        with subprocess.Popen(
            line, cwd=tree, env=variables, text=True, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            try:
                wait_until(lambda: bool(attempts(file)), "fetch runs")
                yield process, file
            finally:
                process.kill()
        wait_until(lambda: not processes_of(temporary), "all processes have ended")


def test_a_stage_runs_and_the_next_make_has_nothing_to_do(fresh: Path) -> None:
    with short_temporary() as temporary:
        first = make(fresh, "RUNNER=ray", "fetch", "MODEL=mini", TMPDIR=str(temporary))
        assert (first.returncode, first.stderr.count("fetch mini from ")) == (0, 1)
        assert (fresh / "artifacts/mini/checkpoint.npz").exists()
        again = make(fresh, "RUNNER=ray", "fetch", "MODEL=mini", TMPDIR=str(temporary))
        assert (again.returncode, again.stderr) == (0, "")
        wait_until(lambda: not processes_of(temporary), "all processes have ended")
    assert list((fresh / "artifacts").rglob("*.part")) == []


def test_ctrl_c_ends_all(fresh: Path) -> None:
    with making(fresh) as (process, file):
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        wait_until(lambda: not Path(f"/proc/{attempts(file)[0][0]}").exists(), "the stage has ended")
    assert "fetch: interrupted; earlier outputs are kept\n" in errors
    assert process.returncode == -signal.SIGINT


def test_the_stages_end_with_a_killed_make(fresh: Path) -> None:
    with making(fresh) as (process, file):
        process.kill()
        wait_until(lambda: not Path(f"/proc/{attempts(file)[0][0]}").exists(), "the stage has ended")
    assert list((fresh / "artifacts").rglob("*.part")) == []
