"""The models that a hub lists: the classifier and the feature extractor of one checkpoint are one model, in one row."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pipeline.base.heads import Head
from pipeline.hub.entries import Measured, ModuleEntry, PublishedFile, Quoted

_HEADS = {head.task: head for head in Head}


def kind_of(task: str) -> str:
    """Returns what a module of a task is called beside its model's title, such as "classifier"."""
    head = _HEADS.get(task)
    return head.noun.removeprefix("image ") if head else task.replace("-", " ")


def spoken(tag: str) -> str:
    """Returns a tag of TensorFlow Hub for people: "Image classification" for image-classification."""
    return tag.replace("-", " ").capitalize()


@dataclass(frozen=True)
class Model:
    """One row of a list of models.

    Attributes:
        entries: the version to show of each of its modules, the classifier first.
        stem: the name that its modules share, such as "vit_s16"; the whole name of a module that has no sibling name.
    """

    entries: tuple[ModuleEntry, ...]
    stem: str

    @property
    def main(self) -> ModuleEntry:
        """The module whose facts the row shows: the classifier where there is one."""
        return self.entries[0]

    @property
    def id(self) -> str:
        """<publisher>/<name> of the main module, which addresses of comparisons have."""
        return f"{self.main.publisher}/{self.main.name}"

    @property
    def title(self) -> str:
        return self.main.title

    @property
    def accuracy(self) -> Measured | Quoted | None:
        return self.main.accuracy

    @property
    def has_dot(self) -> bool:
        """Whether a plot of accuracy against size can show it."""
        return self.main.is_classifier and self.accuracy is not None and bool(self.main.parameters)

    @property
    def has_versions(self) -> bool:
        """Whether its modules are of different versions, which lists then name."""
        return len({entry.version for entry in self.entries}) > 1

    @property
    def marks(self) -> tuple[str, ...]:
        """The words beside it, of any of its modules, such as "draft"."""
        return tuple(dict.fromkeys(word for entry in self.entries for word in entry.marks))

    @property
    def is_unverified(self) -> bool:
        """Whether nothing shows for some of its modules that the weights are the original ones."""
        return any(entry.is_unverified for entry in self.entries)

    @cached_property
    def picture(self) -> PublishedFile | None:
        """A small picture: the first of the images that its modules are published with; None without any."""
        return next((picture for entry in self.entries for picture in entry.examples), None)


def group_models(entries: Iterable[ModuleEntry]) -> tuple[Model, ...]:
    """Groups modules into models.

    Args:
        entries: the version to show of each module (Index.newest), sorted; models keep the order of their first one.
    """
    groups: dict[tuple[str, str, bool], list[ModuleEntry]] = {}
    for entry in entries:
        groups.setdefault(_key(entry), []).append(entry)
    return tuple(
        Model(tuple(sorted(group, key=lambda entry: not entry.is_classifier)), stem)
        for (_, stem, _), group in groups.items()
    )


def _key(entry: ModuleEntry) -> tuple[str, str, bool]:
    """Returns the publisher, the stem, and whether the module's name is that of a head of a member."""
    head = _HEADS.get(entry.task)
    stem = entry.name.removesuffix(f"_{head}") if head else entry.name
    is_head = bool(stem) and stem != entry.name
    return entry.publisher, stem if is_head else entry.name, is_head
