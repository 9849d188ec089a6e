"""Measures how long make takes to find that nothing is to be done for a collection of 1,000 members.

    python -m benchmarks.pool_of_members [--members 1000] [--runs 3] [--folder FOLDER]

Writes a copy of the project with a made-up collection (benchmarks.synthetic_pool) and runs `make publish-all` there,
after a first run that reads all digests. Fails when the median of the CPU time or, on an idle machine, of the wall time
exceeds 5 s, and when make runs any stage. `make help` and `make summary` are measured, too; there, no limit is set.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import synthetic_pool

LIMIT = 5.0  # seconds, for 1,000 members
MEMBERS = 1000


@dataclass(frozen=True)
class Run:
    """A run of make: its wall and CPU seconds, and what it printed."""

    wall: float
    cpu: float
    output: str


def measure(tree: Path, *goals: str) -> Run:
    """Runs make; exits where it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = synthetic_pool.run_make(tree, *goals)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"make {' '.join(goals)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, used, done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="the folder for the copy of the project")
    settings = parser.parse_args()
    collection, busy = f"COLLECTION={synthetic_pool.COLLECTION}", os.getloadavg()[0] > 0.5
    missed = []
    with tempfile.TemporaryDirectory(dir=settings.folder) as name:
        tree = Path(name) / "tree"
        synthetic_pool.write(tree, settings.members)
        for goals in (("publish-all", collection), ("help",), ("summary", collection)):
            measure(tree, *goals)
            runs = [measure(tree, *goals) for _ in range(settings.runs)]
            if goals[0] == "publish-all" and not all(run.output.startswith("nothing to do: ") for run in runs):
                raise SystemExit(f"make publish-all: expected nothing to do, got {runs[-1].output[:500]}")
            wall, cpu = statistics.median(run.wall for run in runs), statistics.median(run.cpu for run in runs)
            print(f"make {goals[0]}, {settings.members:,} members: {wall:.2f} s, CPU {cpu:.2f} s", flush=True)
            if goals[0] == "publish-all" and settings.members <= MEMBERS:
                missed += [f"CPU {cpu:.2f} s"] * (cpu > LIMIT) + [f"{wall:.2f} s"] * (wall > LIMIT and not busy)
    if missed:
        raise SystemExit(f"make publish-all: expected at most {LIMIT} s, got {', '.join(missed)}")


if __name__ == "__main__":
    main()
