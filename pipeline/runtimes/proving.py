"""Proves that a format computes what its module does, in its own runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.fault import Fault, list_names
from pipeline.forms.quality import smallest_cosine
from pipeline.forms.running import run_files
from pipeline.litert import running as litert
from pipeline.onnx_form import running as onnx
from pipeline.proof.loaders import SelfTest
from pipeline.runtimes.modules import BATCHES, Module, example_images
from pipeline.runtimes.table import Format, Runtime
from pipeline.runtimes.twin_runs import TwinRun, run_twin
from pipeline.saved_model.selftest import largest_error

# The largest relative error of a variable's gradient, by the tolerance of the module's outputs: networks whose outputs
# are less exact, hybrids among them, have ReLUs, whose slope may be 0 or 1 where an activation is about zero.
_EXACT_OUTPUTS = 1e-5
_GRADIENTS = {True: 2e-4, False: 5e-2}
_RUNNERS = {Runtime.LITERT: litert.RUNNER, Runtime.ONNX: onnx.RUNNER}
_SIZES = f"batches of {', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]}"


@dataclass(frozen=True)
class Check:
    """A figure of a proof, and what it may be.

    Attributes:
        name: what was measured.
        value: the figure.
        limit: the largest value that passes; the smallest where `is_least`.
        is_least: whether it is a cosine, which must not be smaller.
    """

    name: str
    value: float
    limit: float
    is_least: bool = False

    @property
    def passes(self) -> bool:
        """Whether the figure is within its limit; NaN is not."""
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    def __str__(self) -> str:
        """Returns it for people: "self-test: relative error 3.1e-07 (limit 1e-05)"."""
        if self.is_least:
            return f"{self.name}: cosine {self.value:.6f} (at least {self.limit})"
        return f"{self.name}: relative error {self.value:.1e} (limit {self.limit:.0e})"


@dataclass(frozen=True)
class Proof:
    """What was measured of a format.

    Attributes:
        runtime: where it ran.
        version: of the runtime.
        checks: all within their limits.
    """

    runtime: Runtime
    version: str
    checks: tuple[Check, ...]


def prove(wanted: Format, folder: Path, module: Module) -> Proof:
    """Runs a format in its runtime, in a process of its own, and compares it with the module's self-test.

    Float32 must keep the module's own tolerance; other precisions, the cosine of the table.

    Args:
        wanted: the format.
        folder: the folder of all formats.
        module: what it was made from.

    Raises:
        Fault: when the runtime cannot run it, or a check fails; names the file and the checks.
    """
    path = folder / wanted.path
    if wanted.runtime is Runtime.TENSORFLOW:
        run = run_twin(module.folder, path)
        if run.missing:
            missing = list_names(run.missing)
            raise Fault(
                f"{path}: these variables have no finite gradient: {missing}; leave the format {wanted.name} out"
            )
        proof = Proof(wanted.runtime, run.version, check_twin(run, module.test))
    else:
        (done,) = run_files(_RUNNERS[wanted.runtime], [path], example_images(module.test), BATCHES, rounds=0)
        proof = Proof(wanted.runtime, done.version, _check_file(wanted, list(done.outputs.values()), module.test))
    if failed := [str(check) for check in proof.checks if not check.passes]:
        raise Fault(
            f"{path}: {wanted.runtime} computes another result than the module ({'; '.join(failed)}); leave the format"
            f" {wanted.name} out"
        )
    return proof


def check_twin(run: TwinRun, test: SelfTest) -> tuple[Check, ...]:
    """Returns the checks of a plain twin."""
    checks = [
        # max() alone would lose a NaN.
        Check("self-test by every signature", float(np.max(list(run.errors.values()))), test.tolerance),
        Check(_SIZES, run.batches, test.tolerance),
    ]
    if run.gradients is not None:
        limit = _GRADIENTS[test.tolerance <= _EXACT_OUTPUTS]
        checks.append(Check("gradients of the module", run.gradients, limit))
    return tuple(checks)


def _check_file(wanted: Format, outputs: Sequence[np.ndarray], test: SelfTest) -> tuple[Check, ...]:
    """Returns the checks of a file.

    Args:
        wanted: the format.
        outputs: (n, k) of all images, in batches of each size, the largest last; the first images are the self-test's.
        test: the self-test.
    """
    whole, count = outputs[-1], len(test.pixels)
    if wanted.least_cosine is None:
        errors = [test.relative_error(each[:count]) for each in outputs]
        spread = [largest_error(each, whole, test.scale) for each in outputs[:-1]]
        return (
            Check("self-test", float(np.max(errors)), test.tolerance),
            Check(_SIZES, float(np.max(spread)), test.tolerance),
        )
    cosines = [smallest_cosine(each[:count], test.outputs) for each in outputs]
    spread = [smallest_cosine(each, whole) for each in outputs[:-1]]
    return (
        Check("self-test", float(np.min(cosines)), wanted.least_cosine, is_least=True),
        Check(_SIZES, float(np.min(spread)), wanted.least_cosine, is_least=True),
    )
