"""What index.json says of modules and collections, and how its entries are made."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.templates import sample
from pipeline.facts.collection import Collection, Module, handle
from pipeline.hub.folder import Index

_Value = TypeVar("_Value")
_MODULE = re.compile(r"([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*)/([1-9][0-9]*)", re.ASCII)
_COLLECTION = re.compile(r"([A-Za-z0-9][\w.-]*)/collections/([A-Za-z0-9][\w.-]*)/1", re.ASCII)


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy, 0 to 1; how it is known ("measured" or "quoted"), and on what or from where, in words.

    `whole` says whether it can stand beside others: it is of all classes, on images that the model was not trained on.
    """

    top1: float
    known: str
    where: str
    whole: bool = True


@dataclass(frozen=True)
class Listing:
    """A version of a module. What an index.json of an older version of this program lacks is None.

    Attributes:
        handle: <publisher>/<name>/<version>.
        title: its name for people.
        task: TensorFlow Hub's tag.
        files: what the index says of its files, each path, size (bytes), sha256 and title; the first is the tarball.
        collection: the name of its collection.
        dataset: the data set of its classes, for people.
        license: a tag.
        variant: the architecture, such as S/16.
        image_size: of the input's side, pixels.
        parameters: their number.
        unpacked: bytes.
        measured: the accuracy that was measured before it was published.
        quoted: the accuracy that others state.
        interval: of the measured accuracy, 95 %, 0 to 1.
        speed: images per second while it was measured.
    """

    handle: str
    title: str
    task: str
    files: tuple[dict[str, Any], ...]
    collection: str | None
    dataset: str | None
    license: str | None
    variant: str | None
    image_size: int | None
    parameters: int | None
    unpacked: int | None
    measured: Accuracy | None
    quoted: Accuracy | None
    interval: tuple[float, float] | None
    speed: float | None

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
    def accuracy(self) -> Accuracy | None:
        """The one to list it by: what was measured, unless that is of a part only; else what is quoted."""
        return self.measured if self.measured and self.measured.whole else self.quoted or self.measured


def _known(entry: dict[str, Any], key: str, kind: type[_Value]) -> _Value | None:
    """Returns a value of an entry, None when it is not known; raises TypeError when it is of another type."""
    value = entry.get(key)
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{key} is {value!r}")
    return value


def _measured(found: dict[str, Any]) -> Accuracy:
    unknown = {"classes": 0, "outputs": 0, "training_images": 0}  # in an older index
    facts = unknown | found
    whole = facts["classes"] == facts["outputs"] and facts["training_images"] == 0
    return Accuracy(float(found["top1"]), "measured", f"on {sample(facts | {'expected_dataset': None})}", whole)


def _listing(path: Path, handle: str, entry: dict[str, Any]) -> Listing:
    """Reads an entry; raises Fault when it lacks what every version of this program wrote, or is of other types."""
    try:
        measured, quoted = _known(entry, "measured", dict), _known(entry, "quoted", dict)
        if not entry["files"]:
            raise ValueError("it lists no files")
        return Listing(
            handle=handle,
            title=str(entry["title"]),
            task=str(entry["task"]),
            files=tuple(
                {
                    "path": str(file["path"]),
                    "size": int(file["size"]),
                    "sha256": str(file["sha256"]),
                    "title": _known(file, "title", str),
                }
                for file in entry["files"]
            ),
            collection=_known(entry, "collection", str),
            dataset=_known(entry, "dataset", str),
            license=_known(entry, "license", str),
            variant=_known(entry, "variant", str),
            image_size=_known(entry, "image_size", int),
            parameters=_known(entry, "parameters", int),
            unpacked=_known(entry, "bytes", int),
            measured=_measured(measured) if measured else None,
            quoted=Accuracy(float(quoted["top1"]), "quoted", str(quoted["source"])) if quoted else None,
            interval=(float(measured["interval"][0]), float(measured["interval"][1])) if measured else None,
            speed=_known(measured, "images_per_second", float) if measured else None,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Fault(
            f"{path}: the entry {handle} is malformed ({type(error).__name__}: {error}); publish that member again"
        ) from None


def handles_of(collection: Collection, member: str, version: int) -> dict[Head, str]:
    """Returns the handles of a member's modules by head.

    Raises:
        Fault: for a name that no handle can have.
    """
    handles = {head: handle(collection, member, head, version) for head in Head}
    if not all(map(_MODULE.fullmatch, handles.values())):
        raise Fault(f"{member}: cannot be part of a handle, expected a letter or digit, then also '_', '.' and '-'")
    return handles


@dataclass(frozen=True)
class Contents:
    """All that the hub lists.

    Attributes:
        modules: every version of every module, by handle.
        versions: the same by <publisher>/<name>, the newest version first.
        collections: (publisher, name) of each.
    """

    modules: dict[str, Listing]
    versions: dict[str, tuple[Listing, ...]]
    collections: tuple[tuple[str, str], ...]

    @property
    def newest(self) -> tuple[Listing, ...]:
        """The newest version of every module, by title, then handle."""
        return tuple(
            sorted((one[0] for one in self.versions.values()), key=lambda one: (one.title.lower(), one.handle))
        )

    @property
    def publishers(self) -> tuple[str, ...]:
        return tuple(sorted({*(one.publisher for one in self.modules.values()), *(one for one, _ in self.collections)}))


def _matching(path: Path, pattern: re.Pattern[str], names: Iterable[str]) -> list[tuple[str, ...]]:
    """Returns the parts of names; one that is no address in the hub, such as one that leads out of it, is a fault."""
    found = []
    for name in names:
        match = pattern.fullmatch(name)
        if not match:
            raise Fault(f"{path}: {name!r} is no handle, expected <publisher>/<module>/<version>; remove the entry")
        found.append(match.groups())
    return found


def contents(path: Path, index: Index) -> Contents:
    """Reads the index.

    Args:
        path: of index.json, for messages.
        index: its content.

    Raises:
        Fault: for an entry that is malformed or named as none can be.
    """
    _matching(path, _MODULE, index["modules"])
    modules = {handle: _listing(path, handle, entry) for handle, entry in sorted(index["modules"].items())}
    versions: dict[str, list[Listing]] = {}
    for one in sorted(modules.values(), key=lambda one: -one.version):
        versions.setdefault(f"{one.publisher}/{one.name}", []).append(one)
    collections = sorted((groups[0], groups[1]) for groups in _matching(path, _COLLECTION, index["collections"]))
    return Contents(modules, {name: tuple(group) for name, group in versions.items()}, tuple(collections))


def entry_of(
    head: Head, module: Module, collection: Collection, report: dict[str, Any], files: list[dict[str, Any]]
) -> dict[str, Any]:
    """Returns a module's entry.

    Every figure is the report's; what is not known is left out. `measured` and `quoted` are the classifier's accuracies
    (0 to 1), also for the feature extractor, which is the same model without its last layer; one on images of fewer
    `classes` than the model has `outputs`, or on `training_images`, is not to be compared with others. The speed is
    that of the evaluation on the publisher's machine.

    Args:
        head: "classification" or "fe".
        module: the member's section `module`.
        collection: the collection it belongs to.
        report: what validate wrote.
        files: of the module, each with path, size and sha256, plots with a title, too; the first is the tarball.
    """
    found, accuracy = report["modules"][head], report["accuracy"]
    entry = {
        "title": module.title,
        "task": Head(head).task,
        "collection": collection.name,
        "license": collection.license,
        "dataset": collection.dataset_name,
        "variant": report["model"]["variant"],
        "image_size": report["model"]["image_size"],
        "parameters": found["weights"]["parameters"],
        "bytes": found["bytes"],
        "files": files,
    }
    if "top1" in accuracy:
        entry["measured"] = {
            "top1": accuracy["top1"],
            "interval": accuracy["top1_interval"],
            "images": accuracy["images"],
            "dataset": accuracy["dataset"],
            "classes": accuracy["classes"],
            "outputs": accuracy["outputs"],
            "training_images": accuracy["training_images"],
            "images_per_second": accuracy["images_per_second"],
        }
    if accuracy["reported"]:
        entry["quoted"] = {"top1": accuracy["reported"]["top1"], "source": accuracy["reported"]["source"]}
    return entry
