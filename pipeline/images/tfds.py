"""Labelled images in a folder of TensorFlow Datasets (imagenet2012, imagenet_v2, imagenette), read without TensorFlow.

The folder, <data_dir>/<name>/[<config>/]<version>, has dataset_info.json, features.json, label.labels.txt (the class
names in the order of its labels) and TFRecord files, whose records have the features image, label and file_name.
"""

import json
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.text import read_lines
from pipeline.images.files import FilePlace, LabelledFile, is_hidden
from pipeline.images.labels import Label, UnknownClass, match_classes
from pipeline.images.layout import Layout, Source
from pipeline.images.split import Split, choose_split, split_of_folder
from pipeline.images.tfrecord import Bytes, Span, read_features, read_records

INFO = "dataset_info.json"
_DEPTH = 3  # folders between a data set's name and its version, at most
_AGAIN = "prepare the data set again"


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


def find_versions(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Yields the folders of data sets below a folder, such as imagenet_v2/matched-frequency/3.0.0, in order."""
    with os.scandir(folder) as scan:
        names = sorted(entry.name for entry in scan if entry.is_dir() and not is_hidden(entry.name))
    for path in (folder / name for name in names):
        if (path / INFO).is_file():
            yield path
        elif depth > 1:
            yield from find_versions(path, depth - 1)


def take_split(folder: Path, wanted: Split | None) -> Source:
    """Returns the images of the split to take.

    Raises:
        Fault: when there is none to take.
    """
    names = _names_of_splits(read_info(folder))
    if not names:
        raise Fault(f"{folder / INFO}: expected a split called validation or test, got none; {_AGAIN}")
    split = choose_split(folder / INFO, names, wanted)
    others = tuple(f"the split {name}" for other, name in names.items() if other is not split)
    return Source(Layout.TFDS, folder, split, left_out=others)


def _names_of_splits(info: DatasetInfo) -> dict[Split | None, str]:
    """Returns the data set's name of each split; None stands for those of other names, of which the first is kept."""
    names: dict[Split | None, str] = {}
    for name in info.records:
        names.setdefault(split_of_folder(name), name)
    return names


def list_tfds_folder(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of a split.

    A record without file_name, as imagenette's, is called `<split>-<number of the record>`: the same image has another
    name in other layouts.

    Raises:
        Fault: when a file is missing, damaged, or of another file format, or the model lacks a class.
    """
    folder, info = source.path, read_info(source.path)
    split = _names_of_splits(info)[source.split]
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


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Fault(f"{path}: not valid JSON ({error}); {_AGAIN}") from None
    if not isinstance(content, dict):
        raise Fault(f"{path}: expected a mapping; {_AGAIN}")
    return content


def _read_classes(path: Path, labels: Sequence[Label]) -> list[int]:
    """Returns the model's index of each class of the data set, in the order of the data set's labels."""
    if not path.is_file():
        raise Fault(f"{path}: the data set's class names are missing; prepare it again, or copy all of it")
    classes = []
    for line, label in enumerate(match_classes(read_lines(path, _AGAIN), labels), start=1):
        if isinstance(label, str):
            raise UnknownClass(f"{path}:{line}: no class of the model is called {label!r}; it has {len(labels)} others")
        classes.append(label)
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
    if label == -1:
        raise Fault(f"{where}: it has no class, as all images of ImageNet's test set; expected another split")
    if not isinstance(image, tuple) or not isinstance(label, int) or not 0 <= label < len(classes):
        raise Fault(f"{where}: expected an image and a label from 0 to {len(classes) - 1}, got {features!r}")
    file = default_name
    if isinstance(name, tuple):
        file = PurePosixPath(data[slice(*name)].decode("utf-8", "replace")).name
    start, end = image
    return LabelledFile(file, classes[label], FilePlace(path, start, end - start))
