"""Measures speed and memory of a download, beside curl in the same run.

    python -m benchmarks.downloading [MEGABYTES]

A server on this machine sends a file of random bytes (default 1,200 MB, the size of L/16) five times to curl and five
times to pipeline.download, in turn. Each writes it to the same disk; ours also computes its SHA-256. Prints the rates,
their ratio and the peak memory. Fails below half of curl's rate or above 200 MB.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RUNS = 5
RATIO, MEMORY = 0.5, 200  # of curl's rate at least; MB at most
OURS = """
import json, sys, time
from pathlib import Path
from pipeline.base.command import peak_memory
from pipeline.download.obtain import Access, obtain_file
started = time.perf_counter()
with obtain_file(sys.argv[1], Access(Path(sys.argv[2])), "download"):
    print(json.dumps([time.perf_counter() - started, peak_memory()]))
"""


class _Server(SimpleHTTPRequestHandler):
    """A static server that lets the kernel copy, so that the server does not limit the rate."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        self.wfile.flush()
        offset, size = 0, os.fstat(source.fileno()).st_size
        while offset < size:
            offset += os.sendfile(self.connection.fileno(), source.fileno(), offset, size - offset)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@dataclass(frozen=True)
class Measurement:
    """Rates in MB/s, one per run, and the peak memory of our download in MB."""

    curl: list[float]
    ours: list[float]
    memory: float

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.curl)


def run_curl(url: str, out: Path) -> float:
    """Returns the seconds that curl takes, including its start of some milliseconds."""
    started = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "--output", out, url], check=True)
    return time.perf_counter() - started


def run_ours(url: str, cache: Path) -> tuple[float, int]:
    """Returns the seconds that our download takes, without the start of Python, and its peak memory in bytes."""
    command = [sys.executable, "-c", OURS, url, str(cache)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(done.stdout)
    return float(seconds), int(memory)


def write_file(path: Path, megabytes: int) -> None:
    """Writes random bytes."""
    generator = np.random.default_rng(0)
    with path.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(generator.bytes(1_000_000))


def measure(folder: Path, megabytes: int) -> Measurement:
    """Downloads a file with curl and with our code in turn, through a server of `folder`."""
    write_file(folder / "file", megabytes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/file"
    curl, ours, memory = [], [], 0
    for _ in range(RUNS):
        os.sync()  # otherwise a run waits for the writes of the one before
        curl.append(megabytes / run_curl(url, folder / "curl"))
        (folder / "curl").unlink()
        os.sync()
        seconds, peak = run_ours(url, folder / "cache")
        shutil.rmtree(folder / "cache")
        ours.append(megabytes / seconds)
        memory = max(memory, peak)
    server.shutdown()
    return Measurement(curl, ours, memory / 1e6)


def main() -> None:
    if not shutil.which("curl"):
        raise SystemExit("curl is not installed; the download is compared with it")
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1200
    with tempfile.TemporaryDirectory() as name:
        measured = measure(Path(name), megabytes)
    for label, rates in (("curl", measured.curl), ("pipeline.download, with SHA-256", measured.ours)):
        print(f"{label}, {megabytes} MB: {statistics.median(rates):.0f} MB/s ({min(rates):.0f} to {max(rates):.0f})")
    print(f"ratio: {measured.ratio:.2f}; peak memory {measured.memory:.0f} MB")
    if measured.ratio < RATIO or measured.memory > MEMORY:
        raise SystemExit(f"expected at least {RATIO} of curl's rate in at most {MEMORY} MB")


if __name__ == "__main__":
    main()
