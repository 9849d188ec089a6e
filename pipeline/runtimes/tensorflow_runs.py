"""Runs a module and its twins in TensorFlow, in this process."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.base.strict_json import STRICT
from pipeline.facts.formats import FormatName
from pipeline.forms.facts import read_provenance
from pipeline.forms.running import Order, Run, measure_run, run_batches
from pipeline.proof.gradients import TrainableModule, compare, list_missing
from pipeline.proof.loaders import SelfTest, read_selftest
from pipeline.runtimes.modules import BATCHES, example_images
from pipeline.saved_model import selftest
from pipeline.saved_model.load import load_saved_model

BATCH = 32  # of images


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


@dataclass(frozen=True, eq=False)
class TensorFlowRuns:
    """What TensorFlow computed of a module and its twins; outputs are float32 (n, k).

    Attributes:
        outputs: the module's of the images; None without images.
        twins: what was measured of each twin.
        twin_outputs: each twin's of the images; {} without images.
    """

    outputs: np.ndarray | None = None
    twins: Mapping[FormatName, TwinRun] = field(default_factory=dict)
    twin_outputs: Mapping[FormatName, np.ndarray] = field(default_factory=dict)


def run_modules(module: Path, twins: Mapping[FormatName, Path], images: np.ndarray | None) -> TensorFlowRuns:
    """Replays a module's self-test in its twins, compares their gradients with its own, and runs all on images.

    Args:
        module: a SavedModel that pipeline.convert wrote.
        twins: plain, in bfloat16, or none.
        images: float32 (n, size, size, 3) in [-1, 1], or None.

    Raises:
        Fault: when TensorFlow cannot load one of them.
    """
    test = read_selftest(module)
    if not twins and images is None:
        return TensorFlowRuns()
    loaded = load_saved_model(module)
    outputs = None if images is None else _run_whole(_caller(loaded), images)
    if not twins:
        return TensorFlowRuns(outputs)
    # Without dropout, training=True computes the same, and the same gradients serve both checks.
    training = not _has_dropout(module)
    expected = _gradients(loaded, test, training)
    del loaded
    measured, twin_outputs = {}, {}
    for name, twin in twins.items():
        other = load_saved_model(twin)
        if images is not None:
            twin_outputs[name] = run_batches(_caller(other), images, BATCH)
        measured[name] = _measure_twin(twin, other, test, expected, training)
    return TensorFlowRuns(outputs, measured, twin_outputs)


def _has_dropout(module: Path) -> bool:
    """Whether a module drops anything while it is trained; also where its provenance does not say."""
    model = read_provenance(module).get("model")
    return not isinstance(model, dict) or model.get("dropout", 0.0) != 0.0


def _measure_twin(twin: Path, loaded: Any, test: SelfTest, expected: dict[str, Any], training: bool) -> TwinRun:
    import tensorflow as tf

    examples, call = example_images(test), _caller(loaded)
    whole, *others = [run_batches(call, examples, size) for size in sorted(BATCHES, reverse=True)]
    found = _gradients(loaded, test, training)
    gradients = compare(found, expected, math.inf)  # whoever asks for the run has the limit
    missing = list_missing(found)
    del found  # as large as the weights
    if not training:
        missing = tuple(selftest.without_gradient(loaded, test.pixels, training=True))
    worst = math.inf if gradients.max_rel is None else gradients.max_rel
    return TwinRun(
        errors=selftest.relative_errors(loaded, test) | selftest.session_errors(twin, test),
        batches=max(selftest.largest_error(each, whole, test.scale) for each in others),
        gradients=worst if expected else None,
        variable=gradients.worst,
        missing=missing,
        version=tf.__version__,
    )


def measure_speed(twin: Path, images: np.ndarray) -> Run:
    """Loads a twin and measures that, its first call and its rates in batches of 1 and BATCH; it has no outputs."""
    import tensorflow as tf

    return measure_run(lambda: _caller(load_saved_model(twin)), Order(twin, images, (), (1, BATCH)), tf.__version__)


def _caller(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow as tf

    return lambda batch: model(tf.constant(batch)).numpy()


def _run_whole(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """Returns the outputs of images in whole batches, since XLA compiles a module for every size."""
    whole = len(images) // BATCH * BATCH
    parts = [call(images[first : first + BATCH]) for first in range(0, whole, BATCH)]
    if rest := len(images) - whole:
        last = np.zeros((BATCH, *images.shape[1:]), images.dtype)
        last[:rest] = images[whole:]
        parts.append(call(last)[:rest])
    return np.concatenate(parts)


def _gradients(model: Any, test: SelfTest, training: bool) -> dict[str, Any]:
    """Returns the gradient by each trainable variable's name, None for a missing one; {} without such variables."""
    outputs = np.pad(test.outputs, ((0, 0), (0, int(test.outputs.shape[1] == 1))))
    labels = (outputs.argmax(axis=1) == 0).astype(np.int32)
    if not model.trainable_variables:
        return {}
    gradients = TrainableModule(model, selftest.scaled(test.pixels), labels).gradients(training)
    return {name: None if value is None else value.numpy() for name, value in gradients.items()}
