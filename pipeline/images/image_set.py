"""Labelled images on disk: which ones there are, in whatever layout, which of them to use, and their bytes."""

import hashlib
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, list_names
from pipeline.images import archives, folders, ground_truth, tfds
from pipeline.images.decoding import decode
from pipeline.images.folders import Located, Place
from pipeline.images.labels import Label

__all__ = ["Example", "ImageSet", "choose", "decode", "from_training_set", "manifest_digest", "open_images"]

_TRAINING = re.compile(r"(n\d{8})/\1_\d+\.JPEG")
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


@dataclass(frozen=True)
class ImageSet:
    """All labelled images of a place.

    Attributes:
        kind: the layout in words, such as "class folders".
        examples: in the order of choose().
        places: where the bytes of each lie, by name.
    """

    kind: str
    examples: tuple[Example, ...]
    places: Mapping[str, Place]

    def read(self, example: Example) -> bytes:
        """Returns the image file's bytes; safe in threads, and nothing stays open. Raises Fault as Place.read()."""
        return self.places[example.name].read()

    def whereabouts(self, example: Example) -> str:
        """Returns what to call the image in a message: its path, or what holds it and its name."""
        place = self.places[example.name]
        return str(place.path) if place.size is None else f"{place.path}: {example.name}"


def open_images(path: Path, labels: Sequence[Label], real: Path | None = None) -> ImageSet:
    """Lists the labelled images of a folder or archive, recognised by looking; hidden files are passed over.

    Args:
        path: what IMAGENET= names.
        labels: all classes the model knows, in the order of the logits.
        real: the ReaL labels, real.json, for ImageNet's validation set; or None.

    Raises:
        Fault: when it is missing, empty, or of no known layout; when an image has no class or one that no label names,
            or is called as another one; when there are no labels at all, or ReaL labels are given for another set.
    """
    if not labels:
        raise Fault(
            f"{path}: without labels it is not known which output each class is; name a label file in model.labels, or"
            " with LABELS= for make evaluate"
        )
    kind, located = _recognised(path, labels)
    if not located:
        raise Fault(f"{path}: no images; expected a folder of class folders with image files")
    reassessed = ground_truth.reassessed(real, len(labels)) if real else None
    examples, places = [], {}
    for one in located:
        name = f"{labels[one.label].key}/{one.file}"
        if name in places:
            raise Fault(f"{path}: two images are called {name!r}; expected every image to have a name of its own")
        places[name] = one.place
        number = ground_truth.number_of(one.file)
        if reassessed is not None and number is None:
            raise Fault(f"{real}: ReaL labels are for ImageNet's validation images, which {path} is not: {one.file!r}")
        examples.append(Example(name, one.label, reassessed[number - 1] if reassessed and number else None))
    return ImageSet(kind, _ordered(examples), places)


def _ordered(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Sorts images within a class by the SHA-256 of their names, then takes one of each class in turn."""
    groups: dict[int, list[Example]] = {}
    for example in sorted(examples, key=lambda example: hashlib.sha256(example.name.encode()).digest()):
        groups.setdefault(example.label, []).append(example)
    ranked = ((rank, label, example) for label, group in groups.items() for rank, example in enumerate(group))
    return tuple(example for _, _, example in sorted(ranked, key=lambda one: one[:2]))


def _recognised(path: Path, labels: Sequence[Label]) -> tuple[str, list[Located]]:
    if path.is_file() and tarfile.is_tarfile(path):
        if archives.is_validation_archive(path):
            return "official validation archive", archives.validation_archive(path, labels)
        return "WebDataset shards", archives.shards([path], labels)
    if not path.is_dir():
        what = "neither a folder nor a tar archive" if path.exists() else "the image folder does not exist"
        raise Fault(f"{path}: {what}; looked for {_looked_for(labels)}")
    if (path / tfds.INFO).is_file():
        return tfds.tfds_folder(path, labels)
    entries = folders.visible(path)
    keys = folders.class_index(labels)
    folder_names = [entry.name for entry in entries if entry.is_dir()]
    if any(name in keys for name in folder_names):
        return "class folders", folders.class_folders(path, labels)
    if folder_names and all(name.isdecimal() for name in folder_names):
        return "ImageNet-V2 folders", folders.numbered_folders(path, labels)
    if any(ground_truth.number_of(entry.name) for entry in entries):
        return "official validation folder", folders.flat_folder(path, labels)
    if (path / archives.OFFICIAL).is_file():
        return _recognised(path / archives.OFFICIAL, labels)
    shard_files = [entry for entry in entries if entry.suffix == ".tar"]
    if shard_files:
        return "WebDataset shards", archives.shards(shard_files, labels)
    if "val" in folder_names:
        return _recognised(path / "val", labels)
    if folder_names and len(folder_names) == len(entries):
        return "class folders", folders.class_folders(path, labels)  # which says what is wrong with them
    found = list_names([entry.name for entry in entries])
    raise Fault(
        f"{path}: no images that it knows how to read; looked for {_looked_for(labels)}; found {found or 'nothing'}"
    )


def _looked_for(labels: Sequence[Label]) -> str:
    return ", ".join(_LOOKED_FOR).format(key=labels[0].key)


def choose(images: ImageSet, samples: int | None) -> tuple[Example, ...]:
    """Chooses which images to use: class-balanced, and by the names alone.

    An image left out changes nothing for the others, so a machine with all images and one with a part that has the
    chosen ones choose the same.

    Args:
        images: the set.
        samples: how many images to use; None for all.

    Raises:
        Fault: when there are not as many.
    """
    if samples is not None and not 0 < samples <= len(images.examples):
        raise Fault(
            f"SAMPLES={samples}: expected a number from 1 to {len(images.examples)}, the images that there are"
            f" ({images.kind})"
        )
    return images.examples[:samples]


def from_training_set(example: Example) -> bool:
    """Whether an image's name says that it is of ImageNet's training set: `<synset>_<number>.JPEG`.

    Folders of ImageNet's classes, Imagenette's val among them, may have such images, on which a model that was trained
    with them does better than on new ones.
    """
    return _TRAINING.fullmatch(example.name) is not None


def manifest_digest(chosen: Sequence[Example]) -> str:
    """Returns the SHA-256 of the sorted names, a line each, so that two reports can be known to agree."""
    names = sorted(f"{example.name}\n" for example in chosen)
    return hashlib.sha256("".join(names).encode()).hexdigest()
