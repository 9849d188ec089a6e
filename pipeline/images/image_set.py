"""Labelled images in any layout: which there are, which of them to use, and their bytes."""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, list_names
from pipeline.images import archives, folders, ground_truth, tfds
from pipeline.images.folders import LabelledFile, Place
from pipeline.images.labels import Label, class_index
from pipeline.images.layout import Layout

_TRAINING = re.compile(r"(n\d{8})/\1_\d+\.JPEG")

_LISTERS: dict[Layout, Callable[[Path, Sequence[Label]], list[LabelledFile]]] = {
    Layout.CLASS_FOLDERS: folders.list_class_folders,
    Layout.NUMBERED_FOLDERS: folders.list_numbered_folders,
    Layout.VALIDATION_FOLDER: folders.list_validation_folder,
    Layout.VALIDATION_ARCHIVE: archives.list_validation_archive,
    Layout.SHARDS: archives.list_shards,
    Layout.TFDS: tfds.list_tfds_folder,
}
_LOOKED_FOR = (
    "class folders named by the keys of the label file, such as {key!r}",
    "ImageNet's flat validation folder (ILSVRC2012_val_00000001.JPEG and so on) or " + archives.OFFICIAL,
    "ImageNet-V2's folders 0 to 999",
    f"a folder of TensorFlow Datasets, the one with {tfds.INFO}",
    "WebDataset shards, *.tar",
    "or a folder called val with one of these",
)


@dataclass(frozen=True)
class Example:
    """An image and its class.

    Attributes:
        name: `<class key>/<file name>`, unique, and the same in every layout of a set.
        label: the index of its class among the labels.
        real: the indices of all classes that it shows by the ReaL labels, perhaps none; None where they were not given.
    """

    name: str
    label: int
    real: tuple[int, ...] | None = None

    @property
    def file(self) -> str:
        """The file name, without the class."""
        return self.name.partition("/")[2]


@dataclass(frozen=True)
class ImageSet:
    """All labelled images of a folder or archive.

    Attributes:
        layout: how they lie there.
        examples: in the order of choose().
        places: where the bytes of each lie, by name.
        tfds: name and version of a data set of TensorFlow Datasets, such as "imagenet_v2 3.0.0"; "" otherwise.
    """

    layout: Layout
    examples: tuple[Example, ...]
    places: Mapping[str, Place]
    tfds: str = ""

    @property
    def description(self) -> str:
        """The layout for reports, such as "class folders" or "TensorFlow Datasets imagenet_v2 3.0.0"."""
        return f"{self.layout} {self.tfds}".rstrip()

    @property
    def dataset(self) -> str | None:
        """The data set, where the layout is that of one; None where it may be any."""
        if self.layout is Layout.TFDS:
            return self.description
        return "ImageNet-V2" if self.layout is Layout.NUMBERED_FOLDERS else None

    @property
    def has_original_names(self) -> bool:
        """Whether the names tell images of ImageNet's training set: imagenette of TensorFlow Datasets lost them."""
        return not self.tfds.startswith("imagenette")

    def read(self, example: Example) -> bytes:
        """Returns the image file's bytes; safe in threads, and nothing stays open. Raises Fault as Place.read()."""
        return self.places[example.name].read()

    def locate(self, example: Example) -> str:
        """Returns what to call the image in a message: its path, or its archive's path and its name."""
        place = self.places[example.name]
        return str(place.path) if place.size is None else f"{place.path}: {example.name}"


def open_images(path: Path, labels: Sequence[Label], real: Path | None = None) -> ImageSet:
    """Lists the labelled images of a folder or archive, whose layout is detected; hidden files are ignored.

    Args:
        path: the folder or archive, what IMAGENET= names.
        labels: all classes of the model, in the order of the logits.
        real: the ReaL labels, real.json, for ImageNet's validation set; or None.

    Raises:
        Fault: when the path is missing, empty, or of no layout; when an image has no class, one without a label, or
            the name of another image; when there are no labels, or ReaL labels are given for another set.
    """
    if not labels:
        raise Fault(
            f"{path}: without labels it is not known which output each class is; name a label file in model.labels, or"
            " with LABELS= for make evaluate"
        )
    layout, place = _detect(path, labels)
    files = _LISTERS[layout](place, labels)
    if not files:
        raise Fault(f"{path}: no images; expected a folder of class folders with image files")
    real_labels = ground_truth.read_real_labels(real, len(labels)) if real else None
    examples, places = [], {}
    for file in files:
        name = f"{labels[file.label].key}/{file.file}"
        if name in places:
            raise Fault(f"{path}: two images are called {name!r}; expected every image to have a name of its own")
        places[name] = file.place
        number = ground_truth.validation_number(file.file)
        if real_labels is not None and number is None:
            raise Fault(f"{real}: ReaL labels are for ImageNet's validation images, which {path} is not: {file.file!r}")
        examples.append(Example(name, file.label, real_labels[number - 1] if real_labels and number else None))
    return ImageSet(layout, _order(examples), places, _name_dataset(place) if layout is Layout.TFDS else "")


def _order(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Sorts the images of each class by the SHA-256 of their names, then alternates between the classes."""
    by_label: dict[int, list[Example]] = {}
    for example in sorted(examples, key=lambda example: hashlib.sha256(example.name.encode()).digest()):
        by_label.setdefault(example.label, []).append(example)
    ranked = [(rank, label, example) for label, group in by_label.items() for rank, example in enumerate(group)]
    return tuple(example for _, _, example in sorted(ranked, key=lambda entry: entry[:2]))


def _name_dataset(folder: Path) -> str:
    info = tfds.read_info(folder)
    return f"{info.name} {info.version}"


def _detect(path: Path, labels: Sequence[Label]) -> tuple[Layout, Path]:
    """Returns the layout of a folder or archive, and the path within it that has this layout.

    Raises:
        Fault: when it is missing or of no layout.
    """
    if path.is_file() and tarfile.is_tarfile(path):
        return Layout.VALIDATION_ARCHIVE if archives.is_validation_archive(path) else Layout.SHARDS, path
    if not path.is_dir():
        problem = "neither a folder nor a tar archive" if path.exists() else "the image folder does not exist"
        raise Fault(f"{path}: {problem}; looked for {_describe_layouts(labels)}")
    return _detect_folder(path, labels)


def _detect_folder(path: Path, labels: Sequence[Label]) -> tuple[Layout, Path]:
    entries = folders.list_visible(path)
    subfolders = [entry.name for entry in entries if entry.is_dir()]
    keys = class_index(labels)
    if (path / tfds.INFO).is_file():
        return Layout.TFDS, path
    if any(name in keys for name in subfolders):
        return Layout.CLASS_FOLDERS, path
    if subfolders and all(name.isdecimal() for name in subfolders):
        return Layout.NUMBERED_FOLDERS, path
    if any(ground_truth.validation_number(entry.name) for entry in entries):
        return Layout.VALIDATION_FOLDER, path
    if (path / archives.OFFICIAL).is_file():
        return _detect(path / archives.OFFICIAL, labels)
    if any(entry.suffix == ".tar" for entry in entries):
        return Layout.SHARDS, path
    if "val" in subfolders:
        return _detect(path / "val", labels)
    if subfolders and len(subfolders) == len(entries):
        return Layout.CLASS_FOLDERS, path  # list_class_folders() says what is wrong with them
    names = list_names([entry.name for entry in entries]) or "nothing"
    raise Fault(f"{path}: no images in any layout; looked for {_describe_layouts(labels)}; found {names}")


def _describe_layouts(labels: Sequence[Label]) -> str:
    return ", ".join(_LOOKED_FOR).format(key=labels[0].key)


def choose(images: ImageSet, samples: int | None) -> tuple[Example, ...]:
    """Chooses which images to use: balanced over the classes, and by the names alone.

    An image that is missing changes nothing for the others: a machine with all images chooses the same as a machine
    that has only some, if the chosen ones are among them.

    Args:
        images: the set.
        samples: how many images to use; None for all.

    Raises:
        Fault: when there are not as many.
    """
    if samples is not None and not 0 < samples <= len(images.examples):
        raise Fault(
            f"SAMPLES={samples}: expected 1 to {len(images.examples)}, the number of images ({images.description})"
        )
    return images.examples[:samples]


def is_training_image(example: Example) -> bool:
    """Whether an image's name is of ImageNet's training set: `<synset>_<number>.JPEG`.

    Folders of ImageNet's classes, Imagenette's val among them, may have training images, on which a model that was
    trained with them does better than on new ones.
    """
    return _TRAINING.fullmatch(example.name) is not None


def manifest_digest(chosen: Sequence[Example]) -> str:
    """Returns the SHA-256 of the sorted names, a line each: equal where two reports used the same images."""
    names = sorted(f"{example.name}\n" for example in chosen)
    return hashlib.sha256("".join(names).encode()).hexdigest()
