"""Labelled images as files: where the bytes of each lie, and the folder layouts that people have.

    class folders               <synset>/<file>, the validation set once sorted, Imagenette, or any part
    ImageNet-V2 folders         <class index>/<file>
    official validation folder  ILSVRC2012_val_00000001.JPEG and so on, with a ground truth (ground_truth.py)

Archives are read by pipeline.images.archives, folders of TensorFlow Datasets by pipeline.images.tfds.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, nearest
from pipeline.images import ground_truth
from pipeline.images.labels import Label

CLASSES = 1000  # of ImageNet-1k, where only an index says which
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True)
class Place:
    """Where the bytes of an image lie: in a part of a file, or in all of it where no size is given."""

    path: Path
    offset: int = 0
    size: int | None = None

    def state(self) -> tuple[int, int, int]:
        """Returns where the bytes begin, and the size and time (ns) of the file; -1 each for one that is gone."""
        try:
            found = self.path.stat()
        except OSError:
            return self.offset, -1, -1  # read() says why
        return self.offset, found.st_size, found.st_mtime_ns

    def read(self) -> bytes:
        """Returns the bytes; any number of threads may read at once.

        Raises:
            Fault: when the file is gone, too short or unreadable.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                size = os.fstat(descriptor).st_size if self.size is None else self.size
                data = os.pread(descriptor, size, self.offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Fault(f"{self.path}: cannot be read ({error.strerror}); was it moved since it was listed?") from None
        if len(data) != size:
            raise Fault(
                f"{self.path}: expected {size} bytes from byte {self.offset} on, got {len(data)}; it is cut short: get"
                " it again"
            )
        return data


@dataclass(frozen=True)
class Located:
    """An image as a layout has it: its file name, without folders, the index of its class, and its bytes."""

    file: str
    label: int
    place: Place


def visible(folder: Path) -> list[Path]:
    """Returns what lies in a folder, sorted, without hidden files such as .DS_Store."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def class_index(labels: Sequence[Label]) -> dict[str, int]:
    """Returns the index of each class by its key."""
    return {label.key: number for number, label in enumerate(labels)}


def class_folders(folder: Path, labels: Sequence[Label]) -> list[Located]:
    """Lists a folder of class folders, each named by a label's key; classes may be absent.

    Raises:
        Fault: when anything else lies there.
    """
    index = class_index(labels)
    found = []
    for group in visible(folder):
        if not group.is_dir() or group.name not in index:
            raise Fault(
                f"{group}: no class of the model is called {group.name!r}{nearest(group.name, index)}; expected only"
                f" folders named by the keys of the label file, such as {labels[0].key!r}"
            )
        found += _files(group, index[group.name])
    return found


def numbered_folders(folder: Path, labels: Sequence[Label]) -> list[Located]:
    """Lists folders named by class index, 0 to 999, as ImageNet-V2 has them (imagenetv2-*-format-val).

    Sorting such names as text puts 10 before 2; the number is the class, whatever the order.

    Raises:
        Fault: when the classes are not ImageNet-1k's, or something else lies there.
    """
    if len(labels) != CLASSES:
        raise Fault(
            f"{folder}: folders named by class index are ImageNet-V2's, of {CLASSES} classes; the model has"
            f" {len(labels)}: expected folders named by the keys of its label file, such as {labels[0].key!r}"
        )
    found = []
    for group in visible(folder):
        if not (group.is_dir() and group.name.isdecimal() and int(group.name) < CLASSES):
            raise Fault(f"{group}: expected only folders named by class index, 0 to {CLASSES - 1}")
        found += _files(group, int(group.name))
    return found


def _files(folder: Path, label: int) -> list[Located]:
    return [Located(path.name, label, Place(path)) for path in visible(folder)]


def flat_folder(folder: Path, labels: Sequence[Label]) -> list[Located]:
    """Lists the official validation set as it comes: all images in one folder, or some of them.

    The ground truth is looked for there and in the folder above.

    Raises:
        Fault: when there is none, or an image is not of the set.
    """
    files = [path for path in visible(folder) if path.suffix.lower() in SUFFIXES]
    return official(folder, {path.name: Place(path) for path in files}, (folder, folder.parent), labels)


def official(where: Path, files: dict[str, Place], folders: Iterable[Path], labels: Sequence[Label]) -> list[Located]:
    """Returns the images of the official validation set with the classes that a ground truth gives them.

    Args:
        where: what holds the images, for messages.
        files: the places by file name.
        folders: where to look for the ground truth.
        labels: the classes.

    Raises:
        Fault: when there is no ground truth, or it does not have an image.
    """
    truth = ground_truth.find(tuple(folders), labels)
    if truth is None:
        raise Fault(
            f"{where}: these are ImageNet's validation images, and nothing says their classes; put one of these files"
            f" beside them: {ground_truth.described()}"
        )
    for name in files:
        if name not in truth:
            raise Fault(
                f"{where}: the ground truth has no image called {name!r}; expected only ILSVRC2012_val_<8 digits>.JPEG"
            )
    return [Located(name, truth[name], place) for name, place in files.items()]
