"""The install line of the pages: the same everywhere, enough for the snippets, and safe to paste into any shell."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmarks.fresh_install import INSTALLERS, read_card
from pipeline.base.templates import INSTALL
from pipeline.cards import hugging_face, kaggle
from pipeline.facts.report import Report
from tests.card_facts import demo_cards, seed_records
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALLED = {package.name: package for package in map(Requirement, shlex.split(INSTALL)[2:])}
# What an import needs, and Keras 3, which TensorFlow brings.
PACKAGES = {
    "tensorflow": "tensorflow",
    "tensorflow_hub": "tensorflow-hub",
    "tf_keras": "tf-keras",
    "keras": "tensorflow",
    "kagglehub": "kagglehub",
    "huggingface_hub": "huggingface_hub",
}
SOURCES = [*sorted((ROOT / "templates").rglob("*.jinja")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


def imports(text: str) -> set[str]:
    """Returns the names of the third-party modules that a page's snippets import."""
    trees = map(ast.parse, re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return names - {"tarfile", "urllib"}


def test_the_line_has_the_project_s_constraints() -> None:
    extras = PROJECT["optional-dependencies"]
    lines = extras["doctor"] + extras["notebooks"] + extras["dev"]
    project = {package.name: package for package in map(Requirement, lines)}
    assert str(INSTALLED["setuptools"].specifier) == str(project["setuptools"].specifier)
    for name, package in INSTALLED.items():
        for pinned in project[name].specifier:
            assert pinned.operator != "==" or package.specifier.contains(pinned.version)


def test_cards_print_the_line_that_is_tested_and_it_is_enough_for_their_snippets(report: Report) -> None:
    texts = demo_cards(report).values()
    assert len(texts) == 2
    for text in texts:
        assert read_card(text).install == INSTALL
        assert {PACKAGES[name] for name in imports(text)} <= INSTALLED.keys()


def test_snippets_of_other_hosts_need_what_their_pages_install(report: Report) -> None:
    for record in seed_records(report).values():
        usage = json.loads(kaggle.instance_metadata(record))["usage"]
        assert "`pip install tensorflow kagglehub` is enough" in usage
        assert {PACKAGES[name] for name in imports(usage)} == {"tensorflow", "kagglehub"}
        page = hugging_face.readme(record)
        assert "\npip install tensorflow huggingface_hub\n" in page
        assert {PACKAGES[name] for name in imports(page)} == {"tensorflow", "huggingface_hub"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_page_has_another_line(path: Path) -> None:
    """A page that names tensorflow-hub to pip does so with the line; all others quote what shells would expand."""
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"\bpip install [^`\n]*", text):
        assert "tensorflow-hub" not in line or line == INSTALL
        for word in shlex.split(line, posix=False):
            assert word[0] in "'\"" or not set(word) & set("<>[]*?~!="), f"{word} must be quoted"


def test_a_shell_hands_the_line_to_pip_as_it_is() -> None:
    """zsh refuses an unquoted `*` or `[`, and every shell takes an unquoted `<` as a file to read."""
    shells = [shell for shell, _ in INSTALLERS.values() if shutil.which(shell)]
    assert "bash" in shells
    for shell in shells:
        script = f'pip() {{ printf "%s\\n" "$@"; }}; {INSTALL}'
        done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == shlex.split(INSTALL)[1:]
