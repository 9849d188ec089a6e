"""Labelled images as files: where the bytes of each lie, and the layouts of folders.

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
from pipeline.images.labels import Label, class_index

CLASSES = 1000  # of ImageNet-1k, the only classes that an index alone names
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True)
class Place:
    """Where the bytes of an image lie: in a part of a file, or in all of it if `size` is None."""

    path: Path
    offset: int = 0
    size: int | None = None

    def state(self) -> tuple[int, int, int]:
        """Returns the offset, and the file's size in bytes and modification time in ns; both -1 if the file is gone."""
        try:
            status = self.path.stat()
        except OSError:
            return self.offset, -1, -1  # read() says why
        return self.offset, status.st_size, status.st_mtime_ns

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
                f"{self.path}: cut short: expected {size} bytes from byte {self.offset} on, got {len(data)}; get it"
                " again"
            )
        return data


@dataclass(frozen=True)
class LabelledFile:
    """An image as its layout names it: the file name without folders, the index of its class, and its bytes."""

    file: str
    label: int
    place: Place


def list_visible(folder: Path) -> list[Path]:
    """Returns the entries of a folder, sorted, without hidden files such as .DS_Store."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def list_class_folders(folder: Path, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists a folder of class folders, each named by a label's key; classes may be absent.

    Raises:
        Fault: when it has any other entry.
    """
    index = class_index(labels)
    images = []
    for entry in list_visible(folder):
        if not entry.is_dir() or entry.name not in index:
            raise Fault(
                f"{entry}: no class of the model is called {entry.name!r}{nearest(entry.name, index)}; expected only"
                f" folders named by the keys of the label file, such as {labels[0].key!r}"
            )
        images += _list_files(entry, index[entry.name])
    return images


def list_numbered_folders(folder: Path, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists folders named by class index, 0 to 999, as ImageNet-V2 has them (imagenetv2-*-format-val).

    The number is the class; sorting the names as text would put 10 before 2.

    Raises:
        Fault: when the classes are not ImageNet-1k's, or the folder has any other entry.
    """
    if len(labels) != CLASSES:
        raise Fault(
            f"{folder}: folders named by class index are ImageNet-V2's, of {CLASSES} classes; the model has"
            f" {len(labels)}: expected folders named by the keys of its label file, such as {labels[0].key!r}"
        )
    images = []
    for entry in list_visible(folder):
        if not (entry.is_dir() and entry.name.isdecimal() and int(entry.name) < CLASSES):
            raise Fault(f"{entry}: expected only folders named by class index, 0 to {CLASSES - 1}")
        images += _list_files(entry, int(entry.name))
    return images


def _list_files(folder: Path, label: int) -> list[LabelledFile]:
    return [LabelledFile(path.name, label, Place(path)) for path in list_visible(folder)]


def list_validation_folder(folder: Path, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the official validation set as it is distributed, all images in one folder, or a part of it.

    Its ground truth lies there or in the folder above.

    Raises:
        Fault: when there is no ground truth, or an image is not of the set.
    """
    files = {path.name: Place(path) for path in list_visible(folder) if path.suffix.lower() in SUFFIXES}
    return label_validation_images(folder, files, (folder, folder.parent), labels)


def label_validation_images(
    where: Path, files: dict[str, Place], folders: Iterable[Path], labels: Sequence[Label]
) -> list[LabelledFile]:
    """Returns the images of the official validation set with the classes that a ground truth gives them.

    Args:
        where: what holds the images, for messages.
        files: the places by file name.
        folders: where to look for the ground truth.
        labels: the classes.

    Raises:
        Fault: when there is no ground truth, or it lacks an image.
    """
    truth = ground_truth.find(tuple(folders), labels)
    if truth is None:
        raise Fault(
            f"{where}: these are ImageNet's validation images without their classes; put one of these files beside"
            f" them: {ground_truth.describe_files()}"
        )
    for name in files:
        if name not in truth:
            raise Fault(
                f"{where}: the ground truth has no image called {name!r}; expected only ILSVRC2012_val_<8 digits>.JPEG"
            )
    return [LabelledFile(name, truth[name], place) for name, place in files.items()]
