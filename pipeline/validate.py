"""validate: proves that the SavedModels on disk compute what the checkpoint does, and measures how well they classify.

    python -m pipeline.validate MEMBER.yaml CHECKPOINT CLASSIFICATION FE REPORT [--imagenet PLACE] [--images PLACE]
                                [--real FILE] [--samples N] [--split SPLIT]

Runs in a process of its own and reads only files. The figures go to REPORT, their plots to the folder plots beside it,
the predictions for the images to predictions.npz, and the pictures of example predictions to the folder examples. When
a gate fails, all of these keep their earlier content, the figures go to `<REPORT>.failed`, the predictions to
predictions.npz.failed, and the exit status is 1. A run that is killed while it classifies images is resumed by the next
one, which also takes the images that python -m pipeline.classify has classified.
"""

import argparse
import gc
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.accuracy import classify, classifying, examples, member_images, section, summary
from pipeline.accuracy.classify import Evaluated, Task
from pipeline.accuracy.plots import render_plots
from pipeline.accuracy.predictions import Predictions
from pipeline.accuracy.result_files import ResultFiles, refuse_fewer, refuse_to_forget
from pipeline.accuracy.section import Evaluation
from pipeline.accuracy.shards import name_folder, remove_shards
from pipeline.base.addresses import public_address
from pipeline.base.command import command
from pipeline.base.environment import VALIDATE, prepare_environment
from pipeline.base.fault import Fault
from pipeline.base.files import replacing_folder, write_text
from pipeline.base.forks import offering_copies
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import npz, provenance
from pipeline.facts.checks import LoaderCheck, Needs
from pipeline.facts.collection import FILE, collection_of
from pipeline.facts.report import CheckpointFacts, Environment, ModelFacts, Report, report_text
from pipeline.images import labels
from pipeline.model.facts import describe_model
from pipeline.model.networks import announce, open_network
from pipeline.model.section import Model
from pipeline.proof import c_api, checks, gradients, ladder
from pipeline.proof.checklist import Checklist
from pipeline.proof.checks import CheckedModule, Reference
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.load import import_libraries, start_tensorflow
from pipeline.saved_model.programs import shared_programs

if TYPE_CHECKING:
    from pipeline.model.network import Network

PARITY_IMAGES = 16


@dataclass(frozen=True)
class Subject:
    """What is validated.

    Attributes:
        home: the folder of the member's YAML file.
        model: the section `model`.
        evaluation: the section `evaluation`.
        names: the labels in the order of the logits; needed when there are images.
        checkpoint: the file.
        folders: the SavedModels.
        activation: what turns the logits into probabilities, "softmax" or "sigmoid".
    """

    home: Path
    model: Model
    evaluation: Evaluation
    names: Sequence[labels.Label]
    checkpoint: Path
    folders: Mapping[Head, Path]
    activation: str = "softmax"


# Images ---------------------------------------------------------------------------------------------------------------
def parity_inputs(task: Task | None, size: int) -> tuple[np.ndarray, str]:
    """Returns PARITY_IMAGES inputs, float32 (n, size, size, 3), and a description: images, or noise from a fixed seed.

    Damaged images are skipped. With fewer images it is noise, since batches of several sizes are compared.
    """
    if task and len(task.chosen) >= PARITY_IMAGES:
        inputs = []
        for example in task.chosen:
            try:
                inputs.append(classify.prepare_image(task, example))
            except Fault:  # evaluate() reports and counts it
                continue
            if len(inputs) == PARITY_IMAGES:
                return np.stack(inputs), "evaluation images"
    noise = np.random.default_rng(0).uniform(-1, 1, (PARITY_IMAGES, size, size, 3))
    return noise.astype(np.float32), "images of uniform noise in [-1, 1], seed 0"


# Measurements ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Expected:
    """What the modules are compared with.

    Attributes:
        reference: the weights and outputs.
        inputs: a description of the inputs.
        model: the model's facts for the report.
    """

    reference: Reference
    inputs: str
    model: ModelFacts


def _compute_reference(subject: Subject, network: "Network", task: Task | None) -> Expected:
    """Returns what the modules are compared with."""
    parameters = npz.load(subject.checkpoint, network)
    start_tensorflow()
    from pipeline.model.network import count_operations

    inputs, description = parity_inputs(task, subject.model.image_size)
    facts = ModelFacts(
        **describe_model(subject.model, network.architecture),
        frozen=network.frozen,
        has_background=labels.has_background(subject.names),
        checkpoint_image_size=parameters.image_size,
        operations=count_operations(network, parameters.arrays),
    )
    reference = checks.compute_reference(network, parameters.arrays, inputs, parameters.image_size)
    return Expected(reference, description, facts)


def _empty_report(subject: Subject, expected: Expected, unmeasured: str) -> Report:
    """Returns a report without measurements.

    Args:
        subject: what is validated.
        expected: what its modules are compared with.
        unmeasured: why there is no accuracy.
    """
    origin = provenance.read(subject.checkpoint)
    packages = {package: version(package) for package in ("flax", "jax", "numpy", "tensorflow")}
    return Report(
        checkpoint=CheckpointFacts(**asdict(origin), bytes=subject.checkpoint.stat().st_size),
        model=expected.model,
        environment=Environment(**packages, python=platform.python_version(), machine=platform.machine()),
        parity_inputs=expected.inputs,
        modules={},
        features=None,
        accuracy=summary.unmeasured(subject.evaluation, unmeasured),
    )


def _check_modules(
    subject: Subject,
    needs: Mapping[Head, Needs],
    reference: Reference,
    report: Report,
    add_training: Callable[[Report], Report] | None,
    classify_images: Callable[[CheckedModule], Evaluated] | None,
    first_in_c_api: Callable[[], LoaderCheck],
    checklist: Checklist,
) -> tuple[Report, Evaluated | None]:
    """Checks both modules and classifies the images; returns the report with the checks, and the predictions.

    The SavedModels fill the memory, so one is loaded at a time here; the C API loads the next one meanwhile. Images,
    which may take hours, are classified only if all checks passed, `add_training` among them: it waits for those that
    were made meanwhile. `first_in_c_api` waits for the C API with the extractor.
    """

    answers = Classes(subject.activation, tuple(label.name for label in subject.names))

    def check(head: Head, in_c_api: Callable[[], LoaderCheck]) -> CheckedModule:
        return checks.check_module(subject.folders[head], head, needs[head], reference, answers, in_c_api, checklist)

    with c_api.start(subject.folders[Head.CLASSIFICATION]) as second_in_c_api:
        extractor = check(Head.FE, first_in_c_api)
        features, modules = extractor.outputs, {Head.FE: extractor.report}
        del extractor
        gc.collect()  # a loaded module refers to itself
        classifier = check(Head.CLASSIFICATION, second_in_c_api)
    modules[Head.CLASSIFICATION] = classifier.report
    heads = checks.compare_heads(features, classifier.outputs, reference)
    checklist.show("features", ladder.judge_features(heads))
    report = replace(report, modules=modules, features=heads)
    if add_training and not ladder.failures(report):
        report = add_training(report)
    evaluated = classify_images(classifier) if classify_images and not ladder.failures(report) else None
    del classifier
    gc.collect()
    return report, evaluated


def _add_training(report: Report, wait: gradients.Wait | None, checklist: Checklist) -> Report:
    """Returns the report with the checks of gradients and fine-tuning; without them where there is nothing to wait for.

    Args:
        report: of modules that passed all other checks.
        wait: see gradients.start(); None for modules that are frozen.
        checklist: prints the rungs.
    """
    if wait is None:
        for rung in ladder.rungs(report):
            if rung.rung in ladder.TRAINING:
                checklist.show(f"{rung.head} {rung.rung}", ladder.not_measured(rung.reason))
        return report
    checklist.begin("gradients")
    training = wait(checklist.show_training)
    modules = {
        head: replace(module, gradients=training[head].gradients, fine_tuning=training[head].fine_tuning)
        for head, module in report.modules.items()
    }
    return replace(report, modules=modules)


def _why_unmeasured(subject: Subject, task: Task | None) -> str:
    """Returns why a report has no accuracy as long as no images are classified."""
    if reason := section.why_unmeasurable(subject.model.classes, subject.evaluation):
        return reason
    return ladder.SKIPPED if task else f"no images of {subject.evaluation.dataset}"


def validate(
    subject: Subject,
    needs: Mapping[Head, Needs],
    first_in_c_api: Callable[[], LoaderCheck],
    task: Task | None,
    own: bool,
    shards: Path,
    checklist: Checklist,
) -> tuple[Report, Predictions | None]:
    """Measures both modules of a member; returns the report, whatever its gates say, and the predictions.

    Args:
        subject: what is validated.
        needs: what the modules need of their users.
        first_in_c_api: waits for the extractor's self-test in the C API, see c_api.start().
        task: the images to classify, or None.
        own: whether they are surely of the data set that the section `evaluation` names.
        shards: the folder for accuracy.shards.Shards.
        checklist: prints the rungs as they are climbed.

    Raises:
        Fault: when an input is missing or malformed.
    """
    checklist.begin("the JAX model's outputs in float64")
    network = open_network(subject.model, subject.home)
    is_early = bool(network.frozen) or gradients.fits_memory(subject.checkpoint, subject.model.image_size)
    training: AbstractContextManager[gradients.Wait | None] = (
        nullcontext()
        if network.frozen
        else gradients.start(subject.model, subject.home, subject.checkpoint, subject.folders, at_once=is_early)
    )
    with training as wait:
        expected = _compute_reference(subject, network, task)
        reference, inputs = expected.reference, expected.inputs
        checklist.show_step("reference", f"the JAX model's outputs in float64 for {len(reference.inputs)} {inputs}")
        report = _empty_report(subject, expected, _why_unmeasured(subject, task))

        def classify_images(module: CheckedModule) -> Evaluated:
            assert task is not None
            with checklist.hidden():
                return classifying.evaluate(task, module.predict, module.report.content_sha256, shards, checklist.label)

        def add_training(report: Report) -> Report:
            return _add_training(report, wait, checklist)

        is_measurable = task is not None and not section.why_unmeasurable(subject.model.classes, subject.evaluation)
        report, evaluated = _check_modules(
            subject,
            needs,
            reference,
            report,
            add_training if is_early else None,
            classify_images if is_measurable else None,
            first_in_c_api,
            checklist,
        )
        is_proven = not ladder.failures(report)
        if task and evaluated:
            other = summary.other_dataset(task, own)
            classes = subject.model.classes
            accuracy = summary.summarize(subject.evaluation, task, evaluated, subject.names, classes, other)
            if image_size := expected.model.checkpoint_image_size:
                accuracy = summary.of_resized(accuracy, image_size, subject.model.image_size)
            report = replace(report, accuracy=accuracy)
        for rung, result in ladder.judge_accuracy(report.accuracy).items():
            checklist.show(rung, result)
        if is_proven and not is_early:
            report = add_training(report)
        return replace(report, ladder=ladder.rungs(report)), evaluated.predictions if evaluated else None


# Files ----------------------------------------------------------------------------------------------------------------
def write_results(
    name: str,
    report: Report,
    predictions: Predictions | None,
    files: ResultFiles,
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Writes the report, its plots and the predictions; of a run that failed a gate, to the `.failed` files.

    Args:
        name: the member.
        report: what validate() returned.
        predictions: likewise.
        files: where to write.
        pictures: of the example predictions, by file name; a failed run has none.

    Raises:
        Fault: when a gate failed; names every failure.
    """
    plots = render_plots(name, report)
    text = report_text(replace(report, plots=tuple(plots)))
    if sentences := ladder.failures(report):
        _write_predictions(predictions, files.failed.predictions)
        write_text(files.failed.report, text)
        hint = f"; make contact-sheet MODEL={name} shows the wrong predictions" if predictions is not None else ""
        raise Fault(
            f"{name}: {'; '.join(sentences)}. Nothing is published; all figures are in {files.failed.report}{hint}"
        )
    with replacing_folder(files.plots) as out:
        for plot, svg in plots.items():
            (out / plot.file).write_text(svg, encoding="utf-8")
    with replacing_folder(files.examples) as out:
        for file, content in (pictures or {}).items():
            (out / file).write_bytes(content)
    _write_predictions(predictions, files.predictions)
    write_text(files.report, text)
    files.failed.report.unlink(missing_ok=True)
    files.failed.predictions.unlink(missing_ok=True)


def _write_predictions(predictions: Predictions | None, path: Path) -> None:
    """Writes the predictions, or removes those of an earlier run where there are none."""
    if predictions is not None:
        predictions.save(path)
    else:
        path.unlink(missing_ok=True)


# The command ----------------------------------------------------------------------------------------------------------
def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    if arguments and not arguments[0].startswith("-") and not arguments[0].endswith(".yaml"):
        raise Fault(
            f"{public_address(arguments[0])}: expected a member's YAML file; to measure any other module, run python -m"
            " pipeline.evaluate MODULE --images PLACE"
        )
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.validate",
        description="Validates a member's SavedModels; for other modules see python -m pipeline.evaluate --help.",
    )
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("checkpoint", type=Path, help="its checkpoint, an .npz file")
    parser.add_argument("classification", type=Path, help="the classifier's SavedModel")
    parser.add_argument("fe", type=Path, help="the feature extractor's SavedModel")
    parser.add_argument("report", type=Path, help="the report to write, JSON")
    member_images.add_options(parser)
    return parser.parse_args(arguments)


def read_subject(member: Member, checkpoint: Path, folders: Mapping[Head, Path]) -> Subject:
    """Reads what is validated from a member's file, its label file and its collection.yaml.

    Args:
        member: the member's file.
        checkpoint: the member's checkpoint.
        folders: the SavedModels.

    Raises:
        Fault: when one of the files is malformed.
    """
    model = member.section("model", Model)
    evaluation = member.section("evaluation", Evaluation)
    collection = collection_of(member.path, None)[0]
    section.require_images_license(evaluation.examples, collection.images_license, member.path.with_name(FILE))
    names = labels.read(member.folder / model.labels, model.classes) if model.labels else ()
    return Subject(member.folder, model, evaluation, names, checkpoint, folders, collection.activation)


def main(arguments: Sequence[str]) -> str:
    args = _parse(arguments)
    member = Member(args.member)
    folders = {Head.CLASSIFICATION: args.classification, Head.FE: args.fe}
    subject = read_subject(member, args.checkpoint, folders)
    if args.images:  # whose licence nobody has stated
        subject = replace(subject, evaluation=replace(subject.evaluation, examples=0))
    evaluation, files = subject.evaluation, ResultFiles(args.report)
    announce("validate", subject.model, subject.home)
    images = member_images.read_settings(args, evaluation, member.folder)
    if reason := section.why_unmeasurable(subject.model.classes, evaluation):
        print(f"validate {member.name}: accuracy is not measured: {reason}", file=sys.stderr)
    elif images.place is None:
        refuse_to_forget(files, args.checkpoint)
        how = section.how_to_give_images(evaluation)
        print(f"validate {member.name}: accuracy is not measured: no images ({how})", file=sys.stderr)
    task = member_images.choose_task(subject.model, evaluation, subject.names, subject.activation, images)
    if task:
        print(f"validate {member.name}: {summary.describe_images(task)}", file=sys.stderr)
        refuse_fewer(files, args.checkpoint, len(task.chosen))
    own = bool(args.images or evaluation.images)
    needs = {head: checks.read_needs(folder) for head, folder in folders.items()}
    with ExitStack() as stack:
        first_in_c_api = stack.enter_context(c_api.start(folders[Head.FE]))  # beside the imports
        import_libraries()
        stack.enter_context(offering_copies())  # before the checklist starts a thread
        checklist = stack.enter_context(Checklist(f"validate {member.name}", has_images=task is not None))
        report, predictions = validate(subject, needs, first_in_c_api, task, own, files.shards, checklist)
    measured, count, pictures = report.accuracy.measured, evaluation.examples, None
    if task and measured and predictions is not None:
        pictures = examples.draw(task, measured, predictions, count)
    write_results(member.name, report, predictions, files, pictures)
    digest = report.modules[Head.CLASSIFICATION].content_sha256
    remove_shards(files.shards, name_folder(task, digest) if task else None)
    return member.name


def _main_with_programs(arguments: Sequence[str]) -> str:
    """Runs main() in a process that has just begun: TensorFlow reads its settings once."""
    with shared_programs(_parse(arguments).report.with_name("programs")):
        return main(arguments)


if __name__ == "__main__":
    prepare_environment("validate", VALIDATE)
    raise SystemExit(command("validate", _main_with_programs))
