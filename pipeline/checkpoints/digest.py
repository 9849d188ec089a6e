"""Computes one digest for the arrays of an .npz file, however the file packs them.

The digest is the SHA-256 of the line `vit-publisher arrays 1` followed by four fields for each array, in the order of
the arrays' names as UTF-8: the name, the type as NumPy writes it in little-endian form (`<f4`), the shape as decimal
numbers joined by commas (`1,197,384`; nothing for a scalar), and the values in C order, little-endian. Each field is
preceded by its length in bytes as an unsigned 64-bit little-endian number.

Two historical variations of the AugReg layout get the same digest as the usual layout: an empty `pre_logits`, which
stands for "no such layer", is left out, and the GroupNorm scales and biases of the hybrids, stored
(1, 1, 1, channels), count as (channels,).

Imports neither TensorFlow nor JAX.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.base.fault import UnusableFile, show_name
from pipeline.base.files import CHUNK
from pipeline.base.npz_file import NpzFile

# Bytes of an array by columns, at most, since it is read as a whole; the largest array of the pool has 0.1 GB.
REORDERED = 500_000_000
_PREFIX = b"vit-publisher arrays 1\n"


def model_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Returns the shape that a stored array has in the model, or None if it stands for no layer."""
    if name.startswith("pre_logits") and math.prod(shape) == 0:
        return None
    if re.search(r"(^|/)gn\w+/(scale|bias)$", name) and shape[:-1] == (1, 1, 1):
        return shape[-1:]
    return shape


def open_npz(path: Path, where: str) -> NpzFile:
    """Opens a source's file and reads its headers; see arrays_digest()."""
    return NpzFile(path, where, "it is truncated or something else; refused; get it again")


def arrays_digest(path: Path, where: str) -> str:
    """Returns the digest of an .npz file's arrays in hexadecimal.

    Reads every byte once, in pieces, and checks each array's CRC-32.

    Args:
        path: the file.
        where: what messages call it, such as the address it came from.

    Raises:
        UnusableFile: when it is no .npz file, cut short, damaged, or holds anything but plain arrays.
    """
    digest = hashlib.sha256(_PREFIX)
    with open_npz(path, where) as file:
        for name in sorted(file.headers, key=str.encode):
            _add_array(digest, file, name)
    return digest.hexdigest()


def _add_array(digest: "hashlib._Hash", file: NpzFile, name: str) -> None:
    """Adds one array of the file."""
    header = file.headers[name]
    shape, little = model_shape(name, header.shape), header.dtype.newbyteorder("<")
    if shape is not None:
        for field in (name.encode(), little.str.encode(), ",".join(map(str, shape)).encode()):
            digest.update(len(field).to_bytes(8, "little") + field)
        digest.update(header.size.to_bytes(8, "little"))
    is_reordered = little != header.dtype or (header.is_fortran and len(header.shape) > 1)
    for piece in _reorder(file, name, little) if is_reordered else file.pieces(name):
        if shape is not None:
            digest.update(piece)


def _reorder(file: NpzFile, name: str, dtype: np.dtype) -> Iterator[memoryview]:
    """Yields the bytes of an array's values in C order and of another byte order, in pieces."""
    if (size := file.headers[name].size) > REORDERED:
        raise UnusableFile(
            f"{file.where}: the array {show_name(name)!r} is stored by columns or big-endian, which is read up to"
            f" {REORDERED:,} bytes, and has {size:,}; save it again with numpy.ascontiguousarray(array, '<f4')"
        )
    rows = np.atleast_1d(file.read(name))
    count = max(1, CHUNK * len(rows) // max(1, rows.nbytes))
    for start in range(0, len(rows), count):
        yield np.ascontiguousarray(rows[start : start + count], dtype).reshape(-1).view(np.uint8).data


def write_npz(stream: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an uncompressed .npz, sorted by name, so that the same arrays give the same bytes."""
    np.savez(stream, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
