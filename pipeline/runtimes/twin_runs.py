"""Runs a plain twin beside its module in TensorFlow, and prints the figures as JSON, in a process of its own.

python -m pipeline.runtimes.twin_runs MODULE TWIN
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.base.jobs import run_job, start_job
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.forms.running import run_batches
from pipeline.proof.gradients import TrainableModule, compare
from pipeline.proof.loaders import SelfTest, read_selftest
from pipeline.runtimes.modules import BATCHES, example_images
from pipeline.saved_model import selftest
from pipeline.saved_model.load import load_saved_model, start_tensorflow

_MODULE = "pipeline.runtimes.twin_runs"


@dataclass(frozen=True)
class TwinRun:
    """What was measured of a twin.

    Attributes:
        errors: of the self-test, by the way to call the twin; those of a session of TensorFlow 1 too. Relative.
        batches: the largest difference between an image's outputs in batches of several sizes, relative.
        gradients: the largest relative error of a variable's gradient against the module's; None where the module has
            no trainable variables, infinity where the twin has others.
        variable: the one with this error; None without one.
        missing: variables without a finite gradient of training=True.
        version: of TensorFlow.
    """

    errors: dict[str, float]
    batches: float
    gradients: float | None
    variable: str | None
    missing: tuple[str, ...]
    version: str

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


def run_twin(module: Path, twin: Path) -> TwinRun:
    """Replays the module's self-test in its twin, and compares their gradients.

    Raises:
        Fault: when TensorFlow cannot load one of them, or the process is killed.
    """
    with start_job(_MODULE, [module, twin], f"TensorFlow's run of {twin.name}") as job:
        return parse_json(TwinRun, job.wait())


def measure(module: Path, twin: Path) -> TwinRun:
    """Does what run_twin() does, in this process."""
    import tensorflow as tf

    test = read_selftest(module)
    images = example_images(test)
    expected = _gradients(load_saved_model(module), test)
    loaded = load_saved_model(twin)
    whole, *others = [
        run_batches(lambda batch: loaded(tf.constant(batch)).numpy(), images, size)
        for size in sorted(BATCHES, reverse=True)
    ]
    gradients = compare(_gradients(loaded, test), expected, math.inf)  # whoever asks for the run has the limit
    missing = selftest.without_gradient(loaded, test.pixels, training=True)
    worst = math.inf if gradients.max_rel is None else gradients.max_rel
    return TwinRun(
        errors=selftest.relative_errors(loaded, test) | selftest.session_errors(twin, test),
        batches=max(selftest.largest_error(each, whole, test.scale) for each in others),
        gradients=worst if expected else None,
        variable=gradients.worst,
        missing=tuple(missing),
        version=tf.__version__,
    )


def _gradients(model: Any, test: SelfTest) -> dict[str, Any]:
    """Returns the gradient by each trainable variable's name, None for a missing one; {} without such variables."""
    outputs = np.pad(test.outputs, ((0, 0), (0, int(test.outputs.shape[1] == 1))))
    labels = (outputs.argmax(axis=1) == 0).astype(np.int32)
    if not model.trainable_variables:
        return {}
    gradients = TrainableModule(model, selftest.scaled(test.pixels), labels).gradients(training=False)
    return {name: None if value is None else value.numpy() for name, value in gradients.items()}


def _main(arguments: Sequence[str]) -> None:
    module, twin = map(Path, arguments)
    start_tensorflow()
    print(json.dumps(asdict(measure(module, twin))))


if __name__ == "__main__":
    run_job(_MODULE, _main)
