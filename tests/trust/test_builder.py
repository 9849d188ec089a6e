"""builder: the facts of the process that converts."""

import json
import subprocess
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.trust import builder
from pipeline.trust.builder import BUILDER, Source, describe_builder, read_build, read_source, write_build
from tests.conftest import ROOT
from tests.trust.builds import BUILD


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository whose conversion is two short modules."""
    for name in ("convert", "package"):
        (tmp_path / "pipeline").mkdir(exist_ok=True)
        (tmp_path / f"pipeline/{name}.py").write_text(f'"""{name}"""\n')
    (tmp_path / "pipeline/__init__.py").write_text("")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_a_checkout_has_a_commit_and_is_clean_until_something_changes(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    source = read_source(checkout)
    assert source == Source(commit, True, None, builder.code_digest(checkout))
    (checkout / "new.yaml").write_text("")
    assert read_source(checkout) == replace(source, is_clean=False)  # a new file is a change
    (checkout / "new.yaml").unlink()
    with (checkout / "pipeline/convert.py").open("a") as file:
        file.write("# A remark.\n")
    changed = read_source(checkout)
    assert (changed.commit, changed.is_clean) == (commit, False)
    assert changed.code_sha256 != source.code_sha256


def test_the_address_of_a_clone_has_no_secrets(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://ann:hunter2@git.example.org/vit.git")
    assert read_source(checkout).address == "https://git.example.org/vit.git"
    git(checkout, "remote", "set-url", "origin", "/home/ann/vit")
    assert read_source(checkout).address is None


def test_outside_of_a_checkout_the_commit_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = checkout / "site-packages"
    (inner / "pipeline").mkdir(parents=True)
    (inner / "pipeline/convert.py").write_text("")
    (inner / "pipeline/package.py").write_text("")
    assert read_source(inner) == Source(None, None, None, builder.code_digest(inner))  # another project's repository
    monkeypatch.setenv("GIT_DIR", str(checkout / ".git"))  # as in a hook of another repository
    assert read_source(inner).commit is None
    monkeypatch.setenv("PATH", str(checkout))
    assert read_source(checkout).commit is None  # no git


def test_versions_and_the_lock_are_those_of_this_process() -> None:
    versions = builder.read_versions()
    assert versions.keys() == {"vit-publisher", "python", "platform", *builder.PACKAGES}
    assert versions["jax"] == version("jax")
    assert builder.lock_digest() == sha256_of(ROOT / "requirements.lock")


def test_a_new_version_of_the_project_converts_no_member_again() -> None:
    from pipeline.base.stage_code import StageCode

    modules = StageCode(ROOT / "none").modules("convert")
    assert "trust.builder" in modules
    assert "version" not in modules


def test_a_workflow_is_named_as_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", "ann/vit/.github/workflows/publish.yml@refs/heads/main")
    assert describe_builder() == BUILDER
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    assert describe_builder() == "https://github.com/ann/vit/.github/workflows/publish.yml@refs/heads/main"


def test_a_build_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_build(tmp_path, BUILD)
    assert read_build(tmp_path) == BUILD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"commit_of_next_year": 1}, "commit_of_next_year is an unknown key"),
        ({"contents": None}, "contents: input should be an object"),
    ],
)
def test_a_damaged_build_says_what_to_do(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(Fault, match=r"build\.json: no such file, .*; run make convert again$"):
        read_build(tmp_path)
    write_build(tmp_path, BUILD)
    path = tmp_path / "build.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(Fault, match=message):
        read_build(tmp_path)
