"""Measures how fast `make serve` is, beside Python's own static server in the same run.

    python -m benchmarks.serving [CLIENTS]

With a tarball of 100 MB and a page of 20 kB, on loopback:

- 200 clients (or CLIENTS) download the tarball at once, and compute its SHA-256;
- pages per second over 8 connections that are kept alive, with the access log written to a file;
- the rate of 4 downloads of the tarball at once, in turn from our server and from `python -m http.server`, five times;
- the server's memory during the downloads (benchmarks/memory.py).

Fails when a download is damaged, below 1,000 pages/s or 0.8 of the other server's rate, or when the memory grows by
more than 2 CHUNK (pipeline.server.responses) a client.
"""

import hashlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.memory import Watch
from pipeline.server.responses import CHUNK

ROOT = Path(__file__).parents[1]
MEGABYTES = 100  # of the tarball
RUNS = 5
CONNECTIONS = 4
REPEATS = 4  # downloads of each connection in a run
PAGE_SECONDS = 5.0
PAGES_PER_SECOND, RATIO = 1000, 0.8  # at least
MODULE = "alice/net/1"


def write_hub(hub: Path) -> str:
    """Writes a hub with one module; returns the SHA-256 of its tarball."""
    content = os.urandom(MEGABYTES * 1_000_000)
    digest = hashlib.sha256(content).hexdigest()
    folder = (hub / MODULE).parent
    folder.mkdir(parents=True)
    (hub / f"{MODULE}.tar.gz").write_bytes(content)
    page = hub / f"{MODULE}.html"
    page.write_text("<!doctype html><title>net</title>" + "<p>Lorem ipsum dolor sit amet.</p>\n" * 600)
    os.utime(page, (1_700_000_000, 1_700_000_000))  # a recent file would be read again for each request
    file = {"path": f"{MODULE}.tar.gz", "size": len(content), "sha256": digest}
    (hub / "index.json").write_text(json.dumps({"modules": {MODULE: {"files": [file]}}, "collections": {}}))
    return digest


@contextmanager
def serving(command: list[str], announcement: str, log: Path) -> Iterator[tuple[int, int]]:
    """Runs a server until the block ends; yields its port and process id.

    Args:
        command: the module and its arguments.
        announcement: matches the line that the server prints when it is ready; the first group is the port.
        log: the file for its output.
    """
    command = [sys.executable, "-u", "-m", *command]
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT) as process,
    ):
        try:
            while not (match := re.search(announcement, log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"{command[3]} did not start: {log.read_text()}")
                time.sleep(0.05)
            yield int(match[1]), process.pid
        finally:
            process.terminate()


def download(port: int, path: str, consume: Callable[[memoryview], object] | None = None) -> int:
    """Downloads a file over a connection of its own, in pieces for `consume`; returns its size in bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("GET", path)
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{path}: expected 200, got {response.status}")
    buffer, size = memoryview(bytearray(1 << 18)), 0
    while count := response.readinto(buffer):
        size += count
        if consume:
            consume(buffer[:count])
    connection.close()
    return size


def measure_rate(port: int, path: str) -> float:
    """Returns the rate of CONNECTIONS downloads at once, REPEATS times, in MB/s."""
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        sizes = list(pool.map(lambda _: download(port, path), range(CONNECTIONS * REPEATS)))
    return sum(sizes) / 1e6 / (time.perf_counter() - started)


def count_damaged(port: int, clients: int, digest: str) -> int:
    """Downloads the tarball with many clients at once; returns how many get bytes of another SHA-256."""

    def is_damaged(_: int) -> bool:
        sha256 = hashlib.sha256()
        download(port, f"/{MODULE}?tf-hub-format=compressed", sha256.update)
        return sha256.hexdigest() != digest

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(is_damaged, range(clients)))


def measure_pages(port: int) -> float:
    """Returns the pages per second over 8 connections; a small process of its own requests them."""
    request = f"GET /{MODULE} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n\r\n"
    program = f"""
import re, selectors, socket, sys, time
request = {request.encode()!r}
waiting = selectors.DefaultSelector()
for _ in range(8):
    client = socket.create_connection(("127.0.0.1", {port}))
    client.sendall(request)
    waiting.register(client, selectors.EVENT_READ, bytearray())
count, started = 0, time.perf_counter()
while (seconds := time.perf_counter() - started) < {PAGE_SECONDS}:
    for key, _ in waiting.select():
        key.data.extend(key.fileobj.recv(1 << 16))
        head, separator, body = key.data.partition(b"\\r\\n\\r\\n")
        if separator and len(body) >= int(re.search(rb"content-length: (\\d+)", head)[1]):
            assert head.startswith(b"HTTP/1.1 200"), head
            key.data.clear()
            count += 1
            key.fileobj.sendall(request)
print(count / seconds)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


@dataclass(frozen=True)
class Measurement:
    """What one run measures: rates in MB/s, memory in bytes.

    Attributes:
        ours, theirs: median rates with CONNECTIONS clients, of our server and of http.server.
        few_memory, many_memory: our server's peak memory with CONNECTIONS and with all clients.
        pages: pages per second.
        damaged: how many of all clients got damaged downloads.
        seconds: how long their downloads took.
    """

    ours: float
    theirs: float
    few_memory: int
    many_memory: int
    pages: float
    damaged: int
    seconds: float


def measure(folder: Path, clients: int) -> Measurement:
    """Writes a hub to `folder` and serves it with both servers."""
    digest = write_hub(folder / "hub")
    command = ["pipeline.serve", str(folder / "hub"), "--port", "0", "--proxies", "127.0.0.1"]  # for all clients
    plain = ["http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder / "hub")]
    tarball = f"/{MODULE}.tar.gz"
    with (
        serving(command, r"at http://127\.0\.0\.1:(\d+)/", folder / "ours.log") as (port, process),
        serving(plain, r"port (\d+)", folder / "plain.log") as (plain_port, _),
    ):
        download(port, tarball)
        with Watch(process) as few:
            rates = [(measure_rate(port, tarball), measure_rate(plain_port, tarball)) for _ in range(RUNS)]
        pages = measure_pages(port)
        started = time.perf_counter()
        with Watch(process) as many:
            damaged = count_damaged(port, clients, digest)
        seconds = time.perf_counter() - started
    ours, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
    return Measurement(ours, theirs, few.peak, many.peak, pages, damaged, seconds)


def main() -> None:
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name:
        measured = measure(Path(name), clients)
    ratio = measured.ours / measured.theirs
    few, many, allowed = measured.few_memory / 1e6, measured.many_memory / 1e6, clients * 2 * CHUNK / 1e6
    print(f"{clients} clients at once, {MEGABYTES} MB each, with SHA-256: {measured.damaged} damaged,"
          f" {measured.seconds:.1f} s, {clients * MEGABYTES / measured.seconds:.0f} MB/s")  # fmt: skip
    print(f"pages of 20 kB: {measured.pages:,.0f} pages/s")
    print(f"tarball, {CONNECTIONS} clients: {measured.ours:.0f} MB/s, http.server {measured.theirs:.0f} MB/s,"
          f" ratio {ratio:.2f}")  # fmt: skip
    print(f"peak memory: {few:.0f} MB with {CONNECTIONS} clients, {many:.0f} MB with {clients}")
    if measured.damaged or measured.pages < PAGES_PER_SECOND or ratio < RATIO or many - few > allowed:
        raise SystemExit(
            f"expected 0 damaged, at least {PAGES_PER_SECOND:,} pages/s, a ratio of at least {RATIO}, and at most"
            f" {allowed:.0f} MB more with {clients} clients"
        )


if __name__ == "__main__":
    main()
