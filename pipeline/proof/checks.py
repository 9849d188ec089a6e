"""Checks that compare a SavedModel on disk with its checkpoint. Each returns its figures and a verdict."""

import functools
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.checkpoints import npz
from pipeline.facts.checks import (
    BatchSizes,
    BlockTrace,
    ClassesCheck,
    Comparison,
    LoaderCheck,
    ModuleReport,
    Needs,
    SelfTestReplay,
    WeightsCheck,
)
from pipeline.model import float64
from pipeline.model.float64 import SMALLEST, relative_scale
from pipeline.model.preprocessing import prepare
from pipeline.proof import blocks, loaders
from pipeline.proof.blocks import Outputs
from pipeline.proof.checklist import Checklist
from pipeline.saved_model import faults, inspection, selftest
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.files import folder_digest, folder_size
from pipeline.saved_model.load import load_saved_model

if TYPE_CHECKING:
    from pipeline.model.network import Network, Tolerances

BATCH_SIZES = (1, 7)  # in which the first inputs are computed again
TRACED = 2  # inputs that are followed through the blocks, and whose tokens are compared
FILES = 3  # image files in a batch for a large model, which takes a second or more for each
# Bytes of a SavedModel. A smaller one takes longer to compile for a batch size than to run, and TensorFlow has compiled
# it for the largest of BATCH_SIZES in any case.
LARGE = 400_000_000
PROBABILITIES = 1e-6  # the largest difference of a float32 probability from that of its logits
# Logits that differ by less, relative to the largest, are equal: either one is rounded, by half a spacing of float32 at
# least.
TIE = 4 * float(np.finfo(np.float32).eps)


def compare(
    got: np.ndarray, expected: np.ndarray, tolerance: float, logits: bool, least_scale: float = SMALLEST
) -> Comparison:
    """Compares the outputs (n, k) of two implementations for the same n inputs.

    Args:
        got: the outputs to check.
        expected: the outputs they should have.
        tolerance: the largest relative error (max_rel) that passes.
        logits: whether the arg-max must agree too; it has no meaning for features.
        least_scale: what errors are relative to where the largest of `expected` is smaller.
    """
    exact, other = expected.astype(np.float64), got.astype(np.float64)
    max_abs = float(np.max(np.abs(other - exact)))
    max_rel = max_abs / relative_scale(exact, least_scale)
    agreement = _argmax_agreement(other, exact, least_scale) if logits else None
    verdict = Verdict.of(max_rel <= tolerance and agreement in (None, 1.0))
    return Comparison(len(got), max_abs, max_rel, _smallest_cosine(other, exact), tolerance, verdict, agreement)


def _argmax_agreement(got: np.ndarray, expected: np.ndarray, least_scale: float) -> float:
    """Returns the share of rows whose arg-max agrees; any of several logits that TIE may be the largest."""
    largest = expected.max(axis=1)
    behind = largest - np.take_along_axis(expected, got.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    return float(np.mean(behind <= TIE * np.maximum(np.abs(expected).max(axis=1), least_scale)))


def _smallest_cosine(got: np.ndarray, expected: np.ndarray) -> float:
    """Returns the smallest cosine similarity of two rows; NaN where an output is not finite."""
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
    with np.errstate(invalid="ignore"):
        cosines = np.sum(expected * got, axis=1) / np.where(lengths == 0, 1, lengths)
    both_zero = ~np.any(expected, axis=1) & ~np.any(got, axis=1)
    return float(np.min(np.where(both_zero, 1, cosines)))


def fingerprint(array: np.ndarray) -> str:
    """Returns a digest of an array's type, shape and bytes."""
    return f"{array.dtype}{array.shape}{hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()}"


@dataclass(frozen=True)
class Reference:
    """What the modules of a checkpoint must hold and compute.

    Attributes:
        inputs: float32 (n, size, size, 3) in [-1, 1].
        outputs: of the JAX model in float64, rounded: float32 (n, classes) and (n, width), by head.
        blocks: the input and the output of each block for the first TRACED inputs, by its path.
        weights: the fingerprints of the arrays that each head uses, by name.
        head: computes logits (n, classes) of features (n, width) with the checkpoint's head, in float32.
        tolerances: the largest relative errors that pass.
        least_scales: what errors are relative to where the largest output is smaller, by head.
        resized_from: the checkpoint's image size, if its position embedding was resized; None if not.
        tokens: float32 (TRACED, tokens, width), of the first inputs; None for a network without tokens.
    """

    inputs: np.ndarray
    outputs: Mapping[Head, np.ndarray]
    blocks: Mapping[str, tuple[np.ndarray, np.ndarray]]
    weights: Mapping[Head, Mapping[str, str]]
    head: Callable[[np.ndarray], np.ndarray]
    tolerances: "Tolerances"
    least_scales: Mapping[Head, float]
    resized_from: int | None = None
    tokens: np.ndarray | None = None

    def values_at(self, paths: Iterable[str]) -> Outputs:
        """Returns the values at the places that blocks.of_saved_model() names; unknown places are left out."""
        values = {}
        for path in paths:
            is_input = path.startswith(blocks.INPUT)
            if (block := path.removeprefix(blocks.INPUT)) in self.blocks:
                values[path] = self.blocks[block][0 if is_input else 1]
        return values


def compute_reference(
    network: "Network", arrays: npz.Arrays, inputs: np.ndarray, resized_from: int | None = None
) -> Reference:
    """Computes what the modules are compared with.

    In float64, so that a difference is the module's own: JAX's float32, even without TF32 or bfloat16, differs from it
    by up to 5e-5 of the largest output for R50+L/32, depending on how the model is divided for compilation.

    Args:
        network: the network.
        arrays: its weights; the result holds none of them but the classification head, copied.
        inputs: float32 (n, size, size, 3) in [-1, 1].
        resized_from: see Reference.

    Raises:
        Fault: when the logits are the same for all inputs.
    """
    from pipeline.model.network import select_weights

    exact = float64.compute_exact(network, arrays, inputs, TRACED, has_blocks=True)
    outputs = exact.outputs
    logits = outputs[Head.CLASSIFICATION]
    if np.all(logits == logits[0]) and not np.all(inputs == inputs[0]):
        raise Fault(
            "the JAX model returns the same logits for every image, so nothing can be compared: the checkpoint is not"
            " trained, or damaged; train it, or name another one"
        )
    fingerprints = {name: fingerprint(value) for name, value in arrays.items()}
    head = {name: np.array(value) for name, value in arrays.items() if network.is_head(name)}
    return Reference(
        inputs=inputs,
        outputs=outputs,
        blocks=exact.blocks,
        weights={head: select_weights(network, fingerprints, head) for head in Head},
        head=lambda features: np.asarray(network.head(head, features)),
        tolerances=network.tolerances,
        least_scales=float64.least_scales(network, arrays, outputs[Head.FE]),
        resized_from=resized_from,
        tokens=exact.tokens,
    )


def compare_weights(
    variables: Iterable[Any], expected: Mapping[str, str], resized_from: int | None = None
) -> WeightsCheck:
    """Compares a loaded module's variables with the checkpoint's arrays, by fingerprint and name.

    Args:
        variables: of the module.
        expected: the fingerprints by name.
        resized_from: see Reference.
    """
    got, parameters = {}, 0
    for variable in variables:  # one copy at a time
        value = variable.numpy()
        got[variable.name.removesuffix(":0")] = fingerprint(value)
        parameters += value.size
    names = sorted(expected.keys() | got.keys())
    different = tuple(name for name in names if got.get(name) != expected.get(name))
    return WeightsCheck(len(expected), parameters, different, Verdict.of(not different), resized_from)


def read_needs(folder: Path) -> Needs:
    """Returns what a SavedModel needs of its users, without running it.

    Raises:
        Fault: when it is damaged, or lacks what a module must have: a platform, a saved gradient, portable StableHLO
            without side effects (pipeline.saved_model.faults).
    """
    needs = inspection.inspect_saved_model(folder)
    if findings := [*faults.find_faults(needs), *faults.find_publication_faults(needs)]:
        raise Fault("; ".join(finding.text for finding in findings) + ". It is not published; correct the conversion")
    if needs.platforms is None:
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
    test = loaders.read_selftest(folder)
    errors = selftest.relative_errors(module, test)
    verdict = Verdict.of(all(error <= test.limit(way) for way, error in errors.items()))
    return SelfTestReplay(errors, test.tolerance, verdict, test.tokens_tolerance)


def compare_batch_sizes(
    module: Any, inputs: np.ndarray, outputs: np.ndarray, tolerance: float, least_scale: float = SMALLEST
) -> BatchSizes:
    """Computes the first inputs again in batches of BATCH_SIZES and compares with `outputs`, those of all at once.

    Args:
        module: a loaded SavedModel.
        inputs: float32 (n, size, size, 3), n above the largest of BATCH_SIZES.
        outputs: (n, k), of all inputs in one batch.
        tolerance: the largest relative error that passes.
        least_scale: see compare().
    """
    errors, scale = {}, relative_scale(outputs, least_scale)
    for size in BATCH_SIZES:
        difference = np.abs(module(inputs[:size]).numpy().astype(np.float64) - outputs[:size])
        errors[str(size)] = float(np.max(difference)) / scale
    return BatchSizes(len(inputs), errors, tolerance, _all_within(errors, tolerance))


def _all_within(errors: Mapping[str, float], tolerance: float) -> Verdict:
    return Verdict.of(all(error <= tolerance for error in errors.values()))


def check_preprocessing(module: Any, size: int, tolerance: float, least_scale: float = SMALLEST) -> Comparison:
    """Calls `serving_images` with an image of another size than the model's, and the model with its prepared form.

    The image is noise, so that no two ways to resize agree; the self-test's images have the model's size.

    Args:
        module: a loaded SavedModel.
        size: the side of the model's input, in pixels.
        tolerance: the largest relative error that passes.
        least_scale: see compare().
    """
    pixels = np.random.default_rng(0).integers(0, 256, (2 * size - 1, size + size // 2 + 1, 3), np.uint8)
    expected = module(prepare(pixels, size, "resize")[np.newaxis]).numpy()
    (got,) = module.signatures["serving_images"](images=pixels[np.newaxis]).values()
    return compare(got.numpy(), expected, tolerance, logits=False, least_scale=least_scale)


def check_encoded(module: Any, size: int, files: int, tolerance: float, least_scale: float = SMALLEST) -> Comparison:
    """Calls `serving_jpeg` with PNGs and a JPEG of other sizes than the model's, and the model with their pixels.

    Pillow decodes them here. They are noise, so that no two ways to decode or resize agree, and in one batch, though
    their sizes differ.

    Args:
        module: a loaded SavedModel.
        size: the side of the model's input, in pixels.
        files: how many, at least 2.
        tolerance: the largest relative error that passes.
        least_scale: see compare().
    """
    encoded = [_noise_file("JPEG" if number == 1 else "PNG", number, size) for number in range(files)]
    pixels = [np.asarray(Image.open(io.BytesIO(file))) for file in encoded]
    expected = module(np.stack([prepare(each, size, "resize") for each in pixels])).numpy()
    (got,) = module.signatures["serving_jpeg"](encoded=np.array(encoded, object)).values()
    return compare(got.numpy(), expected, tolerance, logits=False, least_scale=least_scale)


def _noise_file(kind: str, seed: int, size: int) -> bytes:
    """Returns an image of noise in another size than (size, size), as a file."""
    shape = (2 * size - 1 - seed, size + size // 2 + 1 + seed, 3)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(file, kind)
    return file.getvalue()


def check_tokens(module: Any, inputs: np.ndarray, expected: np.ndarray, tolerance: float) -> Comparison:
    """Compares the tokens of a module with those of the JAX model.

    Args:
        module: a loaded SavedModel.
        inputs: float32 (n, size, size, 3).
        expected: float32 (n, tokens, width).
        tolerance: the largest relative error that passes.

    Raises:
        Fault: when it returns another shape.
    """
    got = module.tokens(inputs).numpy()
    if got.shape != expected.shape:
        raise Fault(f"its tokens are {got.shape}, expected {expected.shape}; run make convert again")
    return compare(got.reshape(len(got), -1), expected.reshape(len(got), -1), tolerance, logits=False)


def check_classes(module: Any, size: int, files: int, answers: Classes, tolerance: float) -> ClassesCheck:
    """Compares the probabilities and names of `serving_classify` with what its logits say.

    Args:
        module: a loaded classifier.
        size: the side of the model's input, in pixels.
        files: how many.
        answers: the activation and the names that it must have.
        tolerance: the largest difference of a probability that passes.
    """
    encoded = np.array([_noise_file("PNG", seed, size) for seed in range(files)], object)
    outputs = {name: value.numpy() for name, value in module.signatures["serving_classify"](encoded=encoded).items()}
    if missing := sorted(selftest.CLASSIFY_OUTPUTS - outputs.keys()):
        raise Fault(f"serving_classify returns no {', '.join(missing)}; run make convert again")
    expected = answers.probabilities(outputs["logits"])
    difference = float(np.max(np.abs(outputs["probabilities"].astype(np.float64) - expected)))
    are_named = selftest.names_the_largest(outputs, answers.names)
    example = tuple(name.decode(errors="replace") for name in outputs["top_classes"][0])
    verdict = Verdict.of(difference <= tolerance and are_named)
    return ClassesCheck(files, difference, tolerance, are_named, verdict, example)


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


def check_module(
    folder: Path,
    head: Head,
    needs: Needs,
    reference: Reference,
    answers: Classes,
    in_c_api: Callable[[], LoaderCheck],
    checklist: Checklist,
) -> CheckedModule:
    """Loads a SavedModel and compares it with its checkpoint.

    Args:
        folder: the SavedModel.
        head: which of the two it is.
        needs: what read_needs() returned.
        reference: what it must hold and compute.
        answers: what a classifier must answer beside its logits.
        in_c_api: waits for the self-test in the C API, see c_api.start().
        checklist: prints the rungs.

    Raises:
        Fault: when the SavedModel cannot be loaded, or its outputs have another shape.
    """
    climb = functools.partial(checklist.climb, head)
    # First: its copy of the weights is gone before the module has its own.
    session = climb("session", lambda: loaders.check_session(folder))
    checklist.begin(f"loading {head}")
    module = load_saved_model(folder)
    inputs, expected, tolerance = reference.inputs, reference.outputs[head], reference.tolerances.outputs
    least, logits = reference.least_scales[head], head is Head.CLASSIFICATION
    size, stored = inputs.shape[1], folder_size(folder)
    files = FILES if stored >= LARGE else max(BATCH_SIZES)
    outputs: np.ndarray = module(inputs).numpy()
    if outputs.shape != expected.shape:
        raise Fault(f"{folder}: its output is {outputs.shape}, expected {expected.shape}; it is another model or head")
    parity = compare(outputs, expected, tolerance, logits, least)
    trace, tokens = BlockTrace(reason="its outputs match"), reference.tokens if head is Head.FE else None
    if logits or parity.verdict is not Verdict.PASS:  # the card shows the classifier's in any case
        trace = trace_blocks(module, folder, reference)
    report = ModuleReport(
        content_sha256=folder_digest(folder),
        bytes=stored,
        output_width=outputs.shape[1],
        needs=needs,
        weights=climb(
            "weights", lambda: compare_weights(module.variables, reference.weights[head], reference.resized_from)
        ),
        selftest=climb("selftest", lambda: replay_selftest(module, folder)),
        preprocessing=climb("preprocessing", lambda: check_preprocessing(module, size, tolerance, least)),
        encoded=climb("encoded", lambda: check_encoded(module, size, files, tolerance, least)),
        blocks=trace,
        parity=climb("parity", lambda: parity, trace),
        batch_sizes=climb("batch_sizes", lambda: compare_batch_sizes(module, inputs, outputs, tolerance, least)),
        tokens=None
        if tokens is None
        else climb("tokens", lambda: check_tokens(module, inputs[:TRACED], tokens, reference.tolerances.tokens)),
        classes=climb("classes", lambda: check_classes(module, size, files, answers, PROBABILITIES))
        if head is Head.CLASSIFICATION and answers.has_probabilities(outputs.shape[1])
        else None,
        token_shape=None if tokens is None else tokens.shape[1:],
        session=session,
        c_api=climb("c_api", in_c_api),
    )
    return CheckedModule(module, outputs, report)


def compare_heads(features: np.ndarray, logits: np.ndarray, reference: Reference) -> Comparison:
    """Compares the extractor's features through the checkpoint's head with the classifier's logits.

    Args:
        features: (n, width), the extractor's outputs.
        logits: (n, classes), the classifier's outputs for the same inputs.
        reference: has the head.
    """
    product, least = reference.head(features), reference.least_scales[Head.CLASSIFICATION]
    return compare(product, logits, reference.tolerances.outputs, logits=True, least_scale=least)
