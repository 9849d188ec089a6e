"""Measures the time and memory of commands, as kernels count them, and takes medians of several runs."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import subjects
from benchmarks.memory import Watch


@dataclass(frozen=True)
class Cost:
    """What one run needs: wall and processor time in seconds, memory and graphs in bytes."""

    wall: float
    processor: float
    memory: float
    graphs: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Returns the cost of two processes, one after the other."""
        memory = max(self.memory, other.memory)
        return Cost(self.wall + other.wall, self.processor + other.processor, memory, self.graphs + other.graphs)


FIELDS = ("wall", "processor", "memory", "graphs")


def measure_command(command: Sequence[str], folder: Path = subjects.ROOT) -> Cost:
    """Runs a command and returns the cost of it and its descendants, as the kernel counts; exits when it fails.

    Args:
        command: the command line.
        folder: its current folder.
    """
    with tempfile.TemporaryFile() as log:
        os.sync()  # otherwise this run waits for the writes of the one before
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=subjects.environment(), stdout=log, stderr=log)
        with Watch(process.pid) as watch:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{subjects.tail(log)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, watch.peak)


def median(costs: Sequence[Cost]) -> Cost:
    """Returns the median of each figure."""
    return Cost(*(statistics.median(getattr(cost, field) for cost in costs) for field in FIELDS))
