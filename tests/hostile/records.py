"""TFRecord files, and what lies beside them in a folder of TensorFlow Datasets, as evaluation reads them."""

import gzip
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from pipeline.base.crc32c import masked_crc
from tests.hostile.attack import Attack, Fuzz
from tests.hostile.images import read_images

TFDS = Path(__file__).parents[1] / "data/tfds/imagenet_v2"
RECORDS = "imagenet_v2-test.tfrecord-00000-of-00001"


def records(content: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """Returns what writes a folder of TensorFlow Datasets whose records are changed, and returns their file."""

    def make(folder: Path) -> Path:
        for file in TFDS.iterdir():
            shutil.copyfile(file, folder / file.name)
        path = folder / RECORDS
        path.write_bytes(content(path.read_bytes()))
        return path

    return make


def info(content: str) -> Callable[[Path], Path]:
    """Returns what writes such a folder with another dataset_info.json."""

    def make(folder: Path) -> Path:
        path = records(bytes)(folder)
        (folder / "dataset_info.json").write_text(content)
        return path

    return make


def record(data: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<Q", len(data) if length is None else length)
    return head + masked_crc(head) + data + masked_crc(data)


def long_records(folder: Path) -> Path:
    """Writes a record of 10 GB, all holes."""
    path = records(bytes)(folder)
    head = struct.pack("<Q", 10_000_000_000)
    with path.open("wb") as stream:
        stream.write(head + masked_crc(head))
        stream.truncate(10_000_000_016)
    return path


def pipe_of_records(folder: Path) -> Path:
    path = records(bytes)(folder)
    path.unlink()
    os.mkfifo(path)
    return path


def other_label(data: bytes) -> bytes:
    """Adds one to the label of the first record."""
    at = data.index(b"label") + len(b"label\x12\x05\x1a\x03\n\x01")
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def field(number: int, data: bytes) -> bytes:
    length, size = b"", len(data)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def example(**features: bytes) -> bytes:
    """Returns a tf.train.Example of features, each a tf.train.Feature."""
    return field(1, b"".join(field(1, field(1, key.encode()) + field(2, value)) for key, value in features.items()))


WRONG_RECORDS = (
    ("a label with a flipped bit", other_label, "record 0 at byte 0: damaged: its checksum is not that of its"),
    ("a record of 2^63 bytes", lambda data: record(b"", 1 << 63) + data, "record 0 at byte 0: cut short: expected 922"),
    ("a record cut short", lambda data: data[:-20], r"record 7 at byte \d+: cut short: expected 801 bytes, got 781"),
    ("compressed records", gzip.compress, "record 0 at byte 0: compressed with gzip, expected plain TFRecords"),
    ("records that zlib compressed", zlib.compress, "record 0 at byte 0: compressed with zlib"),
    ("a number that ends nowhere", lambda data: record(b"\xff" * 1_000_000), "a number that is cut short or has more"),
    ("a message beyond its end", lambda data: record(b"\x0a\x04\x0a\x03\x0a\x09"), "a field ends after its message"),
    ("a million fields", lambda data: record(b"\x10\x01" * 1_000_000), "more than 10,000 fields, at byte 20000"),
    (
        "5,000 fields in each of 5,000 features",
        lambda data: record(field(1, field(1, b"\x10\x01" * 5_000 + field(1, b"k")) * 5_000)),
        "more than 10,000 fields, at byte ",
    ),
    (
        "an image for a label",
        lambda data: record(example(image=field(1, field(1, b"x")), label=field(1, field(1, b"9")))),
        "record 0 at byte 0: expected an image and a label from 0 to 999, got image of 1 bytes, label of 1 bytes",
    ),
    (
        "a negative label",
        lambda data: record(
            example(image=field(1, field(1, b"x")), label=b"\x1a\x0c\x0a\x0a\xfe" + b"\xff" * 8 + b"\1")
        ),
        "expected an image and a label from 0 to 999, got image of 1 bytes, label -2",
    ),
    (
        "a name of a million bytes",
        lambda data: record(
            example(
                image=field(1, field(1, b"x")),
                label=b"\x1a\x03\x0a\x01\x01",
                file_name=field(1, field(1, b"a" * 10**6)),
            )
        ),
        "expected a file_name of at most 4096 bytes",
    ),
)
INFOS = (
    ("dataset_info.json nested deeply", "[" * 100_000, r"dataset_info\.json: it is nested too deeply"),
    (
        "100,000 splits",
        json.dumps({"name": "x", "splits": [{"name": f"s{number}"} for number in range(100_000)]}),
        "100,000 splits, at most 1,000 are allowed",
    ),
    ("a data set called ../../*", json.dumps({"name": "../../*", "splits": []}), r"expected a name, and splits with"),
    (
        "an infinite split",
        '{"name": "x", "splits": [{"name": "test", "shardLengths": [1e999]}]}',
        r"dataset_info\.json: inf is not a number of JSON",
    ),
)
ATTACKS = (
    *(Attack(name, records(content), read_images, sentence) for name, content, sentence in WRONG_RECORDS),
    *(Attack(name, info(content), read_images, sentence) for name, content, sentence in INFOS),
    Attack("a record of 10 GB", long_records, read_images, "it has 10000000000 bytes, expected 268435456 at most"),
    Attack("records from a named pipe", pipe_of_records, read_images, "it is a pipe or a device, expected a file"),
)
FUZZES = (Fuzz("TFRecord", lambda folder: [records(bytes)(folder)], read_images),)
