"""Loads checkpoints from .npz files, and refuses those that do not fit the model.

The layout is that of gs://vit_models: float32 arrays under '/'-separated paths, no pickles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.base.fault import Fault, show_name
from pipeline.base.npz_file import NpzFile
from pipeline.checkpoints import file_kinds
from pipeline.checkpoints.digest import model_shape
from pipeline.checkpoints.layouts import describe_names
from pipeline.checkpoints.types import TYPE_ADVICE
from pipeline.model.architecture import describe_guess
from pipeline.model.parameters import release_memory

if TYPE_CHECKING:
    from pipeline.model.network import Network

Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Parameters:
    """The weights of a network.

    Attributes:
        arrays: float32 by path, sorted; normalized, and resized for the model's image size.
        image_size: the checkpoint's own image size in pixels, if it is another than the model's; None if not.
    """

    arrays: Arrays
    image_size: int | None = None


_MOST_LISTED = 12  # of each kind of mismatch; a wrong variant differs in hundreds of arrays


def read(path: Path) -> Arrays:
    """Reads every array of an .npz file; an array that is stored uncompressed is a read-only view of the file.

    Raises:
        Fault: when the file is missing, another kind of file, cut short, damaged, or holds a pickle.
    """
    with _open(path) as file:
        return {name: file.read(name) for name in file.headers}


def read_parameters(path: Path, network: "Network") -> Parameters:
    """Reads the weights of a network from a checkpoint, once their names, types and shapes are right.

    Raises:
        Fault: see read() and fit(); the values may be NaN or infinite.
    """
    with _open(path) as file:
        shapes = {name: header.shape for name, header in file.headers.items()}
        image_size = _check_layout(shapes, {name: header.dtype for name, header in file.headers.items()}, network, path)
        arrays = normalize({name: file.read(name) for name in file.headers})
    return Parameters(network.resize(arrays) if image_size else arrays, image_size)


def _open(path: Path) -> NpzFile:
    if not path.is_file() and not path.is_dir():
        raise Fault(f"{path}: no such checkpoint; run make fetch first")
    if problem := file_kinds.describe_other(path, file_kinds.NPZ):
        raise Fault(f"{path}: {problem}")
    return NpzFile(path, str(path), "delete it and fetch it again")


def normalize(arrays: Arrays) -> Arrays:
    """Returns the arrays sorted by path and without two historical variations of the layout.

    An empty `pre_logits`, which stands for "no such layer", is dropped, and the GroupNorm scales and biases of the
    hybrids, stored (1, 1, 1, channels), become (channels,).
    """
    shapes = _normalize_shapes({name: value.shape for name, value in arrays.items()})
    return {name: arrays[name].reshape(shape) for name, shape in shapes.items()}


def _normalize_shapes(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Returns the shapes of the normalized arrays, see normalize()."""
    normalized = {name: model_shape(name, shapes[name]) for name in sorted(shapes)}
    return {name: shape for name, shape in normalized.items() if shape is not None}


def fit(arrays: Arrays, network: "Network", path: Path) -> Parameters:
    """Returns the weights of a network if the arrays are those.

    Args:
        arrays: of a checkpoint.
        network: the network.
        path: the checkpoint, for messages.

    Raises:
        Fault: for missing (-) or extra (+) arrays, other shapes, another type than float32, NaN or infinity, or a
            head that was never trained. Names of another program or architecture are called that.
    """
    shapes = {name: value.shape for name, value in arrays.items()}
    image_size = _check_layout(shapes, {name: value.dtype for name, value in arrays.items()}, network, path)
    arrays = normalize(arrays)
    _check_values(arrays, network, path)
    return Parameters(network.resize(arrays) if image_size else arrays, image_size)


def load(path: Path, network: "Network") -> Parameters:
    """Reads a checkpoint that fits a network; see read_parameters() and fit()."""
    parameters = read_parameters(path, network)
    _check_values(parameters.arrays, network, path)
    network.check(parameters.arrays)
    return parameters


def _check_layout(
    stored: Mapping[str, Shape], types: Mapping[str, np.dtype], network: "Network", path: Path
) -> int | None:
    """Refuses arrays that are not the network's weights by their names, shapes and types; see fit().

    Returns:
        The checkpoint's own image size, if its arrays must be resized for the model's; None if they fit as they are.
    """
    shapes, model = _normalize_shapes(stored), network.model
    expected, image_size = network.expected_shapes(), None
    if expected is not None and shapes != expected and (image_size := _stored_image_size(shapes, network, path)):
        expected = network.expected_shapes(image_size)
    if expected is not None and (mismatches := _list_mismatches(shapes, expected)):
        if problem := describe_names(shapes.keys()):
            raise Fault(f"{path}: {problem}")
        guess = describe_guess(model, shapes)
        raise Fault(
            f"{path}: does not fit variant {model.variant} with {model.image_size} pixels and {model.classes} classes"
            f"{f'; its arrays look like {guess}' if guess else ''}; correct the section model, or delete the file and"
            " fetch the right checkpoint. - missing, + extra:\n" + "\n".join(mismatches)
        )
    for name in shapes:
        if (kind := types[name]) != np.float32:
            advice = f"; {TYPE_ADVICE[str(kind)]}" if str(kind) in TYPE_ADVICE else ""
            raise Fault(f"{path}: the array {name!r} is {kind}, expected float32{advice}")
    return image_size


def _stored_image_size(shapes: Mapping[str, Shape], network: "Network", path: Path) -> int | None:
    """Returns Network.stored_image_size() of a file, which is named where it is refused."""
    try:
        return network.stored_image_size(shapes)
    except Fault as fault:
        raise Fault(f"{path}: {fault}") from None


def _check_values(arrays: Arrays, network: "Network", path: Path) -> None:
    """Refuses NaN, infinity, and a head that was never trained; see fit()."""
    for name, value in arrays.items():
        bad = value.size - int(np.isfinite(value).sum())
        release_memory([value])
        if bad:
            raise Fault(
                f"{path}: {bad} of {value.size} values of {name!r} are NaN or infinite; the checkpoint is broken"
            )
    kernels = [name for name, value in arrays.items() if network.is_head(name) and value.ndim > 1]
    if kernels and not any(np.any(arrays[name]) for name in kernels):
        raise Fault(
            f"{path}: {kernels[0]!r} is all zero, so that every image has the same logits: the head was never trained;"
            " train it, or fetch the trained checkpoint"
        )


def _list_mismatches(got: Mapping[str, Shape], expected: Mapping[str, Shape]) -> list[str]:
    """Returns a line for each array that is missing (-), extra (+) or of another shape, and cuts long lists."""
    mismatches = {
        "missing": [f"  - {name} {expected[name]}" for name in sorted(expected.keys() - got.keys())],
        "extra": [f"  + {show_name(name)} {str(got[name])[:60]}" for name in sorted(got.keys() - expected.keys())],
        "of another shape": [
            f"  {name}: expected {expected[name]}, got {str(got[name])[:60]}"
            for name in sorted(expected.keys() & got.keys())
            if expected[name] != got[name]
        ],
    }
    lines = []
    for kind, entries in mismatches.items():
        lines += entries[:_MOST_LISTED]
        if len(entries) > _MOST_LISTED:
            lines.append(f"  ... and {len(entries) - _MOST_LISTED} more {kind}")
    return lines
