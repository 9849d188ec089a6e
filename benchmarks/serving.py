"""How fast `make serve` is, beside Python's own static server in the same run.

    python -m benchmarks.serving [CLIENTS]

A tarball of 100 MB and a page of 20 kB, on loopback:

- 200 clients (or CLIENTS) at once download the tarball whole, each with its SHA-256 taken on the way;
- page requests per second, over 8 connections that are kept alive, the access log written to a file;
- the tarball's rate over 4 connections at once, in turn from us and from `python -m http.server`, five times each;
- the server's resident memory all the while, looked at every 0.1 s.

Fails when a download is damaged, below 1,000 pages a second or 0.8 of the other server's rate, or when the memory grows
by more than what CHUNK of pipeline.server.app allows the clients.
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
from pathlib import Path

from benchmarks.memory import Watch
from pipeline.server.app import CHUNK

ROOT = Path(__file__).parents[1]
MEGABYTES = 100
RUNS = 5
CONNECTIONS = 4
REPEATS = 4
PAGE_SECONDS = 5.0
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
    os.utime(page, (1_700_000_000, 1_700_000_000))  # one just written would be read anew each time
    file = {"path": f"{MODULE}.tar.gz", "size": len(content), "sha256": digest}
    (hub / "index.json").write_text(json.dumps({"modules": {MODULE: {"files": [file]}}, "collections": {}}))
    return digest


@contextmanager
def serving(command: list[str], announcement: str, log: Path) -> Iterator[tuple[int, int]]:
    """Runs a server until the block ends; yields its port and its process."""
    command = [sys.executable, "-u", "-m", *command]
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT) as process,
    ):
        try:
            while not (found := re.search(announcement, log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"{command[3]} did not start: {log.read_text()}")
                time.sleep(0.05)
            yield int(found[1]), process.pid
        finally:
            process.terminate()


def download(port: int, path: str, take: Callable[[memoryview], object] | None = None) -> int:
    """Gets a file over a connection of its own; returns its size in bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("GET", path)
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{path}: expected 200, got {response.status}")
    buffer, size = memoryview(bytearray(1 << 18)), 0
    while count := response.readinto(buffer):
        size += count
        if take:
            take(buffer[:count])
    connection.close()
    return size


def rate(port: int, path: str) -> float:
    """Returns the MB/s of CONNECTIONS downloads at once, REPEATS times."""
    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        sizes = list(pool.map(lambda _: download(port, path), range(CONNECTIONS * REPEATS)))
    return sum(sizes) / 1e6 / (time.perf_counter() - started)


def damaged(port: int, clients: int, digest: str) -> int:
    """Downloads the tarball by `clients` at once; returns how many got other bytes."""

    def one(_: int) -> bool:
        found = hashlib.sha256()
        download(port, f"/{MODULE}?tf-hub-format=compressed", found.update)
        return found.hexdigest() != digest

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(one, range(clients)))


def pages(port: int) -> float:
    """Returns the page requests per second over 8 connections, which a process of little work keeps busy."""
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
        head, found, body = key.data.partition(b"\\r\\n\\r\\n")
        if found and len(body) >= int(re.search(rb"content-length: (\\d+)", head)[1]):
            assert head.startswith(b"HTTP/1.1 200"), head
            key.data.clear()
            count += 1
            key.fileobj.sendall(request)
print(count / seconds)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digest = write_hub(folder / "hub")
        ours = ["pipeline.serve", str(folder / "hub"), "--port", "0"]
        plain = ["http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder / "hub")]
        with (
            serving(ours, r"at http://127\.0\.0\.1:(\d+)/", folder / "ours.log") as (port, process),
            serving(plain, r"port (\d+)", folder / "plain.log") as (plain_port, _),
        ):
            download(port, f"/{MODULE}.tar.gz")
            with Watch(process) as one:
                rates = [(rate(port, f"/{MODULE}.tar.gz"), rate(plain_port, f"/{MODULE}.tar.gz")) for _ in range(RUNS)]
            per_second = pages(port)
            started = time.perf_counter()
            with Watch(process) as many:
                wrong = damaged(port, clients, digest)
            seconds = time.perf_counter() - started
    mine, theirs = (statistics.median(column) for column in zip(*rates, strict=True))
    grown, allowed = many.peak - one.peak, clients * 2 * CHUNK
    print(f"{clients} clients at once, {MEGABYTES} MB each, SHA-256 taken: {wrong} damaged, {seconds:.1f} s,"
          f" {clients * MEGABYTES / seconds:.0f} MB/s")  # fmt: skip
    print(f"pages of 20 kB: {per_second:,.0f} a second")
    print(f"tarball, {CONNECTIONS} clients: {mine:.0f} MB/s, http.server {theirs:.0f} MB/s, ratio {mine / theirs:.2f}")
    print(f"memory: {one.peak / 1e6:.0f} MB with {CONNECTIONS} clients, {many.peak / 1e6:.0f} MB with {clients}")
    if wrong or per_second < 1000 or mine < 0.8 * theirs or grown > allowed:
        raise SystemExit(
            f"expected none damaged, 1,000 pages a second, a ratio of 0.8, and {allowed / 1e6:.0f} MB more at most"
        )


if __name__ == "__main__":
    main()
