"""The memory that a process and all it started hold together (Linux)."""

import threading
from pathlib import Path

INTERVAL = 1.0  # seconds; the kernel walks every page of a process to answer


def _with_descendants(process: int) -> list[int]:
    """Returns a process and what it started, directly or not, by their numbers."""
    found = [process]
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _with_descendants(int(child))
    return found


def held(process: int) -> int:
    """Returns the bytes that a process and its descendants hold now; a page that several share counts once.

    It is the sum of the proportional set sizes (proc(5), smaps_rollup). A process that ends meanwhile counts nothing.
    """
    total = 0
    try:
        for one in _with_descendants(process):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return total


class Watch:
    """Looks at a process and its descendants once a second while the block runs; `peak`, in bytes, is the most."""

    def __init__(self, process: int) -> None:
        self.peak = 0
        self._process, self._over = process, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(INTERVAL):
            self.peak = max(self.peak, held(self._process))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
