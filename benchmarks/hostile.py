"""Runs every hostile file that the tests make, and measures what refusing it takes; damages files at random (Linux).

    python -m benchmarks.hostile [AREA ...] [--fuzz COUNT] [--seed SEED]

prints the slowest and the largest attacks of each area of tests/hostile. Imports are done before; an attack may take
10 s and 1 GB. With --fuzz, COUNT damaged files of each kind follow. Fails where a file is not refused as it must be
(tests/hostile/run.py, judge).
"""

import argparse
import sys

from tests.hostile import AREAS
from tests.hostile.run import Result, read_results

_SHOWN = 3  # of each area


def show(area: str, results: list[Result]) -> None:
    """Prints the number of results, the slowest, the largest and the problems."""
    if not results:
        return
    slowest = sorted(results, key=lambda result: -result.seconds)[:_SHOWN]
    largest = max(results, key=lambda result: result.memory)
    times = ", ".join(f"{result.seconds:.2f} s ({result.name})" for result in slowest)
    refused = sum(result.refused for result in results)
    size = f"{largest.memory / 1e9:.2f} GB ({largest.name})"
    print(f"{area}: {len(results)}, {refused} refused; slowest: {times}; largest: {size}")
    for result in results:
        if result.problem:
            print(f"  {result.name}: {result.problem}\n{result.output[:1000]}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("areas", nargs="*", metavar="AREA", default=AREAS)
    parser.add_argument("--fuzz", type=int, metavar="COUNT")
    parser.add_argument("--seed", default="1")
    settings = parser.parse_args()
    problems = 0
    runs = [("attacks", []), ("long attacks", ["--long"])]
    if settings.fuzz:
        runs.append(("damaged files", ["--fuzz", str(settings.fuzz), "--seed", settings.seed]))
    for area in settings.areas:
        for kind, options in runs:
            results = list(read_results(area, *options))
            show(f"{area}, {kind}", results)
            problems += sum(bool(result.problem) for result in results)
    if problems:
        raise SystemExit(f"{problems} files were not refused as they must be")


if __name__ == "__main__":
    main()
