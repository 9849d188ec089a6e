"""Folders of TensorFlow Datasets; those of tests/data/tfds were written by its own builders."""

import hashlib
import json
import shutil
import struct
from pathlib import Path
from random import Random

import pytest

from pipeline.accuracy import summary
from pipeline.accuracy.classify import Task
from pipeline.base.crc32c import masked_crc
from pipeline.base.fault import Fault
from pipeline.images import image_set
from pipeline.images.decoding import decode
from pipeline.images.tfrecord import read_records
from tests.conftest import CLASSES
from tests.images.test_image_set import COLOURS
from tests.validation_set import LABELS

DATA = Path(__file__).parents[1] / "data/tfds"
V2 = "imagenet_v2-test.tfrecord-00000-of-00001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A writable copy of the small imagenet_v2: eight images of four classes."""
    return Path(shutil.copytree(DATA / "imagenet_v2", tmp_path / "3.0.0"))


def test_imagenet_v2_has_the_same_images_as_folders(tmp_path: Path) -> None:
    loaded = image_set.open_images(DATA / "imagenet_v2", LABELS)
    assert loaded.description == "TensorFlow Datasets imagenet_v2 3.0.0"
    expected = {f"{LABELS[label].key}/{label}-{number}.jpeg": label for label in (2, 10, 281, 967) for number in (0, 1)}
    assert {example.name: example.label for example in loaded.examples} == expected
    for example in loaded.examples:
        path = tmp_path / "folders" / str(example.label) / example.name.split("/")[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(loaded.read(example))
        assert decode(loaded.read(example), example.name).shape == (15, 20, 3)
        assert loaded.locate(example).endswith(f"{V2}: {example.name}")
    assert image_set.open_images(tmp_path / "folders", LABELS).examples == loaded.examples
    # The file that the builder was given, byte for byte.
    first = next(example for example in loaded.examples if example.name.endswith("/10-0.jpeg"))
    digest = hashlib.sha256(loaded.read(first)).hexdigest()
    assert digest == "1a8689d6d2b436a8428a236cd07b1df32c8ab16de1ba1c73dfeb53c818c74fc7"


def test_imagenette_has_other_class_indices_and_no_file_names() -> None:
    loaded = image_set.open_images(DATA / "imagenette", LABELS)
    assert loaded.description == "TensorFlow Datasets imagenette 1.0.0"
    # Its labels are 0 to 9; the model's are those of all 1000 classes.
    assert [LABELS[example.label].key for example in loaded.examples] == ["n01440764", "n03888257"] * 2
    assert sorted(example.file for example in loaded.examples) == [f"validation-{n:05d}" for n in range(4)]


def test_records_may_lie_in_many_files(folder: Path) -> None:
    whole = image_set.open_images(DATA / "imagenet_v2", LABELS)
    data = (folder / V2).read_bytes()
    end = int.from_bytes(data[:8], "little") + 16
    (folder / V2).unlink()
    for part, content in enumerate((data[:end], data[end:])):
        (folder / f"imagenet_v2-test.tfrecord-{part:05d}-of-00002").write_bytes(content)
    loaded = image_set.open_images(folder, LABELS)
    assert loaded.examples == whole.examples
    assert [loaded.read(example) for example in loaded.examples] == [whole.read(example) for example in whole.examples]
    (folder / "imagenet_v2-test.tfrecord-00000-of-00002").unlink()
    with pytest.raises(Fault, match=r"expected 8 records of the split test, as .* says, got 7 in 1 files"):
        image_set.open_images(folder, LABELS)


def write_record(path: Path, record: bytes) -> None:
    """Writes a TFRecord file of one record, with the right checksums."""
    length = struct.pack("<Q", len(record))
    path.write_bytes(length + masked_crc(length) + record + masked_crc(record))


def test_damaged_records_are_refused(folder: Path) -> None:
    path = folder / V2
    data = path.read_bytes()
    last = len(data) - 801  # where the eighth record begins
    for content, where, problem in (
        (data[:-1], f"record 7 at byte {last}", "cut short: expected 801 bytes, got 800; copy the file again, or"),
        (data[:5], "record 0 at byte 0", "damaged or cut short: the checksum of its length is wrong; copy"),
        (b"\0" * 100, "record 0 at byte 0", "damaged or cut short: the checksum of its length is wrong; copy"),
        (data + b"\0", f"record 8 at byte {len(data)}", "damaged or cut short: the checksum of its length is wrong"),
        (data.replace(b"label", b"lapel"), "record 0 at byte 0", r"damaged: its checksum is not that of its \d+ bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(Fault, match=rf"{V2}: {where}: {problem}"):
            image_set.open_images(folder, LABELS)


def test_no_flipped_bit_is_accepted(folder: Path) -> None:
    path = folder / V2
    data, random = path.read_bytes(), Random(1)
    for position in random.sample(range(8 * len(data)), 1000):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(Fault, match=rf"{V2}: record \d at byte \d+: (damaged|cut short)"):
            list(read_records(path))
    path.write_bytes(data)
    assert len(list(read_records(path))) == 8


def test_records_of_something_else_are_refused(folder: Path) -> None:
    """An Example of one feature, an empty entry of its map; numbers that end nowhere; a message beyond its own end."""
    for record, problem in (
        (b"\x0a\x02\x0a\x00", "a feature without a name or a value at byte 4"),
        (b"\xff" * 20, "a number that is cut short or has more than 64 bits at byte 0"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "a field ends after its message, at byte 18446744073709551626"),
        (b"\x0a\x04\x0a\x03\x0a\x09", "a field ends after its message"),
        (b"\x0b\x01", "a field of wire type 3"),
        (b"\x10\x01" * 10_001, "more than 10,000 fields, at byte 20000"),
    ):
        write_record(folder / V2, record)
        with pytest.raises(Fault, match=rf"record 0 at byte 0: not a tf\.train\.Example \({problem}"):
            image_set.open_images(folder, LABELS)
    write_record(folder / V2, b"\x0a\x00")
    with pytest.raises(Fault, match=r"record 0 at byte 0: expected an image and a label from 0 to 999, got nothing"):
        image_set.open_images(folder, LABELS)


def test_classes_that_the_model_lacks_are_refused(folder: Path) -> None:
    with pytest.raises(Fault, match=r"label\.labels\.txt:1: no class of the model is called 'n01440764'"):
        image_set.open_images(folder, COLOURS)
    (folder / "label.labels.txt").write_text("\n".join(CLASSES))
    with pytest.raises(Fault, match="expected an image and a label from 0 to 2, got"):
        image_set.open_images(folder, COLOURS)
    (folder / "label.labels.txt").unlink()
    with pytest.raises(Fault, match=r"label\.labels\.txt: the data set's class names are missing"):
        image_set.open_images(folder, LABELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fileFormat": "array_record"}, "array_record files, expected tfrecord; convert .*convert_format"),
        ({"splits": [{"name": "train"}]}, r"training images, by the name train"),
        ({"splits": []}, "expected a split called validation or test, got none"),
        ({"splits": ["test"]}, "expected a name, and splits with names and lengths"),
        ({"splits": [{"name": "../test"}]}, r"expected a name, and splits .*name '\.\./test"),
        ({"name": "../*"}, r"expected a name, and splits .*name '\.\./\*"),
        ({"splits": [{"name": "test", "shardLengths": ["all"]}]}, "expected a name, and splits with names and lengths"),
    ],
)
def test_other_data_sets_are_refused(change: dict, message: str, folder: Path) -> None:
    info = folder / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | change))
    with pytest.raises(Fault, match=message):
        image_set.open_images(folder, LABELS)


def test_a_malformed_info_file_is_refused(folder: Path) -> None:
    for text, message in (("{", "1: not valid JSON"), ("[]", " expected a mapping")):
        (folder / "dataset_info.json").write_text(text)
        with pytest.raises(Fault, match=rf"dataset_info\.json:{message}"):
            image_set.open_images(folder, LABELS)


def test_an_empty_file_counts_as_missing_records(folder: Path) -> None:
    first = min(folder.glob("*.tfrecord-*"))
    first.write_bytes(b"")
    with pytest.raises(Fault, match=r"expected \d+ records of the split test, as dataset_info\.json says, got \d+ in"):
        image_set.open_images(folder, LABELS)


def test_imagenette_is_reported_to_have_count_training_images() -> None:
    """How many is unknown: the file names, which would tell, are lost."""
    images = image_set.open_images(DATA / "imagenette", LABELS)
    task = Task(images, images.examples, 224)
    assert summary.other_dataset(task) == f"{images.description}, some of ImageNet's training set"
    assert summary.count_training_images(task) is None
    assert summary.describe_images(task) == (
        "4 images: TensorFlow Datasets imagenette 1.0.0, split validation; left out: the split train; some are training"
        " images of ImageNet, their names are lost"
    )
    images = image_set.open_images(DATA / "imagenet_v2", LABELS)
    task = Task(images, images.examples, 224)
    assert summary.other_dataset(task) == "TensorFlow Datasets imagenet_v2 3.0.0"
    assert summary.count_training_images(task) == 0
