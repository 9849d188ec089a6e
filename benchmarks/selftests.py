"""Runs the self-test of a SavedModel in another interpreter and reads its result."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault

_DIFFERENCE = re.compile(r"^(\w+): relative error (\S+) \(limit \S+\): ok$", re.MULTILINE)
_GRADIENTS = re.compile(r"^training=(False|True): (\d+) of (\d+) variables have a gradient: ok$", re.MULTILINE)
_VERDICT = re.compile(r"^TensorFlow (\S+): passed$", re.MULTILINE)
# Those that every module has; newer ones have more.
WAYS = {"call", "serving_default", "serving_images"}
SESSION_WAYS = {"session_serving_default", "session_serving_images"}


@dataclass(frozen=True)
class SelftestResult:
    """The figures of a self-test that passed.

    Attributes:
        differences: the relative error against the JAX model for each way to call the module.
        variables: the number of trainable variables.
        gradients: how many of them have a finite gradient, by "training=False" and "training=True".
    """

    differences: dict[str, float]
    variables: int
    gradients: dict[str, int]


@dataclass(frozen=True)
class Replay:
    """A self-test that passed in a version of TensorFlow, such as "2.14.1"."""

    tensorflow: str
    result: SelftestResult


def parse(output: str) -> Replay | None:
    """Returns what a self-test printed if it passed; None for any other output."""
    verdict = _VERDICT.search(output)
    differences = {way: float(value) for way, value in _DIFFERENCE.findall(output)}
    counts = {f"training={training}": (int(count), int(total)) for training, count, total in _GRADIENTS.findall(output)}
    if not verdict or not set(differences) >= WAYS | SESSION_WAYS or len(counts) != 2:
        return None
    (variables,) = {total for _, total in counts.values()}
    gradients = {training: count for training, (count, _) in counts.items()}
    return Replay(verdict[1], SelftestResult(differences, variables, gradients))


def run_selftest(interpreter: Path, saved_model: Path) -> subprocess.CompletedProcess[str]:
    """Runs a SavedModel's whole self-test on the CPU, with only the interpreter's installed packages."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [str(interpreter), "-I", str(saved_model / "assets.extra/selftest.py"), "--gradients", "--session"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def replay(minor: str, interpreter: Path, saved_model: Path) -> Replay:
    """Runs a SavedModel's self-test in a version of TensorFlow, such as "2.14".

    Raises:
        Fault: when the self-test fails, or the interpreter has another TensorFlow than `minor`.
    """
    done = run_selftest(interpreter, saved_model)
    passed = parse(done.stdout) if done.returncode == 0 else None
    if passed is None:
        # A failed self-test prints lines with FAILED; a crash ends with the exception on stderr.
        errors = [line for line in done.stdout.splitlines() if "FAILED" in line] or done.stderr.splitlines()[-1:]
        name = "/".join(saved_model.parts[-2:])
        raise Fault(f"{name} in TensorFlow {minor}, exit status {done.returncode}: {'; '.join(errors) or 'no output'}")
    if not passed.tensorflow.startswith(f"{minor}."):
        raise Fault(f"{interpreter}: expected TensorFlow {minor}, got {passed.tensorflow}")
    return passed
