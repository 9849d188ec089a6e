"""load: the processes of a validate compile each program once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.saved_model.load import shared_programs
from tests.conftest import ROOT

COMPUTE = """
import numpy as np
import tensorflow as tf
double = tf.function(lambda x: tf.math.erf(x) * 2, jit_compile=True)
print(double(tf.constant(np.arange(3, dtype=np.float32))).numpy().tolist())
"""


@pytest.fixture(autouse=True)
def keep_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "0")  # and set again at the end
        monkeypatch.delenv(name)


@pytest.mark.slow
def test_a_second_process_reads_what_the_first_compiled(tmp_path: Path) -> None:
    beside = tmp_path / 'a folder of "quotes"' / "programs"
    beside.parent.mkdir()
    with shared_programs(beside):
        (folder,) = beside.parent.iterdir()
        printed, files = [], []
        for _ in range(2):
            done = subprocess.run([sys.executable, "-c", COMPUTE], cwd=ROOT, check=True, capture_output=True, text=True)
            printed.append(done.stdout)
            files.append([(path.name, path.stat().st_ino) for path in folder.iterdir()])
            assert "AOT" not in done.stderr
    assert len(files[0]) == 1
    assert files[0] == files[1]
    assert printed[0] == printed[1]
    assert not [*beside.parent.iterdir()]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from pipeline.saved_model.load import shared_programs\n"
        "with shared_programs(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "programs")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    with shared_programs(tmp_path / "programs"):
        assert not left.exists()
        assert str(tmp_path) in os.environ["TF_XLA_FLAGS"]
    assert not [*tmp_path.iterdir()]
