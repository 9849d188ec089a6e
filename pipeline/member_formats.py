"""member_formats: the stage formats: a member's modules for other runtimes, each file proven there and measured.

    python -m pipeline.member_formats MEMBER.yaml FOLDER [--formats NAMES] [--imagenet PLACE] [--real FILE]
                                      [--samples N] [--split SPLIT]

FOLDER holds the member's SavedModels. It gets formats/<head>/, laid out as below the version in a hub, and
formats.json, what was measured of each (pipeline.facts.formats). A format that nobody asked for by name and that cannot
be made, or fails a check, is left out, and formats.json says why; all others must pass. What is current is not
made again.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np

from pipeline.accuracy import classify, section, summary
from pipeline.accuracy.classify import Task
from pipeline.accuracy.section import Evaluation
from pipeline.base.command import command
from pipeline.base.environment import VALIDATE, prepare_environment
from pipeline.base.fault import escape
from pipeline.base.heads import Head
from pipeline.base.sizes import show_size
from pipeline.base.stage_code import StageCode
from pipeline.base.status import Status
from pipeline.base.yaml_sections import Member
from pipeline.facts.collection import Wanted, collection_of, wanted_formats
from pipeline.facts.formats import FormatReport, parse_names, split_names
from pipeline.hub.trial import FACTS, describe_trial
from pipeline.images import image_set, labels
from pipeline.images.split import Split, add_split
from pipeline.model.section import Model
from pipeline.runtimes.judging import Images, describe_run
from pipeline.runtimes.making import How
from pipeline.runtimes.member import MemberOutputs, make_member
from pipeline.runtimes.modules import Module
from pipeline.runtimes.table import of_names, require_packages

MOST_IMAGES = 1000
_LONGEST = 200  # characters of what the index says of the images
MOST_BYTES = 600_000_000  # of prepared images, which stay in memory: 1,000 of 224 x 224 pixels


@dataclass(frozen=True)
class Settings:
    """Which images to use.

    Attributes:
        imagenet: those for members that bring none of their own, or None.
        real: the ReaL labels, or None.
        samples: how many; None for all, at most MOST_IMAGES.
        split: the part of the data set that they are, or None.
    """

    imagenet: Path | None = None
    real: Path | None = None
    samples: int | None = None
    split: Split | None = None


def choose_images(member: Member, settings: Settings) -> Task | None:
    """Returns the images on which formats are compared, the first of those that validate uses; None without images.

    Raises:
        Fault: when the images are not as expected, or there are no labels.
    """
    model, evaluation = member.section("model", Model), member.section("evaluation", Evaluation)
    place = section.images_of(evaluation, member.folder, settings.imagenet)
    if place is None or section.why_unmeasurable(model.classes, evaluation):
        return None
    names = labels.read(member.folder / model.labels, model.classes) if model.labels else ()
    images = image_set.open_images(place, names, settings.real, settings.split)
    fitting = MOST_BYTES // (model.image_size**2 * 3 * np.dtype(np.float32).itemsize)
    count = min(settings.samples or MOST_IMAGES, MOST_IMAGES, max(fitting, 1), len(images.examples))
    return Task(images, image_set.choose(images, count), model.image_size, evaluation.protocol)


def describe_images(member: Member, task: Task) -> str:
    """Returns what the images are, in words that follow "images of"."""
    evaluation = member.section("evaluation", Evaluation)
    text = summary.other_dataset(task, bool(evaluation.images)) or evaluation.dataset
    return shorten(escape(" ".join(text.split())), _LONGEST, placeholder=" ...")


def read_images(member: Member, task: Task) -> Images:
    """Returns prepared images; those that cannot be decoded, which validate counts, are left out."""
    pixels = np.empty((len(task.chosen), task.size, task.size, 3), np.float32)  # a list of batches would be twice that
    answers: list[int] = []
    for batch in classify.batches(task, task.chosen):
        pixels[len(answers) : len(answers) + len(batch.examples)] = batch.inputs[: len(batch.examples)]
        answers += [example.label for example in batch.examples]
    return Images(pixels[: len(answers)], np.array(answers), describe_images(member, task))


def images_key(task: Task | None) -> str:
    """Returns what identifies the images, their files and their preparation; "" for none."""
    if task is None:
        return ""
    files = [task.files_digest(number) for number in range(task.shards)]
    return json.dumps([task.key(""), files])


def describe_format(head: Head, report: FormatReport) -> str:
    """Returns a line for a format."""
    if report.left_out:
        return f"{head} {report.name}: left out: {report.left_out}"
    return f"{head} {report.name}: {show_size(report.size)}, {describe_run(report)}"


def add_trial(modules: Mapping[Head, Module], folder: Path) -> None:
    """Writes the facts that "Try it" needs of the classifier, where a browser can run one of its files."""
    facts = modules[Head.CLASSIFICATION].facts
    target = folder / Head.CLASSIFICATION
    text = describe_trial(target, facts.labels, facts.image_size, facts.activation)
    if text is not None:
        (target / FACTS).write_text(text, encoding="utf-8")


def make(member: Member, folder: Path, wanted: Wanted, settings: Settings) -> int:
    """Makes the formats of a member; returns how many files can be loaded."""
    formats = of_names(wanted.names)
    require_packages(formats)
    task = choose_images(member, settings) if formats else None
    code = StageCode(folder.parent / ".stamps/code.json").digest("member_formats")
    outputs = MemberOutputs(member.path, folder, formats, code, images_key(task))
    with Status(f"formats {member.name}") as status:
        how = How(
            required=wanted.required,
            packed=True,
            begin=status.begin,
            done=lambda head, report: status.print(describe_format(head, report)),
        )

        def add_files(modules: Mapping[Head, Module], target: Path) -> None:
            if modules:
                add_trial(modules, target)

        made = make_member(outputs, lambda: read_images(member, task) if task else None, how, add_files)
    return sum(len(made.published(head)) for head in Head)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.member_formats", description="Writes a member's modules in further formats."
    )
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("folder", type=Path, help="the folder of its outputs")
    parser.add_argument(
        "--formats", metavar="NAMES", help="the formats, with commas, instead of those of the YAML files"
    )
    parser.add_argument("--imagenet", type=Path, metavar="PLACE", help="images, as for validate")
    parser.add_argument("--real", type=Path, help="the ReaL labels, as for validate")
    parser.add_argument("--samples", type=int, help=f"how many images to use, at most {MOST_IMAGES:,}")
    add_split(parser)
    args = parser.parse_args(arguments)
    member = Member(args.member)
    wanted = wanted_formats(member, collection_of(args.member, None)[0])
    if args.formats is not None:
        wanted = Wanted(parse_names(split_names(args.formats), "FORMATS"), required=True)
    settings = Settings(args.imagenet, args.real, args.samples, args.split)
    count = make(member, args.folder, wanted, settings)
    return f"{member.name}: {count} file{'' if count == 1 else 's'} for other runtimes"


if __name__ == "__main__":
    prepare_environment("formats", VALIDATE)
    raise SystemExit(command("formats", main))
