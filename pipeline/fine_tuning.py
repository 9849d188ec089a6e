"""Takes one step of fine-tuning with a SavedModel, as a user would, and prints what came of it as JSON.

    python -m pipeline.fine_tuning SAVED_MODEL

validate runs it in a process of its own: the gradient of a large model takes as much memory again as the model, and
TensorFlow does not give it back.
"""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.selftest import scaled
from pipeline.tensorflow_start import start_tensorflow


def step(module: Any, inputs: np.ndarray) -> dict[str, Any]:
    """Takes one step of gradient descent with training=True.

    The loss is the cross-entropy of made-up labels. The step is as long as should lower it by a hundredth if the loss
    were a straight line.

    Args:
        module: a loaded SavedModel; its variables change.
        inputs: float32 (n, size, size, 3) in [-1, 1].

    Returns:
        The number of trainable variables, the names of those without a finite gradient, the loss with training=False
        before and after, and the verdict, "pass" or "fail".
    """
    import tensorflow as tf

    variables = module.trainable_variables

    def loss(training: bool) -> tf.Tensor:
        outputs = module(inputs, training=training)
        labels = tf.range(tf.shape(outputs)[0]) % tf.shape(outputs)[1]
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs))

    before = float(loss(training=False))
    with tf.GradientTape() as tape:
        training_loss = loss(training=True)
    gradients = tape.gradient(training_loss, variables)
    missing = [
        variable.name.removesuffix(":0")
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is None or not np.all(np.isfinite(gradient))
    ]
    found = {"variables": len(variables), "without_gradient": missing, "loss_before": before}
    if missing or not variables:
        return found | {"loss_after": before, "verdict": "fail"}
    rate = 0.01 * before / sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients)
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign_sub(rate * gradient)
    after = float(loss(training=False))
    return found | {"loss_after": after, "verdict": "pass" if math.isfinite(after) and after < before else "fail"}


def in_own_process(folder: Path) -> dict[str, Any]:
    """Runs this module's command on a SavedModel's folder and returns what it found."""
    command = [sys.executable, "-m", "pipeline.fine_tuning", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.fine_tuning", description="Takes a step of fine-tuning.")
    parser.add_argument("saved_model", type=Path, help="its folder; the input is that of its self-test")
    folder = parser.parse_args().saved_model
    start_tensorflow()
    import tensorflow as tf

    with np.load(folder / "assets.extra" / "selftest.npz", allow_pickle=False) as golden:
        inputs = scaled(golden["pixels"])
    print(json.dumps(step(tf.saved_model.load(str(folder)), inputs)))


if __name__ == "__main__":
    main()
