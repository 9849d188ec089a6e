"""Labelled images in a folder of TensorFlow Datasets (imagenet2012, imagenet_v2, imagenette), read without TensorFlow.

Such a folder, <data_dir>/<name>/[<config>/]<version>, has dataset_info.json, features.json, label.labels.txt (the class
names in the order of its labels) and TFRecord files. A TFRecord file is a row of

    uint64 length, uint32 masked CRC-32C of the length, <length> bytes, uint32 masked CRC-32C of these

(tensorflow/core/lib/io/record_writer.h), and each record is a tf.train.Example (tensorflow/core/example/
example.proto, feature.proto), of which image, label and file_name count. An image's bytes lie in one piece, so that
only what surrounds them is read to list them all.
"""

import json
import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import google_crc32c

from pipeline.base.fault import Fault
from pipeline.images.folders import Located, Place, class_index
from pipeline.images.labels import Label

INFO = "dataset_info.json"
SPLITS = ("validation", "test")  # imagenet2012 has a test split too, without labels

Span = tuple[int, int]  # where a piece begins and ends
Bytes = bytes | mmap.mmap


def tfds_folder(folder: Path, labels: Sequence[Label]) -> tuple[str, list[Located]]:
    """Lists the validation split (or test, where there is no other) of a data set.

    A record without file_name, as imagenette's, is called `<split>-<number of the record>`: then the names are not
    those that the same images have in other layouts.

    Returns:
        The kind in words, such as "TensorFlow Datasets imagenet_v2 3.0.0", and the images.

    Raises:
        Fault: when a file is missing, damaged, or of another file format, or a class is unknown to the model.
    """
    info = _json(folder / INFO)
    name, version = info.get("name"), info.get("version")
    try:
        splits = {split["name"]: sum(map(int, split.get("shardLengths", []))) for split in info.get("splits", [])}
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise Fault(
            f"{folder / INFO}: its splits are not a list of names and lengths ({error!r}); copy it again"
        ) from None
    split = next((split for split in SPLITS if split in splits), None)
    if split is None:
        raise Fault(
            f"{folder / INFO}: expected a split called {' or '.join(SPLITS)}, got {', '.join(splits) or 'none'}"
        )
    if info.get("fileFormat", "tfrecord") != "tfrecord":
        raise Fault(
            f"{folder}: its records are {info['fileFormat']} files, expected tfrecord; convert the data set with python"
            " -m tensorflow_datasets.scripts.convert_format --out_file_format=tfrecord --dataset_version_dir=<this>"
            " --out_dir=<another folder>, which comes with tensorflow-datasets"
        )
    paths = sorted(folder.glob(f"{name}-{split}.tfrecord-*-of-*"))
    classes = _classes(folder / "label.labels.txt", labels)
    found: list[Located] = []
    for path in paths:
        found += _file(path, split, classes, len(found))
    if len(found) != splits[split]:
        raise Fault(
            f"{folder}: expected {splits[split]} records of the split {split}, as {INFO} says, got {len(found)} in"
            f" {len(paths)} files; prepare the data set again, or copy all of it"
        )
    return f"TensorFlow Datasets {name} {version}", found


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Fault(f"{path}: not valid JSON ({error}); prepare the data set again") from None
    if not isinstance(content, dict):
        raise Fault(f"{path}: expected a mapping; prepare the data set again")
    return content


def _classes(path: Path, labels: Sequence[Label]) -> list[int]:
    """Returns the model's index of each class of the data set."""
    if not path.is_file():
        raise Fault(f"{path}: the data set's class names are missing; prepare it again, or copy all of it")
    index = class_index(labels)
    classes = []
    for number, key in enumerate(path.read_text(encoding="utf-8").split("\n")):
        if key and key not in index:
            raise Fault(f"{path}:{number + 1}: no class of the model is called {key!r}; it has {len(index)} others")
        classes += [index[key]] if key else []
    return classes


def _file(path: Path, split: str, classes: Sequence[int], before: int) -> list[Located]:
    """Lists the records of one file; `before` is the number of those in earlier files."""
    found: list[Located] = []
    if not path.stat().st_size:  # which cannot be mapped
        return found
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number, (start, end) in enumerate(_records(path, data)):
            where = f"{path}: record {number}"
            try:
                values = dict(_features(data, start, end))
            except (IndexError, ValueError) as error:
                raise Fault(f"{where}: not a tf.train.Example ({error}); prepare the data set again") from None
            image, label = values.get("image"), values.get("label")
            if not isinstance(image, tuple) or not isinstance(label, int) or not 0 <= label < len(classes):
                raise Fault(f"{where}: expected an image and a label from 0 to {len(classes) - 1}, got {values!r}")
            named = values.get("file_name")
            name = f"{split}-{before + number:05d}"
            if isinstance(named, tuple):
                name = PurePosixPath(data[slice(*named)].decode("utf-8", "replace")).name
            found.append(Located(name, classes[label], Place(path, image[0], image[1] - image[0])))
    return found


def _records(path: Path, data: Bytes) -> Iterator[Span]:
    at = 0
    while at < len(data):
        head = data[at : at + 12]
        length, crc = struct.unpack("<QI", head) if len(head) == 12 else (0, None)
        if crc != _masked(head[:8]) or at + length + 16 > len(data):
            raise Fault(
                f"{path}: damaged or cut short at byte {at}; prepare the data set again, or copy the file again"
            )
        yield at + 12, at + 12 + length
        at += length + 16


def _masked(data: bytes) -> int:
    """Returns the checksum as TFRecord files have it (tensorflow/core/lib/hash/crc32c.h, Mask)."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _features(data: Bytes, start: int, end: int) -> Iterator[tuple[str, Span | int | None]]:
    """Yields the features of a tf.train.Example: the span of a bytes feature, the value of an int64 one, else None."""
    for features in _spans(data, start, end, 1):
        for entry in _spans(data, *features, 1):
            key, feature = (next(_spans(data, *entry, number), None) for number in (1, 2))
            if key is None or feature is None:
                raise ValueError(f"a feature without a name or a value at byte {entry[0]}")
            yield data[slice(*key)].decode(), _value(data, *feature)


def _value(data: Bytes, start: int, end: int) -> Span | int | None:
    for listed in _spans(data, start, end, 1):
        return next(_spans(data, *listed, 1), None)
    for listed in _spans(data, start, end, 3):
        for _, value in _fields(data, *listed):
            number = _varint(data, value[0])[0] if isinstance(value, tuple) else value  # packed or not
            return number - (1 << 64) if number >> 63 else number
    return None


def _spans(data: Bytes, start: int, end: int, wanted: int) -> Iterator[Span]:
    """Yields where the submessages or strings of one field number lie."""
    for number, value in _fields(data, start, end):
        if number == wanted and isinstance(value, tuple):
            yield value


def _fields(data: Bytes, start: int, end: int) -> Iterator[tuple[int, Span | int]]:
    """Yields the fields of a protobuf message: the span of a delimited one, the value of a varint."""
    while start < end:
        tag, start = _varint(data, start)
        value, start = _varint(data, start)
        if tag & 7 == 2:
            if start + value > end:
                raise ValueError(f"a field ends after its message, at byte {start + value}")
            yield tag >> 3, (start, start + value)
            start += value
        elif tag & 7 == 0:
            yield tag >> 3, value
        else:
            raise ValueError(f"a field of wire type {tag & 7} at byte {start}")


def _varint(data: Bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[start]
        value |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return value, start
