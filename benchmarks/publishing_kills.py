"""Kills publish at random moments and checks that the hub is whole (Linux).

    python -m benchmarks.publishing_kills [--kills 200] [--seed 1]

A hub has version 1 of a member; version 2 and a corrected card of version 1's are published, and killed meanwhile.
Afterwards every file is the old or the new one, whole; index.json lists no tarball that is not there; and the next
publish makes the hub that a run without a kill makes, without leftovers. Fails otherwise.
"""

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from random import Random

from pipeline.base.files import sha256_of
from pipeline.facts.collection import Module
from pipeline.hub.folder import read_index
from tests.test_publish import MODULE, files, publish, write_member

Files = dict[str, bytes]
_SECOND = Module(2, MODULE.title)


def publish_both(member: Path, hub: Path) -> None:
    """Publishes the corrected version 1, then version 2."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        (member / "fe.md").write_text("# Module fe, corrected\n")
        publish(member, hub)
        write_member(member, b"another graph")
        publish(member, hub, _SECOND)


def run_until(seconds: float, member: Path, hub: Path) -> bool:
    """Publishes in a process that is killed after a time; returns whether the kill came before its end."""
    process = os.fork()
    if not process:
        try:
            publish_both(member, hub)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != 0


def find_damage(hub: Path, before: Files, after: Files) -> list[str]:
    """Returns what is wrong with a hub whose publisher was killed."""
    problems = []
    for name, content in files(hub).items():
        # Lists of modules have a state of their own between the two publications.
        is_list = name.endswith((".html", ".json", "tester.md"))
        if name in after and not is_list and content not in (before.get(name), after[name]):
            problems.append(f"{name} is neither the old nor the new file")
        if name not in after and not Path(name).name.startswith("."):
            problems.append(f"{name} is left over")
    index = read_index(hub)
    for entry in index.modules.values():
        path = hub / entry.tarball.path
        if not path.is_file() or sha256_of(path) != entry.tarball.sha256:
            problems.append(f"index.json lists {entry.tarball.path}, which is missing or damaged")
    for name in files(hub):
        if name.endswith(".json"):
            json.loads((hub / name).read_bytes())
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    random, killed = Random(settings.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        base, work = Path(folder, "base"), Path(folder, "work")
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            publish(write_member(base / "mini"), base / "hub")
        before = files(base / "hub")
        shutil.copytree(base, work)
        started = time.perf_counter()
        publish_both(work / "mini", work / "hub")
        duration, after = time.perf_counter() - started, files(work / "hub")
        runs = 0
        while killed < settings.kills:
            runs += 1
            shutil.rmtree(work)
            shutil.copytree(base, work)
            killed += run_until(random.uniform(0, duration), work / "mini", work / "hub")
            problems = find_damage(work / "hub", before, after)
            write_member(work / "mini")
            publish_both(work / "mini", work / "hub")
            if files(work / "hub") != after:
                problems.append("the next publish makes another hub, or leaves files behind")
            if problems:
                raise SystemExit("\n".join([f"kill {killed} (seed {settings.seed}):", *problems]))
    print(f"{killed} kills in {runs} runs of publish, {duration:.2f} s each: the hub was whole after all of them")


if __name__ == "__main__":
    main()
