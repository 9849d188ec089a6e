"""make_flags: whether the commands of a make run one after the other."""

import subprocess
from pathlib import Path

import pytest

from pipeline.base.make_flags import is_beside_others


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], False), (["-k", "-r"], False), (["-j1"], False), (["-j2"], True), (["-j"], True), (["-kj"], True)],
)
def test_a_command_knows_whether_others_run_beside_it(
    options: list[str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flags are those that make itself passes on."""
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    (tmp_path / "Makefile").write_text('MAKEFLAGS += --no-builtin-rules\nall:\n\t+@printf %s "$$MAKEFLAGS"\n')
    flags = subprocess.run(["make", *options], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    monkeypatch.setenv("MAKEFLAGS", flags)
    assert is_beside_others() is expected, flags
