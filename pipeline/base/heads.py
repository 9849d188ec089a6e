"""The two modules that are made of a checkpoint."""

from enum import StrEnum


class Head(StrEnum):
    """A module of a member: `<member>_classification` or `<member>_fe`, which every file and key is named after."""

    CLASSIFICATION = "classification"
    FE = "fe"

    @property
    def output(self) -> str:
        """The name of the module's output in signatures."""
        return "logits" if self is Head.CLASSIFICATION else "features"

    @property
    def task(self) -> str:
        """TF-Hub's tag of the task (https://github.com/tensorflow/hub, docs of the task tags)."""
        return "image-classification" if self is Head.CLASSIFICATION else "image-feature-vector"

    @property
    def noun(self) -> str:
        """What the module is, for people."""
        return "image classifier" if self is Head.CLASSIFICATION else "feature extractor"

    @property
    def other(self) -> "Head":
        """The other module of the same checkpoint."""
        return Head.FE if self is Head.CLASSIFICATION else Head.CLASSIFICATION
