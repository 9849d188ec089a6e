"""Packing speed, beside the standard library's gzip in the same run.

    python -m benchmarks.packing [MEGABYTES]

Packs a folder of random float32 weights (default 1,200 MB, the size of L/16) three times with pipeline.package and,
once, a tenth of the data with tarfile's own gzip at level 6, and prints rates, sizes and the ratio.
"""

import statistics
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.package import package


def write_model(folder: Path, megabytes: int) -> None:
    """Writes a SavedModel's files with `megabytes` of weights in them."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(bytes(1000))
    rng = np.random.default_rng(0)
    with (folder / "variables/variables.data-00000-of-00001").open("wb") as stream:
        for _ in range(megabytes):
            stream.write(rng.standard_normal(250_000, dtype=np.float32).tobytes())


def seconds_of(folder: Path, out: Path) -> float:
    started = time.perf_counter()
    package(folder, out)
    return time.perf_counter() - started


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1200
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name, "model"), Path(name, "ours.tar.gz")
        write_model(folder, megabytes)
        rates = [megabytes / seconds_of(folder, out) for _ in range(3)]
        ours, size = statistics.median(rates), out.stat().st_size / (megabytes * 1e6)
        print(f"pipeline.package, {megabytes} MB: {ours:.0f} MB/s (median of 3), size {size:.3f}")
        small, plain = Path(name, "small"), Path(name, "plain.tar.gz")
        write_model(small, max(1, megabytes // 10))
        started = time.perf_counter()
        with tarfile.open(plain, "w:gz", compresslevel=6) as archive:
            archive.add(small, arcname=".")
        theirs = max(1, megabytes // 10) / (time.perf_counter() - started)
        size = plain.stat().st_size / (max(1, megabytes // 10) * 1e6)
        print(f"tarfile with gzip level 6, {max(1, megabytes // 10)} MB: {theirs:.0f} MB/s, size {size:.3f}")
        print(f"ratio: {ours / theirs:.1f}")


if __name__ == "__main__":
    main()
