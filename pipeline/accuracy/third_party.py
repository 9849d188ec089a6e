"""Anybody's image classifier: had from a folder, an archive or an address, and called as its users call it."""

import http.client
import tarfile
import tempfile
import textwrap
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from pipeline.accuracy.classify import BATCH
from pipeline.base.fault import Fault, shown
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.load import load_saved_model

OUTPUTS = ("logits", "default", "probabilities", "predictions")  # what authors call the one that is wanted, if several
TIMED = 5  # batches


def _brief(error: Exception) -> str:
    """Returns what an error says on one line, without the arrays that TensorFlow prints into it."""
    return textwrap.shorten(str(error), 300, placeholder=" ...")


@contextmanager
def folder_of(module: str) -> Iterator[Path]:
    """Yields the folder of a SavedModel that is named by a folder, a .tar.gz, or an address.

    Raises:
        Fault: when there is no such file, it is neither, or the address has a password, which is not shown.
    """
    if shown(module) != module:
        raise Fault(
            f"{shown(module)}: tensorflow_hub sends no user name and no password; download it and name the file"
        )
    if "://" in module:
        import tensorflow as tf
        import tensorflow_hub

        broken = (tarfile.TarError, EOFError, zlib.error, http.client.HTTPException)  # of a download that is cut short
        try:
            folder = Path(tensorflow_hub.resolve(module))
        except (OSError, ValueError, RuntimeError, tf.errors.OpError, *broken) as error:
            raise Fault(f"{module}: tensorflow_hub cannot get it ({_brief(error)})") from None
        yield folder
        return
    path = Path(module).expanduser()
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise Fault(f"{module}: no such file; expected a SavedModel's folder, its .tar.gz, or an http(s):// address")
    with tempfile.TemporaryDirectory() as unpacked:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(unpacked, filter="data")
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise Fault(f"{module}: not a whole .tar.gz of a SavedModel ({error})") from None
        yield Path(unpacked)


def one_of(outputs: Any, where: str) -> np.ndarray:
    """Returns a module's output as float32 (n, k), of whatever a call of it returned.

    Raises:
        Fault: when there are several and none has a usual name, or it has another shape.
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
        name: what to call it.
        digest: of its files.
        size: the side of its input in pixels; None where it takes any.
        own: whether this project made it, so that its range of pixels is known.
        call: maps float32 (n, size, size, 3) to float32 (n, k).
    """

    name: str
    digest: str
    size: int | None
    own: bool
    call: Callable[[np.ndarray], np.ndarray]


def _images_of(signature: Any) -> tuple[str, int | None] | None:
    """Returns the name of a signature's input, and its side in pixels, or None where it takes any.

    A signature, once loaded, computes something of whatever shape it is given, so the shape is looked at here.

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
    """Loads a SavedModel as its users do: as something to call, or by its signature.

    Raises:
        Fault: when it cannot be loaded, is neither, or takes something else than batches of images; from call() when
            it refuses them.
    """
    import tensorflow as tf

    module = load_saved_model(folder)
    signatures = getattr(module, "signatures", {})
    signature = signatures.get("serving_default") or signatures.get("default")
    if not callable(module) and signature is None:
        raise Fault(f"{name}: it can neither be called, nor has it a signature serving_default or default")
    served: Any = signature
    taken = _images_of(served) if signature is not None else None
    if taken is None and not callable(module):
        specs = sorted(served.structured_input_signature[1].items())
        inputs = ", ".join(f"{spec.dtype.name} {spec.shape}" for _, spec in specs)
        raise Fault(f"{name}: its signature takes {inputs}; expected one input, float32 (n, side, side, 3)")
    key, size = taken or ("", None)

    def call(inputs: np.ndarray) -> np.ndarray:
        tensor = tf.constant(inputs)
        try:
            outputs = module(tensor) if callable(module) else served(**{key: tensor})
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise Fault(f"{name}: it refuses images, float32 {inputs.shape} ({_brief(error)})") from None
        return one_of(outputs, name)

    own = (folder / "assets.extra" / "provenance.json").is_file()
    return Classifier(name, folder_digest(folder), size, own, call)


def _of_probabilities(outputs: np.ndarray, activation: str) -> np.ndarray:
    """Returns logits (n, k) that give those outputs (n, k) by the activation, if they can come of it; else the outputs.

    Those of a softmax add up to 1 for each image; those of a sigmoid just lie in 0 to 1.
    """
    tiny, below_1 = np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg
    if activation == "sigmoid":
        likely = bool(np.all((outputs >= 0) & (outputs <= 1)))
        return logit(np.clip(outputs, tiny, below_1)) if likely else outputs
    likely = bool(np.all(outputs >= 0)) and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    return np.log(np.maximum(outputs, tiny)) if likely else outputs


def logits_of(
    classifier: Classifier, classes: int, background: bool, activation: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function to logits of exactly those classes.

    Probabilities are taken back to logits: the same order, and the same probabilities after the activation.

    Args:
        classifier: the module.
        classes: how many labels there are.
        background: whether a first output stands for none of them, as in modules of Inception's time.
        activation: what turns its logits into probabilities, one of ACTIVATIONS.
    """

    def predict(inputs: np.ndarray) -> np.ndarray:
        outputs = classifier.call(inputs)
        if outputs.shape[1] != classes + background:
            hint = "; say --background if its first output is one" if outputs.shape[1] == classes + 1 else ""
            raise Fault(
                f"{classifier.name}: it returns {outputs.shape[1]} outputs, expected {classes + background} for"
                f" {classes} labels{hint}"
            )
        outputs = _of_probabilities(outputs, activation)
        return outputs[:, 1:] if background else outputs

    return predict


def speed(predict: Callable[[np.ndarray], np.ndarray], size: int) -> float:
    """Returns the images per second of the forward pass alone, in batches of BATCH, after a first one."""
    batch = np.zeros((BATCH, size, size, 3), np.float32)
    predict(batch)
    started = time.perf_counter()
    for _ in range(TIMED):
        predict(batch)
    return TIMED * BATCH / (time.perf_counter() - started)
