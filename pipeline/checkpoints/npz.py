"""Loads AugReg checkpoints from .npz files, and refuses those that do not fit the model.

The layout is that of gs://vit_models/augreg: float32 arrays under '/'-separated paths, no pickles.
"""

import math
import mmap
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import isal_zlib

from pipeline.base.fault import Fault
from pipeline.checkpoints import file_kinds
from pipeline.checkpoints.digest import BROKEN_ZIP, PICKLED, model_shape
from pipeline.checkpoints.layouts import describe_arrays
from pipeline.model.parameters import release_memory
from pipeline.model.variants import HYBRIDS, SIZES, Model

Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]
# What the types of smaller files mean. Widening a value is exact, but makes another file than the one that was named: a
# module holds its checkpoint's values bit for bit.
_WIDEN = "save the arrays again with .astype(numpy.float32), which changes no value"
_TYPE_ADVICE = {
    "float16": _WIDEN,
    "|V2": f"which is how NumPy reads bfloat16: view them as ml_dtypes.bfloat16 and {_WIDEN}",
    "bfloat16": _WIDEN,
    "uint16": f"if they are the bits of bfloat16, view them as ml_dtypes.bfloat16 and {_WIDEN}",
    "float64": "save the arrays again with .astype(numpy.float32), which rounds them",
    "int8": "quantized weights cannot be restored: name the file that they were made from",
    "uint8": "quantized weights cannot be restored: name the file that they were made from",
}
_MOST_LISTED = 12  # of each kind of mismatch; a wrong variant differs in hundreds of arrays


def read(path: Path) -> Arrays:
    """Reads every array of an .npz file; an array that is stored uncompressed is a read-only view of the file.

    Raises:
        Fault: when the file is missing, another kind of file, cut short, damaged, or holds a pickle.
    """
    if not path.is_file() and not path.is_dir():
        raise Fault(f"{path}: no such checkpoint; run make fetch first")
    if problem := file_kinds.describe_other(path, file_kinds.NPZ):
        raise Fault(f"{path}: {problem}")
    arrays: Arrays = {}
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as entries, np.load(path) as archive:
            for name, entry in zip(archive.files, entries.infolist(), strict=True):
                try:
                    view = _map_array(stream, entry)
                    value = archive[name] if view is None else view
                except ValueError as error:  # which NumPy raises for an object array, and for a broken header
                    reason = PICKLED if "pickle" in str(error).lower() else f"{error}; expected plain float32; refused"
                    raise Fault(f"{path}: the array {name!r} is {reason}") from None
                if not isinstance(value, np.ndarray):
                    raise Fault(f"{path}: the entry {name!r} is no array; expected an .npz of float32 arrays")
                arrays[name] = value
    except (*BROKEN_ZIP, struct.error) as error:  # struct.error when the archive's directory is wrong
        raise Fault(f"{path}: not a whole .npz file ({error}); delete it and fetch it again") from None
    return arrays


def normalize(arrays: Arrays) -> Arrays:
    """Returns the arrays sorted by path and without two historical variations of the layout.

    An empty `pre_logits`, which stands for "no such layer", is dropped, and the GroupNorm scales and biases of the
    hybrids, stored (1, 1, 1, channels), become (channels,).
    """
    shapes = {name: model_shape(name, arrays[name].shape) for name in sorted(arrays)}
    return {name: arrays[name].reshape(shape) for name, shape in shapes.items() if shape is not None}


def fit(arrays: Arrays, model: Model, path: Path) -> Arrays:
    """Returns the normalized arrays if they are the model's parameters.

    Args:
        arrays: of a checkpoint.
        model: the model.
        path: the checkpoint, for messages.

    Raises:
        Fault: for missing (-) or extra (+) arrays, other shapes, another type than float32, NaN or infinity, or a
            head that was never trained. Names of another program or architecture are called that.
    """
    arrays = normalize(arrays)
    from pipeline.model.vit import parameter_shapes

    expected = parameter_shapes(model.variant, model.image_size, model.classes)
    if mismatches := _list_mismatches({name: value.shape for name, value in arrays.items()}, expected):
        if problem := describe_arrays(arrays.keys()):
            raise Fault(f"{path}: {problem}")
        raise Fault(
            f"{path}: does not fit variant {model.variant} with {model.image_size} pixels and {model.classes} classes"
            f"{_guess_model(arrays)}; correct the section model, or delete the file and fetch the right checkpoint."
            " - missing, + extra:\n" + "\n".join(mismatches)
        )
    for name, value in arrays.items():
        _check_values(name, value, path)
    if not np.any(arrays["head/kernel"]):
        raise Fault(
            f"{path}: 'head/kernel' is all zero, so that every image has the same logits: the head was never trained;"
            " train it, or fetch the trained checkpoint"
        )
    return arrays


def load(path: Path, model: Model) -> Arrays:
    """Reads a checkpoint and fits it to the model; see read() and fit()."""
    return fit(read(path), model, path)


def _check_values(name: str, value: np.ndarray, path: Path) -> None:
    """Refuses an array of another type than float32, or with NaN or infinity."""
    if value.dtype != np.float32:
        advice = _TYPE_ADVICE.get(str(value.dtype))
        raise Fault(f"{path}: the array {name!r} is {value.dtype}, expected float32{f'; {advice}' if advice else ''}")
    bad = value.size - int(np.isfinite(value).sum())
    release_memory([value])
    if bad:
        raise Fault(f"{path}: {bad} of {value.size} values of {name!r} are NaN or infinite; the checkpoint is broken")


def _list_mismatches(got: Mapping[str, Shape], expected: Mapping[str, Shape]) -> list[str]:
    """Returns a line for each array that is missing (-), extra (+) or of another shape, and cuts long lists."""
    mismatches = {
        "missing": [f"  - {name} {expected[name]}" for name in sorted(expected.keys() - got.keys())],
        "extra": [f"  + {name} {got[name]}" for name in sorted(got.keys() - expected.keys())],
        "of another shape": [
            f"  {name}: expected {expected[name]}, got {got[name]}"
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


def _guess_model(arrays: Arrays) -> str:
    """Returns "; its arrays look like ..." if the arrays' shapes are those of a known variant, else ""."""
    kernel, position = arrays.get("embedding/kernel"), arrays.get("Transformer/posembed_input/pos_embedding")
    if kernel is None or kernel.ndim != 4 or position is None or position.ndim != 3:
        return ""
    patch, width = kernel.shape[0], kernel.shape[-1]
    layers = len({name.split("/")[1] for name in arrays if name.startswith("Transformer/encoderblock_")})
    if "conv_root/kernel" in arrays:
        sizes = {name: (hybrid.patch, hybrid.width, hybrid.layers) for name, hybrid in HYBRIDS.items()}
    else:
        sizes = {f"{size}/{patch}": (patch, *shape[:2]) for size, shape in SIZES.items()}
    variants = [name for name, size in sizes.items() if size == (patch, width, layers)]
    if not variants:
        return ""
    stride = HYBRIDS[variants[0]].stride if variants[0] in HYBRIDS else patch
    pixels = stride * math.isqrt(position.shape[1] - 1)
    head = arrays.get("head/bias")
    classes = "no head" if head is None else f"{head.size} classes"
    return f"; its arrays look like {variants[0]} with {pixels} pixels and {classes}"


def _map_array(stream: BinaryIO, entry: zipfile.ZipInfo) -> np.ndarray | None:
    """Maps an array that lies uncompressed in an archive into memory, and checks its CRC-32.

    Each array has a mapping of its own, so that its pages can be given back with it.

    Returns:
        A read-only view, or None for an entry that numpy.savez has not written.

    Raises:
        zipfile.BadZipFile: when the checksum is wrong, or the archive's directory points elsewhere.
    """
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        return None
    start = _find_content(stream, entry)
    stream.seek(start)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            return None
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError:
        return None
    count, header = math.prod(shape), stream.tell() - start
    if is_fortran or dtype.hasobject or header + count * dtype.itemsize != entry.file_size:
        return None
    before = start % mmap.ALLOCATIONGRANULARITY  # a mapping starts at a multiple of it
    content = mmap.mmap(stream.fileno(), before + entry.file_size, access=mmap.ACCESS_READ, offset=start - before)
    with memoryview(content)[before:] as data:
        if isal_zlib.crc32(data) != entry.CRC:  # five times as fast as zlib's
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {entry.filename!r}")
    array = np.frombuffer(content, dtype, count, before + header).reshape(shape)
    release_memory([array])
    return array


def _find_content(stream: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """Returns the position in the archive where an entry's content begins.

    Its local header has 30 bytes, of which the last four are the lengths of the name and the extra field that follow
    (APPNOTE.TXT, 4.3.7).
    """
    stream.seek(entry.header_offset + 26)
    start = entry.header_offset + 30 + sum(struct.unpack("<2H", stream.read(4)))
    if start + entry.file_size > os.fstat(stream.fileno()).st_size:
        raise zipfile.BadZipFile(f"{entry.filename!r} ends beyond the file")
    return start
