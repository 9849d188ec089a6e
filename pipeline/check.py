"""check: all that a member's file says, read at once, so that no stage works for long before another meets a fault.

    python -m pipeline.check MEMBER.yaml [--imagenet PLACE] [--real FILE] [--samples N] [--require-accuracy]
                             [--hub-url URL]

reads every section, collection.yaml, the label file and which evaluation images there are. It writes nothing, and says
nothing unless there are faults: then all of them. make runs it before each stage that takes long.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.accuracy.section import Evaluation, how_to_give_images, images_of
from pipeline.base import yaml_sections
from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.checkpoints.section import Checkpoint
from pipeline.facts.collection import Module, collection_of
from pipeline.hub.index import handles_of
from pipeline.images import image_set, labels
from pipeline.images.labels import Label
from pipeline.model.variants import Model

Value = TypeVar("Value")


@dataclass(frozen=True)
class Settings:
    """What the command says of the stages to come.

    Attributes:
        imagenet: the images of members that bring none of their own, or None.
        real: the ReaL labels, or None.
        samples: how many images to use; None for all.
        require_accuracy: whether the accuracy must be measured.
        hub_url: the public address of the hub; None for the collection's.
    """

    imagenet: Path | None = None
    real: Path | None = None
    samples: int | None = None
    require_accuracy: bool = False
    hub_url: str | None = None


def _find_images(member: Path, evaluation: Evaluation, names: Sequence[Label], settings: Settings) -> None:
    """Raises Fault when there are images that validate would refuse, or none where there must be some."""
    place = images_of(evaluation, member.parent, settings.imagenet)
    if place is not None:
        image_set.choose(image_set.open_images(place, names, settings.real), settings.samples)
    elif settings.require_accuracy:
        how = how_to_give_images(evaluation)
        raise Fault(f"{member}: REQUIRE_ACCURACY asks for a measured accuracy, and there are no images; {how}")


def problems(member: Path, settings: Settings) -> list[str]:
    """Returns what is wrong with a member, a sentence each.

    Args:
        member: its YAML file.
        settings: what the command says.
    """
    found: dict[str, None] = {}  # in order, each once: what is wrong with the whole file is met in every section

    def attempt(read: Callable[[], Value]) -> Value | None:
        try:
            return read()
        except Fault as fault:
            found[str(fault)] = None
            return None

    attempt(lambda: yaml_sections.load(member, "checkpoint", Checkpoint))
    model = attempt(lambda: yaml_sections.load(member, "model", Model))
    evaluation = attempt(lambda: yaml_sections.load(member, "evaluation", Evaluation))
    module = attempt(lambda: yaml_sections.load(member, "module", Module))
    collection = attempt(lambda: collection_of(member, settings.hub_url)[0])
    names: Sequence[Label] | None = ()
    if model and model.labels:
        path, classes = member.parent / model.labels, model.classes
        names = attempt(lambda: labels.read(path, classes))
    if model and evaluation and names is not None:
        attempt(lambda: _find_images(member, evaluation, names, settings))
    if module and collection:
        attempt(lambda: handles_of(collection, member.stem, module.version))
    return list(found)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.check", description="Checks what a member's file says.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("--imagenet", type=Path, help="the place of the images, as for validate")
    parser.add_argument("--real", type=Path, help="the ReaL labels, as for validate")
    parser.add_argument("--samples", type=int, help="how many images to use, as for validate")
    parser.add_argument("--require-accuracy", action="store_true", help="whether the accuracy must be measured")
    parser.add_argument("--hub-url", help="the public address of the hub, as for card")
    args = parser.parse_args(arguments)
    settings = Settings(args.imagenet, args.real, args.samples, args.require_accuracy, args.hub_url)
    if sentences := problems(args.member, settings):
        raise Fault("\n  ".join(sentences))


if __name__ == "__main__":
    raise SystemExit(guarded("check", lambda: main(sys.argv[1:])))
