"""memory: what the system says, and the limits of containers and batch systems."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.memory import available_memory

MEMINFO = "MemTotal:       24689296 kB\nMemFree:          200000 kB\nMemAvailable:   20000000 kB\nBuffers:  1 kB\n"
MACHINE = 20_000_000 * 1024


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], None]:
    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("proc/meminfo", MEMINFO)
    return write


def test_a_machine_has_what_the_system_says(write: Callable[[str, str], None], tmp_path: Path) -> None:
    assert available_memory(tmp_path) == MACHINE
    write("proc/self/cgroup", "0::/user.slice\n")
    write("sys/fs/cgroup/user.slice/memory.max", "max\n")
    write("sys/fs/cgroup/user.slice/memory.current", "5\n")
    assert available_memory(tmp_path) == MACHINE


@pytest.mark.parametrize("group", ["", "job/", "job/step_0/"])
def test_a_group_of_version_2_has_what_its_limit_leaves(
    write: Callable[[str, str], None], tmp_path: Path, group: str
) -> None:
    write("proc/self/cgroup", "0::/job/step_0\n")
    write(f"sys/fs/cgroup/{group}memory.max", "8000000000\n")
    write(f"sys/fs/cgroup/{group}memory.current", "3000000000\n")
    write(f"sys/fs/cgroup/{group}memory.stat", "anon 1\nfile 2000000000\ninactive_file 1000000000\n")
    assert available_memory(tmp_path) == 6_000_000_000
    write(f"sys/fs/cgroup/{group}memory.current", "9500000000\n")
    assert available_memory(tmp_path) == 0


def test_a_group_of_version_1_has_what_its_limit_leaves(write: Callable[[str, str], None], tmp_path: Path) -> None:
    write("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/docker/ab\n")
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "8000000000\n")  # seen from inside a container
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000000000\n")
    write("sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 1000000000\n")
    assert available_memory(tmp_path) == 6_000_000_000


def test_a_large_limit_leaves_no_more_than_the_machine_has(write: Callable[[str, str], None], tmp_path: Path) -> None:
    write("proc/self/cgroup", "4:memory:/\n")
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n")
    assert available_memory(tmp_path) == MACHINE


def test_a_system_that_says_nothing_has_none(tmp_path: Path) -> None:
    assert available_memory(tmp_path) == 0


def test_this_machine_has_some() -> None:
    assert 1e8 < available_memory() < 1e14
