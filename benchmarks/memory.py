"""The memory that a process and all it started hold together (Linux)."""

import threading
from contextlib import suppress
from pathlib import Path

INTERVAL = 0.5  # seconds; the kernel walks every page of a process to answer


def _children(process: int) -> list[int]:
    """Returns the numbers of the processes that one has started and not yet waited for."""
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in task.read_text().split()]
    return found


def held(process: int) -> int:
    """Returns the bytes that a process and its descendants hold now; a page that several share counts once.

    It is the sum of the proportional set sizes (proc(5), smaps_rollup). A process that has ended holds nothing.
    """
    total = 0
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total = int(line.split()[1]) * 1024
    return total + sum(held(child) for child in _children(process))


class Watch:
    """Looks at a process and its descendants while the block runs; `peak`, in bytes, is the most."""

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
