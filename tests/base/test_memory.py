"""memory: what the system says, and the limit of a container."""

from pathlib import Path

import pytest

from pipeline.base.memory import available_memory

MEMINFO = "MemTotal:       24689296 kB\nMemFree:          200000 kB\nMemAvailable:   20000000 kB\nBuffers:  1 kB\n"


@pytest.fixture
def group(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MEMINFO)
    return tmp_path


def test_a_machine_has_what_the_system_says(group: Path) -> None:
    assert available_memory(group / "meminfo", group) == 20_000_000 * 1024
    (group / "memory.max").write_text("max\n")
    assert available_memory(group / "meminfo", group) == 20_000_000 * 1024


def test_a_container_has_what_its_limit_leaves(group: Path) -> None:
    (group / "memory.max").write_text("8000000000\n")
    (group / "memory.current").write_text("3000000000\n")
    (group / "memory.stat").write_text("anon 1\nfile 2000000000\ninactive_file 1000000000\n")
    assert available_memory(group / "meminfo", group) == 6_000_000_000
    (group / "memory.current").write_text("9500000000\n")
    assert available_memory(group / "meminfo", group) == 0


def test_a_large_limit_leaves_no_more_than_the_machine_has(group: Path) -> None:
    (group / "memory.max").write_text("99000000000000\n")
    (group / "memory.current").write_text("1\n")
    assert available_memory(group / "meminfo", group) == 20_000_000 * 1024


def test_a_system_that_says_nothing_has_none(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "meminfo", tmp_path) == 0
