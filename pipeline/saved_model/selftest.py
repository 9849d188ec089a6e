"""Replays the self-test that lies beside this file; it needs TensorFlow and nothing else.

    python assets.extra/selftest.py [--gradients] [--session]

selftest.npz holds `pixels`, uint8 (n, size, size, 3), `outputs`, float32 (n, k), `tolerance` and `scale`. The outputs
are what the JAX model computes of the pixels, scaled to [-1, 1], in float64: the exact result but for its last digits.
For every way to call the module, the largest difference divided by `scale` must be at most `tolerance`. The scale is
the largest output, or the size of the terms that the outputs are sums of if that is larger. With --gradients, every
variable must have a finite gradient too, with and without training=True. With --session, all signatures must come that
close in a session of TensorFlow 1 too.

Modules that have more ways to be called have more there: `encoded`, the first image as the bytes of a PNG file;
`tokens`, float32 (n, tokens, width), whose differences are divided by the largest of them and must be at most
`tokens_tolerance`; `probabilities`, float32 (n, classes), whose differences are divided by the scale, or by 1 if that
is larger: a logit's difference changes no probability by more. The classes that serving_classify names must be those of
the largest logits that it returns, by the names in labels.tsv.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TOP = 5  # classes that serving_classify names, or all where there are fewer
CLASSIFY_OUTPUTS = {"logits", "probabilities", "top_indices", "top_probabilities", "top_classes"}


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Returns the module's inputs, float32 (n, size, size, 3) in [-1, 1], of uint8 pixels."""
    result: np.ndarray = (pixels.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
    return result


def largest_error(got: np.ndarray, expected: np.ndarray, scale: float) -> float:
    """Returns the largest difference of two arrays, divided by the scale; infinity for another shape."""
    if got.shape != expected.shape:
        return math.inf
    return float(np.max(np.abs(got.astype(np.float64) - expected))) / scale


def names_the_largest(outputs: Mapping[str, np.ndarray], names: Sequence[str]) -> bool:
    """Whether serving_classify has named the classes of the largest logits, in descending order.

    Args:
        outputs: what it returned, by name.
        names: of the classes; () for classes that are called by their index.
    """
    logits, probabilities, indices = (outputs[name] for name in ("logits", "probabilities", "top_indices"))
    largest = -np.sort(-logits)[:, :TOP]
    if indices.shape != largest.shape or np.any((indices < 0) | (indices >= logits.shape[1])):
        return False
    expected = [[names[index] if names else str(index) for index in row] for row in indices]
    return (
        all(len(set(row)) == len(row) for row in indices.tolist())
        and np.array_equal(np.take_along_axis(logits, indices, axis=1), largest)
        and np.array_equal(np.take_along_axis(probabilities, indices, axis=1), outputs["top_probabilities"])
        and [[name.decode() for name in row] for row in outputs["top_classes"].tolist()] == expected
    )


@dataclass(frozen=True)
class Way:
    """A signature to call.

    Attributes:
        input: the name of its input.
        value: an array for it; files are an array of bytes objects.
        error: returns the relative error of its outputs, which are given by name; infinity where they are others.
    """

    input: str
    value: np.ndarray
    error: Callable[[Mapping[str, np.ndarray]], float]


@dataclass(frozen=True, eq=False)
class Expected:
    """What selftest.npz holds, and the names of the classes in labels.tsv; None and () for what is not there."""

    pixels: np.ndarray
    outputs: np.ndarray
    tolerance: float
    scale: float
    encoded: bytes | None = None
    tokens: np.ndarray | None = None
    tokens_tolerance: float | None = None
    probabilities: np.ndarray | None = None
    names: Sequence[str] = ()

    def limit(self, way: str) -> float:
        """Returns the largest relative error of a way to call the module that passes."""
        # pipeline/facts/checks.py has the same rule; this file lies alone in modules.
        return self.tolerance if self.tokens_tolerance is None or not way.endswith("tokens") else self.tokens_tolerance

    def relative_error(self, outputs: np.ndarray) -> float:
        """Returns the largest difference of outputs (n, k) from the expected ones, divided by the scale."""
        return largest_error(outputs, self.outputs, self.scale)

    def token_error(self, tokens: np.ndarray) -> float:
        """Returns the largest difference of tokens (n, tokens, width) from those expected, divided by their largest."""
        assert self.tokens is not None
        return largest_error(tokens, self.tokens, float(np.max(np.abs(self.tokens))))

    def classify_error(self, outputs: Mapping[str, np.ndarray]) -> float:
        """Returns the larger error of the logits and probabilities of one image; infinity for other names."""
        assert self.probabilities is not None
        if not outputs.keys() >= CLASSIFY_OUTPUTS or not names_the_largest(outputs, self.names):
            return math.inf
        logits = largest_error(outputs["logits"], self.outputs[:1], self.scale)
        probabilities = largest_error(outputs["probabilities"], self.probabilities[:1], max(self.scale, 1.0))
        return float(np.maximum(logits, probabilities))  # NaN if one of them is

    def ways(self) -> dict[str, Way]:
        """Returns the signatures to call by name."""
        inputs = scaled(self.pixels)

        def of_all(outputs: Mapping[str, np.ndarray]) -> float:
            return self.relative_error(_only(outputs))

        def of_first(outputs: Mapping[str, np.ndarray]) -> float:
            return largest_error(_only(outputs), self.outputs[:1], self.scale)

        ways = {
            "serving_default": Way("inputs", inputs, of_all),
            "serving_images": Way("images", self.pixels, of_all),
        }
        if self.encoded is not None:
            files = np.array([self.encoded], object)
            ways["serving_jpeg"] = Way("encoded", files, of_first)
            if self.probabilities is not None:
                ways["serving_classify"] = Way("encoded", files, self.classify_error)
        if self.tokens is not None:
            ways["serving_tokens"] = Way("inputs", inputs, lambda outputs: self.token_error(_only(outputs)))
        return ways


def _only(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    (output,) = outputs.values()
    return output


def read_expected(path: Path) -> Expected:
    """Reads selftest.npz, and labels.tsv beside it if there is one.

    Before 2026-11-29 there was neither a scale, which was the largest output, nor tokens_tolerance.
    """
    labels = path.with_name("labels.tsv")
    lines = labels.read_text(encoding="utf-8").split("\n")[1:-1] if labels.is_file() else []
    names = tuple(line.split("\t")[2] for line in lines)  # a heading, then index, key, name
    with np.load(path, allow_pickle=False) as golden:
        outputs = golden["outputs"]
        scale = golden["scale"] if "scale" in golden else np.max(np.abs(outputs))
        encoded, tokens, probabilities = (golden.get(name) for name in ("encoded", "tokens", "probabilities"))
        tokens_tolerance = golden.get("tokens_tolerance")
        return Expected(
            pixels=golden["pixels"],
            outputs=outputs,
            tolerance=float(golden["tolerance"]),
            scale=float(scale),
            encoded=None if encoded is None else encoded.tobytes(),
            tokens=tokens,
            tokens_tolerance=None if tokens_tolerance is None else float(tokens_tolerance),
            probabilities=probabilities,
            names=names,
        )


def relative_errors(module: Any, expected: Expected) -> dict[str, float]:
    """Returns the relative error of each way to call a module; infinity for one that it lacks."""
    import tensorflow as tf

    inputs = tf.constant(scaled(expected.pixels))
    errors = {"call": expected.relative_error(module(inputs).numpy())}
    for name, way in expected.ways().items():
        if name in module.signatures:
            outputs = module.signatures[name](**{way.input: tf.constant(way.value)})
            errors[name] = way.error({key: output.numpy() for key, output in outputs.items()})
        else:
            errors[name] = math.inf
    if expected.tokens is not None:
        has_tokens = hasattr(module, "tokens")
        errors["tokens"] = expected.token_error(module.tokens(inputs).numpy()) if has_tokens else math.inf
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
        for name, way in expected.ways().items():
            if name not in signatures:
                raise ValueError(f"there is no signature {name}")
            fetched = {key: output.name for key, output in signatures[name].outputs.items()}
            outputs = session.run(fetched, {signatures[name].inputs[way.input].name: way.value})
            errors[f"session_{name}"] = way.error(outputs)
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


def report(errors: dict[str, float], expected: Expected) -> bool:
    """Prints the relative error of each way to call the module; returns whether all are within their limits."""
    passed = True
    for way, error in errors.items():
        limit = expected.limit(way)
        good = math.isfinite(error) and error <= limit
        passed = passed and good
        print(f"{way}: relative error {error:.1e} (limit {limit:.0e}): {'ok' if good else 'FAILED'}")
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
        return report(session_errors(folder, expected), expected)
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
    passed = [report(relative_errors(module, expected), expected)]
    if arguments.gradients:
        passed.append(report_gradients(module, expected.pixels))
    if arguments.session:
        passed.append(report_session(extra.parent, expected))
    print(f"TensorFlow {tf.__version__}: {'passed' if all(passed) else 'FAILED'}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
