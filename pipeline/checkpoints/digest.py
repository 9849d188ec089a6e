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
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from pipeline.base.fault import Fault
from pipeline.base.files import CHUNK

_PREFIX = b"vit-publisher arrays 1\n"
# What zipfile raises for files that are no whole zip archive.
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
# The end of a message on an array of objects.
PICKLED = (
    "a pickle, which could run code; refused; save each parameter as an array of its own: np.savez(path,"
    " **flatten_dict(params, sep='/')), with flatten_dict of flax.traverse_util"
)


class UnusableFile(Fault):
    """A source's file is cut short, damaged or no checkpoint, whatever digest is pinned."""


def model_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Returns the shape that a stored array has in the model, or None if it stands for no layer."""
    if name.startswith("pre_logits") and math.prod(shape) == 0:
        return None
    if re.search(r"(^|/)gn\w+/(scale|bias)$", name) and shape[:-1] == (1, 1, 1):
        return shape[-1:]
    return shape


def arrays_digest(path: Path, where: str) -> str:
    """Returns the digest of an .npz file's arrays in hexadecimal.

    Reads every byte once, in pieces, and checks each array's CRC-32.

    Args:
        path: the file.
        where: what messages call it, such as the address it came from.

    Raises:
        UnusableFile: when it is no zip archive, cut short, damaged, or holds anything but plain arrays.
    """
    digest = hashlib.sha256(_PREFIX)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if repeated := {name for name in names if names.count(name) > 1}:
                raise UnusableFile(f"{where}: holds {min(repeated)!r} twice, expected each array once; refused")
            for name in sorted(names, key=lambda name: name.removesuffix(".npy").encode()):
                _add_array(digest, archive, name, where)
    except BROKEN_ZIP as error:
        raise UnusableFile(
            f"{where}: not a whole .npz file ({error}); it is truncated or something else; refused"
        ) from None
    return digest.hexdigest()


def _add_array(digest: "hashlib._Hash", archive: zipfile.ZipFile, entry: str, where: str) -> None:
    """Adds one array of the archive; zipfile checks the CRC-32 of what is read to its end."""
    name = entry.removesuffix(".npy")
    try:
        with archive.open(entry) as stream:
            stored_shape, dtype, pieces = _read_array(stream, entry, where)
            shape = model_shape(name, stored_shape)
            if shape is not None:
                for field in (name.encode(), dtype.str.encode(), ",".join(map(str, shape)).encode()):
                    digest.update(len(field).to_bytes(8, "little") + field)
                digest.update((math.prod(shape) * dtype.itemsize).to_bytes(8, "little"))
            for piece in pieces:
                if shape is not None:
                    digest.update(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UnusableFile(
            f"{where}: the array {entry!r} is damaged ({error}); refused; download the file again"
        ) from None


def _read_array(
    stream: IO[bytes], entry: str, where: str
) -> tuple[tuple[int, ...], np.dtype, Iterator[bytes | memoryview]]:
    """Returns an array's shape, its type as little-endian, and its bytes in C order and little-endian, in pieces."""
    if not entry.endswith(".npy"):
        raise UnusableFile(f"{where}: the entry {entry!r} is no array, expected an .npz of float32 arrays; refused")
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[version](stream)
    except (ValueError, KeyError) as error:
        raise UnusableFile(
            f"{where}: the array {entry!r} is damaged: no .npy header of version 1 or 2 ({error}); refused"
        ) from None
    if dtype.hasobject:
        raise UnusableFile(f"{where}: the array {entry!r} is {PICKLED}")
    little = dtype.newbyteorder("<")
    return shape, little, _read_pieces(stream, shape, dtype, bool(fortran), f"{where}: the array {entry!r}")


def _read_pieces(
    stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, fortran: bool, what: str
) -> Iterator[bytes | memoryview]:
    expected, got = math.prod(shape) * dtype.itemsize, 0
    is_reordered = dtype.newbyteorder("<") != dtype or (fortran and len(shape) > 1)
    kept = []  # a reordered array is read as a whole; upstream has none
    while piece := stream.read(CHUNK):
        got += len(piece)
        if is_reordered:
            kept.append(piece)
        else:
            yield piece
    if got != expected:
        raise UnusableFile(f"{what} is damaged: it has {got} bytes, expected {expected} for its shape; refused")
    if is_reordered:
        values = np.frombuffer(b"".join(kept), dtype).reshape(shape, order="F" if fortran else "C")
        yield np.ascontiguousarray(values, dtype.newbyteorder("<")).data.cast("B")


def write_npz(stream: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an uncompressed .npz, sorted by name, so that the same arrays give the same bytes."""
    np.savez(stream, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
