"""Tables in MAT-files: as scipy writes them, and damaged."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.images.matlab import DamagedTable, read_table
from tests.hostile.damage import damage

FIELDS = ("number", "text", "children")
ROWS = [(1, "n01440764", 0), (300, "größer", 2), (2.5, "", -3)]


def saved(*, compressed: bool = False, **others: object) -> bytes:
    """Returns a MAT-file with the table of ROWS, with a field more, after other arrays."""
    rows = [(number, text, [text, [number]], children) for number, text, children in ROWS]
    table = np.array(rows, dtype=[(name, object) for name in ("number", "text", "more", "children")]).reshape(-1, 1)
    out = io.BytesIO()
    savemat(out, others | {"table": table}, do_compression=compressed)
    return out.getvalue()


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(class_: int, name: bytes, *parts: bytes) -> bytes:
    flags, dimensions = element(6, struct.pack("<II", class_, 0)), element(5, struct.pack("<II", 1, 1))
    return element(14, flags + dimensions + element(1, name) + b"".join(parts))


HEAD = saved()[:128]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_table_is_read(compressed: bool) -> None:
    others = {"alone": 3.0, "texts": np.array(["a", "bc"], object), "empty": np.zeros((0, 0))}
    assert read_table(saved(compressed=compressed, **others), "table", FIELDS) == [
        (1, "n01440764", 0), (300, "größer", 2), (2.5, "", -3),
    ]  # fmt: skip
    assert [row for (row,) in read_table(saved(compressed=compressed), "table", ("more",))] == [None] * 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"", "not a MAT-file of level 5"),
        (lambda: HEAD, "no array of structs called 'table'"),
        (lambda: saved()[:-8], "cut short"),
        (lambda: saved().replace(b"table", b"tabel"), "no array of structs called 'table'"),
        (lambda: saved().replace(b"children", b"childern"), "no field called 'children'"),
        (lambda: HEAD + element(15, zlib.compress(bytes(20_000_000))), "more than 16,777,216 bytes"),
        (lambda: HEAD + element(15, zlib.compress(saved()[128:])[:-6]), "cut short"),
        (lambda: HEAD + matrix(2, b"table", element(5, struct.pack("<I", 1 << 30)), element(1, b"a")), "fields of 1,0"),
        (lambda: HEAD + matrix(2, b"table", element(5, struct.pack("<I", 0)), element(1, b"a")), "fields of 0 letters"),
        (
            lambda: HEAD + matrix(
                2, b"table", element(5, b"\x08\0\0\0"), element(1, b"number\0\0text\0\0\0\0children"),
                struct.pack("<II", 14, 0) * 200_001,
            ),
            "200,001 values for 3 fields",
        ),
    ],
)  # fmt: skip
def test_damage_is_named(content: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(DamagedTable, match=reason):
        read_table(content(), "table", FIELDS)


def test_nested_arrays_are_not_entered() -> None:
    """They ended scipy's process by a signal."""
    content = element(9, bytes(8))
    for _ in range(5000):
        content = matrix(1, b"", content)
    with pytest.raises(DamagedTable, match="no array of structs"):
        read_table(HEAD + content, "table", FIELDS)


def test_any_damage_is_named_or_read() -> None:
    whole, random = saved(), Random(1)
    for _ in range(2000):
        content = damage(whole, random)
        with suppress(DamagedTable):
            assert all(len(row) == 3 for row in read_table(content, "table", FIELDS))
