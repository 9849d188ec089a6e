"""Compares a SavedModel's gradients with JAX's, takes one step of fine-tuning, and prints the figures as JSON.

    python -m pipeline.proof.gradients MODEL HOME CHECKPOINT HEAD=FOLDER [HEAD=FOLDER] [--one-by-one]

MODEL is the section `model` as JSON, HOME the folder of the member's YAML file. validate runs this in a process of its
own: the gradients of a large model take as much memory again as the model, and neither TensorFlow nor JAX gives it
back. Two modules are compared at the same time, one of them by a copy of the process; validate does the other checks
meanwhile, before which these stand back. Where memory is short they are compared when all else is done, one after the
other, each by a copy.

Programs of a small model are compiled at optimization level 0, which the check says: they run twice, and compiling them
takes longer. Each gradient is compared with JAX's all the same.
"""

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base.environment import QUICK_XLA_FLAGS
from pipeline.base.heads import Head
from pipeline.base.jobs import run_job, start_copy, start_job
from pipeline.base.make_flags import is_beside_others
from pipeline.base.memory import available_memory
from pipeline.base.strict_json import parse_json
from pipeline.base.verdict import Verdict
from pipeline.checkpoints import npz
from pipeline.facts.checks import FineTuningCheck, GradientCheck, TrainingChecks
from pipeline.model.float64 import compile_quickly, compile_small
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.proof.blocks import relative_error
from pipeline.proof.loaders import read_selftest
from pipeline.saved_model.load import import_libraries, start_tensorflow
from pipeline.saved_model.programs import keep_apart
from pipeline.saved_model.selftest import scaled

if TYPE_CHECKING:
    from pipeline.model.network import Network

Gradients = dict[str, np.ndarray]
Tensor = Any  # of TensorFlow; None in place of a missing gradient
_MODULE = "pipeline.proof.gradients"
LARGE = 500_000_000  # bytes of a checkpoint; one head of L/16, 1.2 GB, takes 5.3 GB here
# Bytes for each of a checkpoint: with L/16 at 224 pixels, both processes here and validate itself take 16 GB together,
# and the C API 2 GB.
_ALL_AT_ONCE = 16
_NICE = 5  # of nice(2): the processor is for the checks that are waited for, and for these where it is free


def differentiate_reference(
    network: "Network", head: Head, arrays: Mapping[str, np.ndarray], inputs: np.ndarray
) -> tuple[Gradients, np.ndarray]:
    """Returns the gradient of the loss by each parameter, as JAX differentiates the network in full float32.

    The loss is the mean cross-entropy, without dropout. The label of an image is output 0, or 1 where 0 is the largest:
    the loss of an output near probability 1 is about 0, and so are its gradients, but for rounding. A single output is
    compared with a second one that is always 0, as the sigmoid does: its softmax alone is 1, without slope.

    Args:
        network: the network.
        head: the module.
        arrays: the parameters that the head uses, by path.
        inputs: float32 (n, size, size, 3) in [-1, 1].

    Returns:
        The gradients, and the labels, integers (n,).
    """
    import jax
    import jax.numpy as jnp

    def loss(parameters: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        outputs = network.outputs(head, parameters, inputs)
        outputs = jnp.pad(outputs, ((0, 0), (0, int(outputs.shape[1] == 1))))
        labels = (jnp.argmax(outputs, axis=1) == 0).astype(jnp.int32)
        return -jax.nn.log_softmax(outputs)[np.arange(len(inputs)), labels].mean(), labels

    differentiate = jax.grad(loss, has_aux=True)
    with jax.default_matmul_precision("highest"), compile_quickly():
        gradients, labels = compile_small(differentiate, arrays)(dict(arrays))
    return {name: np.asarray(gradient) for name, gradient in gradients.items()}, np.asarray(labels)


class TrainableModule:
    """A loaded SavedModel, an input and its labels, to differentiate its loss by its trainable variables."""

    def __init__(self, module: Any, inputs: np.ndarray, labels: np.ndarray) -> None:
        """Takes a module and what its loss is of.

        Args:
            module: a loaded SavedModel, whose variables take_step() changes.
            inputs: float32 (n, size, size, 3) in [-1, 1].
            labels: integers (n,), see differentiate_reference().
        """
        self._module, self._inputs, self._labels = module, inputs, labels

    def loss(self, training: bool) -> Tensor:
        """Returns the loss of differentiate_reference(), a scalar tensor."""
        import tensorflow as tf

        outputs = self._module(self._inputs, training=training)
        outputs = tf.pad(outputs, ((0, 0), (0, int(outputs.shape[1] == 1))))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=self._labels, logits=outputs)
        return tf.reduce_mean(losses)

    def gradients(self, training: bool) -> dict[str, Tensor]:
        """Returns the gradient of the loss by each variable's name; None where there is none."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self.loss(training)
        names = [variable.name.removesuffix(":0") for variable in self._module.trainable_variables]
        return dict(zip(names, tape.gradient(loss, self._module.trainable_variables), strict=True))

    def take_step(self, gradients: Mapping[str, Tensor]) -> FineTuningCheck:
        """Takes one step of gradient descent, which must lower the loss of training=False.

        The step would lower the loss by a hundredth if the loss were linear.
        """
        import tensorflow as tf

        missing = list_missing(gradients)
        before = float(self.loss(training=False))
        if missing or not gradients:
            return FineTuningCheck(len(gradients), missing, before, before, Verdict.FAIL)
        steepness = sum(float(tf.reduce_sum(tf.square(gradient))) for gradient in gradients.values())
        rate = 0.01 * before / steepness if steepness else 0.0  # no step: the loss stays as it is, and the check fails
        for variable, gradient in zip(self._module.trainable_variables, gradients.values(), strict=True):
            variable.assign_sub(rate * gradient)
        after = float(self.loss(training=False))
        return FineTuningCheck(
            len(gradients), missing, before, after, Verdict.of(math.isfinite(after) and after < before)
        )


def compare(got: Mapping[str, Tensor], expected: Gradients, tolerance: float) -> GradientCheck:
    """Compares the gradients of two implementations, variable by variable.

    The relative error of a gradient is the Euclidean norm of the difference divided by the expected gradient's norm, or
    by a thousandth of the largest norm of all if that is more: some gradients are zero but for rounding (a bias that
    all keys share changes no attention). If all are zero, those that are not have an infinite error. Single values
    would tell less: where an activation is about zero, a ReLU's slope may be 0 for one implementation and 1 for the
    other.

    Args:
        got: the SavedModel's gradients by name; None for a missing one.
        expected: the JAX model's.
        tolerance: the largest relative error that passes.

    Returns:
        The largest relative error and its variable. It fails without any gradient, or with other names.
    """
    if not expected or got.keys() != expected.keys() or any(value is None for value in got.values()):
        return GradientCheck(len(got), len(expected), None, None, tolerance, Verdict.FAIL)
    norms = {name: float(np.linalg.norm(value)) for name, value in expected.items()}
    smallest = 1e-3 * max(norms.values())
    errors = {
        name: relative_error(float(np.linalg.norm(np.asarray(got[name]) - value)), max(norms[name], smallest))
        for name, value in expected.items()
    }
    worst = max(errors, key=lambda name: (math.isnan(errors[name]), errors[name]))
    verdict = Verdict.of(errors[worst] <= tolerance)
    return GradientCheck(len(errors), len(expected), errors[worst], worst, tolerance, verdict)


def list_missing(gradients: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Returns the names of the variables whose gradient is missing, or not finite."""
    return tuple(name for name, value in gradients.items() if value is None or not np.all(np.isfinite(value)))


def _compile_small_quickly(path: Path) -> int | None:
    """Has TensorFlow and JAX compile the programs of a small checkpoint without optimization, before either starts.

    The programs that validate's processes share are not for these, nor the other way round: those are compiled as users
    have them.

    Returns:
        The optimization level of all programs here; None where it is the default.
    """
    if not _is_large(path):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK_XLA_FLAGS}".strip()
        keep_apart()
    levels = re.findall(r"--xla_backend_optimization_level=(\d+)", os.environ.get("XLA_FLAGS", ""))
    return int(levels[-1]) if levels else None


def check_training(network: "Network", head: Head, path: Path, folder: Path) -> TrainingChecks:
    """Compares a module's gradients with JAX's, and takes one step with training=True.

    Args:
        network: the network.
        head: the module.
        path: the checkpoint.
        folder: the SavedModel; the input is that of its self-test.
    """
    import tensorflow as tf

    from pipeline.model.network import select_weights

    model = network.model
    inputs = scaled(read_selftest(folder).pixels)
    arrays = select_weights(network, npz.read_parameters(path, network).arrays, head)
    expected, labels = differentiate_reference(network, head, arrays, inputs)
    arrays.clear()
    module = TrainableModule(tf.saved_model.load(str(folder)), inputs, labels)
    # Without dropout, training=True computes the same, and the same gradients serve both checks.
    gradients = module.gradients(training=not model.dropout)
    compared = compare(gradients, expected, network.tolerances.gradients)
    expected.clear()
    if model.dropout:
        gradients.clear()
        gradients = module.gradients(training=True)
    started = time.monotonic()
    step = module.take_step(gradients)
    return TrainingChecks(compared, step, {"fine_tuning": time.monotonic() - started})


def fits_memory(path: Path, image_size: int) -> bool:
    """Whether the gradients of a checkpoint can be compared at once, both heads together, while validate does the rest.

    Those of a LARGE one only if much memory is free, and no `make -j` runs other stages that will need it.
    """
    if not _is_large(path):
        return True
    needed = _ALL_AT_ONCE * path.stat().st_size * max(1, image_size / 224) ** 2
    return not is_beside_others() and available_memory() >= needed


def _is_large(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > LARGE


Done = Callable[[Head, TrainingChecks], None]
Wait = Callable[[Done], dict[Head, TrainingChecks]]


@contextmanager
def start(model: Model, home: Path, path: Path, folders: Mapping[Head, Path], at_once: bool) -> Iterator[Wait]:
    """Starts check_training() of both heads in a process of its own, which ends at the latest with the block.

    Args:
        model: the section.
        home: the folder of the member's YAML file.
        path: the checkpoint.
        folders: the SavedModels.
        at_once: whether it starts now, and compares both heads together; otherwise when it is waited for, one by one,
            and the second only if the first had memory enough.

    Yields:
        A function that waits and returns the checks; it calls its argument with those of each head. It raises Fault
        when a process was killed, as the system does when memory runs out.
    """
    arguments: list[str | Path] = [json.dumps(asdict(model)), home, path]
    arguments += [f"{head}={folder}" for head, folder in folders.items()]
    arguments += [] if at_once else ["--one-by-one"]
    purpose = f"{' and '.join(map(str, folders.values()))}: the process that computes the gradients"
    with ExitStack() as stack:
        started = stack.enter_context(start_job(_MODULE, arguments, purpose)) if at_once else None

        def wait(done: Done) -> dict[Head, TrainingChecks]:
            job = started or stack.enter_context(start_job(_MODULE, arguments, purpose))
            printed = dict(line.split(" ", 1) for line in job.wait().splitlines())
            training = {head: parse_json(TrainingChecks, printed[head]) for head in folders}
            for head, checks in training.items():
                done(head, checks)
            return training

        yield wait


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description="Compares the gradients of SavedModels.")
    parser.add_argument("model", type=json.loads, help="the section model as JSON")
    parser.add_argument("home", type=Path, help="the folder of the member's YAML file")
    parser.add_argument("checkpoint", type=Path, help="an .npz file that fits")
    parser.add_argument(
        "modules", nargs="+", metavar="HEAD=FOLDER", help="a SavedModel; the input is that of its self-test"
    )
    parser.add_argument("--one-by-one", action="store_true", help="do not compare them at the same time")
    args, started = parser.parse_args(arguments), time.monotonic()
    level = _compile_small_quickly(args.checkpoint)

    def run(module: str, started: float) -> None:
        name, _, folder = module.partition("=")
        with redirect_stdout(sys.stderr):  # a network of one's own may print; standard output has the results alone
            start_tensorflow()
            network = open_network(Model(**args.model), args.home)
            checks = check_training(network, Head(name), args.checkpoint, Path(folder))
        # The gradients have the imports, too, of a process that is no copy.
        seconds = {"gradients": time.monotonic() - started - checks.seconds["fine_tuning"]}
        checks = replace(
            checks,
            gradients=replace(checks.gradients, optimization_level=level),
            fine_tuning=replace(checks.fine_tuning, optimization_level=level),
            seconds=checks.seconds | seconds,
        )
        print(name, json.dumps(asdict(checks)))

    import_libraries()
    if args.one_by_one:
        for module in args.modules:  # whose memory the system gets back before the next one
            with start_copy(_MODULE, partial(run, module, time.monotonic())):
                pass
        return
    os.nice(_NICE)
    first, *others = args.modules
    with ExitStack() as copies:
        for module in others:
            copies.enter_context(start_copy(_MODULE, partial(run, module, started)))
        run(first, started)


if __name__ == "__main__":
    run_job(_MODULE, main)
