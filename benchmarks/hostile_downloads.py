"""Downloads files through thousands of faulty answers, and kills downloads at random moments.

    python -m benchmarks.hostile_downloads [--faults COUNT] [--kills COUNT] [--seed SEED]

- FAULTS: sequences of up to 13 faulty answers (tests/download/faults.py) before a right one. Each ends with the right
  file, or with one sentence; and then the right file comes from a server without faults.
- Kills: a process that downloads 1 MB, which takes it half a second, is killed at a random moment of its life, one to
  three times; then the next download brings the right file, and no wrong one was ever there.

Prints the outcomes, the time and the peak memory. Fails for a wrong file, an exception or a line with control
characters, or when nothing was killed while it downloaded.
"""

import argparse
import contextlib
import hashlib
import io
import multiprocessing
import tempfile
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from pipeline.base.command import peak_memory
from pipeline.download import cache
from pipeline.download.obtain import Access, obtain_file
from tests.download.faults import CONTENT, resource_headers, run_sequence
from tests.faulty_server import Handler, Resource, begin, faulty

LARGE = Random(8).randbytes(1_000_003)
SHA256 = hashlib.sha256(LARGE).hexdigest()
_PIECES = 50


def run_faults(folder: Path, count: int, seed: int) -> Counter[str]:
    """Runs sequences of faults; returns how many ended how."""
    outcomes: Counter[str] = Counter()
    lines = io.StringIO()
    with faulty(CONTENT, headers=resource_headers()) as server, contextlib.redirect_stderr(lines):
        for number in range(seed * 1_000_000, seed * 1_000_000 + count):
            reason = run_sequence(server, folder, number)
            outcomes["given up in one sentence, then whole" if reason else "whole"] += 1
    odd = [line for line in lines.getvalue().split("\n") if line and not line.isprintable()]
    if odd:
        raise SystemExit(f"a line with control characters: {odd[0]!r}")
    return outcomes


def slow(handler: Handler, resource: Resource) -> None:
    """Sends the file in pieces, during half a second."""
    start = begin(handler, resource)
    size = len(resource.content) // _PIECES
    for position in range(start or 0, len(resource.content), size):
        handler.body(resource.content[position : position + size])
        time.sleep(0.5 / _PIECES)


def download(url: str, folder: str) -> None:
    """Downloads a file; the body of the process that is killed."""
    with contextlib.redirect_stderr(io.StringIO()), obtain_file(url, Access(Path(folder)), "kill") as file:
        if file.sha256 != SHA256:
            raise SystemExit("a wrong file")


def _start(url: str, folder: Path) -> BaseProcess:
    process = multiprocessing.get_context("forkserver").Process(target=download, args=(url, str(folder)))
    process.start()
    return process


def _state(folder: Path, url: str) -> str:
    """Returns how far a download has come; raises SystemExit for a wrong file."""
    with cache.open_entry(folder, url, "kill") as entry:
        if entry.file.exists():
            if hashlib.sha256(entry.file.read_bytes()).hexdigest() != SHA256:
                raise SystemExit("a wrong file stands in the cache after a kill")
            return "killed after its end"
        part = entry.read_part()
        return "killed while it downloaded" if part and part.size else "killed before its first byte"


def run_kills(folder: Path, count: int, seed: int) -> Counter[str]:
    """Kills downloads `count` times; returns where they were."""
    random, states = Random(seed), Counter[str]()
    with faulty(LARGE) as server:
        server.script = [slow] * 10_000
        _start(server.url("first"), folder).join()  # and imports
        started = time.monotonic()
        _start(server.url("second"), folder).join()
        seconds = time.monotonic() - started
        while states.total() < count:
            url = server.url(f"{states.total()}.npz")
            for _ in range(min(random.randint(1, 3), count - states.total())):
                process = _start(url, folder)
                process.join(random.uniform(0, seconds * 1.1))
                process.kill()
                process.join()
                states[_state(folder, url)] += 1
            final = _start(url, folder)
            final.join(60)
            if final.exitcode != 0 or _state(folder, url) != "killed after its end":
                raise SystemExit("after a kill, the next download does not bring the file")
    return states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=3100, metavar="COUNT")
    parser.add_argument("--kills", type=int, default=195, metavar="COUNT")
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["pipeline.download.obtain", "tests.download.faults"]
    )
    with tempfile.TemporaryDirectory() as name:
        started = time.monotonic()
        outcomes = run_faults(Path(name, "faults"), settings.faults, settings.seed)
        print(
            f"{settings.faults:,} sequences of faults: {dict(outcomes)}, {time.monotonic() - started:.0f} s", flush=True
        )
        started = time.monotonic()
        states = run_kills(Path(name, "kills"), settings.kills, settings.seed)
        print(f"{settings.kills} kills: {dict(states)}, {time.monotonic() - started:.0f} s; 0 wrong files")
    print(f"peak memory {peak_memory() / 1e9:.2f} GB")
    if not states["killed while it downloaded"]:
        raise SystemExit("no download was killed while it downloaded; the kills prove nothing")


if __name__ == "__main__":
    main()
