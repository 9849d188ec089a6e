"""The hooks of .pre-commit-config.yaml."""

import sys

import yaml

from tests.conftest import ROOT, make


def test_they_run_what_make_lint_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    recipe = make(ROOT, "-n", "lint").stdout.replace(f"'{sys.executable}'", ".venv/bin/python")
    assert entries == recipe.splitlines()
