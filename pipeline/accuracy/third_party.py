"""Loads any image classifier through the interface that was chosen for it, and calls it."""

import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from pipeline.accuracy.classify import BATCH, Predict
from pipeline.accuracy.interface import Interface
from pipeline.accuracy.outputs import check_classes
from pipeline.base.fault import Fault
from pipeline.saved_model.callables import CALL
from pipeline.saved_model.faults import find_faults
from pipeline.saved_model.findings import FaultKind
from pipeline.saved_model.inspection import inspect_saved_model
from pipeline.saved_model.load import load_saved_model

TIMED = 5  # batches
_TRACEBACK = "(most recent call last)"
_HARMLESS = (FaultKind.TAGS, FaultKind.ACCESS, FaultKind.ATTRIBUTES)  # a model with these runs here all the same


def _brief(error: Exception) -> str:
    """Returns an error's message on one line, without the arrays and tracebacks that TensorFlow prints into it."""
    lines = str(error).splitlines()
    if any(_TRACEBACK in line for line in lines):  # the lines of one are indented
        lines = [line for line in lines if _TRACEBACK not in line and not line[:1].isspace()]
    return textwrap.shorten(" ".join(lines), 300, placeholder=" ...")


@dataclass(frozen=True)
class Classifier:
    """A loaded module.

    Attributes:
        name: its name in messages.
        interface: how it is called.
        prefix: of the settings of this module, "" or AGAINST.
        call: maps images, float32 (n, size, size, 3), or files, bytes (n,), to its output, float32 (n, k).
    """

    name: str
    interface: Interface
    prefix: str
    call: Predict


def load_classifier(name: str, folder: Path, interface: Interface, prefix: str = "") -> Classifier:
    """Loads a SavedModel.

    Raises:
        Fault: when TensorFlow cannot load it; from call() when it fails on the images.
    """
    import tensorflow as tf

    try:
        module = load_saved_model(folder, name, interface.tags)
    except Fault as fault:
        raise _explain(folder, name, str(fault).removeprefix(f"{name}: ")) from fault
    function: Any = module if interface.signature == CALL else module.signatures[interface.signature]

    def run(inputs: np.ndarray) -> np.ndarray:
        tensor = tf.constant(inputs)
        if not interface.input.is_encoded:
            tensor = tf.cast(tensor, interface.input.tensor.dtype)
        try:
            outputs = function(tensor) if interface.signature == CALL else function(**{interface.input.name: tensor})
        except (TypeError, ValueError, LookupError, RuntimeError, tf.errors.OpError) as error:
            shown = f"{tensor.dtype.name} {tuple(tensor.shape)}"
            raise _explain(folder, name, f"it fails on images, {shown} ({_brief(error)})") from None
        rows = select_output(outputs, interface.output, name, prefix)
        images = 1 if interface.input.batch == 0 else len(inputs)
        if len(rows) != images:
            raise Fault(
                f"{name}: its output has a length of {len(rows)} for {images} images; pass {prefix}OUTPUT= another"
            )
        return rows

    return Classifier(name, interface, prefix, lambda images: _run_in_parts(run, images, interface))


def _explain(folder: Path, name: str, failure: str) -> Fault:
    """Returns the fault of a module that fails: what doctor finds in its files, then the failure itself."""
    faults = [fault for fault in find_faults(inspect_saved_model(folder)) if fault.kind not in _HARMLESS]
    return Fault(f"{name}: {'; '.join([*(fault.text.removeprefix(f'{folder}: ') for fault in faults), failure])}")


def _run_in_parts(run: Predict, images: np.ndarray, interface: Interface) -> np.ndarray:
    """Runs a module on images as it takes them: their type, the layout, and how many at a time."""
    if not interface.input.is_encoded:
        if interface.input.tensor.dtype.startswith(("int", "uint")):
            images = np.rint(images)
        if interface.input.layout == "NCHW":
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    parts = list(_split(images, interface.input.batch))
    return np.concatenate([run(part) for part in parts])[: len(images)]


def _split(images: np.ndarray, batch: int | None) -> Iterator[np.ndarray]:
    """Yields images in parts of a module's batch size, the last one filled up with copies; one by one for 0."""
    if batch is None or batch == len(images):
        yield images
    elif batch == 0:
        yield from images
    else:
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            yield np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])


def select_output(outputs: Any, chosen: str | None, where: str, prefix: str = "") -> np.ndarray:
    """Returns a module's output as float32 (n, k), from whatever its call returned.

    Args:
        outputs: a tensor, tensors in a list, or tensors by name.
        chosen: the name, or the number in the list; None for the only one.
        where: the module's name, for messages.
        prefix: of the settings of this module.

    Raises:
        Fault: when there is no such output, or several of which none was chosen, or it has another shape.
    """
    named = (
        outputs if isinstance(outputs, dict) else dict(enumerate(outputs)) if isinstance(outputs, (list, tuple)) else {}
    )
    by_name = {str(name): value for name, value in named.items()} or {chosen or "output": outputs}
    if chosen not in by_name and (chosen is not None or len(by_name) > 1):
        raise Fault(f"{where}: it returns {', '.join(sorted(by_name))}; pass {prefix}OUTPUT= one of them")
    array = np.asarray(by_name[chosen] if chosen is not None else next(iter(by_name.values())), np.float32)
    if array.ndim == 0 or any(size != 1 for size in array.shape[1:-1]):
        raise Fault(f"{where}: its output has shape {array.shape}, expected (n, classes); pass {prefix}OUTPUT= another")
    return array.reshape(1 if array.ndim == 1 else len(array), array.shape[-1])


def _invert_activation(outputs: np.ndarray, activation: str) -> np.ndarray:
    """Returns logits (n, k) whose activation is `outputs` (n, k) if these are probabilities, else the outputs.

    Probabilities of a softmax add up to 1 for each image, up to the rounding of bfloat16; those of a sigmoid are from 0
    to 1.
    """
    tiny, below_1 = np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg
    if activation == "sigmoid":
        likely = bool(np.all((outputs >= 0) & (outputs <= 1)))
        return logit(np.clip(outputs, tiny, below_1)) if likely else outputs
    likely = bool(np.all(outputs >= 0)) and np.allclose(outputs.sum(axis=1), 1, atol=0.01)
    return np.log(np.maximum(outputs, tiny)) if likely else outputs


def to_logits(classifier: Classifier, labels: int, activation: str) -> Predict:
    """Returns a function from images, as Classifier.call takes them, to logits, float32 (n, labels).

    Probabilities are turned back into logits: the same order, and the same probabilities after the activation.

    Args:
        classifier: the module.
        labels: how many there are.
        activation: what turns logits into probabilities, one of ACTIVATIONS.

    Raises:
        Fault: from the function, when the module returns another number of outputs.
    """

    def predict(inputs: np.ndarray) -> np.ndarray:
        outputs = classifier.call(inputs)
        background = classifier.interface.background
        has_background = check_classes(classifier.name, outputs.shape[1], labels, background, classifier.prefix)
        outputs = _invert_activation(outputs, activation)
        return outputs[:, 1:] if has_background else outputs

    return predict


def measure_speed(predict: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> float:
    """Returns the images per second of the forward pass alone, for a batch of BATCH images, after a first one."""
    predict(batch)
    started = time.perf_counter()
    for _ in range(TIMED):
        predict(batch)
    return TIMED * BATCH / (time.perf_counter() - started)
