"""AugReg checkpoints: from an .npz file to the model's parameters, refusing whatever does not fit.

The layout is that of gs://vit_models/augreg: float32 arrays under '/'-separated paths, no pickles.
"""

import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline import mapped
from pipeline.arrays import BROKEN_ZIP, usual_shape
from pipeline.base.fault import Fault
from pipeline.model.parameters import give_back
from pipeline.model.variants import HYBRIDS, SIZES, Model
from pipeline.model.vit import parameter_shapes

Arrays = dict[str, np.ndarray]
_SHOWN = 12  # of each kind of mismatch; a wrong variant differs in hundreds of arrays


def read(path: Path) -> Arrays:
    """Reads every array of an .npz file. They are read-only views of the file where it holds them uncompressed.

    Raises:
        Fault: when the file is missing, no zip archive, cut short, damaged, or holds a pickle.
    """
    if not path.is_file():
        raise Fault(f"{path}: no such checkpoint; run make fetch first")
    arrays: Arrays = {}
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as entries, np.load(path) as archive:
            for name, entry in zip(archive.files, entries.infolist(), strict=True):
                try:
                    view = mapped.view(stream, entry)
                    value = archive[name] if view is None else view
                except ValueError as error:  # numpy's word for an object array, and for a broken header
                    reason = "a pickle, which could run code" if "pickle" in str(error).lower() else str(error)
                    raise Fault(f"{path}: the array {name!r} is {reason}; expected plain float32; refused") from None
                if not isinstance(value, np.ndarray):
                    raise Fault(f"{path}: the entry {name!r} is no array; expected an .npz of float32 arrays")
                arrays[name] = value
    except (*BROKEN_ZIP, struct.error) as error:  # the latter for a directory that points elsewhere
        raise Fault(f"{path}: not a whole .npz file ({error}); delete it and fetch it again") from None
    return arrays


def mended(arrays: Arrays) -> Arrays:
    """Returns the arrays in order of their paths, with two historical variations of the layout mended.

    An empty `pre_logits`, which stands for "no such layer", is dropped, and the GroupNorm scales and biases of the
    hybrids, stored (1, 1, 1, channels), become (channels,).
    """
    shapes = {name: usual_shape(name, arrays[name].shape) for name in sorted(arrays)}
    return {name: arrays[name].reshape(shape) for name, shape in shapes.items() if shape is not None}


def fit(arrays: Arrays, model: Model, path: Path) -> Arrays:
    """Returns the arrays, mended, in order of their paths, or refuses those the model cannot take, listing both sides.

    Raises:
        Fault: for missing (-) or extra (+) arrays, other shapes, another type than float32, NaN or infinity.
    """
    arrays = mended(arrays)
    expected = parameter_shapes(model.variant, model.image_size, model.classes)
    if differences := _differences({name: value.shape for name, value in arrays.items()}, expected):
        raise Fault(
            f"{path}: does not fit variant {model.variant} with {model.image_size} pixels and {model.classes} classes"
            f"{_guess(arrays)}; correct the section model, or delete the file and fetch the right checkpoint."
            " - missing, + extra:\n" + "\n".join(differences)
        )
    for name, value in arrays.items():
        if value.dtype != np.float32:
            raise Fault(f"{path}: the array {name!r} is {value.dtype}, expected float32")
        bad = value.size - int(np.isfinite(value).sum())
        give_back([value])
        if bad:
            raise Fault(
                f"{path}: {bad} of {value.size} values of {name!r} are NaN or infinite; the checkpoint is broken"
            )
    return arrays


def load(path: Path, model: Model) -> Arrays:
    """Reads a checkpoint and fits it to the model; see read() and fit()."""
    return fit(read(path), model, path)


def _differences(got: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    missing = [f"  - {name} {expected[name]}" for name in sorted(expected.keys() - got.keys())]
    extra = [f"  + {name} {got[name]}" for name in sorted(got.keys() - expected.keys())]
    reshaped = [
        f"  {name}: expected {expected[name]}, got {got[name]}"
        for name in sorted(expected.keys() & got.keys())
        if expected[name] != got[name]
    ]
    lines = []
    for kind, entries in (("missing", missing), ("extra", extra), ("of another shape", reshaped)):
        lines += entries[:_SHOWN]
        if len(entries) > _SHOWN:
            lines.append(f"  ... and {len(entries) - _SHOWN} more {kind}")
    return lines


def _guess(arrays: Arrays) -> str:
    """Returns "; its arrays look like ..." when the file's own shapes tell which variant it is."""
    kernel, position = arrays.get("embedding/kernel"), arrays.get("Transformer/posembed_input/pos_embedding")
    if kernel is None or kernel.ndim != 4 or position is None or position.ndim != 3:
        return ""
    patch, width = kernel.shape[0], kernel.shape[-1]
    layers = len({name.split("/")[1] for name in arrays if name.startswith("Transformer/encoderblock_")})
    plain = {
        f"{size}/{patch}": (patch, *shape[:2]) for size, shape in SIZES.items() if "conv_root/kernel" not in arrays
    }
    hybrid = {name: (v.patch, v.width, v.layers) for name, v in HYBRIDS.items() if "conv_root/kernel" in arrays}
    names = [name for name, shape in (plain | hybrid).items() if shape == (patch, width, layers)]
    if not names:
        return ""
    stride = HYBRIDS[names[0]].stride if names[0] in HYBRIDS else patch
    size = stride * math.isqrt(position.shape[1] - 1)
    head = arrays.get("head/bias")
    classes = "no head" if head is None else f"{head.size} classes"
    return f"; its arrays look like {names[0]} with {size} pixels and {classes}"
