"""classify: classifies a part of a member's evaluation images ahead of validate, on a machine of its own, say.

    python -m pipeline.classify MEMBER.yaml CLASSIFICATION REPORT --part K/N [--imagenet PLACE] [--images PLACE]
                                [--real FILE] [--samples N] [--split SPLIT]

CLASSIFICATION is the classifier's SavedModel, REPORT the report that validate is to write. The predictions of part K of
N go to REPORT.shards beside it. Parts may run in any order, at once, on several machines that share this folder, twice
or not at all: validate, with the same options, reads what is there, classifies what is missing, and writes the same
report, if all machines are of one kind; shards of other versions of the libraries or of this code are classified again.
One that is killed has lost at most 256 images. No images are classified with a module that fails its self-test.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.accuracy import classifying, member_images, section
from pipeline.accuracy.classify import Predict, Task
from pipeline.accuracy.result_files import ResultFiles
from pipeline.accuracy.section import Evaluation
from pipeline.accuracy.shards import Shards, parse_part
from pipeline.base.command import command
from pipeline.base.environment import VALIDATE, prepare_environment
from pipeline.base.fault import Fault
from pipeline.base.verdict import Verdict
from pipeline.base.yaml_sections import Member
from pipeline.facts.checks import SelfTestReplay
from pipeline.facts.collection import collection_of
from pipeline.images import labels
from pipeline.model.section import Model
from pipeline.proof.checks import replay_selftest
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.load import load_saved_model, start_tensorflow
from pipeline.saved_model.programs import keep_tensorflow_programs


def open_task(member: Member, args: argparse.Namespace) -> Task | None:
    """Returns the images that validate would classify; None, with the reason on stderr, where there are none.

    Raises:
        Fault: when a file is malformed, the images are not as expected, or there are no labels.
    """
    model, about = member.section("model", Model), member.section("evaluation", Evaluation)
    names = labels.read(member.folder / model.labels, model.classes) if model.labels else ()
    settings = member_images.read_settings(args, about, member.folder)
    reason = section.why_unmeasurable(model.classes, about)
    if reason is None and settings.place is None:
        reason = f"no images ({section.how_to_give_images(about)})"
    if reason:
        print(f"classify {member.name}: there is nothing to classify: {reason}", file=sys.stderr)
        return None
    return member_images.choose_task(model, about, names, collection_of(member.path, None)[0].activation, settings)


def describe_failures(replay: SelfTestReplay) -> str:
    """Returns the ways to call a module that fail its self-test, with their errors."""
    failed = {way: error for way, error in replay.max_rel.items() if not error <= replay.limit(way)}
    return ", ".join(
        f"{way}: relative error {error:.1e}, limit {replay.limit(way):.0e}" for way, error in failed.items()
    )


def load_classifier(folder: Path) -> Predict:
    """Loads a module and replays its self-test; returns what computes its logits, as validate does.

    Raises:
        Fault: when it cannot be loaded, or fails the self-test.
    """
    start_tensorflow()
    module = load_saved_model(folder)
    replay = replay_selftest(module, folder)
    if replay.verdict is not Verdict.PASS:
        raise Fault(
            f"{folder}: the module fails its self-test ({describe_failures(replay)}), so no image is classified; run"
            " make convert again, on this kind of machine"
        )

    def predict(inputs: np.ndarray) -> np.ndarray:
        logits: np.ndarray = module(inputs).numpy()
        return logits

    return predict


def load_unchanged(folder: Path, load: Callable[[Path], Predict]) -> tuple[Predict, str]:
    """Loads a module; returns what computes its logits, and the digest of the files that it was loaded from.

    Args:
        folder: the module's.
        load: loads it, which takes ten seconds and more.

    Raises:
        Fault: when there is no module, or it changed meanwhile: predictions would count as those of another one.
    """
    digest = folder_digest(folder)
    predict = load(folder)
    if folder_digest(folder) != digest:
        raise Fault(
            f"{folder}: the module changed while it was loaded, so no image is classified; run this command again when"
            " make convert is done"
        )
    return predict, digest


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.classify",
        description="Classifies a part of a member's evaluation images ahead of validate.",
    )
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("classification", type=Path, help="the classifier's SavedModel")
    parser.add_argument("report", type=Path, help="the report that validate is to write")
    parser.add_argument("--part", required=True, metavar="K/N", help="which part of how many, such as 3/8")
    member_images.add_options(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> str:
    args = _parse(arguments)
    part, member = parse_part(args.part), Member(args.member)
    task = open_task(member, args)
    subject = f"{member.name} part {args.part}"
    if task is None:
        return f"{subject}: 0 images"
    predict, digest = load_unchanged(args.classification, load_classifier)
    shards = Shards(ResultFiles(args.report).shards, task, digest)
    count = classifying.classify_part(task, predict, shards, part, f"classify {subject}")
    return f"{subject}: {count:,} of {len(task.chosen):,} images"


if __name__ == "__main__":
    prepare_environment("classify", VALIDATE)
    keep_tensorflow_programs()  # beside other parts, and the validate to come
    raise SystemExit(command("classify", main))
