"""tests.warm: its stages are copies, and behave as processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

STAGE = """
import os, signal, sys
from pathlib import Path
print(sys.argv[1:], Path(__file__).parent.parent == Path.cwd(), os.environ["OWN"], sys.stdin.read())
print("tensorflow" in sys.modules, file=sys.stderr)
if sys.argv[1] == "killed":
    signal.raise_signal(signal.SIGTERM)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a pipeline whose stage convert is STAGE."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()
    (tmp_path / "pipeline/base").symlink_to(ROOT / "pipeline/base")
    (tmp_path / "pipeline/convert.py").write_text(STAGE)
    return tmp_path


def run(folder: Path, argument: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the stage convert of a folder."""
    return subprocess.run(
        [warm.interpreter(), "-m", "pipeline.convert", argument, "two words"],
        cwd=folder, env=os.environ | {"OWN": "mine"} | environment, input="in", capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="there are no copies")
@pytest.mark.parametrize(("argument", "status"), [("0", 0), ("3", 3), ("killed", -15)])
def test_a_copy_has_the_imports_and_all_that_a_process_has(folder: Path, argument: str, status: int) -> None:
    import jax  # noqa: F401 - it sets variables that later stages of these tests get
    import tensorflow as tf  # noqa: F401

    done = run(folder, argument)
    assert done.stderr == "True\n"
    assert done.stdout == f"{[argument, 'two words']} True mine in\n"
    assert done.returncode == status


@pytest.mark.parametrize("variable", ["XLA_FLAGS", "PYTHONHASHSEED", "OMP_NUM_THREADS"])
def test_python_itself_runs_with_other_variables_that_are_read_early(folder: Path, variable: str) -> None:
    done = run(folder, "3", **{variable: "1"})
    assert done.stderr == "False\n"
    assert done.stdout.endswith("True mine in\n")
    assert done.returncode == 3


def test_everything_else_is_asked_of_python_itself(tmp_path: Path) -> None:
    command = [warm.interpreter(), "-c", "import sys; print(sys.executable, sys.argv)", "-m pipeline.convert"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{sys.executable} ['-c', '-m pipeline.convert']\n"
