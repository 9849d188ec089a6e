"""Runs of the client of pipeline.cluster in a tree with the stage of tests.cluster.trial, and what they leave."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT, copy_project

PATIENCE = 30.0


def write_tree(folder: Path) -> Path:
    """Copies the project with the stage `trial`."""
    copy_project(folder)
    (folder / "pipeline/trial.py").write_text((ROOT / "tests/cluster/trial.py").read_text())
    return folder


@contextmanager
def short_temporary() -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for the sockets of Ray, and which is empty at the end."""
    folder = Path(f"/tmp/t{os.getpid() % 100000}{time.monotonic_ns() % 10000}")
    folder.mkdir(mode=0o700)
    try:
        yield folder
        wait_until(lambda: not any(folder.iterdir()), f"{folder} is empty: {[*folder.rglob(chr(42))]}")
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Waits until a condition holds; fails after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.02)


def processes_of(marker: Path) -> list[int]:
    """Returns the processes whose temporary files are in a folder, but those of the tests themselves."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"TMPDIR={marker}".encode() in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


@dataclass
class Make:
    """A process that stands for make, and the clients that its recipes would be."""

    tree: Path
    temporary: Path
    options: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(["sleep", "600"])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    @contextmanager
    def start(
        self, *command: str, stderr: int = subprocess.PIPE, before: Sequence[str] = ()
    ) -> Iterator[subprocess.Popen[str]]:
        line = [sys.executable, "-S", "-m", "pipeline.cluster.client", str(self.process.pid), *self.options, "--"]
        with subprocess.Popen(
            [*before, *line, *command], cwd=self.tree, text=True,
            env=os.environ | {"TMPDIR": str(self.temporary), "PWD": str(self.tree)} | self.environment,
            stdout=subprocess.PIPE, stderr=stderr,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def run(self, *command: str, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
        with self.start(*command, stderr=stderr) as process:
            output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


@contextmanager
def making(tree: Path, *options: str, **environment: str) -> Iterator[Make]:
    """A make whose temporary files and processes are gone at the end."""
    with short_temporary() as temporary:
        make = Make(tree, temporary, options, environment)
        try:
            yield make
        finally:
            make.end()
        wait_until(lambda: not processes_of(temporary), f"no process is left, such as {processes_of(temporary)}")


def attempts(file: Path) -> list[list[int]]:
    """Returns the process and its parent of each attempt that `trial wait` made."""
    return [[int(word) for word in line.split()] for line in file.read_text().splitlines()] if file.exists() else []


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
