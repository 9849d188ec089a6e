"""Kills publish at random moments, and before each of its changes, and checks that the hub is whole (Linux).

    python -m benchmarks.publishing_kills [--kills 100] [--seed 1]

Three cases: a first publication; a corrected card and plot; version 2 after a corrected card of version 1. After each
kill the index, and index.json, list files that are there with their digests, every link of the start page leads to a
page, and all JSON is whole; and the next publish makes the hub that a run without a kill makes, without leftovers.
Fails otherwise.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from random import Random

from pipeline.facts.collection import Module
from tests.publishing_kills import find_damage, kill_after, kill_before
from tests.test_publish import MODULE, files, publish, write_member
from tests.test_publish_interrupted import write_edition

_SECOND = Module(2, MODULE.title)


def publish_first(folder: Path) -> None:
    publish(write_edition(folder / "mini", "earlier"), folder / "hub")


def publish_correction(folder: Path) -> None:
    publish(write_edition(folder / "mini", "corrected"), folder / "hub")


def publish_second(folder: Path) -> None:
    """Publishes a corrected version 1, then version 2."""
    publish_correction(folder)
    publish(write_member(folder / "mini", b"another graph"), folder / "hub", _SECOND)


CASES: dict[str, tuple[Callable[[Path], None] | None, Callable[[Path], None]]] = {
    "first publication": (None, publish_first),
    "corrected card": (publish_first, publish_correction),
    "version 2": (publish_first, publish_second),
}


def quietly(work: Callable[[Path], None], folder: Path) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        work(folder)


def run_case(name: str, kills: int, random: Random, folder: Path) -> str:
    """Kills one case before each change, and at random moments; returns a line of figures.

    Raises:
        SystemExit: when a hub is not whole, or not completed.
    """
    before, work = CASES[name]
    base, copy = folder / "base", folder / "copy"
    base.mkdir()
    if before:
        quietly(before, base)
    shutil.copytree(base, copy)
    started = time.perf_counter()
    quietly(work, copy)
    duration, after = time.perf_counter() - started, files(copy / "hub")

    def attempt(kill: Callable[[], bool], what: str) -> bool:
        shutil.rmtree(copy)
        shutil.copytree(base, copy)
        killed = kill()
        problems = find_damage(copy / "hub") if (copy / "hub").exists() else []
        quietly(work, copy)
        if files(copy / "hub") != after:
            problems.append("the next publish makes another hub, or leaves files behind")
        if problems:
            raise SystemExit("\n".join([f"{name}, {what}:", *problems]))
        return killed

    changes = killed = 0
    while attempt(partial(kill_before, changes + 1, partial(work, copy)), f"killed before change {changes + 1}"):
        changes += 1
    while killed < kills:
        seconds = random.uniform(0, duration)
        killed += attempt(partial(kill_after, seconds, partial(work, copy)), f"killed after {seconds:.4f} s")
    return f"{name}: killed before each of {changes} changes and at {killed} random moments: whole, and completed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="at random moments, of each case")
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    random = Random(settings.seed)
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            print(run_case(name, settings.kills, random, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
