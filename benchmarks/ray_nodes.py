"""A cluster of Ray whose nodes are processes on this machine, each with temporary files of its own (Linux).

A node is killed as one that loses its power: its raylet first, then the workers, then all that they started.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_START = ("--disable-usage-stats", "--object-store-memory=80000000", "--node-ip-address=127.0.0.1")
_RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()")


class Node:
    """One node; its processes are those whose TMPDIR is its folder, or lies in it.

    Attributes:
        folder: for its temporary files; with a short path, since the paths of sockets are bounded.
    """

    def __init__(self, folder: Path, options: Sequence[str], cores: Sequence[int]) -> None:
        self.folder, self._options, self._cores = folder, tuple(options), tuple(cores)

    def start(self) -> None:
        """Starts the node and waits until it has joined.

        Raises:
            subprocess.CalledProcessError: when it does not start.
        """
        self.folder.mkdir(exist_ok=True)
        only = ["taskset", "--cpu-list", ",".join(map(str, self._cores))] if self._cores else []
        subprocess.run(
            [*only, *_RAY, "start", *_START, *self._options],
            env=os.environ | {"TMPDIR": str(self.folder)}, capture_output=True, check=True, timeout=120,
        )  # fmt: skip

    def processes(self) -> list[int]:
        """Returns the numbers of its processes: the raylet first, then Ray's others, then what tasks started."""
        found: list[tuple[int, int]] = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                variables = (place / "environ").read_bytes().split(b"\0")
                mine = (f"TMPDIR={self.folder}".encode(), f"TMPDIR={self.folder}/".encode())
                if any(variable == mine[0] or variable.startswith(mine[1]) for variable in variables):
                    name = (place / "cmdline").read_bytes()
                    rank = 0 if b"raylet/raylet" in name else 1 if b"/ray/" in name else 2 if b"ray::" in name else 3
                    found.append((rank, int(place.name)))
        return [process for _, process in sorted(found)]

    def kill(self) -> None:
        """Kills all its processes, and removes its files."""
        while processes := self.processes():
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.05)
            for process in processes:  # those whose parent has ended may be this process's
                with suppress(ChildProcessError):
                    os.waitpid(process, os.WNOHANG)
        shutil.rmtree(self.folder, ignore_errors=True)


def reap() -> None:
    """Waits for ended processes that were left to this one; none of subprocess may run meanwhile."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Cluster:
    """A head node without cores, and workers.

    Attributes:
        address: for RAY_ADDRESS.
        head: the head node.
        workers: the others.
        environment: the variables that a driver needs.
    """

    def __init__(self, folder: Path, workers: int, memory: int, pinned: bool = False) -> None:
        """Describes the nodes; start() starts them.

        Args:
            folder: for their files.
            workers: how many, of one core each.
            memory: bytes that each offers.
            pinned: whether each worker has a core of this machine for itself.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.environment = {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip
        head = ["--head", f"--port={port}", "--num-cpus=0", f"--temp-dir={folder}/r", "--include-dashboard=false"]
        self.head = Node(folder / "h", head, [])
        worker = [f"--address={self.address}", "--num-cpus=1", f"--memory={memory}"]
        self.workers = [Node(folder / f"w{number}", worker, [number] if pinned else []) for number in range(workers)]

    def start(self) -> None:
        """Starts the head node, then the workers."""
        for node in (self.head, *self.workers):
            node.start()

    def stop(self) -> None:
        """Kills all nodes."""
        for node in (*self.workers, self.head):
            node.kill()


@contextmanager
def cluster(folder: Path, workers: int, memory: int = 8_000_000_000, pinned: bool = False) -> Iterator[Cluster]:
    """A cluster that runs during the block."""
    nodes = Cluster(folder, workers, memory, pinned)
    with _environment(nodes.environment):
        try:
            nodes.start()
            yield nodes
        finally:
            nodes.stop()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
