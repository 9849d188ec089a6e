"""Labelled images in a folder of TensorFlow Datasets (imagenet2012, imagenet_v2, imagenette), read without TensorFlow.

The folder, <data_dir>/<name>/[<config>/]<version>, has dataset_info.json, features.json, label.labels.txt (the class
names in the order of its labels) and TFRecord files, whose records have the features image, label and file_name.
"""

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.fault import Fault
from pipeline.images.folders import LabelledFile, Place
from pipeline.images.labels import Label, class_index
from pipeline.images.tfrecord import Bytes, Span, read_features, read_records

INFO = "dataset_info.json"
SPLITS = ("validation", "test")  # imagenet2012 has a test split too, without labels


@dataclass(frozen=True)
class DatasetInfo:
    """The part of dataset_info.json that is needed here. `records` is the size of each split by its name."""

    name: str
    version: str
    file_format: str
    records: dict[str, int]


def read_info(folder: Path) -> DatasetInfo:
    """Reads a folder's dataset_info.json.

    Raises:
        Fault: when it is malformed.
    """
    path = folder / INFO
    content = _read_json(path)
    try:
        records = {split["name"]: sum(map(int, split.get("shardLengths", []))) for split in content.get("splits", [])}
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise Fault(f"{path}: its splits are not a list of names and lengths ({error!r}); copy it again") from None
    file_format = content.get("fileFormat", "tfrecord")
    return DatasetInfo(str(content.get("name")), str(content.get("version")), str(file_format), records)


def list_tfds_folder(folder: Path, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of the validation split, or of the test split where there is no other.

    A record without file_name, as imagenette's, is called `<split>-<number of the record>`: the same image has another
    name in other layouts.

    Raises:
        Fault: when a file is missing, damaged, or of another file format, or the model lacks a class.
    """
    info = read_info(folder)
    split = _choose_split(folder, info)
    if info.file_format != "tfrecord":
        raise Fault(
            f"{folder}: its records are {info.file_format} files, expected tfrecord; convert the data set with python"
            " -m tensorflow_datasets.scripts.convert_format --out_file_format=tfrecord --dataset_version_dir=<this>"
            " --out_dir=<another folder>, which comes with tensorflow-datasets"
        )
    paths = sorted(folder.glob(f"{info.name}-{split}.tfrecord-*-of-*"))
    classes = _read_classes(folder / "label.labels.txt", labels)
    images: list[LabelledFile] = []
    for path in paths:
        images += _list_records(path, split, classes, len(images))
    if len(images) != info.records[split]:
        raise Fault(
            f"{folder}: expected {info.records[split]} records of the split {split}, as {INFO} says, got {len(images)}"
            f" in {len(paths)} files; prepare the data set again, or copy all of it"
        )
    return images


def _choose_split(folder: Path, info: DatasetInfo) -> str:
    for split in SPLITS:
        if split in info.records:
            return split
    raise Fault(
        f"{folder / INFO}: expected a split called {' or '.join(SPLITS)}, got {', '.join(info.records) or 'none'}"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Fault(f"{path}: not valid JSON ({error}); prepare the data set again") from None
    if not isinstance(content, dict):
        raise Fault(f"{path}: expected a mapping; prepare the data set again")
    return content


def _read_classes(path: Path, labels: Sequence[Label]) -> list[int]:
    """Returns the model's index of each class of the data set, in the order of the data set's labels."""
    if not path.is_file():
        raise Fault(f"{path}: the data set's class names are missing; prepare it again, or copy all of it")
    index = class_index(labels)
    classes = []
    for line, key in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if key and key not in index:
            raise Fault(f"{path}:{line}: no class of the model is called {key!r}; it has {len(index)} others")
        classes += [index[key]] if key else []
    return classes


def _list_records(path: Path, split: str, classes: Sequence[int], earlier: int) -> list[LabelledFile]:
    """Lists the images of one TFRecord file; `earlier` is the number of records in the files before it."""
    if not path.stat().st_size:  # an empty file cannot be mapped
        return []
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [
            _read_example(path, data, span, number, classes, f"{split}-{earlier + number:05d}")
            for number, span in enumerate(read_records(path, data))
        ]


def _read_example(
    path: Path, data: Bytes, span: Span, number: int, classes: Sequence[int], default_name: str
) -> LabelledFile:
    """Returns the image of one record; `default_name` is its name where the record has none."""
    where = f"{path}: record {number}"
    try:
        features = dict(read_features(data, *span))
    except (IndexError, ValueError) as error:
        raise Fault(f"{where}: not a tf.train.Example ({error}); prepare the data set again") from None
    image, label, name = (features.get(key) for key in ("image", "label", "file_name"))
    if not isinstance(image, tuple) or not isinstance(label, int) or not 0 <= label < len(classes):
        raise Fault(f"{where}: expected an image and a label from 0 to {len(classes) - 1}, got {features!r}")
    file = default_name
    if isinstance(name, tuple):
        file = PurePosixPath(data[slice(*name)].decode("utf-8", "replace")).name
    start, end = image
    return LabelledFile(file, classes[label], Place(path, start, end - start))
