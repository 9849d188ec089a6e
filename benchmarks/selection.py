"""Measures how long `make select` takes for an index of the pool's size.

    python -m benchmarks.selection [RUNS]

Writes a made-up index of 51,509 rows and runs pipeline.select on it as a command (default: 5 times), including the
start of Python. Fails when the median exceeds 2 s.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import synthetic_index

ROOT = Path(__file__).parents[1]
LIMIT = 2.0  # seconds


def measure(index: Path, out: Path) -> float:
    """Returns the seconds of one run."""
    criteria = "model_cards/vit/collection.yaml"
    command = [sys.executable, "-m", "pipeline.select", criteria, str(out), "--index", str(index), "--diff"]
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        index = Path(name, "index.csv")
        synthetic_index.write(index)
        times = [measure(index, Path(name, "out")) for _ in range(runs)]
    median = statistics.median(times)
    spread = f"median of {runs}, {min(times):.2f} to {max(times):.2f}"
    print(f"make select, {synthetic_index.ROWS:,} rows: {median:.2f} s ({spread})")
    if median > LIMIT:
        raise SystemExit(f"expected at most {LIMIT} s")


if __name__ == "__main__":
    main()
