"""Reads TFRecord files of tf.train.Example messages without TensorFlow.

A TFRecord file is a row of

    uint64 length, uint32 masked CRC-32C of the length, <length> bytes, uint32 masked CRC-32C of these

(tensorflow/core/lib/io/record_writer.h). Each record is a tf.train.Example (tensorflow/core/example/example.proto,
feature.proto), a protocol buffer. Both checksums are compared, as TensorFlow does: without the second one, a flipped
bit of a label would be an ordinary label.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.base.crc32c import masked_crc
from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, naming, open_regular
from pipeline.base.varint import read_varint

Span = tuple[int, int]  # where a piece of a record starts and ends

# Bytes of a record. Those of ImageNet have up to 16 MB, and that is the image.
LARGEST_RECORD = 1 << 28
_FIELDS = 10_000  # of a record, some ten for each feature; those of TensorFlow Datasets have up to 20 features
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x78\x01": "zlib", b"\x78\x9c": "zlib", b"\x78\xda": "zlib"}
_AGAIN = "copy the file again, or prepare the data set again"

_VARINT, _DELIMITED = 0, 2  # protobuf's wire types
_BYTES_LIST, _INT64_LIST = 1, 3  # field numbers of tf.train.Feature


@dataclass(frozen=True)
class Record:
    """A record whose checksums are right.

    Attributes:
        path: the file.
        number: of the record in the file, from 0.
        start: the place of its data in the file.
        data: its content.
    """

    path: Path
    number: int
    start: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.path}: record {self.number} at byte {self.start - 12}"


def read_records(path: Path) -> Iterator[Record]:
    """Yields the records of a file; one at a time is in memory.

    Raises:
        Fault: names the first record that is damaged, cut short, or larger than LARGEST_RECORD.
    """
    with _open(path) as stream, naming(path):
        rest = os.fstat(stream.fileno()).st_size
        at = number = 0
        while head := stream.read(12):
            where = f"{path}: record {number} at byte {at}"
            length = _read_length(head, where)
            if length + 16 > rest:
                raise Fault(f"{where}: cut short: expected {length + 16} bytes, got {rest}; {_AGAIN}")
            if length > LARGEST_RECORD:
                raise Fault(f"{where}: it has {length} bytes, expected {LARGEST_RECORD} at most; remove that record")
            data, crc = stream.read(length), stream.read(4)
            if crc != masked_crc(data):
                raise Fault(f"{where}: damaged: its checksum is not that of its {length} bytes; {_AGAIN}")
            yield Record(path, number, at + 12, data)
            at, rest, number = at + length + 16, rest - length - 16, number + 1


def _open(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; {_AGAIN}") from None


def _read_length(head: bytes, where: str) -> int:
    """Returns the length of a record from the 12 bytes before it."""
    if head[8:] == masked_crc(head[:8]):
        return int.from_bytes(head[:8], "little")
    if kind := _COMPRESSED.get(head[:2]):
        raise Fault(f"{where}: compressed with {kind}, expected plain TFRecords; decompress the file")
    raise Fault(f"{where}: damaged or cut short: the checksum of its length is wrong; {_AGAIN}")


def read_features(data: bytes) -> Iterator[tuple[str, Span | int | None]]:
    """Yields the name and first value of each feature of a tf.train.Example.

    The value is the span of a bytes feature, the number of an int64 feature, or None for an empty or float one.

    Raises:
        ValueError: when it is not a tf.train.Example, or has more than 10,000 fields.
    """
    message = _Message(data)
    for features in message.parts(0, len(data), 1):
        for entry in message.parts(*features, 1):
            key, feature = (next(message.parts(*entry, number), None) for number in (1, 2))
            if key is None or feature is None:
                raise ValueError(f"a feature without a name or a value at byte {entry[0]}")
            yield data[slice(*key)].decode(), message.first_value(*feature)


class _Message:
    """A protocol buffer, and the messages in it, which have at most _FIELDS fields together."""

    def __init__(self, data: bytes) -> None:
        self._data, self._steps = data, iter(range(_FIELDS))

    def first_value(self, start: int, end: int) -> Span | int | None:
        """Returns the first value of a tf.train.Feature; None for an empty or float one."""
        for values in self.parts(start, end, _BYTES_LIST):
            return next(self.parts(*values, 1), None)
        for values in self.parts(start, end, _INT64_LIST):
            for _, value in self._fields(*values):
                number = read_varint(self._data, *value)[0] if isinstance(value, tuple) else value  # packed or not
                return number - (1 << 64) if number >> 63 else number
        return None

    def parts(self, start: int, end: int, field: int) -> Iterator[Span]:
        """Yields the spans of the messages or strings that have a field number."""
        for number, value in self._fields(start, end):
            if number == field and isinstance(value, tuple):
                yield value

    def _fields(self, start: int, end: int) -> Iterator[tuple[int, Span | int]]:
        """Yields the number and value of each field of a message: a span if it is delimited, else a varint's number.

        Source: https://protobuf.dev/programming-guides/encoding/.
        """
        for _ in self._steps:
            if start == end:
                return
            tag, start = read_varint(self._data, start, end)
            value, start = read_varint(self._data, start, end)
            field, wire_type = tag >> 3, tag & 7
            if wire_type == _DELIMITED:
                if start + value > end:
                    raise ValueError(f"a field ends after its message, at byte {start + value}")
                yield field, (start, start + value)
                start += value
            elif wire_type == _VARINT:
                yield field, value
            else:
                raise ValueError(f"a field of wire type {wire_type} at byte {start}")
        raise ValueError(f"more than {_FIELDS:,} fields, at byte {start}")
