"""Kills releases, lets two publishers meet, cuts lines and fills targets, and checks the hub after each.

    python -m benchmarks.releasing_kills [--kills 100] [--rounds 100] [--faults 20] [--targets folder s3 ...] [--seed 1]

Targets are a folder and the object stores of tests/targets/servers.py; one that is not installed is named and left out.
Releases run as processes, as make runs them, through a proxy that kills them at a request: before the store gets it, or
before they get the answer. Releases to a folder are killed before an operation, or at a random time. First releases and
corrections of every card take turns. After each kill the hub must be whole, and the next release must complete it.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pipeline.base.fault import Fault
from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from pipeline.targets.remote import Patience
from tests.hubs import read_document
from tests.releasing.hubs import correct_card, find_damage, find_lack, halves, write_released_hub
from tests.targets.proxy import Behaviour, Handler, Proxy, Request, cut, good, halve, lose_answer, proxying, status
from tests.targets.servers import Missing, Server, azurite, fake_gcs, moto, nanio

ROOT = Path(__file__).parents[1]
QUICK = Patience(tries=8, pause=0.01, longest=0.1)
STORES = {"s3": moto, "gs": fake_gcs, "az": azurite}


@dataclass(frozen=True)
class Place:
    """Where releases go: a folder or a bucket, with a proxy before its server, and the way around the proxy."""

    name: str
    address: str
    proxy: Proxy | None
    server: Server | None

    def new(self) -> str:
        """Returns the address of an empty target."""
        return f"{self.address}/{secrets.token_hex(6)}"

    def environment(self, is_direct: bool) -> dict[str, str]:
        if not self.server or not self.proxy:
            return {}
        url = self.server.url if is_direct else self.proxy.url
        return {name: value.replace(self.server.url, url) for name, value in self.server.environment.items()}

    def open(self, address: str, is_direct: bool = True) -> Target:
        """Opens a target without the proxy, or through it."""
        with changed_environment(self.environment(is_direct)):
            return open_target(address, QUICK)


@contextmanager
def changed_environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def fail(place: Place, what: str, problems: list[str]) -> None:
    if problems:
        raise SystemExit("\n".join([f"{place.name}, {what}:", *problems]))


# Kills ----------------------------------------------------------------------------------------------------------------
def start(place: Place, hub: Path, address: str, number: int) -> subprocess.Popen[bytes]:
    """Starts a release as make does; one to a folder kills itself before its operation of a number, below 0 never."""
    artifacts = hub.parent / "artifacts"
    words = ["pipeline.release", "run", hub, address, "--artifacts", artifacts]
    if not place.proxy and number >= 0:
        words = ["tests.releasing.watched", hub, address, artifacts, number]
    environment = os.environ | place.environment(is_direct=False)
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_at(place: Place, hub: Path, address: str, number: int, random: Random) -> bool:
    """Releases and kills the process at a request; returns whether the kill came before the end."""
    if place.proxy is None:
        at_time = random.random() < 0.5
        process = start(place, hub, address, -1 if at_time else number)
        if at_time:
            time.sleep(random.uniform(0.3, 1.5))
            process.kill()
        return process.wait() != 0
    count, is_answered = 0, random.random() < 0.5

    def choose(request: Request) -> Behaviour:
        nonlocal count
        count += 1
        return kill if count == number + 1 else good

    def kill(handler: Handler, request: Request) -> None:
        if is_answered:
            handler.ask(request)
        process.kill()
        process.wait()
        handler.reset()

    place.proxy.choose = choose
    process = start(place, hub, address, -1)
    process.wait()
    place.proxy.choose = None
    return process.returncode != 0


def release_quietly(place: Place, hub: Path, target: Target) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), changed_environment(place.environment(True)):
        release(read_local_hub(hub), target, None, hub.parent / "artifacts/releases")


def check_kills(place: Place, hub: Path, kills: int, random: Random) -> str:
    killed = runs = 0
    address, most = place.new(), 130
    while killed < kills:
        runs += 1
        if runs % 2:
            address = place.new()
        else:
            for handle in read_document(hub)["modules"]:
                correct_card(hub, handle, f"It is number {runs}.")
        number = random.randrange(most)
        if not kill_at(place, hub, address, number, random):
            most = max(40, number)
        else:
            killed += 1
        target = place.open(address)
        fail(place, f"after kill {killed} at request {number}", list(find_damage(target)))
        release_quietly(place, hub, target)
        fail(place, f"after kill {killed} at request {number} and another release",
             [*find_damage(target), *find_lack(target, hub)])  # fmt: skip
    return f"{killed} kills in {runs} releases"


# Two publishers -------------------------------------------------------------------------------------------------------
def check_rounds(place: Place, hubs: tuple[Path, ...], rounds: int) -> str:
    """Releases two hubs at once that share shards and pages."""
    for number in range(rounds):
        address = place.new()
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), ThreadPoolExecutor(len(hubs)) as pool:
            local = [read_local_hub(hub) for hub in hubs]
            targets = [place.open(address) for _ in hubs]
            folders = [hub.parent / f"artifacts of {hub.name}" for hub in hubs]
            done = [
                pool.submit(release, *each) for each in zip(local, targets, [None] * len(hubs), folders, strict=True)
            ]
            for future in done:
                future.result()
        target = place.open(address)
        fail(place, f"round {number + 1} of two publishers", [*find_damage(target), *find_lack(target, *hubs)])
    return f"{rounds} rounds of two publishers"


# Cut lines, 503s and full targets -------------------------------------------------------------------------------------
def check_faults(place: Place, hub: Path, runs: int, random: Random) -> str:
    """Releases while lines are cut and the store is busy; every tenth request fails in some way."""
    if place.proxy is None:
        return "no lines to cut"
    behaviours: list[Behaviour] = [cut, lose_answer, halve, status(503, "SlowDown")]
    failed = 0
    for number in range(runs):
        address = place.new()

        def choose(request: Request) -> Behaviour:
            nonlocal failed
            is_bad = random.random() < 0.1
            failed += is_bad
            return random.choice(behaviours) if is_bad else good

        place.proxy.choose = choose
        with changed_environment(place.environment(is_direct=False)):
            release_quietly_through(place, hub, address)
        place.proxy.choose = None
        target = place.open(address)
        fail(place, f"run {number + 1} with cut lines", [*find_damage(target), *find_lack(target, hub)])
    return f"{runs} releases through {failed} cut lines, lost answers and 503s"


def release_quietly_through(place: Place, hub: Path, address: str) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        release(read_local_hub(hub), place.open(address, is_direct=False), None, hub.parent / "artifacts/releases")


def check_full(place: Place, hub: Path, runs: int, random: Random) -> str:
    """Lets a store refuse every write from one of them on, as a full one does, and then has room again."""
    if place.proxy is None:
        return "a full disk: tests/targets/test_folder.py"
    address, refused = place.new(), 0
    for _ in range(runs):
        count, room = 0, random.randrange(60)

        def choose(request: Request, room: int = room) -> Behaviour:
            nonlocal count
            count += request.method in ("PUT", "POST")
            return status(507, "InsufficientStorage", "no space is left") if count > room else good

        place.proxy.choose = choose
        try:
            release_quietly_through(place, hub, address)
        except Fault:
            refused += 1
        place.proxy.choose = None
        target = place.open(address)
        fail(place, f"full after {room} writes", list(find_damage(target)))
        if random.random() < 0.3:
            release_quietly(place, hub, target)
            fail(place, f"full after {room} writes, then not", [*find_damage(target), *find_lack(target, hub)])
            address = place.new()
    return f"{refused} releases to a full target"


def check_probe(folder: Path) -> str:
    """Releases to a server that ignores conditions, which must be refused before anything is written."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        hub = halves(write_released_hub(folder / "probed"), folder / "probed/halves")[0]
    with nanio(_made(folder / "nanio")) as server, changed_environment(server.environment):
        target = open_target(f"{server.target}/hub", QUICK)
        try:
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                release(read_local_hub(hub), target, None, folder / "probed/releases")
        except Fault as fault:
            left = [stored.path for stored in target.list("")]
            if left or "cannot be a target" not in str(fault):
                raise SystemExit(f"nanio: refused, and {left} left: {fault}") from None
            return "nanio: refused, nothing written"
    raise SystemExit("nanio ignores conditions, and was not refused")


# The command ----------------------------------------------------------------------------------------------------------
def open_place(name: str, folder: Path, stack: ExitStack) -> Place:
    """Starts what a target needs; raises Missing when its server is not installed."""
    if name == "folder":
        return Place(name, str(_made(folder / "targets")), None, None)
    server = stack.enter_context(STORES[name](_made(folder / name)))
    return Place(name, server.target, stack.enter_context(proxying(server.url)), server)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check(name: str, settings: argparse.Namespace, folder: Path) -> None:
    random = Random(settings.seed)
    with ExitStack() as stack:
        try:
            place = open_place(name, folder, stack)
        except Missing as missing:
            print(f"{name}: NOT run, since it is not installed: {missing}", flush=True)
            return
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            hubs = halves(write_released_hub(_made(folder / f"hubs of {name}")), folder / f"halves of {name}")
        checks: tuple[Callable[[], str], ...] = (
            lambda: check_rounds(place, hubs, settings.rounds),
            lambda: check_faults(place, hubs[0], settings.faults, random),
            lambda: check_full(place, hubs[0], settings.faults, random),
            lambda: check_kills(place, hubs[0], settings.kills, random),
        )
        for run in checks:
            started = time.perf_counter()
            print(f"{name}: {run()}; the hub was whole each time ({time.perf_counter() - started:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--targets", nargs="+", default=["folder", *STORES], choices=["folder", *STORES])
    parser.add_argument("--seed", type=int, default=1)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(check_probe(Path(folder)), flush=True)
        for name in settings.targets:
            check(name, settings, Path(folder))


if __name__ == "__main__":
    main()
