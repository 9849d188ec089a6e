"""Replays the self-test that lies beside this file; it needs TensorFlow and nothing else.

    python assets.extra/selftest.py [--gradients]

selftest.npz holds `pixels`, uint8 (n, size, size, 3), `outputs`, float32 (n, k), and `tolerance`. The outputs are what
the JAX model computes of the pixels, scaled to [-1, 1], in float64: the exact result but for its last digits. Every way
to call the module must come that close, where 1 is the largest output. With --gradients, every variable must have a
finite gradient too, with and without training=True.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Returns the module's inputs, float32 (n, size, size, 3) in [-1, 1], of uint8 pixels."""
    result: np.ndarray = (pixels.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    return result


def differences(module: Any, pixels: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Returns the largest difference from `outputs`, divided by the largest output, for each way to call a module."""
    import tensorflow as tf

    inputs, scale = tf.constant(scaled(pixels)), float(np.max(np.abs(outputs)))
    results = {
        "call": module(inputs),
        "serving_default": module.signatures["serving_default"](inputs=inputs),
        "serving_images": module.signatures["serving_images"](images=tf.constant(pixels)),
    }
    found = {}
    for way, result in results.items():
        array = next(iter(result.values())) if isinstance(result, dict) else result
        found[way] = float(np.max(np.abs(array.numpy().astype(np.float64) - outputs))) / scale
    return found


def without_gradient(module: Any, pixels: np.ndarray, training: bool) -> list[str]:
    """Returns the names of the trainable variables whose gradient is missing, or not finite."""
    import tensorflow as tf

    variables = module.trainable_variables
    try:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(module(tf.constant(scaled(pixels)), training=training) ** 2)
        gradients = tape.gradient(loss, variables)
    except LookupError:  # how TensorFlow says that the module was saved without its gradients
        gradients = [None] * len(variables)
    return [
        variable.name
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is None or not np.all(np.isfinite(gradient.numpy()))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Replays the self-test of the SavedModel this file lies in.")
    parser.add_argument("--gradients", action="store_true", help="also ask for the gradient of every variable")
    arguments = parser.parse_args()
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    extra = Path(__file__).resolve().parent
    module = tf.saved_model.load(str(extra.parent))
    with np.load(extra / "selftest.npz", allow_pickle=False) as golden:
        pixels, outputs, tolerance = golden["pixels"], golden["outputs"], float(golden["tolerance"])
    passed = True
    for way, difference in differences(module, pixels, outputs).items():
        good = math.isfinite(difference) and difference <= tolerance
        passed = passed and good
        print(f"{way}: {difference:.1e} of the largest output, {tolerance:.0e} allowed: {'ok' if good else 'FAILED'}")
    for training in (False, True) if arguments.gradients else ():
        missing = without_gradient(module, pixels, training)
        passed = passed and not missing
        found = len(module.trainable_variables) - len(missing)
        verdict = "ok" if not missing else f"FAILED: {', '.join(missing[:5])}"
        print(f"training={training}: {found} of {len(module.trainable_variables)} variables have a gradient: {verdict}")
    print(f"TensorFlow {tf.__version__}: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
