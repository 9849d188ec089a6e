"""Checkpoints in msgpack files, as Flax's serialization writes them.

A tree of maps whose leaves are arrays: extensions of type 1 (and 3 for a single value), each a msgpack list of shape,
type and bytes (flax/serialization.py). The library msgpack would unpack a whole file into memory, and lists of as many
elements as a stranger's file says; here only the heads of values are read, and an array's bytes when they are wanted.
"""

import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.base.archive_bounds import DEPTH, NAME
from pipeline.base.fault import UnusableFile, show_name
from pipeline.base.files import Unreadable, open_regular
from pipeline.checkpoints.containers.weights_file import Stored, WeightsFile, check_count, check_name

# Values of a file, at most: a network has some hundreds of arrays, with its optimizer's state some thousands.
VALUES = 100_000
_ARRAY, _SCALAR = 1, 3  # Flax's extensions
_AXES = 32
# Values after their first byte: a kind, and the number of bytes of their length; or the number of bytes they have.
_SIZED = {
    0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4), 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
    0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4), 0xDC: ("list", 2), 0xDD: ("list", 4),
    0xDE: ("map", 2), 0xDF: ("map", 4),
}  # fmt: skip
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_UNSIGNED = (0xCC, 0xCD, 0xCE, 0xCF)
_TYPES = {"bfloat16": 2} | {
    name: np.dtype(name).itemsize
    for name in ("float16", "float32", "float64", "complex64", "complex128", "bool", "int8", "int16", "int32", "int64")
} | {f"uint{bits}": bits // 8 for bits in (8, 16, 32, 64)}  # fmt: skip


class _Damaged(ValueError):
    """The file is damaged or exceeds a bound; the text says why."""


class _Heads:
    """Reads the heads of values one after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.size, self.left = stream, os.fstat(stream.fileno()).st_size, VALUES

    def tell(self) -> int:
        return self._stream.tell()

    def skip(self, count: int) -> None:
        if self.tell() + count > self.size:
            raise _Damaged("a value ends beyond the file")
        self._stream.seek(count, os.SEEK_CUR)

    def take(self, count: int) -> bytes:
        taken = self._stream.read(count)
        if len(taken) != count:
            raise _Damaged("it ends within a value")
        return taken

    def next(self) -> tuple[str, int]:
        """Returns the kind of the next value, and its length; of a "number" its value, or -1 if that is no size."""
        self.left -= 1
        if self.left < 0:
            raise _Damaged(f"more than {VALUES:,} values")
        first = self.take(1)[0]
        if first < 0x80:
            return "number", first
        if first < 0xC0:
            return (
                ("map", first & 15) if first < 0x90 else ("list", first & 15) if first < 0xA0 else ("str", first & 31)
            )
        if first >= 0xE0:
            return "number", -1
        if first in _SIZED:
            kind, width = _SIZED[first]
            return kind, int.from_bytes(self.take(width), "big")
        if first >= 0xD4:
            return "ext", 1 << (first - 0xD4)
        if first not in _FIXED:
            raise _Damaged(f"no value begins with the byte {first:#x}")
        value = int.from_bytes(self.take(_FIXED[first]), "big")
        return "number", value if first in _UNSIGNED else -1

    def text(self, length: int) -> str:
        if length > NAME:
            raise _Damaged(f"a name of {length:,} bytes, at most {NAME:,} are allowed")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise _Damaged("a name is not UTF-8") from None


class MsgpackWeights(WeightsFile):
    """A msgpack file of Flax."""

    kind = "msgpack"

    def __init__(self, path: Path, where: str) -> None:
        """Opens the file and reads all heads.

        Raises:
            UnusableFile: when it is damaged, no msgpack of Flax, or exceeds a bound.
            OSError: when it cannot be opened.
        """
        self.where = where
        try:
            self._stream = open_regular(path)
        except Unreadable as error:
            raise UnusableFile(f"{where}: {error}") from None
        self.stored: dict[str, Stored] = {}
        self._starts: dict[str, tuple[int, int]] = {}  # where an array's bytes begin, and their number
        try:
            heads = _Heads(self._stream)
            kind, count = heads.next()
            if kind != "map":
                raise _Damaged(f"it is a {kind}, expected a map of arrays by their names")
            self._read_map(heads, count, ())
            if heads.tell() != heads.size:
                raise _Damaged("bytes follow its end")
        except ValueError as error:
            self._stream.close()
            raise self.damage(error) from None

    def _read_map(self, heads: _Heads, count: int, path: tuple[str, ...]) -> None:
        if len(path) >= DEPTH:
            raise _Damaged(f"more than {DEPTH} maps within each other")
        for _ in range(count):
            kind, length = heads.next()
            if kind != "str":
                raise _Damaged(f"a key is a {kind}, expected a text")
            name = heads.text(length)
            if name == "__msgpack_chunked_array__":
                raise _Damaged(f"{show_name('/'.join(path))!r} has over 1 GB and lies in pieces, which are not read")
            self._read_value(heads, (*path, name))

    def _read_value(self, heads: _Heads, path: tuple[str, ...]) -> None:
        kind, length = heads.next()
        if kind == "map":
            self._read_map(heads, length, path)
        elif kind == "list":
            if len(path) >= DEPTH:
                raise _Damaged(f"more than {DEPTH} lists within each other")
            for number in range(length):
                self._read_value(heads, (*path, str(number)))
        elif kind == "ext":
            end = heads.tell() + 1 + length
            if heads.take(1)[0] in (_ARRAY, _SCALAR):
                self._read_array(heads, "/".join(path), end)
            heads.skip(end - heads.tell())
        elif kind != "number":
            heads.skip(length)

    def _read_array(self, heads: _Heads, name: str, end: int) -> None:
        """Reads what an array says of itself; its bytes end where its extension does."""
        check_name(name)
        if name in self.stored:
            raise _Damaged(f"it holds {show_name(name)!r} twice")
        if heads.next() != ("list", 3):
            raise _Damaged(f"{show_name(name)!r} is no array as Flax writes it")
        shape, kind = _read_shape(heads, name), heads.next()
        type_ = heads.text(kind[1]) if kind[0] == "str" else ""
        if type_ not in _TYPES:
            raise _Damaged(f"{show_name(name)!r} is of the unknown type {show_name(type_)!r}")
        what, length = heads.next()
        size = math.prod(shape) * _TYPES[type_]
        if what not in ("bin", "str") or length != size or heads.tell() + length != end:
            raise _Damaged(f"{show_name(name)!r} has {length:,} bytes, expected {size:,} for its shape")
        self.stored[name], self._starts[name] = Stored(shape, type_), (heads.tell(), length)
        check_count(len(self.stored))
        heads.skip(length)

    def read(self, name: str) -> np.ndarray:
        start, length = self._starts[name]
        self._stream.seek(start)
        content = self._stream.read(length)
        if len(content) != length:
            raise self.damage("it became shorter while it was read")
        stored = self.stored[name]
        return np.frombuffer(content, "V2" if stored.type == "bfloat16" else stored.type).reshape(stored.shape)

    def close(self) -> None:
        self._stream.close()


def _read_shape(heads: _Heads, name: str) -> tuple[int, ...]:
    kind, count = heads.next()
    if kind != "list" or count > _AXES:
        raise _Damaged(f"{show_name(name)!r} has no shape of at most {_AXES} axes")
    axes = [heads.next() for _ in range(count)]
    if any(kind != "number" or value < 0 for kind, value in axes):
        raise _Damaged(f"{show_name(name)!r} has a shape of other things than sizes")
    return tuple(value for _, value in axes)
