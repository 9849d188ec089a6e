"""What `make test-fast` relies on: a test cannot import the slow packages unless it is marked slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PYTESTMARK, ROOT
from tests.fast.sitecustomize import SLOW


def run_fast(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python as a process that a fast test starts."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/fast")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("package", SLOW)
def test_slow_packages_cannot_be_imported(package: str) -> None:
    done = run_fast("-c", f"import {package}.version")
    assert done.returncode == 1
    assert done.stderr.endswith(f"RuntimeError: a fast test imports {package}; mark it slow (see tests/conftest.py)\n")


def test_other_runs_may_import_them() -> None:
    """This module imports SLOW, and in a run of all tests browser tests follow it in the same process."""
    code = "import tests.fast.sitecustomize, playwright; print('imported')"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n", done.stderr


def test_saved_models_can_be_parsed() -> None:
    assert run_fast("-c", "from pipeline.saved_model.graph import *; saved_model_class()()").returncode == 0


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("def test_jax():\n    import jax", "1 failed"),
        ("import jax\n\ndef test_nothing():\n    pass", "1 error"),
        ("import pytest\n\n@pytest.mark.slow\ndef test_jax():\n    import jax", "1 deselected"),
        ("def test_member(published):\n    import jax", "1 deselected"),
        (f"import pytest\nimport jax\n\n{PYTESTMARK}\n\ndef test_nothing():\n    pass", "no tests ran"),
    ],
)
def test_a_test_that_needs_jax_fails_unless_it_is_marked(tmp_path: Path, text: str, outcome: str) -> None:
    (tmp_path / "test_made_up.py").write_text(text)
    options = ("--fast", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml")
    done = run_fast("-m", "pytest", *options, f"--rootdir={tmp_path}", str(tmp_path))
    assert outcome in done.stdout.splitlines()[-1]
