"""What computed a shard: the versions, the kind of machine and the code that its record names."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.accuracy import computed_by
from pipeline.accuracy.computed_by import describe_environment, digest_code
from tests.conftest import ROOT, copy_project


def test_the_environment_names_what_changes_predictions() -> None:
    environment = describe_environment()
    assert f"numpy {version('numpy')}" in environment
    assert f"pillow {version('pillow')}" in environment
    assert "tensorflow" in environment
    assert environment.endswith(f"code {digest_code(ROOT)}")


def test_a_package_that_is_not_installed_is_named_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computed_by, "_PACKAGES", ("no-such-package",))
    describe_environment.cache_clear()
    try:
        assert describe_environment().startswith("no-such-package none, ")
    finally:
        describe_environment.cache_clear()


def test_code_that_prepares_or_classifies_counts_and_comments_do_not(tmp_path: Path) -> None:
    tree = copy_project(tmp_path / "tree")
    paths = [tree / f"pipeline/{name}.py" for name in ("model/preprocessing", "images/decoding", "saved_model/load")]
    for path in paths:
        path.write_text(path.read_text() + "# a comment\n")
    digests = [digest_code(ROOT), digest_code(tree)]
    assert len(set(digests)) == 1
    for path in paths:
        path.write_text(path.read_text() + "ADDED = 1\n")
        digests.append(digest_code(tree))
    assert len(set(digests)) == 4


def test_the_environment_is_described_without_tensorflow() -> None:
    code = "import sys; from pipeline.accuracy import computed_by as c; c.describe_environment(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "tensorflow" not in done.stdout.split()
