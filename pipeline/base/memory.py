"""Says how much memory is free for this process."""

import re
from pathlib import Path

_SYSTEM = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")  # of a container, version 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html)


def available_memory(system: Path = _SYSTEM, group: Path = _GROUP) -> int:
    """Returns the bytes that can be used without swapping: of the machine, or of the container if that has fewer.

    0 where the system does not say, as on macOS.

    Args:
        system: as /proc/meminfo.
        group: the folder of the control group.
    """
    if not system.is_file():
        return 0
    found = re.search(r"^MemAvailable: +(\d+) kB$", system.read_text(encoding="ascii"), re.MULTILINE)
    free = 1024 * int(found[1]) if found else 0
    limit = _read(group / "memory.max")
    return free if limit in ("", "max") else max(0, min(free, int(limit) - _used(group)))


def _used(group: Path) -> int:
    """Returns the bytes that a control group uses, without files that the system may drop."""
    dropped = re.search(r"^inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
    return int(_read(group / "memory.current")) - (int(dropped[1]) if dropped else 0)


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.is_file() else ""
