"""docs/maintaining.md: its commands, tests and figures exist and are those of the project."""

import importlib.metadata
import re
import subprocess
import sys

from pipeline.trust.roles import LIFETIME, Role
from tests.conftest import ROOT
from tests.snippets import blocks_of

PAGE = (ROOT / "docs/maintaining.md").read_text(encoding="utf-8")


def test_the_commands_that_look_something_up_run() -> None:
    find, licences = (
        block
        for block in blocks_of("docs/maintaining.md", "sh")
        if block.startswith(("git grep ", ".venv/bin/python -c"))
    )
    pinned = re.findall(r'"tensorflow==(\d+\.\d+)\.', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"'{pinned[0].replace('.', chr(92) + '.')}'" in find  # the page names the version of today
    if (ROOT / ".git").exists():
        found = subprocess.run(["bash", "-c", find], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in ("pyproject.toml:", "pipeline/saved_model/runtimes.py:", "docs/compatibility.md:"):
            assert name in found
    script = licences.replace(".venv/bin/python", f"'{sys.executable}'")
    listed = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"\njaxlib {importlib.metadata.version('jaxlib')} Apache" in listed
    assert not [line for line in listed.splitlines() if len(line.split()) < 3]


def test_the_tests_that_it_names_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) >= 4
    for path, name in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), name


def test_its_times_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target, words in {
        "test-fast": "five minutes",
        "test": "12 to 21 minutes",
        "check-full": "over an hour on 2 cores, 60 GB of disk",
        "bench": "two hours on 2 cores, 12 GB of disk",
    }.items():
        (help_text,) = re.findall(rf"^{target}: .*## (.*)$", makefile, re.MULTILINE)
        (row,) = re.findall(rf"^\| `make {target}` \| (.*?) \|", PAGE, re.MULTILINE)
        assert words in help_text
        assert row == words.replace(" on 2 cores", "").replace("five", "5")


def test_its_days_are_those_of_the_roles() -> None:
    assert {LIFETIME[role].days for role in (Role.ROOT, Role.TARGETS, Role.RELEASE)} == {365}
    assert {LIFETIME[role].days for role in (Role.SNAPSHOT, Role.TIMESTAMP)} == {60}
    assert "which count for 365 days" in PAGE
    assert "which count for 60 days" in PAGE
