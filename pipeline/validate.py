"""validate: proof that the SavedModels on disk compute what the checkpoint does, and how well they classify.

    python -m pipeline.validate MEMBER.yaml CHECKPOINT CLASSIFICATION FE REPORT [--imagenet PLACE] [--images PLACE]
                                [--real FILE] [--samples N]

Runs in a process of its own and reads only files. Every figure lands in REPORT with what it was measured on, the
pictures of them in the folder plots beside it, and what was predicted of each image in predictions.npz. When a gate
fails, all of these keep their earlier content, the figures go to `<REPORT>.failed`, the predictions to
predictions.npz.failed, and the exit status is 1. A run that is killed while it classifies images goes on from there.
"""

import argparse
import gc
import json
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.accuracy import classify, section, summary
from pipeline.accuracy.classify import Evaluated, Task
from pipeline.accuracy.plots import render_plots
from pipeline.accuracy.predictions import FAILED, FILE, Predictions
from pipeline.accuracy.section import Evaluation
from pipeline.base.command import command
from pipeline.base.fault import Fault, shown
from pipeline.base.files import replacing_folder, sha256_of, write_text
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import npz, provenance
from pipeline.facts.collection import collection_of
from pipeline.facts.report import read_report
from pipeline.images import image_set, labels
from pipeline.model.parameters import select_parameters
from pipeline.model.variants import HYBRIDS, Model
from pipeline.proof import checks, gradients, ladder
from pipeline.proof.checks import Report
from pipeline.saved_model.load import start_tensorflow

PARITY_IMAGES = 16


@dataclass(frozen=True)
class Subject:
    """What is validated.

    Attributes:
        model: the section `model`.
        evaluation: the section `evaluation`.
        names: the labels in the order of the logits; needed when there are images.
        checkpoint: the file.
        folders: the SavedModels by head, "classification" and "fe".
        activation: what turns the logits into probabilities, "softmax" or "sigmoid".
    """

    model: Model
    evaluation: Evaluation
    names: Sequence[labels.Label]
    checkpoint: Path
    folders: Mapping[str, Path]
    activation: str = "softmax"


def task_of(subject: Subject, place: Path | None, real: Path | None, samples: int | None) -> Task | None:
    """Returns the images to classify, or None without any.

    Raises:
        Fault: when they are not what they should be, or there are no labels to tell the classes by.
    """
    if place is None:
        return None
    images = image_set.open_images(place, subject.names, real)
    chosen = image_set.choose(images, samples)
    return Task(images, chosen, subject.model.image_size, subject.evaluation.protocol, subject.activation)


def parity_inputs(task: Task | None, size: int) -> tuple[np.ndarray, str]:
    """Returns PARITY_IMAGES inputs, float32 (n, size, size, 3), and what they are: images, or noise from a fixed seed.

    Damaged images are passed over. A task of fewer images gives noise, since batches of several sizes are compared.
    """
    if task and len(task.chosen) >= PARITY_IMAGES:
        found = []
        for example in task.chosen:
            try:
                found.append(classify.inputs_of(task, example))
            except Fault:  # evaluate() reports and counts it
                continue
            if len(found) == PARITY_IMAGES:
                return np.stack(found), "evaluation images"
    noise = np.random.default_rng(0).uniform(-1, 1, (PARITY_IMAGES, size, size, 3))
    return noise.astype(np.float32), "images of uniform noise in [-1, 1], seed 0"


def refuse_to_forget(report: Path, failed: Path, path: Path) -> None:
    """Refuses to validate without images a checkpoint whose accuracy an earlier run measured, well or badly.

    Args:
        report: the report of the last run that passed, if any.
        failed: that of the last run that failed since, if any.
        path: the checkpoint.

    Raises:
        Fault: names the earlier figure and the ways out.
    """
    for earlier in (failed, report):
        if not earlier.is_file():
            continue
        content = read_report(earlier)
        found = content["accuracy"]
        if "top1" in found and content["checkpoint"]["sha256"] == sha256_of(path):
            raise Fault(
                f"{earlier}: this checkpoint's top-1 accuracy was measured before, {found['top1']:.4f} on"
                f" {found['images']} images ({found['verdict']}), and would be forgotten without images; say IMAGENET="
                ' again, or delete that file to publish a card that says "not measured"'
            )


def refuse_fewer(failed: Path, path: Path, images: int) -> None:
    """Refuses to measure again on fewer images a checkpoint whose accuracy failed the gate: by luck it might pass.

    Args:
        failed: the report of the last run, if it failed.
        path: the checkpoint.
        images: how many are to be used now.

    Raises:
        Fault: names the earlier figure and the ways out.
    """
    if not failed.is_file():
        return
    content = read_report(failed)
    found = content["accuracy"]
    if found["verdict"] == "fail" and found["images"] > images and content["checkpoint"]["sha256"] == sha256_of(path):
        raise Fault(
            f"{failed}: this checkpoint failed with a top-1 accuracy of {found['top1']:.4f} on {found['images']}"
            f" images, which {images} cannot outweigh; use at least as many (SAMPLES=), or delete that file"
        )


def _checked(subject: Subject, task: Task | None, report: Report, shards: Path, label: str) -> Evaluated | None:
    """Fills the report's `modules`, `features` and `accuracy`; returns what the classifier said of the images, if any.

    The images are decoded once: the first serve both heads.
    """
    needs = {head: checks.requirements(folder) for head, folder in subject.folders.items()}
    model = subject.model
    arrays = npz.load(subject.checkpoint, model)
    start_tensorflow()
    inputs, report["parity_inputs"] = parity_inputs(task, model.image_size)
    expected = checks.reference(model, arrays, inputs)
    weights = {
        head: {name: checks.fingerprint(value) for name, value in select_parameters(arrays, head).items()}
        for head in subject.folders
    }
    kernel, bias = (np.array(arrays[f"head/{name}"]) for name in ("kernel", "bias"))
    # From here on the SavedModels fill the memory, one at a time; the checkpoint makes room.
    arrays.clear()
    outputs: dict[str, np.ndarray] = {}
    evaluated = None
    for head in ("fe", "classification"):
        folder = subject.folders[head]
        found, module, outputs[head] = checks.check_module(
            folder, inputs, expected, head, weights[head], model.tolerance
        )
        report["modules"][head] = found | {"needs": needs[head]}
        if head == "classification":
            through_head = outputs["fe"] @ kernel + bias
            report["features"] = checks.compare(through_head, outputs[head], model.tolerance, logits=True)
            # Hours of images are for a model that computes what it should.
            if task and not ladder.failures(report):

                def predict(images: np.ndarray, module: Any = module) -> np.ndarray:
                    logits: np.ndarray = module(images).numpy()
                    return logits

                evaluated = classify.evaluate(task, predict, found["content_sha256"], shards, label)
                del predict
        del module
        gc.collect()  # a loaded module refers to itself; the next one needs its room
    if ladder.failures(report):
        return evaluated
    for head, found in gradients.in_own_processes(model, subject.checkpoint, subject.folders).items():
        report["modules"][head] |= found
    return evaluated


def validate(
    subject: Subject, task: Task | None, own: bool, shards: Path, label: str = "validate"
) -> tuple[Report, Predictions | None]:
    """Measures both modules of a member and returns the report, gates not yet enforced, and the predictions.

    Args:
        subject: what is validated.
        task: the images to classify, or None.
        own: whether they are known to be of the data set that the section `evaluation` names.
        shards: a folder for what is done while images are classified.
        label: the first words of progress lines.

    Raises:
        Fault: when an input is missing or malformed.
    """
    without = f"its publisher had no images of {subject.evaluation.dataset} at hand"
    report: Report = {
        "checkpoint": provenance.read(subject.checkpoint).facts() | {"bytes": subject.checkpoint.stat().st_size},
        "model": asdict(subject.model) | {"hybrid": subject.model.variant in HYBRIDS},
        "environment": {package: version(package) for package in ("flax", "jax", "numpy", "tensorflow")}
        | {"python": platform.python_version(), "machine": platform.machine()},
        "modules": {},
        "accuracy": summary.unmeasured(subject.evaluation, ladder.SKIPPED if task else without),
    }
    evaluated = _checked(subject, task, report, shards, label)
    if task and evaluated is not None:
        other = None if own else summary.other_dataset(task)
        report["accuracy"] = summary.summary(
            subject.evaluation, task, evaluated, subject.names, subject.model.classes, other
        )
    report["ladder"] = [asdict(rung) for rung in ladder.rungs(report)]
    return report, evaluated.predictions if evaluated is not None else None


def _store(predictions: Predictions | None, path: Path) -> None:
    """Writes what was predicted, or removes what an earlier run did where there is nothing."""
    if predictions is not None:
        predictions.save(path)
    else:
        path.unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> str:
    if arguments and not arguments[0].startswith("-") and not arguments[0].endswith(".yaml"):
        raise Fault(
            f"{shown(arguments[0])}: expected a member's YAML file; to measure anybody's module, run python -m"
            " pipeline.evaluate MODULE --images PLACE"
        )
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.validate",
        description="Validates a member's SavedModels; for anybody's module see python -m pipeline.evaluate --help.",
    )
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("checkpoint", type=Path, help="its checkpoint, an .npz file")
    parser.add_argument("classification", type=Path, help="the classifier's SavedModel")
    parser.add_argument("fe", type=Path, help="the feature extractor's SavedModel")
    parser.add_argument("report", type=Path, help="the report to write, JSON")
    parser.add_argument(
        "--imagenet", type=Path, help="images for a member that brings none of its own, in any layout that README names"
    )
    parser.add_argument("--images", type=Path, help="images of the member's own data set to use in place of any other")
    parser.add_argument("--real", type=Path, help="the ReaL labels of ImageNet's validation set, real.json")
    parser.add_argument("--samples", type=int, help="how many images to use (default: all)")
    args = parser.parse_args(arguments)
    member = Member(args.member)
    subject = Subject(
        member.section("model", Model),
        member.section("evaluation", Evaluation),
        (),
        args.checkpoint,
        {"classification": args.classification, "fe": args.fe},
        collection_of(args.member, None)[0].activation,
    )
    model, name = subject.model, member.name
    if model.labels:
        subject = replace(subject, names=labels.read(member.folder / model.labels, model.classes))
    place = args.images or section.images_of(subject.evaluation, member.folder, args.imagenet)
    failed = args.report.with_name(args.report.name + FAILED)
    if place is None:
        how = section.how_to_give_images(subject.evaluation)
        refuse_to_forget(args.report, failed, args.checkpoint)
        print(f"validate {name}: accuracy is not measured: no images ({how})", file=sys.stderr)
    own = bool(args.images or subject.evaluation.images)
    task = task_of(subject, place, args.real, args.samples)
    if task:
        refuse_fewer(failed, args.checkpoint, len(task.chosen))
    shards = args.report.with_name(args.report.name + ".shards")
    report, predictions = validate(subject, task, own, shards, f"validate {name}")
    plots = render_plots(name, report)
    report["plots"] = [{"file": plot.file, "title": plot.title} for plot in plots]
    text = json.dumps(report, indent=2, sort_keys=True) + "\n"
    stored = args.report.with_name(FILE)
    failed_stored = stored.with_name(FILE + FAILED)
    if sentences := ladder.failures(report):
        _store(predictions, failed_stored)
        write_text(failed, text)
        hint = f"; make contact-sheet MODEL={name} shows the wrong predictions" if predictions is not None else ""
        raise Fault(f"{name}: " + "; ".join(sentences) + f". Nothing is published; all figures are in {failed}{hint}")
    for sentence in ladder.failures(report, gate=False):
        print(f"validate {name}: {sentence}", file=sys.stderr)
    with replacing_folder(args.report.with_name("plots")) as out:
        for plot in plots:
            (out / plot.file).write_text(plot.svg, encoding="utf-8")
    _store(predictions, stored)
    write_text(args.report, text)
    failed.unlink(missing_ok=True)
    failed_stored.unlink(missing_ok=True)
    shutil.rmtree(shards, ignore_errors=True)
    return name


if __name__ == "__main__":
    raise SystemExit(command("validate", main))
