"""Sends hostile requests to `make serve`, and more connections than it has descriptors for.

    python -m benchmarks.hostile_requests [--count COUNT] [--seed SEED]

- COUNT requests, two thirds in form and a third not (tests/server/hostile.py): no answer has anything from outside of
  the hub, none is an error of the server, and the log has lines of printable ASCII alone.
- Three bursts of 800 connections where the server may open 420 files; what the log has then, and how long the server
  takes for a page afterwards, while one address holds half-open connections.

Prints the answers by status, the times, the size of the log and the server's CPU time.
"""

import argparse
import logging
import resource
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from pipeline.server import connections, middleware
from pipeline.server.connections import Connection
from pipeline.server.log import ACCESS
from tests.conftest import ROOT
from tests.server.harness import rest, running, write_hub
from tests.server.hostile import Log, Public

FILES, BURSTS, BURST = 420, 3, 800
LARGEST_LOG, SECONDS = 2_000, 2.0  # bytes of the bursts' log; for the page and of CPU time
_PAGE = b"GET /index.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def send_requests(folder: Path, count: int, seed: int) -> None:
    """Sends hostile requests, and prints how they were answered."""
    Connection.head_seconds = middleware.LINGER_SECONDS = connections.LINGER_SECONDS = 0.3
    log, public, random = Log(), Public(folder), Random(seed)
    logging.getLogger().addHandler(log)
    ACCESS.setLevel(logging.INFO)
    started = time.monotonic()
    with running(public.root, "gs://bucket") as server:
        public.run_requests(server, random, count - count // 3)
        public.run_wild(server, random, count // 3)
        if server.ask("/healthz").status != 200:
            raise SystemExit("the server does not answer any more")
    seconds = time.monotonic() - started
    statuses = dict(sorted(public.statuses.items()))
    print(f"{count:,} requests: answers {statuses}, {log.lines:,} lines of log, {seconds:.0f} s", flush=True)
    if log.faults:
        raise SystemExit(f"the log has {len(log.faults)} errors or odd lines, such as {log.faults[0]!r}")


def _connect(port: int, count: int, stack: ExitStack) -> None:
    """Opens connections without waiting for any, and sends a part of a head over those that are open."""
    clients = [stack.enter_context(socket.socket()) for _ in range(count)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
    for client in clients:
        try:
            client.send(b"GET / HTTP/1.1\r\n")
        except OSError:  # closed already, or not open yet
            continue


def _ask(port: int) -> float:
    """Returns the seconds that a page takes from another address."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 30, source_address=("127.0.0.2", 0)) as client:
        client.sendall(_PAGE)
        if not rest(client).startswith(b"HTTP/1.1 200 "):
            raise SystemExit("another address gets no page after the bursts")
    return time.monotonic() - started


def send_bursts(folder: Path) -> None:
    """Opens more connections than the server has descriptors for, and prints what it makes of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * BURST * BURSTS), hard))
    command = f"ulimit -n {FILES}; exec {sys.executable} -m pipeline.serve '{write_hub(folder / 'hub')}' --port 0"
    with subprocess.Popen(
        ["bash", "-c", command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr
            port = int(process.stderr.readline().split(b"127.0.0.1:")[1].split(b"/")[0])
            with ExitStack() as stack:
                for _ in range(BURSTS):
                    _connect(port, BURST, stack)
                seconds = _ask(port)
        finally:
            process.terminate()
        errors = process.stderr.read()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(f"{BURSTS} bursts of {BURST} connections, {FILES} descriptors: {len(errors):,} bytes of log, a page for"
          f" another address in {seconds:.2f} s, {cpu:.1f} s of CPU time with its start")  # fmt: skip
    if len(errors) > LARGEST_LOG or seconds > SECONDS:
        raise SystemExit(f"expected at most {LARGEST_LOG:,} bytes and {SECONDS} s:\n{errors[:2000].decode()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        send_requests(Path(name), settings.count, settings.seed)
    with tempfile.TemporaryDirectory() as name:
        send_bursts(Path(name))


if __name__ == "__main__":
    main()
