"""Differentiates a SavedModel, holds the gradients against JAX's, takes a step of fine-tuning, and prints JSON.

    python -m pipeline.proof.gradients MODEL HEAD CHECKPOINT FOLDER

MODEL is the section `model` as JSON. validate runs it in a process of its own for each head: gradients of a large model
take as much memory again as the model, and neither TensorFlow nor JAX gives it back.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.heads import Head
from pipeline.base.jobs import run_job, start_job
from pipeline.checkpoints import npz
from pipeline.model.parameters import nest_parameters, select_parameters
from pipeline.model.variants import Model, variant
from pipeline.model.vit import VisionTransformer
from pipeline.saved_model.load import start_tensorflow
from pipeline.saved_model.selftest import scaled

Gradients = dict[str, np.ndarray]
_MODULE = "pipeline.proof.gradients"
LARGE = 500_000_000  # bytes of a checkpoint; one head of L/16, 1.2 GB, takes 5.3 GB here


def labels_of(outputs: int, k: int) -> np.ndarray:
    """Returns the made-up labels that the loss takes, one per output: int32 (outputs,) below k."""
    return np.arange(outputs, dtype=np.int32) % k


def expected(model: Model, head: str, arrays: Mapping[str, np.ndarray], inputs: np.ndarray) -> Gradients:
    """Returns the gradient of the loss by each parameter, as JAX differentiates the Flax model in full float32.

    The loss is the mean cross-entropy of made-up labels; there is no dropout.

    Args:
        model: the section.
        head: "classification" or "fe".
        arrays: the parameters that the head uses, by path.
        inputs: float32 (n, size, size, 3) in [-1, 1].
    """
    import jax

    module = VisionTransformer(variant(model.variant), model.classes if head == "classification" else None)

    def loss(parameters: Mapping[str, Any]) -> jax.Array:
        outputs = module.apply({"params": nest_parameters(parameters)}, inputs)
        n, k = outputs.shape
        return -jax.nn.log_softmax(outputs)[np.arange(n), labels_of(n, k)].mean()

    with jax.default_matmul_precision("highest"):
        # Not compiled as a whole: each kind of block is, once.
        return {name: np.asarray(gradient) for name, gradient in jax.grad(loss)(dict(arrays)).items()}


class Module:
    """A loaded SavedModel, differentiated by its trainable variables."""

    def __init__(self, module: Any, inputs: np.ndarray) -> None:
        """Takes a loaded SavedModel, whose variables step() changes, and float32 (n, size, size, 3) in [-1, 1]."""
        self._module, self._inputs = module, inputs

    def loss(self, training: bool) -> Any:
        """Returns the mean cross-entropy of the made-up labels, a scalar tensor."""
        import tensorflow as tf

        outputs = self._module(self._inputs, training=training)
        labels = labels_of(*outputs.shape)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs))

    def gradients(self, training: bool) -> dict[str, Any]:
        """Returns the gradient of the loss by each variable's name; None where there is none."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self.loss(training)
        names = [variable.name.removesuffix(":0") for variable in self._module.trainable_variables]
        return dict(zip(names, tape.gradient(loss, self._module.trainable_variables), strict=True))

    def step(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """Takes one step of gradient descent.

        It is as long as should lower the loss by a hundredth if the loss were a straight line.

        Returns:
            The number of trainable variables, the names of those without a finite gradient, the loss with
            training=False before and after, and the verdict, "pass" or "fail".
        """
        import tensorflow as tf

        missing = [name for name, value in gradients.items() if value is None or not np.all(np.isfinite(value))]
        before = float(self.loss(training=False))
        found = {"variables": len(gradients), "without_gradient": missing, "loss_before": before}
        if missing or not gradients:
            return found | {"loss_after": before, "verdict": "fail"}
        rate = 0.01 * before / sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients.values())
        for variable, gradient in zip(self._module.trainable_variables, gradients.values(), strict=True):
            variable.assign_sub(rate * gradient)
        after = float(self.loss(training=False))
        return found | {"loss_after": after, "verdict": "pass" if math.isfinite(after) and after < before else "fail"}


def compare(got: Mapping[str, Any], expected: Gradients, tolerance: float) -> dict[str, Any]:
    """Compares the gradients of two implementations, variable by variable.

    A difference is measured as the Euclidean norm of what one has and the other has not, relative to the norm of that
    variable's gradient, but at least to a thousandth of the largest norm of all: some gradients are zero but for
    rounding (a bias that all keys share changes no attention). Single values would say less: where an activation is
    about zero, a ReLU's slope is 0 for one implementation and 1 for the other.

    Args:
        got: of the SavedModel, by name; None for a missing one.
        expected: of the JAX model.
        tolerance: the largest relative difference allowed.

    Returns:
        The number of gradients compared, the largest relative difference `max_rel`, its variable `worst`, the
        tolerance and the verdict. Without any gradient, or with other names, `max_rel` is None and the verdict "fail".
    """
    if not expected or got.keys() != expected.keys() or any(value is None for value in got.values()):
        found = {"variables": len(got), "expected": len(expected), "max_rel": None, "worst": None}
        return found | {"tolerance": tolerance, "verdict": "fail"}
    norms = {name: float(np.linalg.norm(value)) for name, value in expected.items()}
    least = 1e-3 * max(norms.values())
    off = {
        name: float(np.linalg.norm(np.asarray(got[name]) - value)) / max(norms[name], least)
        for name, value in expected.items()
    }
    worst = max(off, key=lambda name: (math.isnan(off[name]), off[name]))
    passed = off[worst] <= tolerance  # NaN fails
    return {
        "variables": len(off),
        "expected": len(expected),
        "max_rel": off[worst],
        "worst": worst,
        "tolerance": tolerance,
        "verdict": "pass" if passed else "fail",
    }


def measure(model: Model, head: str, path: Path, folder: Path) -> dict[str, Any]:
    """Returns what a module's gradients are like: "gradients", held against JAX's, and "fine_tuning", one step.

    Args:
        model: the section.
        head: "classification" or "fe".
        path: the checkpoint.
        folder: the SavedModel; the input is that of its self-test.
    """
    import tensorflow as tf

    with np.load(folder / "assets.extra" / "selftest.npz", allow_pickle=False) as golden:
        inputs = scaled(golden["pixels"])
    arrays = select_parameters(npz.normalize(npz.read(path)), head)
    theirs = expected(model, head, arrays, inputs)
    arrays.clear()
    module = Module(tf.saved_model.load(str(folder)), inputs)
    # Where nothing is dropped, training=True computes the same, and one gradient serves both.
    gradients = module.gradients(training=not model.dropout)
    compared = compare(gradients, theirs, model.gradient_tolerance)
    theirs.clear()
    if model.dropout:
        gradients.clear()
        gradients = module.gradients(training=True)
    return {"gradients": compared, "fine_tuning": module.step(gradients)}


def in_own_processes(model: Model, path: Path, folders: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Runs this module's command for each head, at once unless the model is LARGE; returns what measure() returned.

    Args:
        model: the section.
        path: the checkpoint.
        folders: the SavedModels by head, "classification" and "fe".

    Raises:
        Fault: when a process is killed, as the system does when memory runs out.
    """

    def run(head: str) -> dict[str, Any]:
        arguments: list[str | Path] = [json.dumps(asdict(model)), head, path, folders[head]]
        with start_job(_MODULE, arguments, f"{folders[head]}: the process that computes its gradients") as job:
            results: dict[str, Any] = json.loads(job.wait())
            return results

    if path.stat().st_size > LARGE:
        return {head: run(head) for head in folders}  # where memory is too small for one, the other is not started
    with ThreadPoolExecutor(len(folders)) as pool:
        return dict(zip(folders, pool.map(run, folders), strict=True))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description="Compares the gradients of a SavedModel.")
    parser.add_argument("model", type=json.loads, help="the section model as JSON")
    parser.add_argument("head", choices=list(Head))
    parser.add_argument("checkpoint", type=Path, help="an .npz file that fits")
    parser.add_argument("folder", type=Path, help="the SavedModel; the input is that of its self-test")
    args = parser.parse_args(arguments)
    start_tensorflow()
    print(json.dumps(measure(Model(**args.model), args.head, args.checkpoint, args.folder)))


if __name__ == "__main__":
    run_job(_MODULE, main)
