"""The metadata_props of an ONNX file, read without the package onnx, and without reading the model.

An ONNX file is a message ModelProto of protobuf. Source of the numbers: onnx/onnx.proto of onnx/onnx; of the encoding:
https://protobuf.dev/programming-guides/encoding/.
"""

from pathlib import Path
from typing import BinaryIO

from pipeline.base.fault import Fault
from pipeline.base.varint import read_varint

_PROPERTIES, _KEY, _VALUE = 14, 1, 2  # ModelProto.metadata_props, StringStringEntryProto.key and .value
_HEAD = 20  # bytes: two numbers of at most 10
_MOST = 10_000  # fields of a model outside of its graph
_LONGEST = 1 << 22  # bytes of one property, such as the labels of 21,841 classes


def read_properties(path: Path) -> dict[str, str]:
    """Returns what an ONNX file says of itself.

    Raises:
        Fault: when it is damaged.
    """
    try:
        with path.open("rb") as stream:
            pairs = (_read_pair(content) for content in _read_fields(stream, path.stat().st_size))
            return dict(pairs)
    except ValueError as error:  # Unicode's errors are ValueErrors
        raise Fault(f"{path}: expected an ONNX file ({error}); make it again (make formats)") from None


def _read_fields(stream: BinaryIO, size: int) -> list[bytes]:
    """Returns the content of each field metadata_props."""
    contents: list[bytes] = []
    place = 0
    for _ in range(_MOST):
        if place == size:
            return contents
        stream.seek(place)
        field, start, end = _measure(stream.read(_HEAD), place)
        if end > size:
            raise ValueError(f"the field {field} ends behind the file")
        if field == _PROPERTIES:
            if end - start > _LONGEST:
                raise ValueError(f"a property has {end - start:,} bytes, at most {_LONGEST:,} are allowed")
            stream.seek(start)
            contents.append(stream.read(end - start))
        place = end
    raise ValueError(f"more than {_MOST:,} fields")


def _measure(head: bytes, place: int) -> tuple[int, int, int]:
    """Returns the number of the field at `place`, and where its content begins and ends."""
    tag, length_at = read_varint(head, 0, len(head))
    match tag & 7:
        case 0:  # a number
            _, end = read_varint(head, length_at, len(head))
            return tag >> 3, place + length_at, place + end
        case 1 | 5 as kind:  # 64 or 32 bits
            return tag >> 3, place + length_at, place + length_at + (8 if kind == 1 else 4)
        case 2:  # bytes, behind their length
            length, start = read_varint(head, length_at, len(head))
            return tag >> 3, place + start, place + start + length
    raise ValueError(f"the byte {place} begins no field")


def _read_pair(content: bytes) -> tuple[str, str]:
    """Returns the key and the value of a StringStringEntryProto; "" for one that it lacks."""
    texts, place = {_KEY: "", _VALUE: ""}, 0
    while place < len(content):
        field, start, end = _measure(content[place : place + _HEAD], place)
        if end > len(content):
            raise ValueError("a property ends behind its field")
        texts[field] = content[start:end].decode()
        place = end
    return texts[_KEY], texts[_VALUE]
