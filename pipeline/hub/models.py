"""The models that a hub lists: the classifier and the feature extractor of one checkpoint are one model, in one row."""

import functools
import marshal
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.base.heads import Head
from pipeline.hub.listed import ListedAccuracy, ListedModule
from pipeline.hub.search_words import list_names

FIELDS = (
    "title", "publisher", "stem", "kinds", "tasks", "modules", "variant", "family", "architecture", "imageSize",
    "dataset", "parameters", "download", "unpacked", "top1", "origin", "where", "interval", "speed", "licence", "marks",
    "isUnverified", "weights", "formats", "tensorflow", "collection", "picture", "names",
)  # fmt: skip
SAVED_MODEL = "SavedModel"
_HEADS = {head.task: head for head in Head}


@functools.cache
def kind_of(task: str) -> str:
    """Returns what a module of a task is called beside its model's title, such as "classifier"."""
    head = _HEADS.get(task)
    return head.noun.removeprefix("image ") if head else task.replace("-", " ")


@functools.cache
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

    entries: tuple[ListedModule, ...]
    stem: str

    @cached_property
    def main(self) -> ListedModule:
        """The module whose facts the row shows: the classifier where there is one."""
        return self.entries[0]

    @cached_property
    def id(self) -> str:
        """<publisher>/<name> of the main module, which addresses of comparisons have."""
        return f"{self.main.publisher}/{self.main.name}"

    @property
    def title(self) -> str:
        return self.main.title

    @cached_property
    def accuracy(self) -> ListedAccuracy | None:
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

    @property
    def picture(self) -> str | None:
        """The path of a small picture: the first that its modules are published with; None without any."""
        return next((entry.picture for entry in self.entries if entry.picture), None)

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of its main module, the SavedModel first."""
        return SAVED_MODEL, *self.main.format_titles

    @cached_property
    def row(self) -> tuple[Any, ...]:
        """What a row of a list shows of it, by FIELDS; paths are relative to the hub's folder."""
        main, accuracy = self.main, self.accuracy
        is_verified = main.is_verified
        weights = None if is_verified is None else "verified" if is_verified else "not verified"
        return (
            main.title,
            main.publisher,
            self.stem,
            tuple([kind_of(entry.task) for entry in self.entries]),
            tuple([spoken(entry.task) for entry in self.entries]),
            tuple([entry.handle.partition("/")[2] for entry in self.entries]),
            main.variant,
            main.family,
            main.title_of_model,
            main.image_size,
            main.dataset,
            main.parameters,
            main.download,
            main.unpacked,
            accuracy.top1 if accuracy else None,
            accuracy.origin if accuracy else None,
            accuracy.where if accuracy else None,
            accuracy.interval if accuracy else None,
            main.speed,
            main.license,
            self.marks,
            self.is_unverified,
            weights,
            self.formats,
            main.tensorflow,
            main.collection,
            self.picture,
            _list_names(main.architecture, main.variant, main.image_size),
        )

    @cached_property
    def text(self) -> str:
        """All that rows show of it: equal texts give equal rows."""
        return marshal.dumps(self.row, 2).decode("latin-1")  # repr() takes five times as long


@functools.cache
def _list_names(architecture: str | None, variant: str | None, image_size: int | None) -> str:
    """Returns the names under which people look for a variant, as one text."""
    return " . ".join(list_names(architecture, variant, image_size))


def group_models(entries: Iterable[ListedModule]) -> tuple[Model, ...]:
    """Groups modules into models.

    Args:
        entries: the version to show of each module (Overview.newest), sorted; models keep the order of their first one.
    """
    groups: dict[tuple[str, str, bool], list[ListedModule]] = {}
    for entry in entries:
        groups.setdefault(_key(entry), []).append(entry)
    return tuple(
        Model(tuple(sorted(group, key=lambda entry: not entry.is_classifier)), stem)
        for (_, stem, _), group in groups.items()
    )


def _key(entry: ListedModule) -> tuple[str, str, bool]:
    """Returns the publisher, the stem, and whether the module's name is that of a head of a member."""
    head = _HEADS.get(entry.task)
    stem = entry.name.removesuffix(f"_{head}") if head else entry.name
    is_head = bool(stem) and stem != entry.name
    return entry.publisher, stem if is_head else entry.name, is_head
