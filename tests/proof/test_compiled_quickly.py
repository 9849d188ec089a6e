"""Programs for the gradients of small checkpoints are compiled at level 0, and do not get among the shared ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.saved_model.programs import PROGRAMS
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

VALIDATE = """
import sys
from pathlib import Path
from pipeline.base import jobs
from pipeline.base.forks import offering_copies
from pipeline.saved_model.load import import_libraries
from pipeline.saved_model.programs import shared_programs
jobs.COPIED = ("compiling",)
with shared_programs(Path("programs")):
    import_libraries()
    with offering_copies(), jobs.start_job("compiling", sys.argv[1:], "the job") as job:
        print(job.wait())
"""
COMPILING = """
import os, sys
from pathlib import Path
from pipeline.proof import gradients
os.environ["XLA_FLAGS"] = "--xla_dump_to=dump"
gradients.LARGE = int(sys.argv[1])
level = gradients._compile_small_quickly(Path("checkpoint.npz"))
import tensorflow as tf
tf.function(lambda x: tf.sin(x) * 2, jit_compile=True)(tf.ones(3))
print(level, [path.name for folder in Path().glob(".programs.*") for path in folder.iterdir()])
"""


@pytest.mark.parametrize(("largest", "level"), [(9, None), (10, 0)])
def test_a_copy_that_compiles_for_gradients(largest: int, level: int | None, tmp_path: Path) -> None:
    """TensorFlow and JAX are imported before the job begins: its settings must take effect all the same."""
    (tmp_path / "compiling.py").write_text(COMPILING)
    (tmp_path / "validating.py").write_text(VALIDATE)
    (tmp_path / "checkpoint.npz").write_bytes(b"0" * 10)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}", "XLA_FLAGS": "", PROGRAMS: ""}
    done = subprocess.run(
        [sys.executable, "validating.py", str(largest)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, _, shared = done.stdout.strip().partition(" ")
    assert said == str(level)
    assert ("xla_compile_cache" in shared) == (level is None)
    (options,) = {path.read_text() for path in (tmp_path / "dump").glob("*debug_options")}
    assert ("xla_backend_optimization_level: 0" in options) == (level == 0)
