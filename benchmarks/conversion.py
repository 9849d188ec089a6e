"""What a conversion costs, beside the plain procedure in the same run.

    python -m benchmarks.conversion [--runs N] [--folder FOLDER] [VARIANT | VARIANT@RATE ...]

The plain procedure is `python -m benchmarks.plain` twice, one process per head as the reference collection was made;
ours is `python -m pipeline.convert`, which writes both heads, made portable, with signatures for images and a
self-test. VARIANT@RATE converts with that rate of dropout as well, as some members are published: such a module holds a
second forward pass and a second gradient, which the plain one does not. It fails, at the end, where a LIMIT is missed.

Time and processor time (user and system) are sums over the plain procedure's two processes, its memory is that of the
larger one, graphs are the sizes of both heads' saved_model.pb. A ratio is ours divided by plain. Ours runs three
processes at once, which share the checkpoint's pages; its memory is that of all together (benchmarks/memory.py).

A single run says little. The first touch of memory and of cached pages is slow on virtual machines, whose host hands
memory out only then, and the disk writes behind one's back. Hence each figure is a median over runs that take turns,
each into a fresh folder with earlier writes flushed, and processor time stands beside wall time: it suffers less from
neighbours.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import subjects
from benchmarks.memory import Watch
from pipeline.base.progress import Progress

# A small and the largest plain one, the latter as published, and a hybrid: 8 minutes on 2 cores.
DEFAULT = ("S/16", "L/16@0.1", "R26+S/32")


@dataclass(frozen=True)
class Cost:
    """What one run took. Seconds and bytes."""

    wall: float
    processor: float
    memory: float
    graphs: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Returns the cost of two processes one after the other."""
        memory = max(self.memory, other.memory)
        return Cost(self.wall + other.wall, self.processor + other.processor, memory, self.graphs + other.graphs)


RATIO = 0.5  # of the plain procedure's time
MEMORY, GRAPHS = 5e9, 4e6  # bytes, of L/16; the latter for both heads

FIELDS = ("wall", "processor", "memory", "graphs")


def cost(command: list[str]) -> Cost:
    """Runs a command to its end and returns what it and all it started took, by the kernel's count."""
    with tempfile.TemporaryFile() as said:
        os.sync()  # or this run would wait for the writes of the one before
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=subjects.ROOT, env=subjects.environment(), stdout=said, stderr=said)
        with Watch(process.pid) as watch:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{subjects.tail(said)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, watch.peak)


def with_graphs(spent: Cost, out: Path) -> Cost:
    """Adds the sizes of the saved_model.pb files below a folder."""
    return spent + Cost(0, 0, 0, sum(path.stat().st_size for path in out.rglob("saved_model.pb")))


def plain(variant: str, weights: Path, folder: Path) -> Cost:
    """Converts both heads the plain way, in a fresh folder that is removed."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        heads = ("classification", "fe")
        first, second = (cost(subjects.plain(variant, weights, head, Path(name, head))) for head in heads)
        return with_graphs(first + second, Path(name))


def published(yaml: Path, weights: Path, folder: Path) -> Cost:
    """Converts both heads as the pipeline does, in a fresh folder that is removed."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        return with_graphs(cost(subjects.published(yaml, weights, Path(name))), Path(name))


def median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(getattr(spent, field) for spent in costs) for field in FIELDS))


def missed(variant: str, way: str, spent: Cost, base: Cost) -> list[str]:
    """Returns a sentence for each limit that a conversion of ours misses."""
    found = []
    if (ratio := spent.wall / base.wall) > RATIO:
        found.append(f"{variant}, {way}: {ratio:.2f} of the plain procedure's time, expected at most {RATIO}")
    if variant == "L/16" and spent.memory > MEMORY:
        found.append(f"{variant}, {way}: {spent.memory / 1e9:.2f} GB of memory, expected at most {MEMORY / 1e9:.0f}")
    if variant == "L/16" and spent.graphs > GRAPHS:
        found.append(f"{variant}, {way}: {spent.graphs / 1e6:.2f} MB of graphs, expected at most {GRAPHS / 1e6:.0f}")
    return found


def measure(case: str, folder: Path, runs: int) -> tuple[list[str], list[str]]:
    """Returns the rows of one case, plain, ours, and ours with dropout if the case names a rate; and what is missed."""
    variant, _, rate = case.partition("@")
    weights = subjects.checkpoint(folder, variant)
    rates = [0.0, *([float(rate)] if rate else [])]
    yamls = {each: subjects.member(folder, variant, each) for each in rates}
    theirs: list[Cost] = []
    ours: dict[float, list[Cost]] = {each: [] for each in rates}
    with Progress(f"convert {variant}", runs * (1 + len(rates)), "runs") as progress:
        for _ in range(runs):
            theirs.append(plain(variant, weights, folder))
            progress.advance(1)
            for each, yaml in yamls.items():
                ours[each].append(published(yaml, weights, folder))
                progress.advance(1)
    base = median(theirs)
    ways = {f"ours, dropout {each}" if each else "ours": median(costs) for each, costs in ours.items()}
    rows = [row(variant, "plain", base), *(row(variant, way, spent, base) for way, spent in ways.items())]
    return rows, [sentence for way, spent in ways.items() for sentence in missed(variant, way, spent, base)]


def row(variant: str, way: str, spent: Cost, base: Cost | None = None) -> str:
    """Returns one row of the table; with `base`, each figure is followed by its ratio to the base's."""
    cells = [f"{spent.wall:.1f}", f"{spent.processor:.1f}", f"{spent.memory / 1e9:.2f}", f"{spent.graphs / 1e6:.2f}"]
    if base:
        ratios = (getattr(spent, field) / getattr(base, field) for field in FIELDS)
        cells = [f"{cell} ({ratio:.2f})" for cell, ratio in zip(cells, ratios, strict=True)]
    return f"| {variant} | {way} | {' | '.join(cells)} |"


def case(text: str) -> str:
    """Checks one case of the command line."""
    from pipeline.base.fault import Fault
    from pipeline.model.variants import variant

    try:
        variant(text.partition("@")[0])
    except Fault as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
    if not re.fullmatch(r"[^@]+(@0\.\d*[1-9]\d*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected VARIANT or VARIANT@RATE with a rate between 0 and 1")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares conversions with the plain procedure.")
    parser.add_argument("cases", nargs="*", type=case, default=DEFAULT, help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--runs", type=int, default=3, help="of each way; default 3")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints, which stay, and outputs")
    args = parser.parse_args()
    print(f"conversion, both heads, medians of {args.runs}; in brackets ours divided by plain\n")
    print("| variant | way | time, s | processor time, s | memory, GB | graphs, MB |\n|---|---|---|---|---|---|")
    failures = []
    for each in args.cases:
        rows, sentences = measure(each, args.folder.resolve(), args.runs)
        failures += sentences
        print("\n".join(rows), flush=True)
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
