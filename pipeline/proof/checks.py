"""Checks that compare a SavedModel on disk with its checkpoint. Each returns its figures and a verdict."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.checkpoints import npz
from pipeline.facts.checks import BatchSizes, BlockTrace, Comparison, ModuleReport, Needs, SelfTestReplay, WeightsCheck
from pipeline.model import float64
from pipeline.model.parameters import nest_parameters, select_parameters
from pipeline.model.preprocessing import prepare
from pipeline.model.variants import Model, variant
from pipeline.model.vit import BLOCKS, VisionTransformer
from pipeline.proof import blocks, c_api, loaders
from pipeline.proof.blocks import Outputs
from pipeline.saved_model import inspection, selftest
from pipeline.saved_model.files import folder_digest, folder_size
from pipeline.saved_model.load import load_saved_model

BATCH_SIZES = (1, 7)  # in which the first inputs are computed again
TRACED = 2  # inputs that are followed through the blocks


def compare(got: np.ndarray, expected: np.ndarray, tolerance: float, logits: bool) -> Comparison:
    """Compares the outputs (n, k) of two implementations for the same n inputs.

    Args:
        got: the outputs to check.
        expected: the outputs they should have, not all zero.
        tolerance: the largest relative error (max_rel) that passes.
        logits: whether the arg-max must agree too; it has no meaning for features.
    """
    exact, other = expected.astype(np.float64), got.astype(np.float64)
    max_abs = float(np.max(np.abs(other - exact)))
    max_rel = max_abs / float(np.max(np.abs(exact)))
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore"):  # a vector of zeros or infinities has no direction: NaN
        cosine = float(np.min(np.sum(exact * other, axis=1) / lengths))
    agreement = float(np.mean(got.argmax(axis=1) == expected.argmax(axis=1))) if logits else None
    verdict = Verdict.of(max_rel <= tolerance and agreement in (None, 1.0))
    return Comparison(len(got), max_abs, max_rel, cosine, tolerance, verdict, agreement)


def fingerprint(array: np.ndarray) -> str:
    """Returns a digest of an array's type, shape and bytes."""
    return f"{array.dtype}{array.shape}{hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()}"


@dataclass(frozen=True)
class Reference:
    """What the modules of a checkpoint must hold and compute.

    Attributes:
        inputs: float32 (n, size, size, 3) in [-1, 1].
        outputs: of the Flax model in float64, rounded: float32 (n, classes) and (n, width), by head.
        blocks: the input and the output of each block for the first TRACED inputs, by its path.
        weights: the fingerprints of the arrays that each head uses, by name.
        kernel, bias: the checkpoint's classification head, (width, classes) and (classes,).
        tolerance: the largest relative error that passes.
    """

    inputs: np.ndarray
    outputs: Mapping[Head, np.ndarray]
    blocks: Mapping[str, tuple[np.ndarray, np.ndarray]]
    weights: Mapping[Head, Mapping[str, str]]
    kernel: np.ndarray
    bias: np.ndarray
    tolerance: float

    def values_at(self, paths: Iterable[str]) -> Outputs:
        """Returns the values at the places that blocks.of_saved_model() names; unknown places are left out."""
        values = {}
        for path in paths:
            is_input = path.startswith(blocks.INPUT)
            if (block := path.removeprefix(blocks.INPUT)) in self.blocks:
                values[path] = self.blocks[block][0 if is_input else 1]
        return values


def compute_reference(model: Model, arrays: npz.Arrays, inputs: np.ndarray) -> Reference:
    """Computes what the modules are compared with.

    In float64, so that a difference is the module's own: JAX's float32, even without TF32 or bfloat16, differs from it
    by up to 5e-5 of the largest output for R50+L/32, depending on how the model is divided for compilation.

    Args:
        model: the section.
        arrays: the checkpoint; the result holds none of them but the classification head, copied.
        inputs: float32 (n, size, size, 3) in [-1, 1].

    Raises:
        Fault: when all outputs are zero.
    """
    outputs = float64.compute_outputs(model, arrays, inputs)
    if not np.any(outputs[Head.CLASSIFICATION]):
        raise Fault("the JAX model's outputs are all zero, so nothing can be compared: is its head untrained?")
    fingerprints = {name: fingerprint(value) for name, value in arrays.items()}
    return Reference(
        inputs=inputs,
        outputs={head: outputs[head] for head in Head},
        blocks=_trace_reference(model, arrays, inputs[:TRACED]),
        weights={head: select_parameters(fingerprints, head) for head in Head},
        kernel=np.array(arrays["head/kernel"]),
        bias=np.array(arrays["head/bias"]),
        tolerance=model.tolerance,
    )


def _trace_reference(model: Model, arrays: npz.Arrays, inputs: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the input and the output of each block of the Flax model in float64, rounded to float32, by its path."""
    import jax

    module = VisionTransformer(variant(model.variant), model.classes)
    with jax.enable_x64(True):
        exact = inputs.astype(np.float64)
        _, state = module.apply({"params": nest_parameters(arrays)}, exact, mutable=[BLOCKS])
    traced = flatten_dict(state[BLOCKS], sep="/")
    return {path: (np.asarray(x, np.float32), np.asarray(y, np.float32)) for path, ((x, y),) in traced.items()}


def compare_weights(variables: Iterable[Any], expected: Mapping[str, str]) -> WeightsCheck:
    """Compares a loaded module's variables with the checkpoint's arrays, by fingerprint and name."""
    got, parameters = {}, 0
    for variable in variables:  # one copy at a time
        value = variable.numpy()
        got[variable.name.removesuffix(":0")] = fingerprint(value)
        parameters += value.size
    names = sorted(expected.keys() | got.keys())
    different = tuple(name for name in names if got.get(name) != expected.get(name))
    return WeightsCheck(len(expected), parameters, different, Verdict.of(not different))


def read_needs(folder: Path) -> Needs:
    """Returns what a SavedModel needs of its users, without running it.

    Raises:
        Fault: when it is damaged, or lacks what a module must have: a platform, a saved gradient, portable StableHLO
            without side effects (pipeline.saved_model.inspection).
    """
    needs = inspection.inspect_saved_model(folder)
    if faults := [*inspection.find_faults(needs), *inspection.find_publication_faults(needs)]:
        raise Fault("; ".join(finding.text for finding in faults) + ". It is not published; correct the conversion")
    if needs.tensorflow is None or needs.platforms is None:
        raise Fault(f"{folder}: not a module of this project: it has no XlaCallModule node; run make convert again")
    return Needs(
        needs.tensorflow,
        needs.platforms,
        needs.conventions,
        tuple(sorted({computation.stablehlo for computation in needs.computations if computation.stablehlo})),
        tuple(sorted(needs.signatures)),
    )


def replay_selftest(module: Any, folder: Path) -> SelfTestReplay:
    """Replays the self-test inside a module's folder, by every way to call the module.

    Raises:
        Fault: when there is no self-test.
    """
    path = folder / "assets.extra" / "selftest.npz"
    if not path.is_file():
        raise Fault(f"{path}: the module lacks its self-test; run make convert again")
    with np.load(path, allow_pickle=False) as test:
        tolerance = float(test["tolerance"])
        differences = selftest.differences(module, test["pixels"], test["outputs"])
    return SelfTestReplay(differences, tolerance, _all_within(differences, tolerance))


def compare_batch_sizes(module: Any, inputs: np.ndarray, outputs: np.ndarray, tolerance: float) -> BatchSizes:
    """Computes the first inputs again in batches of BATCH_SIZES and compares with `outputs`, those of all at once.

    Args:
        module: a loaded SavedModel.
        inputs: float32 (n, size, size, 3), n above the largest of BATCH_SIZES.
        outputs: (n, k), of all inputs in one batch.
        tolerance: the largest difference that passes, relative to the largest of `outputs`.
    """
    differences = {}
    for size in BATCH_SIZES:
        difference = np.abs(module(inputs[:size]).numpy().astype(np.float64) - outputs[:size])
        differences[str(size)] = float(np.max(difference) / np.max(np.abs(outputs)))
    return BatchSizes(len(inputs), differences, tolerance, _all_within(differences, tolerance))


def _all_within(differences: Mapping[str, float], tolerance: float) -> Verdict:
    return Verdict.of(all(difference <= tolerance for difference in differences.values()))


def check_preprocessing(module: Any, size: int, tolerance: float) -> Comparison:
    """Calls `serving_images` with an image of another size than the model's, and the model with its prepared form.

    The image is noise, so that no two ways to resize agree; the self-test's images have the model's size.

    Args:
        module: a loaded SavedModel.
        size: the side of the model's input, in pixels.
        tolerance: the largest difference that passes, relative to the largest output.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (2 * size - 1, size + size // 2 + 1, 3), np.uint8)
    expected = module(prepare(pixels, size, "resize")[np.newaxis]).numpy()
    (got,) = module.signatures["serving_images"](images=pixels[np.newaxis]).values()
    return compare(got.numpy(), expected, tolerance, logits=False)


def trace_blocks(module: Any, folder: Path, reference: Reference) -> BlockTrace:
    """Follows the first TRACED inputs through a module's blocks, to show where it departs from the JAX model."""
    variables = {variable.name.removesuffix(":0"): variable for variable in module.variables}
    try:
        outputs = blocks.of_saved_model(folder, variables, reference.inputs[:TRACED])
        differences = blocks.differences(outputs, reference.values_at(outputs))
    except blocks.UnknownStructure as reason:
        return BlockTrace(reason=str(reason))
    return BlockTrace(TRACED, tuple(differences.items()))


@dataclass(frozen=True, eq=False)
class CheckedModule:
    """A loaded module that was checked.

    Attributes:
        module: what TensorFlow loaded.
        outputs: for the reference's inputs, (n, k).
        report: the figures.
    """

    module: Any
    outputs: np.ndarray
    report: ModuleReport

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Returns the outputs, float32 (n, k), for float32 (n, size, size, 3) in [-1, 1]."""
        outputs: np.ndarray = self.module(inputs).numpy()
        return outputs


def check_module(folder: Path, head: Head, needs: Needs, reference: Reference) -> CheckedModule:
    """Loads a SavedModel and compares it with its checkpoint.

    Args:
        folder: the SavedModel.
        head: which of the two it is.
        needs: what read_needs() returned.
        reference: what it must hold and compute.

    Raises:
        Fault: when the SavedModel cannot be loaded, or its outputs have another shape.
    """
    session = loaders.check_session(folder)  # first: its copy of the weights is gone before the module has its own
    module = load_saved_model(folder)
    inputs, expected, tolerance = reference.inputs, reference.outputs[head], reference.tolerance
    outputs: np.ndarray = module(inputs).numpy()
    if outputs.shape != expected.shape:
        raise Fault(f"{folder}: its output is {outputs.shape}, expected {expected.shape}; it is another model or head")
    report = ModuleReport(
        content_sha256=folder_digest(folder),
        bytes=folder_size(folder),
        output_width=outputs.shape[1],
        needs=needs,
        weights=compare_weights(module.variables, reference.weights[head]),
        selftest=replay_selftest(module, folder),
        preprocessing=check_preprocessing(module, inputs.shape[1], tolerance),
        parity=compare(outputs, expected, tolerance, logits=head is Head.CLASSIFICATION),
        batch_sizes=compare_batch_sizes(module, inputs, outputs, tolerance),
        blocks=trace_blocks(module, folder, reference),
        session=session,
        c_api=c_api.check_in_process(folder),
    )
    return CheckedModule(module, outputs, report)


def compare_heads(features: np.ndarray, logits: np.ndarray, reference: Reference) -> Comparison:
    """Compares the extractor's features through the checkpoint's head with the classifier's logits.

    Args:
        features: (n, width), the extractor's outputs.
        logits: (n, classes), the classifier's outputs for the same inputs.
        reference: has the head.
    """
    return compare(features @ reference.kernel + reference.bias, logits, reference.tolerance, logits=True)
