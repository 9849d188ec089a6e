"""The arrays of an .npz file apart from their container: one digest for the same weights, however they are packed.

The digest is the SHA-256 of the line `vit-publisher arrays 1` followed by four fields for each array, in the order of
the arrays' names as UTF-8: the name, the type as NumPy writes it in little-endian form (`<f4`), the shape as decimal
numbers joined by commas (`1,197,384`; nothing for a scalar), and the values in C order, little-endian. Each field is
preceded by its length in bytes as an unsigned 64-bit little-endian number.

Two historical variations of the AugReg layout are the same weights and get the same digest: an empty `pre_logits`,
which stands for "no such layer", does not count, and the GroupNorm scales and biases of the hybrids, stored
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
# Everything that zipfile raises for an archive that is not what it should be.
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


class UnusableFile(Fault):
    """A source's file is cut short, damaged or no checkpoint, whatever is pinned."""


def usual_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Returns the shape that the array `name` has in the model, or None where it stands for no layer at all."""
    if name.startswith("pre_logits") and math.prod(shape) == 0:
        return None
    if re.search(r"(^|/)gn\w+/(scale|bias)$", name) and shape[:-1] == (1, 1, 1):
        return shape[-1:]
    return shape


def arrays_digest(path: Path, where: str) -> str:
    """Returns the digest of an .npz file's arrays in hexadecimal, reading every byte of it once and in pieces.

    Args:
        path: the file.
        where: what messages call it, such as the address it came from.

    Raises:
        UnusableFile: when it is no zip archive, cut short, damaged, or holds anything but plain arrays.
    """
    found = hashlib.sha256(_PREFIX)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if repeated := {name for name in names if names.count(name) > 1}:
                raise UnusableFile(f"{where}: holds {min(repeated)!r} twice, expected each array once; refused")
            for name in sorted(names, key=lambda name: name.removesuffix(".npy").encode()):
                _add(found, archive, name, where)
    except BROKEN_ZIP as error:
        raise UnusableFile(
            f"{where}: not a whole .npz file ({error}); it is truncated or something else; refused"
        ) from None
    return found.hexdigest()


def _add(found: "hashlib._Hash", archive: zipfile.ZipFile, entry: str, where: str) -> None:
    """Adds one array of the archive; reading an entry to its end checks its CRC-32."""
    name = entry.removesuffix(".npy")
    try:
        with archive.open(entry) as stream:
            shape, dtype, values = _values(stream, entry, where)
            usual = usual_shape(name, shape)
            if usual is not None:
                fields = (name.encode(), dtype.str.encode(), ",".join(map(str, usual)).encode())
                for field in fields:
                    found.update(len(field).to_bytes(8, "little") + field)
                found.update((math.prod(shape) * dtype.itemsize).to_bytes(8, "little"))
            for piece in values:
                if usual is not None:
                    found.update(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UnusableFile(
            f"{where}: the array {entry!r} is damaged ({error}); refused; download the file again"
        ) from None


def _values(
    stream: IO[bytes], entry: str, where: str
) -> tuple[tuple[int, ...], np.dtype, Iterator[bytes | memoryview]]:
    """Returns an array's shape, its little-endian type and its bytes in C order, in pieces."""
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
        raise UnusableFile(f"{where}: the array {entry!r} is a pickle, which could run code; refused")
    little = dtype.newbyteorder("<")
    return shape, little, _pieces(stream, shape, dtype, bool(fortran), f"{where}: the array {entry!r}")


def _pieces(
    stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, fortran: bool, what: str
) -> Iterator[bytes | memoryview]:
    expected, got = math.prod(shape) * dtype.itemsize, 0
    reordered = dtype.newbyteorder("<") != dtype or (fortran and len(shape) > 1)
    kept = []  # of an array in another order; there are none upstream
    while piece := stream.read(CHUNK):
        got += len(piece)
        if reordered:
            kept.append(piece)
        else:
            yield piece
    if got != expected:
        raise UnusableFile(f"{what} is damaged: it has {got} bytes where its shape wants {expected}; refused")
    if reordered:
        values = np.frombuffer(b"".join(kept), dtype).reshape(shape, order="F" if fortran else "C")
        yield np.ascontiguousarray(values, dtype.newbyteorder("<")).data.cast("B")


def write_npz(stream: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as an uncompressed .npz, in the order of their names: the same arrays give the same bytes."""
    np.savez(stream, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
