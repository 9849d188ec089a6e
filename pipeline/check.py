"""check: reads all of a member at once, so that a fault of a later stage's section is reported before the first stage.

    python -m pipeline.check MEMBER.yaml [--imagenet PLACE] [--real FILE] [--samples N] [--split SPLIT]
                             [--require-accuracy] [--hub-url URL]

reads every section, collection.yaml, the label file and the list of evaluation images, and tries the texts on every
page of the member. It writes nothing; it prints every fault, or nothing. make runs it before the first stage of a
member that takes long.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipeline.accuracy.section import (
    Evaluation,
    how_to_give_images,
    images_of,
    require_images_license,
    why_unmeasurable,
)
from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints.section import Checkpoint
from pipeline.facts.collection import FILE, Collection, Module, collection_of, wanted_formats
from pipeline.hub.folder import hub_folder
from pipeline.hub.index import handles_of
from pipeline.hub.settings import add_address, public_url
from pipeline.images import image_set, labels
from pipeline.images.labels import Label
from pipeline.images.split import Split, add_split
from pipeline.model.section import Model
from pipeline.prose.read import find_text_faults

Value = TypeVar("Value")


@dataclass(frozen=True)
class Settings:
    """The settings that later stages get.

    Attributes:
        imagenet: the images for members that bring none of their own, or None.
        real: the ReaL labels, or None.
        samples: how many images to use; None for all.
        require_accuracy: whether the accuracy must be measured.
        hub_url: the public address of the hub; None for the collection's.
        split: the part of the data set that the images are, or None.
    """

    imagenet: Path | None = None
    real: Path | None = None
    samples: int | None = None
    require_accuracy: bool = False
    hub_url: str | None = None
    split: Split | None = None


@dataclass(frozen=True)
class _Faults:
    """Collects the messages of faults, each once: a fault of the whole file shows up in every section."""

    messages: dict[str, None] = field(default_factory=dict)

    def catch(self, read: Callable[[], Value]) -> Value | None:
        """Returns what `read` returns, or None and keeps the message where it raises Fault."""
        try:
            return read()
        except Fault as fault:
            self.messages[str(fault)] = None
            return None


def _check_images(member: Member, evaluation: Evaluation, names: Sequence[Label], settings: Settings) -> None:
    """Raises Fault for images that validate would refuse, and for no accuracy where REQUIRE_ACCURACY needs it."""
    place = images_of(evaluation, member.folder, settings.imagenet)
    if place is not None:
        image_set.choose(image_set.open_images(place, names, settings.real, settings.split), settings.samples)
    elif settings.require_accuracy and not evaluation.multi_label:
        how = how_to_give_images(evaluation)
        raise Fault(f"{member.path}: REQUIRE_ACCURACY requires a measured accuracy, and there are no images; {how}")


def _check_license(member: Member, collection: Collection) -> None:
    examples = member.section("evaluation", Evaluation).examples
    require_images_license(examples, collection.images_license, member.path.with_name(FILE))


def _check_member(member: Member, settings: Settings, faults: _Faults) -> Module | None:
    """Reads every section, the labels and the list of images; returns the section `module` where it is valid."""
    faults.catch(lambda: member.section("checkpoint", Checkpoint))
    model = faults.catch(lambda: member.section("model", Model))
    evaluation = faults.catch(lambda: member.section("evaluation", Evaluation))
    module = faults.catch(lambda: member.section("module", Module))
    names: Sequence[Label] | None = ()
    if model and model.labels:
        path, classes = member.folder / model.labels, model.classes
        names = faults.catch(lambda: labels.read(path, classes))
    reason = why_unmeasurable(model.classes, evaluation) if model and evaluation else None
    if reason and settings.require_accuracy:
        text = f"{member.path}: REQUIRE_ACCURACY requires a measured accuracy, and {reason}; publish it without"
        faults.messages[text] = None
    if model and evaluation and names is not None:
        faults.catch(lambda: _check_images(member, evaluation, names, settings))
    return module


def problems(path: Path, settings: Settings) -> list[str]:
    """Returns the faults of a member, a sentence each.

    Args:
        path: the member's YAML file.
        settings: those that later stages get.
    """
    faults = _Faults()
    member = faults.catch(lambda: Member(path))
    module = _check_member(member, settings, faults) if member else None
    collection = faults.catch(lambda: collection_of(path, settings.hub_url))
    if member and collection:
        faults.catch(lambda: wanted_formats(member, collection[0]))
        faults.catch(lambda: _check_license(member, collection[0]))
    if module and collection:
        faults.catch(lambda: handles_of(collection[0], path.stem, module.version))
    if member:
        for message in faults.catch(lambda: find_text_faults(member, settings.hub_url)) or ():
            faults.messages[message] = None
    return list(faults.messages)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.check", description="Checks a member's YAML file.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("--imagenet", type=Path, metavar="PLACE", help="the place of the images, as for validate")
    parser.add_argument("--real", type=Path, help="the ReaL labels, as for validate")
    parser.add_argument("--samples", type=int, help="how many images to use, as for validate")
    add_split(parser)
    parser.add_argument("--require-accuracy", action="store_true", help="require a measured accuracy")
    parser.add_argument("--hub", help="the hub: a folder, as for card")
    add_address(parser)
    args = parser.parse_args(arguments)
    url = public_url(hub_folder(args.hub), args.hub_url, args.move) if args.hub else args.hub_url
    settings = Settings(args.imagenet, args.real, args.samples, args.require_accuracy, url, args.split)
    if faults := problems(args.member, settings):
        raise Fault("\n  ".join(faults))


if __name__ == "__main__":
    raise SystemExit(guarded("check", lambda: main(command_line())))
