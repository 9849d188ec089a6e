"""What make add needs to know of a checkpoint, wherever its facts come from."""

from pathlib import Path
from typing import Protocol

from pipeline.pool.datasets import Dataset


class Candidate(Protocol):
    """A checkpoint that is to become a member; pipeline.pool.augreg and pipeline.pool.upstream_member have one each."""

    @property
    def checkpoint(self) -> str:
        """The checkpoint's name."""

    @property
    def member_names(self) -> tuple[str, ...]:
        """Names for the member, in the order to try."""

    @property
    def collection(self) -> str:
        """The name of the collection for checkpoints that were trained in the same way."""

    @property
    def dataset(self) -> Dataset:
        """The data set whose classes the logits are."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user, about what the files do not have."""

    def check_collection(self, path: Path) -> list[str]:
        """Refuses a collection.yaml of other models; returns notes on what could not be checked.

        Raises:
            Fault: says how its models differ.
        """

    def draft_collection(self, name: str) -> str:
        """Returns the text of the collection.yaml of a new collection."""

    def draft_member(self, folder: Path, cards: Path) -> str:
        """Returns the text of the member's YAML file.

        Args:
            folder: the collection's folder, from which the label file is named.
            cards: the folder of all collections, which holds the label files.
        """
