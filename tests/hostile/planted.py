"""Attacks that succeed, one for each thing that must not happen: the harness has to see them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.base.fault import Fault
from tests.hostile.attack import Attack


def touch(folder: Path) -> Path:
    path = folder / "a"
    path.touch()
    return path


def refuse(text: str) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        print(f"{path.name}: {text}", file=sys.stderr)
        raise SystemExit(1)

    return act


def raise_fault(path: Path) -> None:
    raise Fault("good")


def fail(path: Path) -> None:
    raise IndexError(path)


def end_by_signal(path: Path) -> None:
    os.kill(os.getpid(), 11)


def write_outside(path: Path) -> None:
    (path.parent.parent / "evil").touch()
    raise_fault(path)


def write_out(path: Path) -> None:
    (path.parent / "out").mkdir()
    raise_fault(path)


def take_memory(path: Path) -> None:
    assert len(b"x" * 1_200_000_000)
    raise_fault(path)


# Each is refused with "good", or should have been; with the beginning of the problem that the harness must name.
PLANTED: dict[str, tuple[Callable[[Path], None], str]] = {
    "refused": (refuse("good"), ""),
    "fault": (raise_fault, ""),
    "written into out": (write_out, ""),
    "accepted": (lambda path: None, "was not refused"),
    "another sentence": (refuse("bad"), "its refusal lacks 'good'"),
    "nothing said": (lambda path: sys.exit(1), "refused in 0 letters"),
    "long": (refuse("good\n" * 1000), "refused in 5004 letters"),
    "escape code": (refuse("good \x1b[2J"), "printed control characters: ['\\x1b']"),
    "warning": (refuse("good\nx.py:1: UserWarning: old"), "printed a warning: x.py:1: UserWarning: old"),
    "traceback": (fail, "ended with a traceback"),
    "signal": (end_by_signal, "ended by signal 11"),
    "outside": (write_outside, "left or changed files: ['evil']"),
    "memory": (take_memory, "took 1."),
}
ATTACKS = tuple(Attack(name, touch, act, "good") for name, (act, _) in PLANTED.items())
