"""Writes and reads FlatBuffers tables by field ids, for schemas without generated code.

A field's id is its place in the schema's table, from 0; a union takes two, its type and its value
(https://flatbuffers.dev/internals).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import flatbuffers
from flatbuffers import encode, number_types
from flatbuffers.table import Table


@dataclass(frozen=True)
class Byte:
    """A byte, or an enum or the type of a union, which is one."""

    value: int


@dataclass(frozen=True)
class Number:
    """An unsigned integer of 32 bits."""

    value: int


@dataclass(frozen=True)
class Floats:
    """A vector of float32."""

    values: tuple[float, ...]


Field = Byte | Number | Floats | str | Mapping[int, "Field"] | Sequence[Mapping[int, "Field"]]
Fields = Mapping[int, Field]


def write_buffer(root: Fields, identifier: bytes) -> bytes:
    """Returns a FlatBuffer of a table; the same fields give the same bytes.

    Args:
        root: the fields by id; a mapping is a table, a sequence a vector of tables.
        identifier: the schema's file identifier, 4 bytes.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, root), file_identifier=identifier)
    return bytes(builder.Output())


def _write_table(builder: flatbuffers.Builder, fields: Fields) -> int:
    # What a table refers to is written before it.
    offsets = {
        slot: _write_object(builder, field) for slot, field in fields.items() if not isinstance(field, Byte | Number)
    }
    builder.StartObject(max(fields, default=-1) + 1)
    for slot, field in fields.items():
        if isinstance(field, Byte):
            builder.PrependUint8Slot(slot, field.value, 0)
        elif isinstance(field, Number):
            builder.PrependUint32Slot(slot, field.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
    return int(builder.EndObject())


def _write_object(builder: flatbuffers.Builder, field: Field) -> int:
    if isinstance(field, str):
        return int(builder.CreateString(field))
    if isinstance(field, Floats):
        return _write_vector(builder, field.values, builder.PrependFloat32)
    if isinstance(field, Mapping):
        return _write_table(builder, field)
    assert not isinstance(field, Byte | Number)
    return _write_vector(builder, [_write_table(builder, each) for each in field], builder.PrependUOffsetTRelative)


def _write_vector(builder: flatbuffers.Builder, values: Sequence[float], prepend: Callable[[float], None]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        prepend(value)
    return int(builder.EndVector())


class Reader:
    """A table of a FlatBuffer; texts and vectors that are not there read as empty, numbers as 0.

    Damaged buffers raise struct.error, LookupError, ValueError or TypeError.
    """

    def __init__(self, buffer: bytes, position: int | None = None) -> None:
        """Reads the table at a position, by default the root."""
        root = encode.Get(number_types.UOffsetTFlags.packer_type, buffer, 0) if position is None else position
        self._table = Table(buffer, root)

    def _offset(self, slot: int) -> int:
        return int(self._table.Offset(4 + 2 * slot))

    def text(self, slot: int) -> str:
        """Returns a string."""
        at = self._offset(slot)
        return self._table.String(at + self._table.Pos).decode() if at else ""

    def byte(self, slot: int) -> int:
        """Returns a byte."""
        at = self._offset(slot)
        return int(self._table.Get(number_types.Uint8Flags, at + self._table.Pos)) if at else 0

    def number(self, slot: int) -> int:
        """Returns an unsigned integer of 32 bits."""
        at = self._offset(slot)
        return int(self._table.Get(number_types.Uint32Flags, at + self._table.Pos)) if at else 0

    def content(self, slot: int) -> bytes:
        """Returns a vector of bytes."""
        at = self._offset(slot)
        start, length = (self._table.Vector(at), self._table.VectorLen(at)) if at else (0, 0)
        return bytes(self._table.Bytes[start : start + length])

    def floats(self, slot: int) -> tuple[float, ...]:
        """Returns a vector of float32."""
        return tuple(float(self._table.Get(number_types.Float32Flags, place)) for place in self._places(slot))

    def table(self, slot: int) -> "Reader":
        """Returns a table.

        Raises:
            LookupError: when it is not there.
        """
        at = self._offset(slot)
        if not at:
            raise LookupError(f"no field {slot}")
        return Reader(self._table.Bytes, self._table.Indirect(at + self._table.Pos))

    def tables(self, slot: int) -> list["Reader"]:
        """Returns a vector of tables."""
        return [Reader(self._table.Bytes, self._table.Indirect(place)) for place in self._places(slot)]

    def _places(self, slot: int) -> list[int]:
        """Returns where the elements of a vector lie, each of 4 bytes."""
        at = self._offset(slot)
        return [self._table.Vector(at) + 4 * index for index in range(self._table.VectorLen(at))] if at else []
