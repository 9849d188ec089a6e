"""Labelled images in a folder of TensorFlow Datasets (imagenet2012, imagenet_v2, imagenette), read without TensorFlow.

The folder, <data_dir>/<name>/[<config>/]<version>, has dataset_info.json, features.json, label.labels.txt (the class
names in the order of its labels) and TFRecord files, whose records have the features image, label and file_name.
"""

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.base.fault import Fault, show_name
from pipeline.base.json_files import load_json
from pipeline.base.text import read_lines
from pipeline.images.files import FilePlace, LabelledFile, list_visible
from pipeline.images.labels import Label, UnknownClass, match_classes
from pipeline.images.layout import Layout, Source
from pipeline.images.split import Split, choose_split, split_of_folder
from pipeline.images.tfrecord import Record, Span, read_features, read_records

INFO = "dataset_info.json"
_DEPTH = 3  # folders between a data set's name and its version, at most
_SPLITS = 1_000  # of a data set; those of one language each have some hundreds
_LONGEST_NAME = 4096  # bytes of a file_name with its folders: PATH_MAX of Linux
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
    content = load_json(path, _AGAIN)
    if not isinstance(content, dict):
        raise Fault(f"{path}: expected a mapping; {_AGAIN}")
    try:
        if len(content["splits"]) > _SPLITS:
            raise ValueError(f"{len(content['splits']):,} splits, at most {_SPLITS:,} are allowed")
        records = {_name(split["name"]): sum(map(int, split.get("shardLengths", []))) for split in content["splits"]}
        name = _name(content["name"])
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise Fault(f"{path}: expected a name, and splits with names and lengths ({error!r}); copy it again") from None
    version, file_format = (show_name(str(content.get(key))) for key in ("version", "fileFormat"))
    return DatasetInfo(name, version, "tfrecord" if file_format == "None" else file_format, records)


def _name(name: object) -> str:
    """Returns the name of a data set or a split, which is part of file names; raises ValueError for any other text."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]{1,100}", name):
        raise ValueError(f"name {show_name(str(name))!r}")
    return name


def find_versions(folder: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Yields the folders of data sets below a folder, such as imagenet_v2/matched-frequency/3.0.0, in order."""
    for path in filter(Path.is_dir, list_visible(folder)):
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
        for record in read_records(path):
            images.append(_read_example(record, classes, f"{split}-{len(images):05d}"))
    if len(images) != info.records[split]:
        raise Fault(
            f"{folder}: expected {info.records[split]} records of the split {split}, as {INFO} says, got {len(images)}"
            f" in {len(paths)} files; prepare the data set again, or copy all of it"
        )
    return images


def _read_classes(path: Path, labels: Sequence[Label]) -> list[int]:
    """Returns the model's index of each class of the data set, in the order of the data set's labels."""
    if not path.is_file() or not (names := read_lines(path, _AGAIN)):
        raise Fault(f"{path}: the data set's class names are missing; prepare it again, or copy all of it")
    classes = []
    for line, label in enumerate(match_classes(names, labels), start=1):
        if isinstance(label, str):
            raise UnknownClass(f"{path}:{line}: no class of the model is called {label!r}; it has {len(labels)} others")
        classes.append(label)
    return classes


def _read_example(record: Record, classes: Sequence[int], default_name: str) -> LabelledFile:
    """Returns the image of one record; `default_name` is its name where the record has none."""
    try:
        features = dict(read_features(record.data))
    except ValueError as error:
        raise Fault(f"{record}: not a tf.train.Example ({error}); {_AGAIN}") from None
    image, label, name = (features.get(key) for key in ("image", "label", "file_name"))
    if label == -1:
        raise Fault(f"{record}: it has no class, as all images of ImageNet's test set; expected another split")
    if not isinstance(image, tuple) or not isinstance(label, int) or not 0 <= label < len(classes):
        got = ", ".join(f"{show_name(key)} {_describe(value)}" for key, value in itertools.islice(features.items(), 9))
        raise Fault(f"{record}: expected an image and a label from 0 to {len(classes) - 1}, got {got or 'nothing'}")
    start, end = image
    file = _read_name(record, name) if isinstance(name, tuple) else default_name
    return LabelledFile(file, classes[label], FilePlace(record.path, record.start + start, end - start))


def _read_name(record: Record, span: Span) -> str:
    """Returns the file name of a record, whose bytes need not be UTF-8."""
    path = record.data[slice(*span)]
    if len(path) > _LONGEST_NAME or b"\0" in path:
        raise Fault(f"{record}: expected a file_name of at most {_LONGEST_NAME} bytes without zeros; {_AGAIN}")
    return PurePosixPath(os.fsdecode(path)).name


def _describe(value: Span | int | None) -> str:
    """Returns the value of a feature in words."""
    if isinstance(value, tuple):
        return f"of {value[1] - value[0]} bytes"
    return "without a value" if value is None else str(value)
