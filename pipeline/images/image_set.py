"""Labelled images in any layout: which there are, which of them to use, and their bytes."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, escape
from pipeline.images import archives, folders, ground_truth, official, parquet, shards, tfds, tiny_imagenet
from pipeline.images.detect import detect
from pipeline.images.evidence import Chosen, take_split
from pipeline.images.files import LabelledFile, Place
from pipeline.images.labels import Label
from pipeline.images.layout import Layout, Source
from pipeline.images.names import original_name, validation_number, variant_of
from pipeline.images.split import Split

_TRAINING = re.compile(r"(n\d{8})/(?:.*/)?\1_\d+\.JPEG")

_LISTERS: dict[Layout, Callable[[Source, Sequence[Label]], list[LabelledFile]]] = {
    Layout.CLASS_FOLDERS: folders.list_class_folders,
    Layout.NUMBERED_FOLDERS: folders.list_numbered_folders,
    Layout.VALIDATION_FOLDER: official.list_flat_folder,
    Layout.VALIDATION_ARCHIVE: archives.list_official_archive,
    Layout.TRAINING_FOLDER: official.list_flat_folder,
    Layout.TRAINING_ARCHIVE: archives.list_official_archive,
    Layout.FOLDERS_IN_ARCHIVE: archives.list_folders_in_archive,
    Layout.SHARDS: shards.list_shards,
    Layout.TFDS: tfds.list_tfds_folder,
    Layout.TINY_IMAGENET: tiny_imagenet.list_tiny_imagenet,
    Layout.PARQUET: parquet.list_parquet,
}


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
        split: the part of the data set that they are; None where nothing tells.
        left_out: the other images of the place, for people, such as "the folder train".
        variant: the set of other images of ImageNet's classes that they are by the folder's name, such as "ImageNet-R".
    """

    layout: Layout
    examples: tuple[Example, ...]
    places: Mapping[str, Place]
    tfds: str = ""
    split: Split | None = None
    left_out: tuple[str, ...] = ()
    variant: str | None = None

    @property
    def description(self) -> str:
        """The layout for reports, such as "class folders" or "TensorFlow Datasets imagenet_v2 3.0.0"."""
        return f"{self.layout} {self.tfds}".rstrip()

    @property
    def dataset(self) -> str | None:
        """The data set, where the layout is that of one; None where it may be any."""
        if self.layout in (Layout.TFDS, Layout.TINY_IMAGENET):
            return self.description
        return "ImageNet-V2" if self.layout is Layout.NUMBERED_FOLDERS else self.variant

    @property
    def has_original_names(self) -> bool:
        """Whether the names tell images of ImageNet's training set: imagenette of TensorFlow Datasets lost them."""
        return not self.tfds.startswith("imagenette")

    def read(self, example: Example) -> bytes:
        """Returns the image file's bytes; safe in threads. Nothing stays open but a Parquet file. Raises Fault."""
        return self.places[example.name].read()

    def locate(self, example: Example) -> str:
        """Returns what to call the image in a message: its path, or its archive's path and its name."""
        place = self.places[example.name]
        path = escape(str(place.path))
        return path if place.is_file else f"{path}: {example.name}"


def open_images(path: Path, labels: Sequence[Label], real: Path | None = None, split: Split | None = None) -> ImageSet:
    """Lists the labelled images of a folder or archive, whose layout is detected; files that are no images are ignored.

    Args:
        path: the folder or archive, what IMAGENET= names.
        labels: all classes of the model, in the order of the logits.
        real: the ReaL labels, real.json, for ImageNet's validation set; or None.
        split: the part of the data set that SPLIT= names; None: validation, or test where there is no other.

    Raises:
        Fault: when the path is missing, empty, or of no layout; when an image has no class, one without a label, or
            the name of another image; when there are no labels, ReaL labels are given for another set, or all images
            are for training, and `split` does not say so.
    """
    if not labels:
        raise Fault(
            f"{path}: without labels it is not known which output each class is; name a label file in model.labels, or"
            " with LABELS= for make evaluate"
        )
    source = detect(path, labels, split)
    files = _LISTERS[source.layout](source, labels)
    if not files:
        raise Fault(f"{source.path}: no images; expected a folder of class folders with image files")
    chosen = take_split(path, files, source, split, labels)
    examples, places = _name(path, chosen, labels, real)
    return ImageSet(
        source.layout,
        _order(examples),
        places,
        _name_dataset(source.path) if source.layout is Layout.TFDS else "",
        chosen.split,
        tuple(map(escape, (*source.left_out, *chosen.left_out))),
        variant_of(source.path) if source.layout is Layout.CLASS_FOLDERS else None,
    )


def _name(
    path: Path, chosen: Chosen, labels: Sequence[Label], real: Path | None
) -> tuple[list[Example], dict[str, Place]]:
    """Returns the images with their names and ReaL labels, and their places by name."""
    real_labels = ground_truth.read_real_labels(real, labels) if real else None
    examples: list[Example] = []
    places: dict[str, Place] = {}
    for file in chosen.files:
        above, slash, last = file.file.rpartition("/")
        name = _as_text(f"{labels[file.label].key}/{above}{slash}{original_name(last)}")
        if name in places:
            raise Fault(f"{path}: two images are called {name!r}; expected every image to have a name of its own")
        places[name] = file.place
        number = validation_number(last)
        if real_labels is not None and number is None:
            raise Fault(f"{real}: ReaL labels are for ImageNet's validation images, which {path} is not: {last!r}")
        examples.append(Example(name, file.label, real_labels[number - 1] if real_labels and number else None))
    return examples, places


def _as_text(name: str) -> str:
    """Returns a name for reports and messages: bytes that are not UTF-8 and control characters are written out."""
    return re.sub("[\0-\x1f\x7f-\x9f\ud800-\udfff]", lambda match: repr(match[0])[1:-1], name)


def _order(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Sorts the images of each class by the SHA-256 of their names, then alternates between the classes."""
    by_label: dict[int, list[Example]] = {}
    for example in sorted(examples, key=lambda example: _digest(example.name)):
        by_label.setdefault(example.label, []).append(example)
    ranked = [(rank, label, example) for label, group in by_label.items() for rank, example in enumerate(group)]
    return tuple(example for _, _, example in sorted(ranked, key=lambda entry: entry[:2]))


def _name_dataset(folder: Path) -> str:
    info = tfds.read_info(folder)
    return f"{info.name} {info.version}"


def choose(images: ImageSet, samples: int | None) -> tuple[Example, ...]:
    """Chooses which images to use: balanced over the classes, and by the names alone.

    An image that is missing changes nothing for the others: a machine with all images chooses the same as a machine
    that has only some, if the chosen ones are among them.

    Args:
        images: the set.
        samples: how many images to use; None for all.

    Returns:
        The images in the order in which to read them: Parquet files are quick from front to back alone.

    Raises:
        Fault: when there are not as many.
    """
    if samples is not None and not 0 < samples <= len(images.examples):
        raise Fault(
            f"SAMPLES={samples}: expected 1 to {len(images.examples)}, the number of images ({images.description})"
        )
    chosen = images.examples[:samples]
    if images.layout is not Layout.PARQUET:
        return chosen
    return tuple(sorted(chosen, key=lambda example: images.places[example.name].state()[0]))


def is_training_image(example: Example) -> bool:
    """Whether an image's name is of ImageNet's training set: `<synset>_<number>.JPEG`.

    Folders of ImageNet's classes, Imagenette's val among them, may have training images, on which a model that was
    trained with them does better than on new ones.
    """
    return _TRAINING.fullmatch(example.name) is not None


def manifest_digest(chosen: Sequence[Example]) -> str:
    """Returns the SHA-256 of the sorted names, a line each: equal where two reports used the same images."""
    names = sorted(f"{example.name}\n" for example in chosen)
    return _digest("".join(names)).hex()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
