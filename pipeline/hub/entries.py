"""The entries of index.json: what it says of each published module and collection."""

import re
from dataclasses import dataclass, replace

from pipeline.base.fault import show_name
from pipeline.base.heads import Head
from pipeline.base.stored_names import plain_path
from pipeline.base.verification import Verification
from pipeline.facts.accuracy import sample_in_words
from pipeline.facts.formats import FormatName
from pipeline.facts.status import Missing, Status, find_missing
from pipeline.hub.published_formats import PublishedFormat, formats_to_json, read_formats
from pipeline.hub.values import Entry, count, optional, optional_count, required, share
from pipeline.hub.withdrawal import Deprecation, Yank, optional_date, read_deprecation, read_yank

_PATH = re.compile(r"[A-Za-z0-9][\w.-]{0,254}(/[A-Za-z0-9][\w.-]{0,254}){1,5}", re.ASCII)  # no part is ".."
_SHA256 = re.compile("[0-9a-f]{64}")
_PICTURES = (".jpg", ".png", ".webp")


@dataclass(frozen=True)
class PublishedFile:
    """A file of the hub: its path there, its size in bytes, its SHA-256 in hexadecimal, and the title of a plot.

    A page's path has its digest (pipeline.base.stored_names), so that its content never changes.
    """

    path: str
    size: int
    sha256: str
    title: str | None = None

    @property
    def page(self) -> str:
        """Its path without the digest, where a copy of it is for people and links."""
        return plain_path(self.path)

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
        outputs: how many classes the model has, without a background; 0 where an older index does not say.
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
        files: the tarball first, then the card, the plots and the files of the other formats.
        collection: the name of its collection.
        dataset: the data set of its classes, for people.
        license: TensorFlow Hub's tag.
        variant: of the architecture, such as S/16.
        architecture: TensorFlow Hub's tag, such as "vit".
        family: the architecture for people, such as "Vision Transformer".
        image_size: the input's side, pixels.
        parameters: how many there are.
        unpacked: the size of the unpacked module, bytes.
        weights: how they were verified.
        tensorflow: the oldest version that runs it, such as "2.14".
        measured: the accuracy that was measured.
        quoted: the accuracy that others report of the original weights.
        status: a draft, or released; of an index that does not say, what its facts come to.
        waived: why it is released without a measured accuracy; None where that is not waived.
        revision: of the card, from 1; raised when its text changes.
        yanked: why nobody should use this version any more; None for one that may be used.
        deprecated: which version replaces this one; None for one that is not replaced.
        unyanked: the date of the yank that was taken back, YYYY-MM-DD, which a release takes back elsewhere, too.
        undeprecated: likewise, of a deprecation.
        formats: the further ones that it is published in, in the order of FormatName; their files are in `files`.
        published: the date of its first publication, YYYY-MM-DD.
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
    tensorflow: str | None = None
    measured: Measured | None = None
    quoted: Quoted | None = None
    status: Status = Status.DRAFT
    waived: str | None = None
    revision: int = 1
    yanked: Yank | None = None
    deprecated: Deprecation | None = None
    unyanked: str | None = None
    undeprecated: str | None = None
    architecture: str | None = None
    family: str | None = None
    formats: tuple[PublishedFormat, ...] = ()
    published: str | None = None

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
    def title_of_model(self) -> str:
        """The family and the variant, such as "Vision Transformer S/16", as far as they are known."""
        return " ".join(filter(None, (self.family, self.variant)))

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
    def is_released(self) -> bool:
        return self.status is Status.RELEASED

    @property
    def marks(self) -> tuple[str, ...]:
        """The words beside it in lists, none for a version that may be relied on."""
        words = {"draft": not self.is_released, "yanked": self.yanked, "deprecated": self.deprecated}
        return tuple(word for word, is_so in words.items() if is_so)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What its facts lack to be released, whatever its status says (pipeline.facts.status)."""
        return find_missing(self.weights, self.measured.interval if self.measured else None, self.waived)

    @property
    def card(self) -> PublishedFile | None:
        """Its card; None where an entry does not list it."""
        return next((file for file in self.files if file.page == f"{self.handle}.md"), None)

    @property
    def statement(self) -> PublishedFile | None:
        """Its provenance statement; None where an entry does not list it."""
        return next((file for file in self.files if file.page == f"{self.handle}/provenance.dsse.json"), None)

    def is_trial_page(self, page: str) -> bool:
        """Whether a plain path in the hub is that of the facts that "Try it" reads beside the model."""
        return page == f"{self.handle}/try.json"

    def is_example(self, page: str) -> bool:
        """Whether a plain path in the hub is that of the picture of an example prediction."""
        return page.startswith(f"{self.handle}/examples/")

    @property
    def examples(self) -> tuple[PublishedFile, ...]:
        """The pictures of its example predictions, whose titles are their classes."""
        return tuple(file for file in self.files if self.is_example(file.page) and file.page.endswith(_PICTURES))

    @property
    def format_files(self) -> dict[str, PublishedFile]:
        """The files of its formats by their paths in the hub, as far as `files` lists them."""
        paths = {path for published in self.formats for path in published.files}
        return {file.path: file for file in self.files if file.path in paths}

    def format(self, name: FormatName) -> PublishedFormat | None:
        """Returns one of its formats; None for one that it is not published in."""
        return next((published for published in self.formats if published.name is name), None)

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
            "architecture": self.architecture,
            "family": self.family,
            "variant": self.variant,
            "image_size": self.image_size,
            "parameters": self.parameters,
            "bytes": self.unpacked,
            "files": [file.to_json() for file in self.files],
            "weights": self.weights,
            "tensorflow": self.tensorflow,
            "measured": self.measured.to_json() if self.measured else None,
            "quoted": self.quoted.to_json() if self.quoted else None,
            "status": self.status.value,
            "waived": self.waived,
            "revision": self.revision,
            "yanked": self.yanked.to_json() if self.yanked else None,
            "deprecated": self.deprecated.to_json() if self.deprecated else None,
            "unyanked": self.unyanked,
            "undeprecated": self.undeprecated,
            "formats": formats_to_json(self.formats),
            "published": self.published,
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


def _read_files(entry: Entry) -> tuple[PublishedFile, ...]:
    files = required(entry, "files", list)
    if not files:
        raise ValueError("it lists no files")
    return tuple(map(_read_file, files))


def _read_file(file: Entry) -> PublishedFile:
    path, size, sha256 = required(file, "path", str), count(file, "size"), required(file, "sha256", str)
    if not _PATH.fullmatch(path):
        raise ValueError(f"path is '{show_name(path)}', expected a file below the hub")
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"sha256 is '{show_name(sha256)}', expected 64 hexadecimal digits")
    return PublishedFile(path, size, sha256, optional(file, "title", str))


def _read_measured(measured: Entry) -> Measured:
    low, high = required(measured, "interval", list)
    return Measured(
        top1=share(measured["top1"], "top1"),
        interval=(share(low, "interval"), share(high, "interval")),
        images=count(measured, "images"),
        dataset=required(measured, "dataset", str),
        classes=optional_count(measured, "classes") or 0,
        outputs=optional_count(measured, "outputs") or 0,
        training_images=optional_count({"training_images": 0} | measured, "training_images"),
        images_per_second=optional(measured, "images_per_second", float),
    )


def read_module(handle: str, entry: Entry) -> ModuleEntry:
    """Reads a module's entry; keys that this version does not know are ignored.

    Raises:
        KeyError, TypeError, ValueError: when it lacks what every version of this program wrote, or has other types.
    """
    measured, quoted = optional(entry, "measured", dict), optional(entry, "quoted", dict)
    yanked, deprecated = optional(entry, "yanked", dict), optional(entry, "deprecated", dict)
    module = ModuleEntry(
        handle=handle,
        title=required(entry, "title", str),
        task=required(entry, "task", str),
        files=_read_files(entry),
        collection=optional(entry, "collection", str),
        dataset=optional(entry, "dataset", str),
        license=optional(entry, "license", str),
        variant=optional(entry, "variant", str),
        architecture=optional(entry, "architecture", str),
        family=optional(entry, "family", str),
        image_size=optional_count(entry, "image_size"),
        parameters=optional_count(entry, "parameters"),
        unpacked=optional_count(entry, "bytes"),
        weights=Verification(entry["weights"]) if entry.get("weights") is not None else None,
        tensorflow=optional(entry, "tensorflow", str),
        measured=_read_measured(measured) if measured else None,
        quoted=Quoted(share(quoted["top1"], "top1"), required(quoted, "source", str)) if quoted else None,
        waived=optional(entry, "waived", str),
        revision=_revision(entry),
        yanked=read_yank(yanked) if yanked is not None else None,
        deprecated=read_deprecation(deprecated) if deprecated is not None else None,
        unyanked=optional_date(entry, "unyanked"),
        undeprecated=optional_date(entry, "undeprecated"),
        formats=read_formats(handle, entry),
        published=optional_date(entry, "published"),
    )
    return replace(module, status=_status(entry, module))


def _revision(entry: Entry) -> int:
    """Returns the revision of the card; 1 where an older index does not say."""
    if (revision := optional_count(entry, "revision")) == 0:
        raise ValueError("revision is 0, expected 1 or more")
    return revision or 1


def _status(entry: Entry, module: ModuleEntry) -> Status:
    """Returns what the entry says; where an older index does not say, what the facts of the module come to."""
    if (status := optional(entry, "status", str)) is not None:
        return Status(status)
    return Status.DRAFT if module.missing else Status.RELEASED


def read_collection(address: str, entry: Entry) -> CollectionEntry:
    """Reads a collection's entry; raises as read_module() does."""
    return CollectionEntry(address, _read_files(entry))
