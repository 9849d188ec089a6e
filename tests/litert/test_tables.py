"""FlatBuffers by field ids."""

import flatbuffers
import pytest
from flatbuffers.table import Table

from pipeline.litert.tables import Byte, Fields, Floats, Number, Reader, write_buffer

FIELDS: Fields = {
    0: "a name with ä",
    2: Byte(7),
    3: Number(70_000),
    5: Floats((1.5, -2.0)),
    6: {1: "inner"},
    7: [{0: "x"}, {}],
}


def test_what_is_written_is_read() -> None:
    root = Reader(write_buffer(FIELDS, b"TEST"))
    assert (root.text(0), root.byte(2), root.number(3), root.floats(5)) == ("a name with ä", 7, 70_000, (1.5, -2.0))
    assert root.table(6).text(1) == "inner"
    assert [each.text(0) for each in root.tables(7)] == ["x", ""]


def test_absent_fields_are_empty() -> None:
    root = Reader(write_buffer({8: "last"}, b"TEST"))
    assert (root.text(0), root.byte(1), root.number(2), root.floats(3), root.tables(4)) == ("", 0, 0, (), [])
    with pytest.raises(LookupError, match="no field 5"):
        root.table(5)
    assert root.text(9) == ""  # beyond the fields that were written


def test_the_bytes_have_the_identifier_and_stay_the_same() -> None:
    written = write_buffer(FIELDS, b"TEST")
    assert flatbuffers.util.BufferHasIdentifier(written, 0, b"TEST")
    assert written == write_buffer(dict(FIELDS), b"TEST")


def test_the_fields_lie_where_the_library_looks_for_them() -> None:
    """The field ids of generated code are byte offsets into the table's index: 4 for field 0, then 2 each."""
    written = write_buffer({1: Byte(9)}, b"TEST")
    table = Table(bytearray(written), flatbuffers.encode.Get(flatbuffers.packer.uoffset, written, 0))
    assert table.Offset(4) == 0
    assert written[table.Offset(6) + table.Pos] == 9
