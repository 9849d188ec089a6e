"""Measures the memory of a process and its descendants together (Linux)."""

import threading
from contextlib import suppress
from pathlib import Path

INTERVAL = 0.5  # seconds; each reading makes the kernel walk all pages of a process


def _children(process: int) -> list[int]:
    """Returns the ids of the processes that a process has started and not yet waited for."""
    children = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            children += [int(child) for child in task.read_text().split()]
    return children


def memory_of(process: int) -> int:
    """Returns the memory of a process and its descendants in bytes; a page that several share counts once.

    The sum of their proportional set sizes (proc(5), smaps_rollup); 0 for a process that has ended.
    """
    total = 0
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total = int(line.split()[1]) * 1024
    return total + sum(memory_of(child) for child in _children(process))


class Watch:
    """Measures a process and its descendants while the block runs; `peak` is the largest reading in bytes."""

    def __init__(self, process: int) -> None:
        self.peak = 0
        self._process, self._ended = process, threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def _measure(self) -> None:
        while not self._ended.wait(INTERVAL):
            self.peak = max(self.peak, memory_of(self._process))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
