"""Modules run in the oldest TensorFlow that this Python can install, and their self-test fails for broken modules.

`make test` sets OLDEST_TENSORFLOW_PYTHON to an interpreter with that TensorFlow and without JAX.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import compatibility, selftests, tensorflow_versions
from benchmarks.selftests import Replay, SelftestResult, parse
from benchmarks.tensorflow_versions import LOCKS, NEWEST_PYTHON
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.saved_model import runtimes
from pipeline.saved_model.graph import find_xla_calls
from tests.conftest import ROOT, make
from tests.machine import fake_interpreter
from tests.saved_model.models import edit

pytestmark = pytest.mark.slow

SETUP = (ROOT / "setup.mk").read_text()
# The version that `make test` installs.
OLDEST = dict(re.findall(r"\b(3\.\d+):(2\.\d+)", SETUP))[f"3.{sys.version_info.minor}"]
MINORS = [runtime.tensorflow for runtime in runtimes.RUNTIMES]
PASSED = """\
call: relative error 6.3e-07 (limit 1e-05): ok
serving_default: relative error 6.2e-07 (limit 1e-05): ok
serving_images: relative error 6.4e-07 (limit 1e-05): ok
training=False: 200 of 200 variables have a gradient: ok
training=True: 200 of 200 variables have a gradient: ok
session_serving_default: relative error 6.2e-07 (limit 1e-05): ok
session_serving_images: relative error 6.4e-07 (limit 1e-05): ok
TensorFlow 2.14.1: passed
"""
FAILED = """\
call: relative error 6.3e-03 (limit 1e-05): FAILED
TensorFlow 2.14.1: FAILED
"""


@pytest.fixture(scope="session")
def oldest() -> Path:
    """Returns the interpreter with the oldest TensorFlow."""
    if "OLDEST_TENSORFLOW_PYTHON" not in os.environ:
        pytest.skip("OLDEST_TENSORFLOW_PYTHON is not set; `make test` makes an environment and sets it")
    interpreter = Path(os.environ["OLDEST_TENSORFLOW_PYTHON"])
    assert interpreter.exists(), f"OLDEST_TENSORFLOW_PYTHON={interpreter}: no such interpreter"
    return interpreter


@pytest.fixture(scope="module")
def unpacked(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Returns a function that unpacks a published tarball of the tiny collection into a new folder."""

    def unpack(member: str, head: str) -> Path:
        folder = tmp_path_factory.mktemp("unpacked") / member / head
        with tarfile.open(published / f"artifacts/hub/tester/{member}_{head}/1.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        return folder

    return unpack


# In the oldest TensorFlow ---------------------------------------------------------------------------------------------
def assert_passes(interpreter: Path, saved_model: Path, variables: int) -> None:
    """Asserts that the self-test passes in the oldest TensorFlow, with a gradient for each of the variables."""
    done = selftests.run_selftest(interpreter, saved_model)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = parse(done.stdout)
    assert passed, done.stdout
    assert passed.tensorflow.startswith(f"{OLDEST}.")
    assert passed.result.gradients == {"training=False": variables, "training=True": variables}
    own = {"serving_classify"} if saved_model.name == Head.CLASSIFICATION else {"serving_tokens"}
    signatures = {"serving_default", "serving_images", "serving_jpeg"} | own
    calls = {"call"} if saved_model.name == Head.CLASSIFICATION else {"call", "tokens"}
    assert passed.result.differences.keys() == calls | signatures | {f"session_{name}" for name in signatures}


def test_the_environment_of_the_oldest_tensorflow_has_no_jax(oldest: Path) -> None:
    script = "import importlib.util as u; print([name for name in ('jax', 'flax', 'tensorflow') if u.find_spec(name)])"
    done = subprocess.run([oldest, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['tensorflow']\n"


@pytest.mark.parametrize(
    ("member", "variables", "head"),
    [
        ("mini", 40, Head.CLASSIFICATION),
        ("rati", 43, Head.FE),
        pytest.param("mini", 40, Head.FE, marks=pytest.mark.long),
        pytest.param("rati", 43, Head.CLASSIFICATION, marks=pytest.mark.long),
    ],
)
def test_published_modules_run_in_the_oldest_tensorflow(
    oldest: Path, unpacked: Callable[[str, str], Path], member: str, variables: int, head: Head
) -> None:
    assert_passes(oldest, unpacked(member, head), variables - 2 * (head == Head.FE))


@pytest.mark.long
def test_dropout_runs_in_the_oldest_tensorflow(oldest: Path, dropping: Path) -> None:
    assert_passes(oldest, dropping / "classification", 104)


# Broken modules -------------------------------------------------------------------------------------------------------
@pytest.fixture
def broken(unpacked: Callable[[str, str], Path]) -> Path:
    """Returns a copy of a published feature extractor, for a test to damage."""
    return unpacked("mini", "fe")


def run_failing_selftest(saved_model: Path) -> list[str]:
    """Returns the lines that the self-test prints; asserts that it fails."""
    done = selftests.run_selftest(Path(sys.executable), saved_model)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.long
def test_other_outputs_fail_the_selftest(broken: Path) -> None:
    path = broken / "assets.extra/selftest.npz"
    with np.load(path) as archive:
        golden = dict(archive)
    golden["outputs"][0, np.abs(golden["outputs"]).argmax()] *= 1.001
    np.savez(path, allow_pickle=False, **golden)
    lines = run_failing_selftest(broken)
    of_features = ("serving_default", "serving_images", "serving_jpeg")
    for way, line in zip(("call", *of_features), lines, strict=False):
        assert re.fullmatch(rf"{way}: relative error 1\.0e-03 \(limit 1e-05\): FAILED", line)
    for way, line in zip(("serving_tokens", "tokens"), lines[4:], strict=False):
        assert re.fullmatch(rf"{way}: relative error \S+ \(limit 1e-05\): ok", line)
    for training, line in zip((False, True), lines[6:], strict=False):
        assert line == f"training={training}: 38 of 38 variables have a gradient: ok"
    for name, line in zip(of_features, lines[8:], strict=False):
        assert line == f"session_{name}: relative error 1.0e-03 (limit 1e-05): FAILED"
    assert re.fullmatch(r"TensorFlow 2\.\S+: FAILED", lines[-1])


@pytest.mark.long
def test_a_module_without_gradients_and_one_that_only_tensorflow_2_loads_fail_the_selftest(broken: Path) -> None:
    """Both faults in one module. Of the second, an attribute without a value, TensorFlow 2's loader sees nothing."""
    edit(broken, remove_gradients)
    edit(broken, insert_attributes)
    lines = run_failing_selftest(broken)
    assert [line.rpartition(" ")[2] for line in lines[:6]] == ["ok"] * 6
    assert_without_gradients(lines)
    assert_only_tensorflow_2_loads(lines)
    assert re.fullmatch(r"TensorFlow 2\.\S+: FAILED", lines[-1])


@pytest.mark.long
def test_a_module_saved_without_gradients_fails_the_selftest(broken: Path) -> None:
    edit(broken, remove_gradients)
    lines = run_failing_selftest(broken)
    assert [line.rpartition(" ")[2] for line in lines[:6]] == ["ok"] * 6
    assert_without_gradients(lines)
    assert {line.rpartition(" ")[2] for line in lines[8:-1]} == {"ok"}
    assert re.fullmatch(r"TensorFlow 2\.\S+: FAILED", lines[-1])


@pytest.mark.long
def test_a_module_that_only_tensorflow_2_loads_fails_the_selftest(broken: Path) -> None:
    edit(broken, insert_attributes)
    lines = run_failing_selftest(broken)
    assert [line.rpartition(" ")[2] for line in lines[:8]] == ["ok"] * 8
    assert_only_tensorflow_2_loads(lines)


def remove_gradients(saved_model: Any) -> None:
    del saved_model.meta_graphs[0].graph_def.library.registered_gradients[:]


def insert_attributes(saved_model: Any) -> None:
    """Inserts an attribute without a value in every function, by reading it."""
    for node in find_xla_calls(saved_model):
        assert not node.attr["has_token_input_output"].b


def assert_without_gradients(lines: list[str]) -> None:
    for training, line in zip((False, True), lines[6:], strict=False):
        start = f"training={training}: 0 of 38 variables have a gradient: FAILED: "
        assert line.startswith(start)
        assert "Transformer/" in line


def assert_only_tensorflow_2_loads(lines: list[str]) -> None:
    assert lines[8].startswith("session: Failed to bind all placeholders in ")
    assert lines[8].endswith(": FAILED")


# The measurement at full size -----------------------------------------------------------------------------------------
def test_findings_are_read_from_a_passed_selftest() -> None:
    differences = {"call": 6.3e-7, "serving_default": 6.2e-7, "serving_images": 6.4e-7}
    differences |= {"session_serving_default": 6.2e-7, "session_serving_images": 6.4e-7}
    result = SelftestResult(differences, 200, {"training=False": 200, "training=True": 200})
    assert parse(PASSED) == Replay("2.14.1", result)
    for line in PASSED.splitlines(keepends=True):
        assert parse(PASSED.replace(line, "")) is None
    assert parse(FAILED) is None


def test_a_failure_is_reported_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pythons = {
        "2.14": fake_interpreter(tmp_path / "good", PASSED),
        "2.15": fake_interpreter(tmp_path / "other", PASSED),
        "2.16": fake_interpreter(tmp_path / "bad", FAILED, 1),
    }
    monkeypatch.setattr(compatibility, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(compatibility, "find_interpreters", lambda folder, pairs: pythons)
    monkeypatch.setattr(compatibility, "convert", lambda name, folder: folder / name)
    with pytest.raises(Fault) as caught:
        compatibility.main([str(tmp_path)])
    lines = str(caught.value).splitlines()
    assert lines[0] == "8 failed, nothing is written:"
    assert lines[1] == f"{tmp_path}/other: expected TensorFlow 2.15, got 2.14.1"
    assert lines[5] == (
        "vit_s16/classification in TensorFlow 2.16, exit status 1: call: relative error 6.3e-03 (limit 1e-05): FAILED; "
        "TensorFlow 2.14.1: FAILED"
    )
    printed = capsys.readouterr().out
    assert "vit_r26_s32/fe in TensorFlow 2.14.1: passed\n" in printed
    assert f"FAILED: {lines[5]}\n" in printed
    assert not (tmp_path / "record.json").exists()


def test_a_crash_is_reported_by_its_last_line(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ValueError: Cannot deserialize computation' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(Fault, match=r"^a/fe in TensorFlow 2\.14, exit status 1: ValueError: Cannot deserialize"):
        selftests.replay("2.14", python, tmp_path / "a/fe")


def test_an_environment_is_made_again_only_for_another_lock(tmp_path: Path) -> None:
    venv = tmp_path / "tensorflow-2.14"
    venv.mkdir()
    (venv / "requirements.lock").write_text((LOCKS / "2.14.lock").read_text())
    assert tensorflow_versions.make_environment("2.14", "/bin/false", tmp_path) == venv / "bin/python"
    (venv / "requirements.lock").write_text("another")
    with pytest.raises(Fault, match=f"^cannot make {venv}: "):
        tensorflow_versions.make_environment("2.14", "/bin/false", tmp_path)


def test_a_missing_python_is_refused_before_installing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(NEWEST_PYTHON, "2.17", 10)
    with pytest.raises(
        Fault, match=r"^TensorFlow 2\.17 needs Python 3\.11, none is on the PATH .* --interpreter 2\.17="
    ):
        tensorflow_versions.find_interpreters(
            tmp_path, [f"2.{minor}={sys.executable}" for minor in (14, 15, 16, 18, 19)]
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pair", ["2.13=/bin/sh", "2.14", "2.14=/nonexistent"])
def test_a_wrong_interpreter_is_refused(pair: str) -> None:
    with pytest.raises(Fault, match=f"^--interpreter {pair}: expected one of 2.14, 2.15, "):
        tensorflow_versions.parse_interpreters([pair])


# The record -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Returns templates/compatibility.json, which `make check-full` writes and which cards quote."""
    if not compatibility.RECORD.exists():
        pytest.skip("no record yet: make check-full writes templates/compatibility.json")
    loaded: dict[str, Any] = json.loads(compatibility.RECORD.read_text())
    return loaded


def test_the_record_covers_every_tensorflow_model_and_head(record: dict[str, Any]) -> None:
    assert list(record["tensorflow"]) == MINORS
    assert {model["variant"] for model in record["models"].values()} == set(compatibility.VARIANTS.values())
    for model in record["models"].values():
        assert model["needs"]["tensorflow"] == runtimes.OLDEST
        assert model["needs"]["platforms"] == ["cpu", "cuda", "tpu"]
        assert list(model["results"]) == MINORS
        for result in model["results"].values():
            assert list(result) == list(Head)
            for head in result.values():
                assert set(head["differences"]) >= {"call", "serving_default", "serving_images"}
                assert 0 < max(head["differences"].values()) <= model["tolerance"]
                assert set(head["gradients"].values()) == {head["variables"]}


def test_the_record_is_about_the_current_conversion(record: dict[str, Any], dropping: Path, published: Path) -> None:
    """If the conversion changes, `python -m benchmarks.compatibility` must write the record again."""
    folders = [dropping / "classification", published / "artifacts/rati/classification"]
    assert compatibility.computations_digest(folders) == record["computations_sha256"]
    assert compatibility.computations_digest(folders[::-1]) != record["computations_sha256"]


def test_the_documentation_shows_the_record(record: dict[str, Any]) -> None:
    page = (ROOT / "docs/compatibility.md").read_text()
    assert f"\n{compatibility.table(record)}\n" in page
    assert f"({record['date']}" in page
    assert record["command"] in page
    for version in (*record["python"].split(", "), record["machine"]):
        assert version in page


# The locks and make ---------------------------------------------------------------------------------------------------
def test_every_tensorflow_has_a_lock() -> None:
    assert list(NEWEST_PYTHON) == MINORS
    assert sorted(path.stem for path in LOCKS.iterdir()) == MINORS
    for minor in MINORS:
        text = (LOCKS / f"{minor}.lock").read_text()
        assert re.search(rf"^tensorflow=={minor}\.\d+ \\$", text, re.MULTILINE)
        assert "://" not in text
        requirements = re.sub(r" \\\n", "", text).splitlines()
        assert all("==" in line and "--hash=sha256:" in line for line in requirements)
        assert not [line for line in requirements if line.startswith(("jax", "flax"))]


def test_make_knows_the_oldest_tensorflow_of_each_python() -> None:
    oldest = {
        f"3.{python}": next(minor for minor, newest in NEWEST_PYTHON.items() if newest >= python)
        for python in (11, 12, 13)
    }
    assert dict(re.findall(r"\b(3\.\d+):(2\.\d+)", SETUP)) == oldest


def test_make_installs_the_oldest_tensorflow_where_its_lock_changed(tmp_path: Path) -> None:
    for name in ("Makefile", "setup.mk"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(LOCKS, tmp_path / "benchmarks/tensorflow")
    (tmp_path / "model_cards/vit").mkdir(parents=True)
    (tmp_path / "model_cards/vit/collection.yaml").touch()
    venv, lock = f".venv-tensorflow-{OLDEST}", tmp_path / f"benchmarks/tensorflow/{OLDEST}.lock"
    done = make(tmp_path, "-n", "test")
    assert f"Installing TensorFlow {OLDEST} into {venv} for the tests" in done.stdout
    assert f"{venv}/bin/python -m pip install --quiet --require-hashes -r benchmarks/tensorflow/{OLDEST}" in done.stdout
    assert f'OLDEST_TENSORFLOW_PYTHON="$PWD/{venv}/bin/python"' in done.stdout
    (tmp_path / venv).mkdir()
    shutil.copy(lock, tmp_path / venv / "requirements.lock")
    lock.touch()
    assert "Installing" not in make(tmp_path, "-n", "test").stdout
    lock.write_text(lock.read_text() + "# changed\n")
    assert "Installing" in make(tmp_path, "-n", "test").stdout
    assert "tensorflow" not in make(tmp_path, "-n", "lint").stdout


@pytest.mark.parametrize(("version", "tensorflow"), [("3.11", "2.14"), ("3.12", "2.16"), ("3.13", "2.20")])
def test_make_chooses_by_the_version_of_python(tmp_path: Path, version: str, tensorflow: str) -> None:
    python = fake_interpreter(tmp_path / "python", f"{version}\n")
    recipe = make(ROOT, "-n", "test", f"PYTHON={python}").stdout.replace("\\\n", "")
    assert re.search(rf"/\.venv-tensorflow-{tensorflow}/bin/python\" +'{python}' -m pytest", recipe)


def test_make_refuses_to_test_with_another_python(tmp_path: Path) -> None:
    done = make(ROOT, "-n", "test", f"PYTHON={fake_interpreter(tmp_path / 'python', '3.14')}")
    assert done.returncode == 2
    assert "expected Python 3.11 to 3.13, it is Python 3.14" in done.stderr


def test_another_record_makes_the_cards_again(tree: Path) -> None:
    assert make(tree, "-q", "publish-all", "COLLECTION=tiny").returncode == 0
    with (tree / "templates/compatibility.json").open("a") as stream:
        stream.write("\n")
    assert "pipeline.card" in make(tree, "-n", "publish-all", "COLLECTION=tiny").stdout
