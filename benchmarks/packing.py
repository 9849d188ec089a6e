"""Measures packing speed, beside the standard library's gzip in the same run.

    python -m benchmarks.packing [MEGABYTES]

Packs a folder of random float32 weights (default 1,200 MB, the size of L/16) three times with pipeline.package, and a
tenth of the data once with tarfile's own gzip at level 6. Prints rates, sizes and the ratio of the rates.
"""

import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.package import package

RUNS = 3


def write_model(folder: Path, megabytes: int) -> None:
    """Writes a folder like a SavedModel, with `megabytes` of weights."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(bytes(1000))
    generator = np.random.default_rng(0)
    with (folder / "variables/variables.data-00000-of-00001").open("wb") as stream:
        for _ in range(megabytes):
            stream.write(generator.standard_normal(250_000, dtype=np.float32).tobytes())


def pack_with_gzip(folder: Path, out: Path) -> None:
    """Packs a folder with the standard library."""
    with tarfile.open(out, "w:gz", compresslevel=6) as archive:
        archive.add(folder, arcname=".")


def measure(pack: Callable[[Path, Path], object], megabytes: int, runs: int) -> tuple[float, float]:
    """Returns the median rate in MB/s and the size of the tarball divided by the size of the data."""
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name, "model"), Path(name, "model.tar.gz")
        write_model(folder, megabytes)
        rates = []
        for _ in range(runs):
            started = time.perf_counter()
            pack(folder, out)
            rates.append(megabytes / (time.perf_counter() - started))
        return statistics.median(rates), out.stat().st_size / (megabytes * 1e6)


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1200
    ours, size = measure(package, megabytes, RUNS)
    print(f"pipeline.package, {megabytes} MB: {ours:.0f} MB/s (median of {RUNS}), size {size:.3f}")
    tenth = max(1, megabytes // 10)
    gzip, size = measure(pack_with_gzip, tenth, 1)
    print(f"tarfile with gzip level 6, {tenth} MB: {gzip:.0f} MB/s, size {size:.3f}")
    print(f"ratio: {ours / gzip:.1f}")


if __name__ == "__main__":
    main()
