"""Says how much memory is free for this process."""

import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def available_memory(root: Path = _ROOT) -> int:
    """Returns the bytes that can be used without swapping: of the machine, or of a control group with fewer.

    Containers and batch systems limit memory by control groups, in which a process may lie several deep: of version 2
    (https://docs.kernel.org/admin-guide/cgroup-v2.html) or 1. The result is 0 where the system says nothing, as macOS.

    Args:
        root: the folder of `proc` and `sys`.
    """
    memory = _read(root / "proc/meminfo")
    if not (found := re.search(r"^MemAvailable: +(\d+) kB$", memory, re.MULTILINE)):
        return 0
    return max(0, min([1024 * int(found[1]), *_free_in_groups(root)]))


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yields what is free in each group of this process that has a limit, from its own to the outermost."""
    groups = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, names = groups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top, names = groups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = top / path.lstrip("/")  # which a container may not see
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(top):
                yield from _free_in(folder, *names)


def _free_in(folder: Path, limit_file: str, used_file: str, dropped_key: str) -> Iterator[int]:
    """Yields what a group's limit leaves, files aside that the system drops when memory is short."""
    limit, used = _read(folder / limit_file), _read(folder / used_file)
    if limit.isdecimal() and used.isdecimal():
        dropped = re.search(rf"^{dropped_key} (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
        yield int(limit) - int(used) + (int(dropped[1]) if dropped else 0)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
