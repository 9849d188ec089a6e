"""The workflows and the Dockerfile: `make lint` checks them, and finds what is planted; what its tools leave open."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.lint_automation import ACTIONS, CHECKS, WORKFLOWS, find_faults
from pipeline.base.fault import Fault
from tests.conftest import ROOT

FILES = [path for pattern in (WORKFLOWS, ACTIONS) for path in sorted(ROOT.glob(pattern))]
RELEASE = ".github/workflows/release.yml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    shutil.copy(ROOT / "Dockerfile", tmp_path)
    (tmp_path / ".git").mkdir()  # or actionlint reads no file that another one calls
    return tmp_path


def test_they_have_no_faults() -> None:
    assert find_faults(ROOT) == []


@pytest.mark.parametrize(
    ("tool", "file", "good", "bad", "message"),
    [
        ("actionlint", RELEASE, "needs: build", "needs: biuld", 'needs job "biuld" which does not exist'),
        ("actionlint", RELEASE, "vars.PYPI", "var.PYPI", 'undefined variable "var"'),
        ("zizmor", RELEASE, "checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "checkout@v6", "error[unpinned-uses]"),
        ("zizmor", RELEASE, "persist-credentials: false", "fetch-depth: 0", "credential persistence"),
        ("zizmor", RELEASE, "make wheel", "make ${{ github.ref_name }}", "error[template-injection]"),
        ("actionlint", RELEASE, "members: ${{", "member: ${{", 'input "member" is not defined'),
        ("check-jsonschema", RELEASE, "timeout-minutes: 10", "timeout: 10", "'timeout' was unexpected"),
        ("check-jsonschema", ".github/actions/log-in/action.yml", "using: composite", "usage: composite", "runs"),
        ("hadolint", "Dockerfile", "WORKDIR /project", "RUN cd /project", "DL3003"),
        ("hadolint", "Dockerfile", "FROM python:3.11-slim@", "FROM python # ", "DL3006"),
    ],
)
def test_a_planted_fault_is_found(copy: Path, tool: str, file: str, good: str, bad: str, message: str) -> None:
    text = (copy / file).read_text()
    assert good in text
    (copy / file).write_text(text.replace(good, bad))
    (fault,) = find_faults(copy, tuple(check for check in CHECKS if check.tool == tool))
    assert fault.startswith(f"{tool} (exit status ")
    assert message in fault


def test_nothing_to_check_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"no file fits \.github/workflows/\*\.yml"):
        find_faults(tmp_path)


def test_an_action_is_pinned_to_one_commit_and_its_version_is_said() -> None:
    pins = set()
    for path in FILES:
        for line in re.findall(r"uses: (.*)", path.read_text()):
            if not line.startswith("./"):
                pin = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
                assert pin, f"{path.name}: {line}"
                pins.add(pin.groups())
    assert len({name for name, _, _ in pins}) == len(pins) >= 8


def jobs(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text())["jobs"])


@pytest.mark.parametrize("path", sorted(ROOT.glob(WORKFLOWS)), ids=lambda path: path.name)
def test_a_job_has_the_permissions_that_it_needs_alone(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    for name, job in jobs(path).items():
        assert isinstance(job["permissions"], dict), name
        assert set(job["permissions"]) <= {"contents", "id-token", "attestations"}
        writes = {right for right, value in job["permissions"].items() if value == "write"}
        assert not writes or "environment" in job, f"{path.name}: {name} may write without an environment"
        assert "timeout-minutes" in job or "uses" in job


def test_no_workflow_that_releases_restores_a_cache() -> None:
    for path in FILES:
        assert not re.search(r"actions/cache|^ *cache:|enable-cache", path.read_text(), re.MULTILINE), path.name


def test_the_commands_of_make_and_its_settings_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE), ".venv/requirements.lock"}
    named = {target for path in FILES for target in re.findall(r"\bmake ([a-z./-]+)", path.read_text())}
    assert {"publish", "check-hub", "wheel", "renew", "release-plan", "release"} <= named <= targets


@pytest.mark.parametrize(
    ("tag", "notes"), [("v0.3.0", "\nnew\n\n"), ("v0.3.0rc1", "\ncandidate\n"), ("v0.3", None), ("v1.0", None)]
)
def test_the_notes_are_the_changelog_s_section_of_the_tag(tmp_path: Path, tag: str, notes: str | None) -> None:
    (script,) = [step["run"] for step in jobs(ROOT / RELEASE)["build"]["steps"] if "awk" in step.get("run", "")]
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\nnext\n\n## 0.3.0 - 2026-12-01\n\nnew\n\n## 0.3.0rc1\n\ncandidate\n"
    )
    environment = os.environ | {"GITHUB_REF_NAME": tag}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == (notes is None)
    assert (tmp_path / "notes.md").read_text() == (notes or "")


def test_the_python_of_the_image_is_one_that_the_project_supports() -> None:
    assert re.search(
        r"^FROM python:3\.1[123]-slim@sha256:[0-9a-f]{64}$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )


def test_the_image_gets_what_make_needs_and_nothing_else() -> None:
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(kept) == {
        "Makefile",
        "setup.mk",
        "requirements.lock",
        "pyproject.toml",
        "pipeline",
        "templates",
        "model_cards",
        # The website's documentation.
        "docs",
        "CHANGELOG.md",
        "benchmarks/README.md",
    }
    assert all((ROOT / name).exists() for name in kept)
