"""Reads a table from a MAT-file of MATLAB 5 to 7, as ImageNet's devkit has one (meta.mat): an array of structs.

scipy's loadmat() ends its process by a signal for one damaged file in thirty, and takes all memory for others. Here
every size is compared with the bytes that there are.

Source: MathWorks, "MAT-File Format", level 5.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice

_UNPACKED = 1 << 24  # bytes at most; the devkit's table has 1 MB
_VALUES = 200_000  # at most; the devkit's table has 15,000
_COMPRESSED, _MATRIX = 15, 14  # types of elements
_STRUCT, _CHAR = 2, 4  # classes of matrices
_NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}  # by type
_TEXTS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_Value = int | float | str | None


class DamagedTable(Exception):
    """A file is no MAT-file with the table; the text says why."""


def read_table(content: bytes, name: str, fields: Sequence[str]) -> list[tuple[_Value, ...]]:
    """Returns the values of some fields of each struct of an array: the first number, or a text; None for others.

    Args:
        content: the file.
        name: of the array in it.
        fields: of the structs.

    Raises:
        DamagedTable: when there is no such array in it, or it is damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise DamagedTable("not a MAT-file of level 5")
    try:
        for kind, data in _elements(memoryview(content)[128:], order):
            matrix = _unpack(data, order) if kind == _COMPRESSED else data
            class_, found, rest = _open_matrix(matrix, order)
            if found == name and class_ == _STRUCT:
                return _read_structs(rest, order, fields)
    except (struct.error, zlib.error, UnicodeDecodeError, StopIteration) as error:
        raise DamagedTable(str(error) or "cut short") from None
    raise DamagedTable(f"no array of structs called {name!r}")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yields the type and the content of each element."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        at += 8
        if kind >> 16:  # up to 4 bytes stand in the place of the size
            kind, size, start = kind & 0xFFFF, kind >> 16, at - 4
            padded = 0
        else:
            start, padded = at, size if kind == _COMPRESSED else -(-size // 8) * 8
        if size > len(data) - start or (not padded and size > 4):
            raise DamagedTable("cut short")
        yield kind, data[start : start + size]
        at += padded


def _unpack(data: memoryview, order: str) -> memoryview:
    """Returns the content of the one matrix that is compressed."""
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(data, _UNPACKED)
    if not unpacker.eof:
        raise DamagedTable(f"cut short, or more than {_UNPACKED:,} bytes")
    return next(_elements(memoryview(content), order))[1]


def _open_matrix(matrix: memoryview, order: str) -> tuple[int, str, Iterator[tuple[int, memoryview]]]:
    """Returns the class and the name of a matrix, and its elements after these and its dimensions."""
    if not matrix:  # an empty array has nothing
        return 0, "", iter(())
    elements = _elements(matrix, order)
    (flags,) = struct.unpack_from(f"{order}I", next(elements)[1])
    next(elements)  # the dimensions: the elements say as much
    return flags & 0xFF, bytes(next(elements)[1]).decode(), elements


def _read_structs(
    elements: Iterator[tuple[int, memoryview]], order: str, fields: Sequence[str]
) -> list[tuple[_Value, ...]]:
    (length,) = struct.unpack_from(f"{order}I", next(elements)[1])
    names = bytes(next(elements)[1])
    if not 0 < length <= 64:
        raise DamagedTable(f"fields of {length:,} letters")
    found = [names[at : at + length].partition(b"\0")[0].decode() for at in range(0, len(names), length)]
    if missing := [field for field in fields if field not in found]:
        raise DamagedTable(f"no field called {missing[0]!r}")
    values = [data for _, data in islice(elements, _VALUES + 1)]
    if len(values) > _VALUES or len(values) % len(found):
        raise DamagedTable(f"{len(values):,} values for {len(found)} fields")
    columns = [found.index(field) for field in fields]
    return [
        tuple(_read_value(values[start + column], order) for column in columns)
        for start in range(0, len(values), len(found))
    ]


def _read_value(matrix: memoryview, order: str) -> _Value:
    class_, _, elements = _open_matrix(matrix, order)
    kind, data = next(elements, (0, memoryview(b"")))
    if class_ == _CHAR and kind in _TEXTS:
        text = bytes(data)
        return text.decode(_TEXTS[kind] + ("" if _TEXTS[kind] == "utf-8" else "-le" if order == "<" else "-be"))
    if class_ != _CHAR and kind in _NUMBERS and data:
        value: int | float = struct.unpack_from(order + _NUMBERS[kind], data)[0]
        return value
    return None
