"""Publishes copies of the demo with RUNNER=local and on two workers of Ray, and kills nodes meanwhile (Linux).

    python -m benchmarks.cluster [--members 20] [--workers 2 ...] [--kills 0] [--seed 1]

Each worker is a node of Ray with one core. All runs must publish the same tarballs, and the one on two workers must
take at most 0.6 of the time of `make -j2`. With --kills, tiny members are published instead while nodes are killed that
convert, validate and publish, and new ones join: the hub must be the one of RUNNER=local, without leftovers. Figures
for more workers are simulated from the times of the stages that were measured.
"""

import argparse
import ctypes
import heapq
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.ray_nodes import Cluster, Node, cluster, reap
from pipeline.base.environment import QUICK_XLA_FLAGS
from pipeline.base.files import sha256_of
from tests.conftest import ROOT, copy_project, write_collection

LIMIT = 0.6
PATIENCE = 15.0  # seconds for the runner to end
# After which stages of its member each runs, as in the Makefile; a member is published when all of them have ended.
AFTER = {
    "fetch": (), "convert": ("fetch",), "validate": ("convert",), "package": ("convert",), "formats": ("validate",),
    "card": ("formats",), "publish": ("card", "package"),
}  # fmt: skip
SIMULATED = (1, 2, 10, 100, 1000)
# The stages whose nodes are killed, at a moment within so many seconds after they were seen there.
LONGEST = {"convert": 8.0, "validate": 20.0, "publish": 0.5}
KILLS_OF_A_STAGE = 2  # in a run of two members: a task is tried five times
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


@dataclass(frozen=True)
class Run:
    """A run of make.

    Attributes:
        seconds: its wall time.
        processor: the processor time of all its processes, in seconds.
        output: what it printed.
    """

    seconds: float
    processor: float
    output: str


def adopt_orphans() -> None:
    """Makes this process the parent of those whose parent has ended, so that their processor time is counted."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def processor_time() -> float:
    """Returns the processor time of all processes that have ended since adopt_orphans(), in seconds."""
    reap()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def write_demos(tree: Path, count: int) -> None:
    """Writes a copy of the project whose collection `demo` has copies of the demo's member."""
    copy_project(tree)
    cards = ROOT / "model_cards"
    shutil.copytree(cards / "demo", tree / "model_cards/demo")
    member = tree / "model_cards/demo/vit_demo.yaml"
    text = member.read_text()
    with np.load(member.with_suffix(".npz"), allow_pickle=False) as file:
        arrays = dict(file)
    for number in range(1, count):
        name = f"copy_{number:02}"
        # Other weights, which compute nearly the same: a hub refuses the same bytes under two handles.
        np.savez(
            member.with_name(f"{name}.npz"),
            allow_pickle=False,
            **arrays | {"head/bias": arrays["head/bias"] + number / 1e6},
        )
        own = re.sub("title: .*", f"title: ViT-Mini4 on Fashion-MNIST, copy {number}", text, count=1)
        own = re.sub("  sha256: .*\n", "", own, count=1).replace("vit_demo", name)
        member.with_name(f"{name}.yaml").write_text(own)


def write_tiny(tree: Path, count: int) -> None:
    """Writes a copy of the project whose collection `tiny` has members with random weights."""
    copy_project(tree)
    write_collection(tree / "model_cards/tiny", {f"tiny_{number}": ("Nano/8", 16) for number in range(count)})


def publish(tree: Path, name: str, *settings: str, **variables: str) -> Run:
    """Publishes all members into the folder `name` of the tree.

    Raises:
        SystemExit: when make fails.
    """
    line = [
        "make", f"PYTHON={sys.executable}", "publish-all", "FORMATS=xla", f"ARTIFACTS={name}",
        f"CACHE={tree}/cache", *settings,
    ]  # fmt: skip
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    started, before = time.monotonic(), processor_time()
    done = subprocess.run(line, cwd=tree, env=inherited | variables, capture_output=True, text=True, check=False)
    run = Run(time.monotonic() - started, processor_time() - before, done.stdout + done.stderr)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} failed:\n{run.output[-3000:]}")
    return run


def tarballs(hub: Path) -> dict[str, str]:
    """Returns the digests of a hub's tarballs."""
    return {str(path.relative_to(hub)): sha256_of(path) for path in sorted(hub.rglob("*.tar.gz"))}


def check_same(tree: Path, local: str, other: str) -> list[str]:
    """Returns a sentence where two runs published other files, or left some behind."""
    hubs = [tree / name / "hub" for name in (local, other)]
    names = [{name_of(path, hub) for path in hub.rglob("*") if path.is_file()} for hub in hubs]
    problems = []
    if names[0] != names[1]:
        problems.append(f"other files: {sorted(names[0] ^ names[1])[:5]}")
    if tarballs(hubs[0]) != tarballs(hubs[1]):
        problems.append("other bytes in the tarballs")
    end = time.monotonic() + PATIENCE  # the runner ends after make
    while (left := [str(path) for path in (tree / other).rglob(".*.part")]) and time.monotonic() < end:
        time.sleep(0.1)
    if left:
        problems.append(f"leftovers: {left[:5]}")
    return problems


def name_of(path: Path, hub: Path) -> str:
    """Returns the path of a file in a hub, without the digest in its name: statements and reports have times."""
    return re.sub(r"(?<=\.)[0-9a-f]{16}(?=\.)", "", str(path.relative_to(hub)))


# Kills ----------------------------------------------------------------------------------------------------------------
class Killer:
    """Kills the nodes of running stages and starts others: in turn one that converts, validates and publishes."""

    def __init__(self, nodes: Cluster, stages: Sequence[str], random: Random) -> None:
        """Kills nothing yet.

        Args:
            nodes: the cluster.
            stages: those that are to run on the nodes that are killed, one for each kill.
            random: chooses the moments.
        """
        self.killed: list[str] = []  # of the stages, in the order of the kills
        self._targets, self._nodes, self._random = list(stages), nodes, random
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            self._kill()
        except (OSError, subprocess.SubprocessError) as error:  # a node that does not start
            self._error = error

    def _kill(self) -> None:
        while self._targets and not self._ended.wait(0.02):
            for node in self._nodes.workers:
                if (stage := stage_on(node)) not in self._targets:
                    continue
                self._ended.wait(self._random.uniform(0, LONGEST[stage]))
                if stage_on(node) == stage:
                    self._targets.remove(stage)
                    self.killed.append(stage)
                    node.kill()
                    node.start()


def stage_on(node: Node) -> str:
    """Returns the stage that runs on a node, from the title of Ray's worker; empty for none."""
    for process in node.processes():
        try:
            title = Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
        except OSError:
            continue
        if match := re.match(
            r"ray::(convert|validate|member_formats|publish|package|card|fetch|check|published) ", title
        ):
            return match[1]
    return ""


def run_kills(tree: Path, folder: Path, kills: int, random: Random) -> list[str]:
    """Publishes tiny members until so many nodes were killed; prints figures, and returns what is wrong."""
    write_tiny(tree, 2)
    publish(tree, "local", "COLLECTION=tiny", "-j2", XLA_FLAGS=QUICK_XLA_FLAGS)
    killed: list[str] = []
    problems: list[str] = []
    retries = rounds = 0
    left = Counter(stage for _, stage in zip(range(kills), cycle(LONGEST), strict=False))
    with cluster(folder, 2) as nodes:
        while left and not problems:
            rounds += 1
            targets = [stage for stage in left for _ in range(min(left[stage], KILLS_OF_A_STAGE))]
            with Killer(nodes, targets, random) as killer:
                settings = ("COLLECTION=tiny", "RUNNER=ray", f"RAY_ADDRESS={nodes.address}", "-j64")
                run = publish(tree, "ray", *settings, XLA_FLAGS=QUICK_XLA_FLAGS)
            killed += killer.killed
            left -= Counter(killer.killed)
            retries += run.output.count("trying again")
            problems += check_same(tree, "local", "ray")
            if not killer.killed:
                problems.append(f"no node was killed that ran {' or '.join(left)}")
            shutil.rmtree(tree / "ray")
            print(
                f"run {rounds}: killed while {', '.join(killer.killed) or 'nothing'} ran, {run.seconds:.0f} s",
                flush=True,
            )
    stages = ", ".join(f"{stage} {killed.count(stage)}" for stage in sorted(set(killed)))
    print(f"{len(killed)} nodes killed in {rounds} runs ({stages}), {retries} further attempts", flush=True)
    return problems


# Times ----------------------------------------------------------------------------------------------------------------
def stage_times(output: str) -> dict[str, float]:
    """Returns the median time of each stage from what make printed, in seconds."""
    times: dict[str, list[float]] = {}
    for stage, seconds in re.findall(r"^(\w+) \S+(?: [^:\n]*)?: ([0-9.]+) s, peak memory", output, re.MULTILINE):
        times.setdefault(stage, []).append(float(seconds))
    return {stage: statistics.median(times[stage]) for stage in AFTER if stage in times}


def simulate(times: Mapping[str, float], members: int, workers: int) -> float:
    """Returns how long so many members take on so many workers, each of which runs one stage at a time, in seconds.

    Whoever is free takes the stage with the longest path to the end of its member. One member is published at a time.
    A shared disk, the head node and nodes of several speeds are left out.
    """
    rest = {stage: times[stage] + _longest_after(stage, times) for stage in times}
    waiting = {(stage, member): len(AFTER[stage]) for stage in times for member in range(members)}
    ready = [(-rest[stage], member, stage) for stage, member in waiting if not AFTER[stage]]
    heapq.heapify(ready)
    running: list[tuple[float, int, str]] = []
    publishing: list[tuple[float, int, str]] = []  # members that wait for another one's publication
    is_publishing, now = False, 0.0
    while ready or running:
        while ready and len(running) < workers:
            order, member, stage = heapq.heappop(ready)
            if stage == "publish" and is_publishing:
                publishing.append((order, member, stage))
                continue
            is_publishing = is_publishing or stage == "publish"
            heapq.heappush(running, (now + times[stage], member, stage))
        now, member, ended = heapq.heappop(running)
        if ended == "publish":
            is_publishing = False
            if publishing:
                heapq.heappush(ready, publishing.pop(0))
        for stage in (stage for stage in times if ended in AFTER[stage]):
            waiting[stage, member] -= 1
            if not waiting[stage, member]:
                heapq.heappush(ready, (-rest[stage], member, stage))
    return now


def _longest_after(stage: str, times: Mapping[str, float]) -> float:
    return max(
        (times[later] + _longest_after(later, times) for later in times if stage in AFTER[later]),
        default=0.0,
    )


def publish_on_workers(tree: Path, folder: Path, workers: int, is_pinned: bool) -> Run:
    """Publishes the demo's copies on so many workers, into the folder `ray` of the tree; the start of Ray counts."""
    before, place = processor_time(), folder / str(workers)
    place.mkdir()
    with cluster(place, workers, pinned=is_pinned) as nodes:
        run = publish(tree, "ray", "COLLECTION=demo", "RUNNER=ray", f"RAY_ADDRESS={nodes.address}", "-j64")
    return replace(run, processor=processor_time() - before)


def run_times(tree: Path, folder: Path, members: int, workers: Sequence[int], is_pinned: bool) -> list[str]:
    """Publishes copies of the demo both ways; prints figures, and returns what is wrong."""
    write_demos(tree, members)
    local = publish(tree, "local", "COLLECTION=demo", "-j2")
    print(f"{members} members, RUNNER=local -j2: {local.seconds:.0f} s, {local.processor:.0f} CPU s", flush=True)
    problems: list[str] = []
    times: dict[str, float] = {}
    for count in workers:
        run = publish_on_workers(tree, folder, count, is_pinned)
        ratio = run.seconds / local.seconds
        print(
            f"{members} members, workers of Ray: {count}: {run.seconds:.0f} s ({ratio:.2f} of it),"
            f" {run.processor:.0f} CPU s with those of the nodes' start",
            flush=True,
        )
        times = stage_times(run.output)
        print("  ".join(f"{stage} {seconds:.1f} s" for stage, seconds in times.items()))
        problems += check_same(tree, "local", "ray")
        if noise := re.findall(r"^.*AOT result.*$", run.output, re.MULTILINE):
            problems.append(f"{len(noise)} lines of XLA's: {noise[0]}")
        if ratio > LIMIT and count > 1:
            problems.append(f"{ratio:.2f} of the time of RUNNER=local -j2, limit {LIMIT}")
        shutil.rmtree(tree / "ray")
    base = simulate(times, 1000, 1)
    for count in SIMULATED:
        seconds = simulate(times, 1000, count)
        print(
            f"simulated: 1,000 members on {count} workers: {seconds:,.0f} s, {base / seconds:.1f} times as fast as on 1"
        )
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description="Measures RUNNER=ray.")
    parser.add_argument("--members", type=int, default=20, help="copies of the demo (default: 20)")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="nodes of one core, by turns (default: 2)")
    parser.add_argument("--pinned", action="store_true", help="each worker has a core of this machine for itself")
    parser.add_argument("--kills", type=int, default=0, help="kill so many nodes instead, while tiny members are made")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills (default: 1)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # its nodes end as after Ctrl-C
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="b", dir="/tmp"))  # a short path, for the sockets of Ray
    try:
        if args.kills:
            problems = run_kills(folder / "tree", folder, args.kills, Random(args.seed))
        else:
            problems = run_times(folder / "tree", folder, args.members, args.workers, args.pinned)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if problems:
        raise SystemExit("; ".join(problems))


if __name__ == "__main__":
    main()
