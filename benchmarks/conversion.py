"""Measures what a conversion costs, beside the plain procedure in the same run.

    python -m benchmarks.conversion [--runs N] [--folder FOLDER] [VARIANT | VARIANT@RATE ...]

The plain procedure is `python -m benchmarks.plain` twice, one process per head, as the reference collection was made.
Ours is `python -m pipeline.convert`, which writes both heads, portable, with image signatures and a self-test.
VARIANT@RATE also converts with that rate of dropout, as some members are published; such a module has a second forward
pass and a second gradient, which the plain one has not. Fails at the end where a limit is missed.

- time and processor time (user and system): of the plain procedure, the sum of its two processes;
- memory: of the plain procedure, that of the larger process; of ours, that of its three concurrent processes together,
  shared pages counted once (benchmarks/memory.py);
- graphs: the sizes of both heads' saved_model.pb;
- ratio: ours divided by plain.

Single runs vary: a virtual machine is slow when memory is first touched, and the disk may still be writing. So each
figure is a median over runs that take turns, each into a fresh folder after earlier writes are flushed. Processor time
depends less on other work of the machine than wall time.
"""

import argparse
import re
import tempfile
from pathlib import Path

from benchmarks import subjects
from benchmarks.costs import FIELDS, Cost, measure_command, median
from pipeline.base.fault import Fault
from pipeline.base.progress import Progress

# A small model, the largest as published, a hybrid, and both Mixers with patches of 16 pixels: 12 minutes on 2 cores.
DEFAULT = ("S/16", "L/16@0.1", "R26+S/32", "mixer:B/16", "mixer:L/16")


RATIO = 0.5  # of the plain procedure's time at most
MEMORY, GRAPHS = 5e9, 4e6  # bytes at most for both heads of L/16


def add_graphs(cost: Cost, out: Path) -> Cost:
    """Adds the sizes of the saved_model.pb files below a folder."""
    return cost + Cost(0, 0, 0, sum(path.stat().st_size for path in out.rglob("saved_model.pb")))


def measure_plain(variant: str, weights: Path, folder: Path) -> Cost:
    """Converts both heads the plain way, in a temporary folder."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        heads = ("classification", "fe")
        first, second = (measure_command(subjects.plain(variant, weights, head, Path(name, head))) for head in heads)
        return add_graphs(first + second, Path(name))


def measure_ours(yaml: Path, weights: Path, folder: Path) -> Cost:
    """Converts both heads as the pipeline does, in a temporary folder."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        return add_graphs(measure_command(subjects.published(yaml, weights, Path(name))), Path(name))


def check_limits(variant: str, way: str, cost: Cost, plain: Cost) -> list[str]:
    """Returns a sentence for each limit that a conversion of ours misses."""
    misses = []
    if (ratio := cost.wall / plain.wall) > RATIO:
        misses.append(f"{variant}, {way}: {ratio:.2f} of the plain procedure's time, expected at most {RATIO}")
    if variant == "L/16" and cost.memory > MEMORY:
        misses.append(f"{variant}, {way}: {cost.memory / 1e9:.2f} GB of memory, expected at most {MEMORY / 1e9:.0f}")
    if variant == "L/16" and cost.graphs > GRAPHS:
        misses.append(f"{variant}, {way}: {cost.graphs / 1e6:.2f} MB of graphs, expected at most {GRAPHS / 1e6:.0f}")
    return misses


def measure(case: str, folder: Path, runs: int) -> tuple[list[str], list[str]]:
    """Measures one case: plain, ours, and ours with dropout if the case has a rate.

    Args:
        case: VARIANT or VARIANT@RATE.
        folder: for checkpoints and outputs.
        runs: of each way.

    Returns:
        The rows of the table, and a sentence for each limit that is missed.
    """
    variant, _, rate = case.partition("@")
    weights = subjects.checkpoint(folder, variant)
    rates = [0.0, *([float(rate)] if rate else [])]
    members = {dropout: subjects.member(folder, variant, dropout) for dropout in rates}
    plain: list[Cost] = []
    ours: dict[float, list[Cost]] = {dropout: [] for dropout in rates}
    with Progress(f"convert {variant}", runs * (1 + len(rates)), "runs") as progress:
        for _ in range(runs):
            plain.append(measure_plain(variant, weights, folder))
            progress.advance(1)
            for dropout, member in members.items():
                ours[dropout].append(measure_ours(member, weights, folder))
                progress.advance(1)
    base = median(plain)
    ways = {f"ours, dropout {dropout}" if dropout else "ours": median(costs) for dropout, costs in ours.items()}
    rows = [table_row(variant, "plain", base)]
    rows += [table_row(variant, way, cost, base) for way, cost in ways.items()]
    return rows, [sentence for way, cost in ways.items() for sentence in check_limits(variant, way, cost, base)]


def table_row(variant: str, way: str, cost: Cost, base: Cost | None = None) -> str:
    """Returns a row of the table; with `base`, each figure is followed by its ratio to base's."""
    cells = [f"{cost.wall:.1f}", f"{cost.processor:.1f}", f"{cost.memory / 1e9:.2f}", f"{cost.graphs / 1e6:.2f}"]
    if base:
        ratios = (getattr(cost, field) / getattr(base, field) for field in FIELDS)
        cells = [f"{cell} ({ratio:.2f})" for cell, ratio in zip(cells, ratios, strict=True)]
    return f"| {variant} | {way} | {' | '.join(cells)} |"


def check_case(text: str) -> str:
    """Returns a case of the command line, VARIANT or VARIANT@RATE, if it is valid."""
    try:
        subjects.model_of(text.partition("@")[0])
    except Fault as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None
    if not re.fullmatch(r"[^@]+(@0\.\d*[1-9]\d*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected VARIANT or VARIANT@RATE with a rate between 0 and 1")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares conversions with the plain procedure.")
    parser.add_argument("cases", nargs="*", type=check_case, default=DEFAULT, help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--runs", type=int, default=3, help="of each way; default 3")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints, which stay, and outputs")
    args = parser.parse_args()
    print(f"conversion, both heads, medians of {args.runs}; in brackets ours divided by plain\n")
    print("| variant | way | time, s | processor time, s | memory, GB | graphs, MB |\n|---|---|---|---|---|---|")
    failures = []
    for case in args.cases:
        rows, sentences = measure(case, args.folder.resolve(), args.runs)
        failures += sentences
        print("\n".join(rows), flush=True)
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
