"""The images that a member is evaluated on: its command line options, and the task that follows from them."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.accuracy.classify import Task
from pipeline.accuracy.section import Evaluation, images_of
from pipeline.images import image_set
from pipeline.images.labels import Label
from pipeline.images.split import Split, add_split
from pipeline.model.section import Model


@dataclass(frozen=True)
class ImageSettings:
    """Which images to use.

    Attributes:
        place: where they lie, in any layout; None for a member without images.
        real: the ReaL labels, or None.
        samples: how many; None for all.
        split: the part of the data set; None: validation, or test where there is no other.
    """

    place: Path | None
    real: Path | None = None
    samples: int | None = None
    split: Split | None = None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that read_settings() reads: --imagenet, --images, --real, --samples and --split."""
    parser.add_argument(
        "--imagenet",
        type=Path,
        metavar="PLACE",
        help="images for a member without its own, in a layout of docs/images.md",
    )
    parser.add_argument(
        "--images", type=Path, metavar="PLACE", help="images of the member's own data set, instead of all others"
    )
    parser.add_argument("--real", type=Path, help="the ReaL labels of ImageNet's validation set, real.json")
    parser.add_argument("--samples", type=int, help="how many images to use (default: all)")
    add_split(parser)


def read_settings(args: argparse.Namespace, evaluation: Evaluation, home: Path) -> ImageSettings:
    """Returns what the options and the member's section `evaluation` say.

    Args:
        args: the parsed options, see add_options().
        evaluation: the section.
        home: the folder of the member's YAML file.
    """
    place = None if evaluation.multi_label else args.images or images_of(evaluation, home, args.imagenet)
    return ImageSettings(place, args.real, args.samples, args.split)


def choose_task(
    model: Model, evaluation: Evaluation, names: Sequence[Label], activation: str, settings: ImageSettings
) -> Task | None:
    """Returns the images to classify, or None for a member without images.

    Args:
        model: the section `model`.
        evaluation: the section `evaluation`.
        names: the labels in the order of the logits.
        activation: what turns the logits into probabilities, "softmax" or "sigmoid".
        settings: which images to use.

    Raises:
        Fault: when the images are not as expected, or there are no labels.
    """
    if settings.place is None:
        return None
    images = image_set.open_images(settings.place, names, settings.real, settings.split)
    chosen = image_set.choose(images, settings.samples)
    return Task(images, chosen, model.image_size, evaluation.protocol, activation)
