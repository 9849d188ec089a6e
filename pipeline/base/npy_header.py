"""Reads the header of an .npy file: type, shape and order of an array, without evaluating it.

NumPy evaluates the header as an expression of Python; deep or long ones can end the process. Here it must have the form
that NumPy writes (numpy.lib.format), in any order and spacing.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

MAGIC = b"\x93NUMPY"
LENGTH = 10_000  # bytes of a header, at most, as NumPy allows; numpy.savez writes 118
VALUES = 1 << 40  # of an array, at most; all parameters of the largest Vision Transformers are 2e10
AXES = 32  # at most, as NumPy 1 allows

_ITEM = rb"""\s*+['"](\w{1,20})['"]\s*+:\s*+('[^'\n]*+'|"[^"\n]*+"|True|False|\([\d,L\s]*+\))\s*+(?:,|(?=\}))"""
_DICT = re.compile(rb"\{(?:" + _ITEM + rb"){3}\s*+\}\s*+")
_NUMBERS = {bytes([1, 0]): 2, bytes([2, 0]): 4}  # bytes of the length, by the format's version
_NUMERIC = re.compile(r"[<>|=]?([biufcV][1-9]\d?|[SU][1-9]\d{0,2})")


class DamagedHeader(Exception):
    """The header is damaged, or that of something else than a plain array; the text says why."""


class PickledArray(DamagedHeader):
    """The array is a pickle."""


@dataclass(frozen=True)
class Header:
    """What an .npy file says of its array.

    Attributes:
        length: bytes before the values.
        dtype: the type of the values; never Python objects, nor a structure.
        shape: of the array.
        is_fortran: whether the values lie by columns, the first axis fastest.
    """

    length: int
    dtype: np.dtype
    shape: tuple[int, ...]
    is_fortran: bool

    @property
    def size(self) -> int:
        """The number of bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def parse_header(start: bytes) -> Header:
    """Reads a header from the first bytes of an .npy file, LENGTH + 12 of them unless it is shorter.

    Raises:
        PickledArray: when the values are Python objects.
        DamagedHeader: when it is no header, or one of something else than a plain array.
    """
    digits = _NUMBERS.get(start[6:8]) if start.startswith(MAGIC) else None
    if digits is None:
        raise DamagedHeader("no .npy header of version 1 or 2")
    length = int.from_bytes(start[8 : 8 + digits], "little")
    text = start[8 + digits : 8 + digits + length]
    if length > LENGTH or len(text) < length:
        raise DamagedHeader(f"a header of {length:,} bytes, at most {LENGTH:,} are allowed")
    fields = _read_fields(text)
    dtype, shape = _read_type(fields["descr"]), _read_shape(fields["shape"])
    return Header(8 + digits + length, dtype, shape, fields["fortran_order"] == "True")


def _read_fields(text: bytes) -> dict[str, str]:
    """Returns the three values of a header by their keys, as they are written."""
    fields = {name.decode(): value.decode("latin-1") for name, value in re.findall(_ITEM, text)}
    if not _DICT.fullmatch(text) or fields.keys() != {"descr", "fortran_order", "shape"}:
        if re.search(rb"['\"]descr['\"]\s*+:\s*+\[", text):
            raise DamagedHeader("an array of structures, expected plain numbers")
        raise DamagedHeader("no .npy header as NumPy writes it")
    return fields


def _read_type(text: str) -> np.dtype:
    """Returns the type that a header names."""
    name = text[1:-1]
    if name.lstrip("<>|=") == "O":
        raise PickledArray("a pickle")
    if not _NUMERIC.fullmatch(name):
        raise DamagedHeader(f"the type {name[:40]!r}, expected plain numbers")
    try:
        return np.dtype(name)
    except TypeError:
        raise DamagedHeader(f"the type {name!r}, which NumPy does not have") from None


def _read_shape(text: str) -> tuple[int, ...]:
    """Returns the shape that a header names, such as "(3,)"."""
    axes = [axis.strip() for axis in text[1:-1].split(",")]
    if axes[-1] == "":  # "()" and "(3,)"
        axes.pop()
    if len(axes) > AXES or not all(re.fullmatch(r"\d{1,19}L?", axis) for axis in axes):
        raise DamagedHeader(f"the shape {text[:40]!r}, expected at most {AXES} numbers of at most 19 digits")
    shape = tuple(int(axis.rstrip("L")) for axis in axes)
    if math.prod(max(axis, 1) for axis in shape) > VALUES:
        raise DamagedHeader(f"the shape {text[:40]}, expected at most {VALUES:,} values")
    return shape
