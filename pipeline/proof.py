"""Proof that a SavedModel on disk is what it claims to be: checks that return figures and a verdict, pass or fail."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import artifact, checkpoint, saved_model, selftest
from pipeline.fault import Fault
from pipeline.variants import variant
from pipeline.vit import Model, VisionTransformer

Report = dict[str, Any]


def verdict(passed: bool) -> str:
    return "pass" if passed else "fail"


def compare(got: np.ndarray, expected: np.ndarray, tolerance: float, logits: bool) -> Report:
    """Compares the outputs (n, k) of two implementations on the same n inputs.

    Args:
        got: of one implementation.
        expected: of the other, not zero throughout.
        tolerance: the largest `max_rel` allowed: the largest absolute difference by the largest expected magnitude.
        logits: whether the arg-max must agree too; a feature vector's means nothing.
    """
    max_abs = float(np.max(np.abs(got.astype(np.float64) - expected)))
    max_rel = max_abs / float(np.max(np.abs(expected)))
    found: Report = {"images": len(got), "max_abs": max_abs, "max_rel": max_rel, "tolerance": tolerance}
    passed = max_rel <= tolerance  # written so that NaN fails
    if logits:
        found["argmax_agreement"] = float(np.mean(got.argmax(axis=1) == expected.argmax(axis=1)))
        passed = passed and found["argmax_agreement"] == 1.0
    return found | {"verdict": verdict(passed)}


def reference(model: Model, arrays: checkpoint.Arrays, inputs: np.ndarray, head: str) -> np.ndarray:
    """Returns what the Flax model computes from the checkpoint itself, at full float32 precision.

    Raises:
        Fault: when that is zero throughout.
    """
    import jax

    module = VisionTransformer(variant(model.variant), model.classes if head == "classification" else None)
    with jax.default_matmul_precision("highest"):
        outputs = jax.jit(module.apply)({"params": checkpoint.tree(checkpoint.used(arrays, head))}, inputs)
    if not np.any(outputs):
        raise Fault("the JAX model's outputs are all zero, so nothing can be compared: is its head untrained?")
    return np.asarray(outputs)


def fingerprint(array: np.ndarray) -> str:
    """Returns a digest of an array's type, shape and bytes."""
    return f"{array.dtype}{array.shape}{hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()}"


def weights_equal(variables: Iterable[Any], expected: Mapping[str, str]) -> Report:
    """Compares a loaded module's variables with the checkpoint's arrays by fingerprint, name by name."""
    got, parameters = {}, 0
    for variable in variables:  # one copy at a time
        value = variable.numpy()
        got[variable.name.removesuffix(":0")] = fingerprint(value)
        parameters += value.size
    names = sorted(expected.keys() | got.keys())
    different = [name for name in names if got.get(name) != expected.get(name)]
    return {
        "arrays": len(expected),
        "parameters": parameters,
        "different": different,
        "verdict": verdict(not different),
    }


def requirements(folder: Path) -> Report:
    """Returns what a SavedModel needs of its users, read without running it.

    Raises:
        Fault: when it is damaged, or lacks something that a module must have: a platform, a saved gradient, portable
            StableHLO without side effects, see pipeline.saved_model.
    """
    needs = saved_model.needs(folder)
    if found := saved_model.faults(needs):
        raise Fault("; ".join(finding.text for finding in found) + ". It is not published; correct the conversion")
    return {
        "tensorflow": needs.tensorflow,
        "platforms": needs.platforms,
        "calling_conventions": needs.conventions,
        "stablehlo": sorted({one.stablehlo for one in needs.computations if one.stablehlo}),
        "signatures": sorted(needs.signatures),
    }


def load(folder: Path) -> Any:
    """Loads a SavedModel as a user would.

    Raises:
        Fault: when it is missing or damaged.
    """
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder))
    except (OSError, IndexError, ValueError, tf.errors.OpError) as error:  # all seen of damaged files
        message = " ".join(str(error).split())
        raise Fault(f"{folder}: TensorFlow cannot load this SavedModel ({message}); run make convert again") from error


def replay(module: Any, folder: Path) -> Report:
    """Replays the self-test that travels inside the module, by every way to call it."""
    path = folder / "assets.extra" / "selftest.npz"
    if not path.is_file():
        raise Fault(f"{path}: the module lacks its self-test; run make convert again")
    with np.load(path, allow_pickle=False) as golden:
        tolerance = float(golden["tolerance"])
        found = selftest.differences(module, golden["pixels"], golden["outputs"])
    passed = all(difference <= tolerance for difference in found.values())  # NaN fails
    return {"max_rel": found, "tolerance": tolerance, "verdict": verdict(passed)}


def check_module(
    folder: Path, inputs: np.ndarray, expected: np.ndarray, weights: Mapping[str, str], tolerance: float, logits: bool
) -> tuple[Report, Any]:
    """Holds one SavedModel against its checkpoint; returns the findings and the loaded module.

    Args:
        folder: the SavedModel.
        inputs: float32 (n, size, size, 3) in [-1, 1].
        expected: what the Flax model computes of them, float32 (n, k).
        weights: the fingerprints of the checkpoint's arrays that this head uses, by name.
        tolerance: the largest difference allowed, relative to the largest of `expected`.
        logits: whether the output is logits, whose arg-max must agree.

    Raises:
        Fault: when the SavedModel cannot be loaded, or its outputs have another shape.
    """
    module = load(folder)
    outputs = module(inputs).numpy()
    if outputs.shape != expected.shape:
        raise Fault(f"{folder}: its output is {outputs.shape}, expected {expected.shape}; it is another model or head")
    findings = {
        "content_sha256": artifact.folder_digest(folder),
        "bytes": artifact.size(folder),
        "output_width": outputs.shape[1],
        "weights": weights_equal(module.variables, weights),
        "parity": compare(outputs, expected, tolerance, logits),
        "single_image": compare(module(inputs[:1]).numpy(), expected[:1], tolerance, logits),
        "selftest": replay(module, folder),
    }
    return findings, module


def failures(head: str, findings: Report) -> list[str]:
    """Returns a sentence for each check of a module that failed."""
    sentences = []
    if findings["weights"]["verdict"] == "fail":
        names = findings["weights"]["different"]
        sentences.append(f"{head}: {len(names)} variables differ from the checkpoint: {', '.join(names[:5])}")
    for check in ("parity", "single_image"):
        found = findings[check]
        if found["verdict"] == "fail":
            agreement = found.get("argmax_agreement", 1.0)
            sentences.append(
                f"{head}: TensorFlow and JAX differ ({check}) by {found['max_rel']:.1e} of the largest output,"
                f" expected at most {found['tolerance']:.0e}"
                + (f", and name another class for {1 - agreement:.1%} of the inputs" if agreement < 1 else "")
            )
    if findings["selftest"]["verdict"] == "fail":
        found = findings["selftest"]
        way, largest = max(found["max_rel"].items(), key=lambda pair: (math.isnan(pair[1]), pair[1]))
        sentences.append(
            f"{head}: the self-test inside differs ({way}) by {largest:.1e} of the largest output, expected at most"
            f" {found['tolerance']:.0e}"
        )
    found = findings.get("fine_tuning", {"verdict": "pass"})
    if found["verdict"] == "fail":
        if names := found["without_gradient"]:
            sentences.append(f"{head}: {len(names)} variables have no finite gradient: {', '.join(names[:5])}")
        elif not found["variables"]:
            sentences.append(f"{head}: it has no trainable variables")
        else:
            sentences.append(
                f"{head}: a step of gradient descent does not lower the loss: {found['loss_before']:.4f} before,"
                f" {found['loss_after']:.4f} after"
            )
    return sentences
