"""The entries of index.json: what it says of each published module and collection."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Accuracy, Reported, sample_in_words
from pipeline.facts.collection import Collection, Module
from pipeline.facts.report import Report

Entry = dict[str, Any]  # an entry as JSON has it
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


def _optional(entry: Entry, key: str, kind: type[_Value]) -> _Value | None:
    """Returns a value, None where the entry lacks it; raises TypeError when it is of another type."""
    value = entry.get(key)
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{key} is {value!r}")
    return value


def _read_files(entry: Entry) -> tuple[PublishedFile, ...]:
    if not entry["files"]:
        raise ValueError("it lists no files")
    return tuple(
        PublishedFile(str(file["path"]), int(file["size"]), str(file["sha256"]), _optional(file, "title", str))
        for file in entry["files"]
    )


def _read_measured(measured: Entry) -> Measured:
    low, high = measured["interval"]
    return Measured(
        top1=float(measured["top1"]),
        interval=(float(low), float(high)),
        images=int(measured["images"]),
        dataset=str(measured["dataset"]),
        classes=int(measured.get("classes", 0)),
        outputs=int(measured.get("outputs", 0)),
        training_images=_optional({"training_images": 0} | measured, "training_images", int),
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
        title=str(entry["title"]),
        task=str(entry["task"]),
        files=_read_files(entry),
        collection=_optional(entry, "collection", str),
        dataset=_optional(entry, "dataset", str),
        license=_optional(entry, "license", str),
        variant=_optional(entry, "variant", str),
        image_size=_optional(entry, "image_size", int),
        parameters=_optional(entry, "parameters", int),
        unpacked=_optional(entry, "bytes", int),
        weights=Verification(entry["weights"]) if entry.get("weights") is not None else None,
        measured=_read_measured(measured) if measured else None,
        quoted=Quoted(float(quoted["top1"]), str(quoted["source"])) if quoted else None,
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
