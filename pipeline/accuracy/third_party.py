"""Loads any image classifier, and calls it as its users do."""

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from pipeline.accuracy.classify import BATCH
from pipeline.base.fault import Fault
from pipeline.saved_model.files import model_digest
from pipeline.saved_model.load import load_saved_model

OUTPUTS = ("logits", "default", "probabilities", "predictions")  # usual names of the output, if there are several
TIMED = 5  # batches


def _brief(error: Exception) -> str:
    """Returns an error's message on one line, without the arrays that TensorFlow prints into it."""
    return textwrap.shorten(str(error), 300, placeholder=" ...")


def select_output(outputs: Any, where: str) -> np.ndarray:
    """Returns a module's output as float32 (n, k), from whatever its call returned.

    Args:
        outputs: a tensor, a list of one, or tensors by name.
        where: the module's name, for messages.

    Raises:
        Fault: when there are several outputs and none has a usual name, or it has another shape.
    """
    if isinstance(outputs, dict):
        names = list(outputs) if len(outputs) == 1 else [name for name in OUTPUTS if name in outputs]
        if not names:
            raise Fault(f"{where}: it returns {', '.join(sorted(outputs))}; expected one of {', '.join(OUTPUTS)}")
        outputs = outputs[names[0]]
    if isinstance(outputs, (list, tuple)):
        if len(outputs) != 1:
            raise Fault(f"{where}: it returns a list of {len(outputs)}; expected one output, or several with names")
        (outputs,) = outputs
    array = np.asarray(outputs, np.float32)
    if array.ndim != 2:
        raise Fault(f"{where}: its output has shape {array.shape}, expected (n, classes)")
    return array


@dataclass(frozen=True)
class Classifier:
    """A loaded module.

    Attributes:
        name: its name in messages.
        digest: of its files.
        size: the side of its input in pixels; None where it takes any.
        is_own: whether this project made it, so that the range of its pixels is [-1, 1].
        call: maps float32 (n, size, size, 3) to float32 (n, k).
    """

    name: str
    digest: str
    size: int | None
    is_own: bool
    call: Callable[[np.ndarray], np.ndarray]


def _image_input(signature: Any) -> tuple[str, int | None] | None:
    """Returns the name of a signature's input, and its side in pixels, or None where it takes any.

    A loaded signature accepts inputs of any shape, so the shape is checked here.

    Returns:
        None for a signature that does not take batches of square images, float32 (n, side, side, 3).
    """
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1:
        return None
    ((key, spec),) = inputs.items()
    shape = [None] * 4 if spec.shape.rank is None else spec.shape.as_list()
    fits = len(shape) == 4 and shape[0] is None and shape[1] == shape[2] and shape[3] in (None, 3)
    return (key, shape[1]) if fits and spec.dtype.name == "float32" else None


def load_classifier(name: str, folder: Path) -> Classifier:
    """Loads a SavedModel as its users do: to be called, or by its signature.

    Raises:
        Fault: when it cannot be loaded or called, or takes something else than batches of images; from call() when it
            refuses them.
    """
    import tensorflow as tf

    module = load_saved_model(folder)
    signatures = getattr(module, "signatures", {})
    signature: Any = signatures.get("serving_default") or signatures.get("default")
    if not callable(module) and signature is None:
        raise Fault(f"{name}: it cannot be called, and has no signature serving_default or default")
    image_input = _image_input(signature) if signature is not None else None
    if image_input is None and not callable(module):
        specs = sorted(signature.structured_input_signature[1].items())
        inputs = ", ".join(f"{spec.dtype.name} {spec.shape}" for _, spec in specs)
        raise Fault(f"{name}: its signature takes {inputs}; expected one input, float32 (n, side, side, 3)")
    key, size = image_input or ("", None)

    def call(inputs: np.ndarray) -> np.ndarray:
        tensor = tf.constant(inputs)
        try:
            outputs = module(tensor) if callable(module) else signature(**{key: tensor})
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise Fault(f"{name}: it refuses images, float32 {inputs.shape} ({_brief(error)})") from None
        return select_output(outputs, name)

    is_own = (folder / "assets.extra" / "provenance.json").is_file()
    return Classifier(name, model_digest(folder), size, is_own, call)


def _invert_activation(outputs: np.ndarray, activation: str) -> np.ndarray:
    """Returns logits (n, k) whose activation is `outputs` (n, k) if these are probabilities, else the outputs.

    Probabilities of a softmax add up to 1 for each image; those of a sigmoid are between 0 and 1.
    """
    tiny, below_1 = np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg
    if activation == "sigmoid":
        likely = bool(np.all((outputs >= 0) & (outputs <= 1)))
        return logit(np.clip(outputs, tiny, below_1)) if likely else outputs
    likely = bool(np.all(outputs >= 0)) and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    return np.log(np.maximum(outputs, tiny)) if likely else outputs


def to_logits(
    classifier: Classifier, classes: int, background: bool, activation: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from images, float32 (n, size, size, 3), to logits, float32 (n, classes).

    Probabilities are turned back into logits: the same order, and the same probabilities after the activation.

    Args:
        classifier: the module.
        classes: how many labels there are.
        background: whether a first output stands for none of them, as in the first Inception modules.
        activation: what turns logits into probabilities, one of ACTIVATIONS.

    Raises:
        Fault: from the function, when the module returns another number of outputs.
    """

    def predict(inputs: np.ndarray) -> np.ndarray:
        outputs = classifier.call(inputs)
        if outputs.shape[1] != classes + background:
            hint = "; pass --background if the first is none of them" if outputs.shape[1] == classes + 1 else ""
            raise Fault(
                f"{classifier.name}: it returns {outputs.shape[1]} outputs, expected {classes + background} for"
                f" {classes} labels{hint}"
            )
        outputs = _invert_activation(outputs, activation)
        return outputs[:, 1:] if background else outputs

    return predict


def measure_speed(predict: Callable[[np.ndarray], np.ndarray], size: int) -> float:
    """Returns the images per second of the forward pass alone, in batches of BATCH, after a first batch."""
    batch = np.zeros((BATCH, size, size, 3), np.float32)
    predict(batch)
    started = time.perf_counter()
    for _ in range(TIMED):
        predict(batch)
    return TIMED * BATCH / (time.perf_counter() - started)
