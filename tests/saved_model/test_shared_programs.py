"""programs: processes that run the same programs compile each of them once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.saved_model.programs import PROGRAMS, shared_programs
from tests.conftest import ROOT

COMPUTE = """
import numpy as np
import tensorflow as tf
double = tf.function(lambda x: tf.math.erf(x) * 2, jit_compile=True)
print(double(tf.constant(np.arange(3, dtype=np.float32))).numpy().tolist())
"""

KEEPING = """
import os, sys
from pathlib import Path
from pipeline.saved_model.load import import_libraries
from pipeline.saved_model.programs import keep_apart, shared_programs
with shared_programs(Path("none")):
    if sys.argv[1] == "quick":
        os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
        keep_apart()
    import_libraries()
    import jax
    import tensorflow as tf
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)  # a fast machine takes less than 0.1 s
    print(tf.function(lambda x: tf.math.erf(x) * 2, jit_compile=True)(tf.ones(3)).numpy().tolist())
    print(jax.jit(lambda x: jax.numpy.linalg.svd(jax.scipy.special.erf(x)))(jax.numpy.eye(3))[1].tolist())
"""


@pytest.fixture(autouse=True)
def keep_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL", PROGRAMS):
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


@pytest.mark.slow
def test_a_node_keeps_them_for_later_stages_the_quick_ones_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv(PROGRAMS, str(kept))
    monkeypatch.setenv("XLA_FLAGS", "")
    printed, files = [], []
    for level in ("as usual", "as usual", "quick"):
        command = [sys.executable, "-c", KEEPING, level]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment)
        printed.append(done.stdout)
        files.append(
            {
                path: path.stat().st_ino
                for path in kept.rglob("*")
                if path.suffix == ".pb" or path.name.endswith("-cache")
            }
        )
        assert not done.stderr
    assert files[0]
    assert files[0] == files[1]
    usual, quick = ({path.parent.name for path in paths} for paths in (files[1], files[2].keys() - files[1].keys()))
    assert "jax" in usual
    assert usual - {"jax"}
    assert quick - {"jax"}  # TensorFlow's have a folder for each set of flags
    assert usual & quick <= {"jax"}
    assert len(set(printed)) == 1
    assert [*tmp_path.iterdir()] == [kept]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from pipeline.saved_model.programs import shared_programs\n"
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
