"""Reads TFRecord files of tf.train.Example messages without TensorFlow.

A TFRecord file is a row of

    uint64 length, uint32 masked CRC-32C of the length, <length> bytes, uint32 masked CRC-32C of these

(tensorflow/core/lib/io/record_writer.h). Each record is a tf.train.Example (tensorflow/core/example/example.proto,
feature.proto), a protocol buffer. Bytes features are returned as spans of the file, so that listing a file reads only
what surrounds its images.
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from pipeline.base.fault import Fault

Span = tuple[int, int]  # where a piece of a file starts and ends
Bytes = bytes | mmap.mmap

_VARINT, _DELIMITED = 0, 2  # protobuf's wire types
_BYTES_LIST, _INT64_LIST = 1, 3  # field numbers of tf.train.Feature


def read_records(path: Path, data: Bytes) -> Iterator[Span]:
    """Yields the span of each record of a file whose content is `data`.

    Raises:
        Fault: when the file is damaged or cut short.
    """
    at = 0
    while at < len(data):
        head = data[at : at + 12]
        length, crc = struct.unpack("<QI", head) if len(head) == 12 else (0, None)
        if crc != masked_crc(head[:8]) or at + length + 16 > len(data):
            raise Fault(
                f"{path}: damaged or cut short at byte {at}; prepare the data set again, or copy the file again"
            )
        yield at + 12, at + 12 + length
        at += length + 16


def masked_crc(data: bytes) -> int:
    """Returns the checksum that TFRecord files have (tensorflow/core/lib/hash/crc32c.h, Mask)."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_features(data: Bytes, start: int, end: int) -> Iterator[tuple[str, Span | int | None]]:
    """Yields the name and first value of each feature of a tf.train.Example in data[start:end].

    The value is the span of a bytes feature, the number of an int64 feature, or None for an empty or float one.

    Raises:
        ValueError, IndexError: when it is not a tf.train.Example.
    """
    for features in _submessages(data, start, end, 1):
        for entry in _submessages(data, *features, 1):
            key, feature = (next(_submessages(data, *entry, number), None) for number in (1, 2))
            if key is None or feature is None:
                raise ValueError(f"a feature without a name or a value at byte {entry[0]}")
            yield data[slice(*key)].decode(), _first_value(data, *feature)


def _first_value(data: Bytes, start: int, end: int) -> Span | int | None:
    for values in _submessages(data, start, end, _BYTES_LIST):
        return next(_submessages(data, *values, 1), None)
    for values in _submessages(data, start, end, _INT64_LIST):
        for _, value in _fields(data, *values):
            number = _varint(data, value[0])[0] if isinstance(value, tuple) else value  # packed or not
            return number - (1 << 64) if number >> 63 else number
    return None


def _submessages(data: Bytes, start: int, end: int, field: int) -> Iterator[Span]:
    """Yields the spans of the submessages or strings that have a field number."""
    for number, value in _fields(data, start, end):
        if number == field and isinstance(value, tuple):
            yield value


def _fields(data: Bytes, start: int, end: int) -> Iterator[tuple[int, Span | int]]:
    """Yields the number and value of each field of a message: a span if it is delimited, else a varint's number.

    Source: https://protobuf.dev/programming-guides/encoding/.
    """
    while start < end:
        tag, start = _varint(data, start)
        value, start = _varint(data, start)
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


def _varint(data: Bytes, start: int) -> tuple[int, int]:
    """Returns a variable-length number and where it ends."""
    value = shift = 0
    while True:
        byte = data[start]
        value |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return value, start
