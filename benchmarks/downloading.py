"""Speed and memory of a download, beside curl's in the same run.

    python -m benchmarks.downloading [MEGABYTES]

A server on this machine sends a file of random bytes (default 1,200 MB, the size of L/16) five times to curl and five
times to pipeline.download.http, in turn; each writes it to the same disk, and ours takes its SHA-256 on the way. Prints
the rates, their ratio and the peak memory, and fails below half of curl's rate or above 200 MB.
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
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RUNS = 5
OURS = """
import json, sys, time
from pathlib import Path
from pipeline.base.fault import peak_memory
from pipeline.download.obtain import Access, obtain_file
started = time.perf_counter()
with obtain_file(sys.argv[1], Access(Path(sys.argv[2])), "download"):
    print(json.dumps([time.perf_counter() - started, peak_memory()]))
"""


class _Sending(SimpleHTTPRequestHandler):
    """A static server that leaves the copying to the kernel, so that it is not what is measured."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        self.wfile.flush()
        offset, size = 0, os.fstat(source.fileno()).st_size
        while offset < size:
            offset += os.sendfile(self.connection.fileno(), source.fileno(), offset, size - offset)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def curl(url: str, out: Path) -> float:
    """Returns the seconds that curl takes; its start, some milliseconds, is part of them."""
    started = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", "--output", out, url], check=True)
    return time.perf_counter() - started


def ours(url: str, cache: Path) -> tuple[float, int]:
    """Returns the seconds that our download takes, without the start of Python, and its peak memory in bytes."""
    command = [sys.executable, "-c", OURS, url, str(cache)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(done.stdout)
    return float(seconds), int(memory)


def main() -> None:
    if not shutil.which("curl"):
        raise SystemExit("curl is not installed; it is what the download is measured against")
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1200
    with tempfile.TemporaryDirectory() as name:
        folder, generator = Path(name), np.random.default_rng(0)
        with (folder / "file").open("wb") as stream:
            for _ in range(megabytes):
                stream.write(generator.bytes(1_000_000))
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Sending, directory=name))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/file"
        theirs, mine, memory = [], [], 0
        for _ in range(RUNS):
            os.sync()  # else one waits for what the other left to be written
            theirs.append(megabytes / curl(url, folder / "curl"))
            (folder / "curl").unlink()
            os.sync()
            seconds, peak = ours(url, folder / "cache")
            shutil.rmtree(folder / "cache")
            mine.append(megabytes / seconds)
            memory = max(memory, peak)
        server.shutdown()
    ratio = statistics.median(mine) / statistics.median(theirs)
    for label, rates in (("curl", theirs), ("pipeline.download.http, SHA-256 included", mine)):
        print(f"{label}, {megabytes} MB: {statistics.median(rates):.0f} MB/s ({min(rates):.0f} to {max(rates):.0f})")
    print(f"ratio: {ratio:.2f}; peak memory {memory / 1e6:.0f} MB")
    if ratio < 0.5 or memory > 200e6:
        raise SystemExit("expected at least half of curl's rate in at most 200 MB")


if __name__ == "__main__":
    main()
