"""Folders whose names are the classes.

    class folders        <key>/<file>: the validation set once sorted, Imagenette, ImageNet-A, -R and -Sketch, any part
    ImageNet-V2 folders  <class index>/<file>

Images may lie deeper in a class's folder. Files that are no images do not count.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.base.fault import Fault, nearest
from pipeline.images.files import FilePlace, LabelledFile, is_image_name, leads_up, list_images, list_visible
from pipeline.images.labels import CLASSES, Label, UnknownClass, class_index, imagenet_classes, normalize
from pipeline.images.layout import Source


def list_class_folders(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists a folder of class folders, each named by a label's key; classes may be absent.

    Raises:
        Fault: when it has any other folder, or an image beside them.
    """
    index = class_index(labels)
    images: list[LabelledFile] = []
    for entry in _list_folders(source.path):
        key = normalize(entry.name)
        if key not in index:
            raise UnknownClass(
                f"{entry}: no class of the model is called {key!r}{nearest(key, index)}; expected only folders named"
                f" by the keys of the label file, such as {labels[0].key!r}"
            )
        images += _list_files(entry, index[key], index)
    return images


def list_numbered_folders(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists folders named by class index, 0 to 999, as ImageNet-V2 has them (imagenetv2-*-format-val).

    The number is the class; sorting the names as text would put 10 before 2.

    Raises:
        Fault: when the classes are not ImageNet-1k's, or there is any other folder, or an image beside them.
    """
    classes = imagenet_classes(labels)
    if not classes:
        raise Fault(
            f"{source.path}: folders named by class index are ImageNet-V2's, of {CLASSES} classes; the model has"
            f" {len(labels)}: expected folders named by the keys of its label file, such as {labels[0].key!r}"
        )
    images: list[LabelledFile] = []
    index = class_index(labels)
    for entry in _list_folders(source.path):
        if not (entry.name.isdecimal() and int(entry.name) < CLASSES):
            raise Fault(f"{entry}: expected only folders named by class index, 0 to {CLASSES - 1}")
        images += _list_files(entry, classes[int(entry.name)], index)
    return images


def _list_folders(folder: Path) -> Iterable[Path]:
    for entry in list_visible(folder):
        if entry.is_dir():
            if not leads_up(entry):
                yield entry
        elif is_image_name(entry.name):
            raise Fault(f"{entry}: an image without a class, beside the class folders; move or remove it")


def _list_files(folder: Path, label: int, index: Mapping[str, int]) -> list[LabelledFile]:
    """Lists the images of a class's folder, and of folders below that are not those of other classes."""
    images = []
    for name, path in list_images(folder):
        above = normalize(path.parent.name)
        if "/" in name and index.get(above, label) != label:
            raise Fault(
                f"{path.parent}: the folder of a class within that of another, {folder.name!r}; name the folder in"
                " IMAGENET= that holds the class folders"
            )
        # Tiny ImageNet's training images lie in <class>/images.
        images.append(LabelledFile(normalize(name).removeprefix("images/"), label, FilePlace(path)))
    return images
