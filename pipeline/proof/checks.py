"""Proof that a SavedModel on disk is what it claims to be: checks that return figures and a verdict, pass or fail."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from pipeline.base.fault import Fault
from pipeline.checkpoints import npz
from pipeline.model import float64
from pipeline.model.parameters import nest_parameters
from pipeline.model.preprocessing import prepare
from pipeline.model.variants import Model, variant
from pipeline.model.vit import BLOCKS, VisionTransformer
from pipeline.proof import blocks
from pipeline.proof.blocks import Outputs
from pipeline.saved_model import inspection, selftest
from pipeline.saved_model.files import folder_digest, folder_size
from pipeline.saved_model.load import load_saved_model

Report = dict[str, Any]

BATCH_SIZES = (1, 7)  # of the inputs, computed again apart from the others
TRACED = 2  # inputs whose way through the blocks is compared


def verdict(passed: bool) -> str:
    return "pass" if passed else "fail"


def compare(got: np.ndarray, expected: np.ndarray, tolerance: float, logits: bool) -> Report:
    """Compares the outputs (n, k) of two implementations on the same n inputs.

    Args:
        got: of one implementation.
        expected: of the other, not zero throughout.
        tolerance: the largest `max_rel` allowed: the largest absolute difference by the largest expected magnitude.
        logits: whether the arg-max must agree too; a feature vector's means nothing.

    Returns:
        images, max_abs, max_rel, cosine (the least of the images' cosine similarities, -1 to 1), tolerance, verdict,
        and for logits argmax_agreement, 0 to 1.
    """
    exact, other = expected.astype(np.float64), got.astype(np.float64)
    max_abs = float(np.max(np.abs(other - exact)))
    max_rel = max_abs / float(np.max(np.abs(exact)))
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore"):  # a vector of zeros, or of infinities, has no direction: NaN
        cosine = float(np.min(np.sum(exact * other, axis=1) / lengths))
    found: Report = {"images": len(got), "max_abs": max_abs, "max_rel": max_rel, "cosine": cosine}
    passed = max_rel <= tolerance  # written so that NaN fails
    if logits:
        found["argmax_agreement"] = float(np.mean(got.argmax(axis=1) == expected.argmax(axis=1)))
        passed = passed and found["argmax_agreement"] == 1.0
    return found | {"tolerance": tolerance, "verdict": verdict(passed)}


@dataclass(frozen=True)
class Reference:
    """What the Flax model computes from the checkpoint itself, in float64, rounded to float32.

    Attributes:
        outputs: by head, "classification" (n, classes) and "fe" (n, width).
        blocks: for the first TRACED inputs, what goes into each block and what comes out, by its path.
    """

    outputs: dict[str, np.ndarray]
    blocks: dict[str, tuple[np.ndarray, np.ndarray]]

    def along(self, paths: Iterable[str]) -> Outputs:
        """Returns the values at the places that blocks.of_saved_model() names, as far as there are such blocks."""
        found = {}
        for path in paths:
            block, place = (path.removeprefix(blocks.INPUT), 0) if path.startswith(blocks.INPUT) else (path, 1)
            if block in self.blocks:
                found[path] = self.blocks[block][place]
        return found


def reference(model: Model, arrays: npz.Arrays, inputs: np.ndarray) -> Reference:
    """Computes what the modules are held against.

    In float64, so that a difference is the module's own. JAX's float32, even without TF32 or bfloat16, is up to 5e-5 of
    the largest output away from it for R50+L/32, by how the model is cut up for compilation.

    Raises:
        Fault: when the outputs are zero throughout.
    """
    import jax

    outputs = float64.outputs(model, arrays, inputs)
    if not np.any(outputs["classification"]):
        raise Fault("the JAX model's outputs are all zero, so nothing can be compared: is its head untrained?")
    module = VisionTransformer(variant(model.variant), model.classes)
    with jax.enable_x64(True):
        exact = inputs[:TRACED].astype(np.float64)
        _, state = module.apply({"params": nest_parameters(arrays)}, exact, mutable=[BLOCKS])
    traced = flatten_dict(state[BLOCKS], sep="/")
    return Reference(
        outputs,
        {path: (np.asarray(x, np.float32), np.asarray(y, np.float32)) for path, ((x, y),) in traced.items()},
    )


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
            StableHLO without side effects, see pipeline.saved_model.inspection.
    """
    needs = inspection.inspect_saved_model(folder)
    if found := inspection.find_faults(needs):
        raise Fault("; ".join(finding.text for finding in found) + ". It is not published; correct the conversion")
    return {
        "tensorflow": needs.tensorflow,
        "platforms": needs.platforms,
        "calling_conventions": needs.conventions,
        "stablehlo": sorted({one.stablehlo for one in needs.computations if one.stablehlo}),
        "signatures": sorted(needs.signatures),
    }


def replay(module: Any, folder: Path) -> Report:
    """Replays the self-test that travels inside the module, by every way to call it."""
    path = folder / "assets.extra" / "selftest.npz"
    if not path.is_file():
        raise Fault(f"{path}: the module lacks its self-test; run make convert again")
    with np.load(path, allow_pickle=False) as test:
        tolerance = float(test["tolerance"])
        found = selftest.differences(module, test["pixels"], test["outputs"])
    passed = all(difference <= tolerance for difference in found.values())  # NaN fails
    return {"max_rel": found, "tolerance": tolerance, "verdict": verdict(passed)}


def batch_sizes(module: Any, inputs: np.ndarray, outputs: np.ndarray, tolerance: float) -> Report:
    """Computes the first inputs again in batches of BATCH_SIZES and holds them against `outputs`, those of all at once.

    Args:
        module: a loaded SavedModel.
        inputs: float32 (n, size, size, 3), n above the largest of BATCH_SIZES.
        outputs: what the module made of them, (n, k).
        tolerance: the largest difference allowed, relative to the largest of `outputs`.
    """
    found = {}
    for size in BATCH_SIZES:
        difference = np.abs(module(inputs[:size]).numpy().astype(np.float64) - outputs[:size])
        found[str(size)] = float(np.max(difference) / np.max(np.abs(outputs)))
    passed = all(difference <= tolerance for difference in found.values())  # NaN fails
    return {"of": len(inputs), "max_rel": found, "tolerance": tolerance, "verdict": verdict(passed)}


def pixels_in(module: Any, size: int, tolerance: float) -> Report:
    """Gives an image of another size than the model's to `serving_images`, and its prepared form to the model itself.

    The image is noise, which every way to resize makes something else of; the self-test's images have the model's size.

    Args:
        module: a loaded SavedModel.
        size: the side of the model's input, in pixels.
        tolerance: the largest difference allowed, relative to the largest output.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (2 * size - 1, size + size // 2 + 1, 3), np.uint8)
    expected = module(prepare(pixels, size, "resize")[np.newaxis]).numpy()
    (got,) = module.signatures["serving_images"](images=pixels[np.newaxis]).values()
    return compare(got.numpy(), expected, tolerance, logits=False)


def trace(module: Any, folder: Path, inputs: np.ndarray, expected: Reference) -> Report:
    """Follows the first TRACED inputs through a module's blocks, to show where it departs from the JAX model.

    Returns:
        For each block in order, its path and the largest difference after it, relative to the largest expected value
        there; or a reason why the blocks cannot be told apart. This explains, and has no verdict.
    """
    variables = {variable.name.removesuffix(":0"): variable for variable in module.variables}
    try:
        found = blocks.of_saved_model(folder, variables, inputs[:TRACED])
        differences = blocks.differences(found, expected.along(found))
    except blocks.Unlike as reason:
        return {"reason": str(reason)}
    return {"images": TRACED, "max_rel": list(map(list, differences.items()))}


def check_module(
    folder: Path, inputs: np.ndarray, expected: Reference, head: str, weights: Mapping[str, str], tolerance: float
) -> tuple[Report, Any, np.ndarray]:
    """Holds one SavedModel against its checkpoint; returns the findings, the loaded module and its outputs.

    Args:
        folder: the SavedModel.
        inputs: float32 (n, size, size, 3) in [-1, 1].
        expected: what the Flax model computes of them.
        head: "classification" or "fe".
        weights: the fingerprints of the checkpoint's arrays that this head uses, by name.
        tolerance: the largest difference allowed, relative to the largest expected output.

    Raises:
        Fault: when the SavedModel cannot be loaded, or its outputs have another shape.
    """
    module = load_saved_model(folder)
    outputs: np.ndarray = module(inputs).numpy()
    wanted, logits = expected.outputs[head], head == "classification"
    if outputs.shape != wanted.shape:
        raise Fault(f"{folder}: its output is {outputs.shape}, expected {wanted.shape}; it is another model or head")
    findings = {
        "content_sha256": folder_digest(folder),
        "bytes": folder_size(folder),
        "output_width": outputs.shape[1],
        "weights": weights_equal(module.variables, weights),
        "selftest": replay(module, folder),
        "preprocessing": pixels_in(module, inputs.shape[1], tolerance),
        "parity": compare(outputs, wanted, tolerance, logits),
        "batch_sizes": batch_sizes(module, inputs, outputs, tolerance),
        "blocks": trace(module, folder, inputs, expected),
    }
    return findings, module, outputs
