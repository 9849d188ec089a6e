"""The entries of index.json: what it says of each published module and collection."""

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.base.fault import show_name
from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Accuracy, Reported, sample_in_words
from pipeline.facts.collection import Collection, Module
from pipeline.facts.report import Report

Entry = dict[str, Any]  # an entry as JSON has it
_PATH = re.compile(r"[A-Za-z0-9][\w.-]{0,254}(/[A-Za-z0-9][\w.-]{0,254}){1,5}", re.ASCII)  # no part is ".."
_SHA256 = re.compile("[0-9a-f]{64}")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class PublishedFile:
    """A file of the hub: its path there, its size in bytes, its SHA-256 in hexadecimal, and the title of a plot."""

    path: str
    size: int
    sha256: str
    title: str | None = None

    def to_json(self) -> Entry:
        title = {} if self.title is None else {"title": self.title}
        return {"path": self.path, "size": self.size, "sha256": self.sha256} | title


@dataclass(frozen=True)
class Measured:
    """The top-1 accuracy that was measured before a module was published.

    Attributes:
        top1: 0 to 1.
        interval: the ends of its 95 % interval, 0 to 1.
        images: how many there were.
        dataset: what they are of, in words.
        classes: how many classes the images have; 0 where an older index does not say.
        outputs: how many classes the model has; 0 where an older index does not say.
        training_images: how many of the images the model was perhaps trained on; None where nobody knows.
        images_per_second: the speed of the evaluation, on the publisher's machine.
    """

    top1: float
    interval: tuple[float, float]
    images: int
    dataset: str
    classes: int = 0
    outputs: int = 0
    training_images: int | None = 0
    images_per_second: float | None = None
    origin = "measured"

    @property
    def is_comparable(self) -> bool:
        """Whether it is of all classes, on images that the model was not trained on."""
        return self.classes == self.outputs and self.training_images == 0

    @property
    def where(self) -> str:
        """What it was measured on, in words."""
        sample = sample_in_words(self.images, self.classes, self.outputs, self.dataset, self.training_images)
        return f"on {sample}"

    def to_json(self) -> Entry:
        return {
            "top1": self.top1,
            "interval": list(self.interval),
            "images": self.images,
            "dataset": self.dataset,
            "classes": self.classes,
            "outputs": self.outputs,
            "training_images": self.training_images,
            "images_per_second": self.images_per_second,
        }


@dataclass(frozen=True)
class Quoted:
    """The top-1 accuracy, 0 to 1, that others report, and where."""

    top1: float
    source: str
    origin = "quoted"

    @property
    def where(self) -> str:
        return self.source

    def to_json(self) -> Entry:
        return {"top1": self.top1, "source": self.source}


@dataclass(frozen=True)
class ModuleEntry:
    """A version of a module. A value is None where an index of an older version of this program lacks it.

    The accuracies are the classifier's, also for a feature extractor, which is the same model without its last layer.

    Attributes:
        handle: <publisher>/<name>/<version>.
        title: a name for people; the two modules of a member share it.
        task: TensorFlow Hub's tag.
        files: the tarball first, then the card and the plots.
        collection: the name of its collection.
        dataset: the data set of its classes, for people.
        license: TensorFlow Hub's tag.
        variant: the architecture, such as S/16.
        image_size: the input's side, pixels.
        parameters: how many there are.
        unpacked: the size of the unpacked module, bytes.
        weights: how they were verified.
        measured: the accuracy that was measured.
        quoted: the accuracy that others report of the original weights.
    """

    handle: str
    title: str
    task: str
    files: tuple[PublishedFile, ...]
    collection: str | None = None
    dataset: str | None = None
    license: str | None = None
    variant: str | None = None
    image_size: int | None = None
    parameters: int | None = None
    unpacked: int | None = None
    weights: Verification | None = None
    measured: Measured | None = None
    quoted: Quoted | None = None

    @property
    def publisher(self) -> str:
        return self.handle.split("/")[0]

    @property
    def name(self) -> str:
        return self.handle.split("/")[1]

    @property
    def version(self) -> int:
        return int(self.handle.split("/")[2])

    @property
    def member(self) -> tuple[str, str]:
        """The publisher and the member whose module it is."""
        return self.publisher, self.name.rpartition("_")[0]

    @property
    def tarball(self) -> PublishedFile:
        return self.files[0]

    @property
    def is_classifier(self) -> bool:
        return self.task == Head.CLASSIFICATION.task

    @property
    def is_unverified(self) -> bool:
        """Whether nothing shows that the weights are the original ones; false where an older index does not say."""
        return self.weights is Verification.UNVERIFIED

    @property
    def accuracies(self) -> tuple[Measured | Quoted, ...]:
        """The known accuracies: the measured one first where it is comparable, else the quoted one first.

        An accuracy that is quoted for weights that are not known to be verified is none of this module.
        """
        quoted = self.quoted if self.weights and self.weights.is_verified else None
        quoted_first = self.measured and not self.measured.is_comparable
        order = (quoted, self.measured) if quoted_first else (self.measured, quoted)
        return tuple(accuracy for accuracy in order if accuracy)

    @property
    def accuracy(self) -> Measured | Quoted | None:
        """The accuracy to list, None where none is known."""
        return next(iter(self.accuracies), None)

    def to_json(self) -> Entry:
        """Returns the entry as index.json has it, without what is unknown."""
        entry = {
            "title": self.title,
            "task": self.task,
            "collection": self.collection,
            "license": self.license,
            "dataset": self.dataset,
            "variant": self.variant,
            "image_size": self.image_size,
            "parameters": self.parameters,
            "bytes": self.unpacked,
            "files": [file.to_json() for file in self.files],
            "weights": self.weights,
            "measured": self.measured.to_json() if self.measured else None,
            "quoted": self.quoted.to_json() if self.quoted else None,
        }
        return {key: value for key, value in entry.items() if value is not None}


@dataclass(frozen=True)
class CollectionEntry:
    """A collection: the name of its address, <publisher>/collections/<collection>/1, and the file of its page."""

    address: str
    files: tuple[PublishedFile, ...]

    @property
    def publisher(self) -> str:
        return self.address.split("/")[0]

    @property
    def name(self) -> str:
        return self.address.split("/")[2]

    def to_json(self) -> Entry:
        return {"files": [file.to_json() for file in self.files]}


def _required(entry: Entry, key: str, kind: type[_Value]) -> _Value:
    """Returns a value; raises KeyError where the entry lacks it, and TypeError when it is of another type."""
    value = entry[key]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:  # not isinstance(): True is no integer here
        raise TypeError(f"{key} is {show_name(repr(value))}")
    return value


def _optional(entry: Entry, key: str, kind: type[_Value]) -> _Value | None:
    """Returns a value as _required() does, None where the entry lacks it."""
    return _required(entry, key, kind) if entry.get(key) is not None else None


def _count(entry: Entry, key: str) -> int:
    """Returns how many or how much of something there is; raises ValueError for less than none."""
    value = _required(entry, key, int)
    if value < 0:
        raise ValueError(f"{key} is {value}")
    return value


def _optional_count(entry: Entry, key: str) -> int | None:
    return _count(entry, key) if entry.get(key) is not None else None


def _share(value: Any, name: str) -> float:
    """Returns a number from 0 to 1; raises ValueError for any other."""
    share = _required({name: value}, name, float)
    if not 0 <= share <= 1:
        raise ValueError(f"{name} is {share}, expected 0 to 1")
    return share


def _read_files(entry: Entry) -> tuple[PublishedFile, ...]:
    files = _required(entry, "files", list)
    if not files:
        raise ValueError("it lists no files")
    return tuple(map(_read_file, files))


def _read_file(file: Entry) -> PublishedFile:
    path, size, sha256 = _required(file, "path", str), _count(file, "size"), _required(file, "sha256", str)
    if not _PATH.fullmatch(path):
        raise ValueError(f"path is '{show_name(path)}', expected a file below the hub")
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"sha256 is '{show_name(sha256)}', expected 64 hexadecimal digits")
    return PublishedFile(path, size, sha256, _optional(file, "title", str))


def _read_measured(measured: Entry) -> Measured:
    low, high = _required(measured, "interval", list)
    return Measured(
        top1=_share(measured["top1"], "top1"),
        interval=(_share(low, "interval"), _share(high, "interval")),
        images=_count(measured, "images"),
        dataset=_required(measured, "dataset", str),
        classes=_optional_count(measured, "classes") or 0,
        outputs=_optional_count(measured, "outputs") or 0,
        training_images=_optional_count({"training_images": 0} | measured, "training_images"),
        images_per_second=_optional(measured, "images_per_second", float),
    )


def read_module(handle: str, entry: Entry) -> ModuleEntry:
    """Reads a module's entry; keys that this version does not know are ignored.

    Raises:
        KeyError, TypeError, ValueError: when it lacks what every version of this program wrote, or has other types.
    """
    measured, quoted = _optional(entry, "measured", dict), _optional(entry, "quoted", dict)
    return ModuleEntry(
        handle=handle,
        title=_required(entry, "title", str),
        task=_required(entry, "task", str),
        files=_read_files(entry),
        collection=_optional(entry, "collection", str),
        dataset=_optional(entry, "dataset", str),
        license=_optional(entry, "license", str),
        variant=_optional(entry, "variant", str),
        image_size=_optional_count(entry, "image_size"),
        parameters=_optional_count(entry, "parameters"),
        unpacked=_optional_count(entry, "bytes"),
        weights=Verification(entry["weights"]) if entry.get("weights") is not None else None,
        measured=_read_measured(measured) if measured else None,
        quoted=Quoted(_share(quoted["top1"], "top1"), _required(quoted, "source", str)) if quoted else None,
    )


def read_collection(address: str, entry: Entry) -> CollectionEntry:
    """Reads a collection's entry; raises as read_module() does."""
    return CollectionEntry(address, _read_files(entry))


def module_entry(
    handle: str,
    head: Head,
    module: Module,
    collection: Collection,
    report: Report,
    files: tuple[PublishedFile, ...],
) -> ModuleEntry:
    """Returns the entry of a module that is published now; every figure is the report's.

    Args:
        handle: <publisher>/<name>/<version>.
        head: which of the member's modules it is.
        module: the member's section `module`.
        collection: the collection it belongs to.
        report: what validate wrote.
        files: the tarball first, then the card and the plots.
    """
    checks = report.modules[head]
    return ModuleEntry(
        handle=handle,
        title=module.title,
        task=head.task,
        files=files,
        collection=collection.name,
        dataset=collection.dataset_name,
        license=collection.license,
        variant=report.model.variant,
        image_size=report.model.image_size,
        parameters=checks.weights.parameters,
        unpacked=checks.bytes,
        weights=report.checkpoint.verification,
        measured=_measured(report.accuracy),
        quoted=_quoted(report.quoted),
    )


def _measured(accuracy: Accuracy) -> Measured | None:
    figures = accuracy.measured
    if figures is None:
        return None
    return Measured(
        top1=figures.top1,
        interval=figures.top1_interval,
        images=figures.images,
        dataset=accuracy.dataset,
        classes=figures.classes,
        outputs=figures.outputs,
        training_images=figures.training_images,
        images_per_second=figures.images_per_second,
    )


def _quoted(reported: Reported | None) -> Quoted | None:
    return Quoted(reported.top1, reported.source) if reported else None
