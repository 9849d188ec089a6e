"""What lists of models show of a module: a small part of its entry, which a file remembers by the shard of the index.

A hub of 10,000 modules has 20 MB of entries. Reading all of them takes seconds, and each publication changes two.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.hub.entries import Measured, ModuleEntry
from pipeline.hub.trial import find_trial

# Of 10,000 modules each look into an enumeration takes longer than the comparison.
_CLASSIFIER, _UNVERIFIED = Head.CLASSIFICATION.task, Verification.UNVERIFIED.value


class ListedAccuracy(NamedTuple):
    """A top-1 accuracy: "measured" or "quoted", 0 to 1, on or from what, and the 95 % interval of a measured one."""

    origin: str
    top1: float
    where: str
    interval: tuple[float, float] | None


class ListedModule(NamedTuple):
    """What lists show of a version of a module; see ModuleEntry for the values that have the same name there.

    Attributes:
        download: the size of the tarball, bytes.
        sha256: of the tarball.
        speed: images per second of the evaluation, on the publisher's machine.
        marks: the words beside it in lists: draft, yanked, deprecated.
        format_titles: of the further formats, for people.
        picture: the path in the hub of the first example prediction; None without any.
        has_trial: whether its page has "Try it".
    """

    handle: str
    title: str
    task: str
    collection: str | None
    dataset: str | None
    license: str | None
    variant: str | None
    architecture: str | None
    family: str | None
    image_size: int | None
    parameters: int | None
    download: int
    sha256: str
    unpacked: int | None
    weights: str | None
    tensorflow: str | None
    accuracy: ListedAccuracy | None
    speed: float | None
    marks: tuple[str, ...]
    format_titles: tuple[str, ...]
    picture: str | None
    published: str | None
    has_trial: bool

    @property
    def publisher(self) -> str:
        return self.handle.partition("/")[0]

    @property
    def name(self) -> str:
        return self.handle.split("/")[1]

    @property
    def version(self) -> int:
        return int(self.handle.rpartition("/")[2])

    @property
    def member(self) -> tuple[str, str]:
        """The publisher and the member whose module it is."""
        return self.publisher, self.name.rpartition("_")[0]

    @property
    def title_of_model(self) -> str:
        """The family and the variant, such as "Vision Transformer S/16", as far as they are known."""
        return " ".join(filter(None, (self.family, self.variant)))

    @property
    def is_classifier(self) -> bool:
        return self.task == _CLASSIFIER

    @property
    def is_verified(self) -> bool | None:
        """Whether the weights are the original ones; None where an older index does not say."""
        return self.weights != _UNVERIFIED if self.weights else None

    @property
    def is_unverified(self) -> bool:
        """Whether nothing shows that the weights are the original ones; false where an older index does not say."""
        return self.weights == _UNVERIFIED

    @property
    def is_released(self) -> bool:
        return "draft" not in self.marks

    @property
    def is_yanked(self) -> bool:
        return "yanked" in self.marks


def list_module(entry: ModuleEntry) -> ListedModule:
    """Returns what lists show of an entry."""
    accuracy = entry.accuracy
    return ListedModule(
        handle=entry.handle,
        title=entry.title,
        task=entry.task,
        collection=entry.collection,
        dataset=entry.dataset,
        license=entry.license,
        variant=entry.variant,
        architecture=entry.architecture,
        family=entry.family,
        image_size=entry.image_size,
        parameters=entry.parameters,
        download=entry.tarball.size,
        sha256=entry.tarball.sha256,
        unpacked=entry.unpacked,
        weights=entry.weights.value if entry.weights else None,
        tensorflow=entry.tensorflow,
        accuracy=ListedAccuracy(
            accuracy.origin,
            accuracy.top1,
            accuracy.where,
            accuracy.interval if isinstance(accuracy, Measured) else None,
        )
        if accuracy
        else None,
        speed=entry.measured.images_per_second if entry.measured else None,
        marks=entry.marks,
        format_titles=tuple(dict.fromkeys(published.title for published in entry.formats)),
        picture=entry.examples[0].page if entry.examples else None,
        published=entry.published,
        has_trial=find_trial(entry) is not None,
    )


_ACCURACY, _MARKS, _FORMATS = (ListedModule._fields.index(name) for name in ("accuracy", "marks", "format_titles"))


def recall_module(values: Sequence[Any]) -> ListedModule:
    """Returns what json.dumps() wrote of a ListedModule: JSON has lists in the place of tuples.

    Raises:
        TypeError, ValueError, IndexError: for other values.
    """
    fields = list(values)
    if accuracy := fields[_ACCURACY]:
        origin, top1, where, interval = accuracy
        fields[_ACCURACY] = ListedAccuracy(origin, top1, where, tuple(interval) if interval else None)
    fields[_MARKS], fields[_FORMATS] = tuple(fields[_MARKS]), tuple(fields[_FORMATS])
    return ListedModule._make(fields)
