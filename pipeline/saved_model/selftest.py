"""Replays the self-test that lies beside this file; it needs TensorFlow and nothing else.

    python assets.extra/selftest.py [--gradients] [--session]

selftest.npz holds `pixels`, uint8 (n, size, size, 3), `outputs`, float32 (n, k), `tolerance` and `scale`. The outputs
are what the JAX model computes of the pixels, scaled to [-1, 1], in float64: the exact result but for its last digits.
For every way to call the module, the largest difference divided by `scale` must be at most `tolerance`. The scale is
the largest output, or the size of the terms that the outputs are sums of if that is larger. With --gradients, every
variable must have a finite gradient too, with and without training=True. With --session, both signatures must come that
close in a session of TensorFlow 1 too.
"""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Returns the module's inputs, float32 (n, size, size, 3) in [-1, 1], of uint8 pixels."""
    result: np.ndarray = (pixels.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    return result


@dataclass(frozen=True, eq=False)
class Expected:
    """What selftest.npz holds."""

    pixels: np.ndarray
    outputs: np.ndarray
    tolerance: float
    scale: float

    def relative_error(self, outputs: np.ndarray) -> float:
        """Returns the largest difference of outputs (n, k) from the expected ones, divided by the scale."""
        return float(np.max(np.abs(outputs.astype(np.float64) - self.outputs))) / self.scale


def read_expected(path: Path) -> Expected:
    """Reads selftest.npz; a file without a scale, as it was before 2026-11-29, has that of the largest output."""
    with np.load(path, allow_pickle=False) as golden:
        outputs = golden["outputs"]
        scale = golden["scale"] if "scale" in golden else np.max(np.abs(outputs))
        return Expected(golden["pixels"], outputs, float(golden["tolerance"]), float(scale))


def relative_errors(module: Any, expected: Expected) -> dict[str, float]:
    """Returns the relative error of each way to call a module."""
    import tensorflow as tf

    inputs = tf.constant(scaled(expected.pixels))
    results = {
        "call": module(inputs),
        "serving_default": module.signatures["serving_default"](inputs=inputs),
        "serving_images": module.signatures["serving_images"](images=tf.constant(expected.pixels)),
    }
    errors = {}
    for way, result in results.items():
        array = next(iter(result.values())) if isinstance(result, dict) else result
        errors[way] = expected.relative_error(array.numpy())
    return errors


def session_errors(folder: Path, expected: Expected) -> dict[str, float]:
    """Returns the same for each signature in a session of tf.compat.v1, by "session_<signature>".

    The session imports the graph as it is, as TensorFlow Serving and the C and Java APIs do, where tf.saved_model.load
    builds new functions from it.

    Raises:
        ValueError or tf.errors.OpError: when the session cannot load or run it.
    """
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # tf.compat.v1.saved_model.load warns that it is old
    errors = {}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def
        for name, images in (("serving_default", scaled(expected.pixels)), ("serving_images", expected.pixels)):
            if name not in signatures:
                raise ValueError(f"there is no signature {name}")
            (fed,), (fetched,) = signatures[name].inputs.values(), signatures[name].outputs.values()
            errors[f"session_{name}"] = expected.relative_error(session.run(fetched.name, {fed.name: images}))
    return errors


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


def report(errors: dict[str, float], tolerance: float) -> bool:
    """Prints the relative error of each way to call the module; returns whether all are within the tolerance."""
    passed = True
    for way, error in errors.items():
        good = math.isfinite(error) and error <= tolerance
        passed = passed and good
        print(f"{way}: relative error {error:.1e} (limit {tolerance:.0e}): {'ok' if good else 'FAILED'}")
    return passed


def report_gradients(module: Any, pixels: np.ndarray) -> bool:
    """Prints how many variables have a gradient; returns whether all have."""
    if not module.trainable_variables:
        print("gradients: not checked: the module has no trainable variables")
        return True
    passed = True
    for training in (False, True):
        missing, count = without_gradient(module, pixels, training), len(module.trainable_variables)
        passed = passed and not missing
        verdict = "ok" if not missing else f"FAILED: {', '.join(missing[:5])}"
        print(f"training={training}: {count - len(missing)} of {count} variables have a gradient: {verdict}")
    return passed


def report_session(folder: Path, expected: Expected) -> bool:
    """Prints the relative error of each signature in a session; returns whether all are within the tolerance."""
    import tensorflow as tf

    try:
        return report(session_errors(folder, expected), expected.tolerance)
    except (ValueError, tf.errors.OpError) as error:
        print(f"session: {' '.join(str(error).split())}: FAILED")
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Replays the self-test of the SavedModel this file lies in.")
    parser.add_argument("--gradients", action="store_true", help="also ask for the gradient of every variable")
    parser.add_argument("--session", action="store_true", help="also load it as TensorFlow 1 and TensorFlow Serving do")
    arguments = parser.parse_args()
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    extra = Path(__file__).resolve().parent
    module = tf.saved_model.load(str(extra.parent))
    expected = read_expected(extra / "selftest.npz")
    passed = [report(relative_errors(module, expected), expected.tolerance)]
    if arguments.gradients:
        passed.append(report_gradients(module, expected.pixels))
    if arguments.session:
        passed.append(report_session(extra.parent, expected))
    print(f"TensorFlow {tf.__version__}: {'passed' if all(passed) else 'FAILED'}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
