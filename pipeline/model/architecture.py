"""What an architecture tells the rest of the pipeline without JAX; pipeline.model.network is its other half."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.base.fault import Fault, nearest
from pipeline.model import architectures
from pipeline.model.section import Model, Option

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Guess:
    """The model that the shapes of a checkpoint's arrays look like.

    Attributes:
        variant: its name.
        image_size: the side of its input, in pixels; None where the shapes do not tell it.
        classes: the number of logits; None without a head.
        options: as in the section `model`.
    """

    variant: str
    image_size: int | None
    classes: int | None
    options: Mapping[str, Option]

    def __str__(self) -> str:
        pixels = f" with {self.image_size} pixels" if self.image_size else ""
        head = "no head" if self.classes is None else f"{self.classes} classes"
        options = "".join(f", {name}: {value}" for name, value in sorted(self.options.items()))
        return f"{self.variant}{pixels} and {head}{options}"


class Architecture(ABC):
    """A family of networks.

    Attributes:
        name: what YAML files call it, such as "vit": the name of its folder.
        title: what cards call one of them, such as "Vision Transformer".
        plural: what cards call several.
        tag: the value of TF-Hub's tag `network-architecture` (templates/hub_tags.yaml).
    """

    name: str
    title: str
    plural: str
    tag: str

    @abstractmethod
    def check(self, model: Model) -> None:
        """Refuses a section that no network of this family can be made of.

        Raises:
            Fault: the message begins with the key of the section `model` that is wrong.
        """

    def describe(self, model: Model) -> str:
        """Returns what cards call the model, such as "Vision Transformer S/16 with mean pooling"."""
        return f"{self.title} {model.variant}"

    def remark(self, model: Model) -> str:
        """Returns what a card adds to the name of the variant, such as "a hybrid: ..."; "" for nothing."""
        del model
        return ""

    def describe_features(self, model: Model) -> str:
        """Returns what the features are, such as "the mean of the tokens after the last layer normalisation".

        "" where a card can only say that the head reads them.
        """
        del model
        return ""

    def guess(self, shapes: Mapping[str, Shape]) -> Guess | None:
        """Returns the model that a checkpoint's arrays look like by their normalized shapes, or None."""
        del shapes
        return None


def check_image_size(model: Model, stride: int) -> None:
    """Refuses an image size that tokens of so many pixels a side do not divide.

    Raises:
        Fault: the message begins with "image_size".
    """
    if model.image_size % stride:
        raise Fault(
            f"image_size {model.image_size} does not fit variant {model.variant}: expected a multiple of {stride}"
        )


def count_classes(shapes: Mapping[str, Shape]) -> int | None:
    """Returns the number of logits by the shapes of a checkpoint's arrays; None without a head."""
    head = shapes.get("head/bias")
    return None if head is None else math.prod(head)


def check_options(model: Model, allowed: Mapping[str, tuple[Option, ...] | type]) -> None:
    """Refuses options of a section that an architecture does not have.

    Args:
        model: the section.
        allowed: by option its values, or `int` for any whole number from 1.

    Raises:
        Fault: the message begins with "options".
    """
    for name, value in model.options.items():
        if name not in allowed:
            expected = f"expected {', '.join(allowed)}" if allowed else f"{model.architecture} has none"
            raise Fault(f"options.{name} is unknown{nearest(name, allowed)}: {expected}")
        values = allowed[name]
        if isinstance(values, tuple) and value not in values:
            raise Fault(f"options.{name} must be one of {', '.join(map(str, values))}, got {value!r}")
        if not isinstance(values, tuple) and (type(value) is not int or value < 1):
            raise Fault(f"options.{name} must be a whole number from 1, got {value!r}")


def _find(name: str) -> Architecture:
    architecture: Architecture = architectures.find_part(name, "architecture").ARCHITECTURE
    return architecture


def find_architecture(model: Model) -> Architecture:
    """Returns the architecture of a section."""
    return _find(model.architecture)


def describe_guess(model: Model, shapes: Mapping[str, Shape]) -> str | None:
    """Returns what a checkpoint's arrays look like, such as "B/16 with 224 pixels and 10 classes"; None for nothing.

    Args:
        model: a section that they do not fit. Of another architecture than its own the title is named, too.
        shapes: by path, normalized.
    """
    mine = find_architecture(model)
    if guess := mine.guess(shapes):
        return str(guess)
    for other in map(_find, architectures.list_architectures()):
        if other.name != mine.name and (guess := other.guess(shapes)):
            return f"the {other.title} {guess} (architecture: {other.name})"
    return None
