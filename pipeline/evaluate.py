"""evaluate: measures accuracy and speed of any image classifier on labelled images, and compares two.

    python -m pipeline.evaluate MODULE --images PLACE [--labels FILE] [--against MODULE] [--samples N] [--real FILE]
                                [--split SPLIT] [--signature NAME] [--output NAME] [--tags TAG,TAG] [--size N]
                                [--layout NHWC|NCHW] [--range LOW,HIGH|imagenet] [--background [0|1]]
                                [--protocol resize|crop] [--activation softmax|sigmoid]
                                [--against-signature NAME and so on] [--trust] [--report FILE] [--cache FOLDER]
                                [--offline]

MODULE is a folder, an archive or an address, as pipeline/saved_model/remote.py opens it. How it is called is read from
its files (pipeline/accuracy/interface.py); options say what these leave open, and are refused where they contradict
them. Those of MODULE count for --against too where they fit it, unless it has its own. Messages use make's names: SIZE=
is --size. A run with --report that is killed is resumed by the next one.

A model is a program: one that reads files that are not its own, writes files or uses the network is refused without
--trust. Everything runs in a forked process, so that a model which makes TensorFlow abort is named.

The exit status is 1 when the labels are in another order than the outputs of a module; the figures are written all the
same. An accuracy at chance ends with a warning and exit status 0: it is what was measured.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from pipeline.accuracy import classify, classifying, statistics, summary
from pipeline.accuracy.classify import Predict, Task
from pipeline.accuracy.interface import Interface, choose_interface, choose_meta_graph
from pipeline.accuracy.label_order import check_label_order
from pipeline.accuracy.module_figures import ModuleFigures, describe, is_at_chance, warn_of_chance
from pipeline.accuracy.module_settings import AGAINST, NAMES, ModuleSettings, read_settings
from pipeline.accuracy.predictions import Predictions
from pipeline.accuracy.statistics import McNemarTest
from pipeline.accuracy.third_party import load_classifier, measure_speed, to_logits
from pipeline.base.addresses import public_address
from pipeline.base.command import command
from pipeline.base.data import data_path
from pipeline.base.fault import Fault, list_names
from pipeline.base.files import write_text
from pipeline.base.program import program
from pipeline.base.status import Status
from pipeline.base.supervision import note, supervised
from pipeline.base.verdict import Verdict
from pipeline.download import cache
from pipeline.images import image_set, labels
from pipeline.images.split import add_split
from pipeline.model.protocols import PROTOCOLS
from pipeline.saved_model import graph
from pipeline.saved_model.faults import find_missing_operations
from pipeline.saved_model.files import model_digest
from pipeline.saved_model.load import start_tensorflow
from pipeline.saved_model.meta_graphs import MetaGraph
from pipeline.saved_model.opening import read_files
from pipeline.saved_model.remote import Downloads, open_model
from pipeline.saved_model.trust import find_deeds, inspect_named, refuse_untrusted

IMAGENET_LABELS = data_path("model_cards/vit/imagenet2012.tsv")

_HELP = {
    "signature": "the signature to call, or __call__ for the model itself",
    "output": "the output to measure, of several",
    "tags": "those of the meta graph to load, with commas between them",
    "size": "side of the input in pixels, for modules that take any",
    "layout": "NHWC or NCHW, for modules whose files leave it open",
    "range": "of the pixels: two numbers, such as --range=-1,1, or imagenet (mean and standard deviation)",
    "background": "1: the first output is none of the labels",
    "protocol": "how images are resized: resize (default) or crop",
    "activation": "what turns logits into probabilities, for the calibration: softmax (default) or sigmoid",
}


@dataclass(frozen=True)
class Candidate:
    """A module to measure.

    Attributes:
        name: its folder, archive or address, without a password.
        folder: its files, unpacked.
        settings: what was said of it.
        interface: how it is called.
    """

    name: str
    folder: Path
    settings: ModuleSettings
    interface: Interface


@dataclass(frozen=True)
class Loaded:
    """A module that was run.

    Attributes:
        candidate: the module.
        task: the images, as it takes them.
        predict: maps them to logits.
        forward_rate: images per second of the forward pass alone.
    """

    candidate: Candidate
    task: Task
    predict: Predict
    forward_rate: float


@dataclass(frozen=True)
class Conditions:
    """What the modules are measured on.

    Attributes:
        task: the images; size, protocol, range and activation depend on the module.
        names: the labels in the order of the outputs.
    """

    task: Task
    names: Sequence[labels.Label]


def open_candidates(args: argparse.Namespace, classes: int, stack: ExitStack) -> list[Candidate]:
    """Opens the modules and chooses how to call them, without TensorFlow.

    Args:
        args: the command line.
        classes: how many labels there are.
        stack: what keeps the modules unpacked.

    Raises:
        Fault: when one cannot be opened, or the settings do not fit it.
    """
    given = [(args.module, read_settings(vars(args)))]
    if args.against:
        given.append((args.against, read_settings(vars(args), AGAINST)))
    elif own := [name for name in NAMES if getattr(args, f"against_{name}")]:
        raise Fault(f"{AGAINST}{own[0].upper()} is given without {AGAINST.removesuffix('_')}, the second module")
    downloads = Downloads(cache.folder(args.cache), args.offline)
    candidates = []
    for name, settings in given:
        setting, shown = "AGAINST" if settings.prefix else "MODULE", public_address(name)
        folder, choice = stack.enter_context(open_model(name, setting, downloads))
        if choice:
            print(f"evaluate: {shown}: {choice}", file=sys.stderr, flush=True)
        model = inspect_named(folder, shown)
        if model.damage:
            raise Fault(f"{shown}: {model.damage}")
        files, content = read_files(folder)
        is_own = (folder / "assets.extra" / "provenance.json").is_file()
        saved_model = graph.parse(content, shown, files.graph)
        chosen = choose_meta_graph(shown, saved_model, settings)
        number = next(number for number, meta in enumerate(saved_model.meta_graphs) if meta is chosen)
        refuse_missing_operations(shown, model.meta_graphs[number])
        if not args.trust:
            refuse_untrusted(shown, model, number, folder)
        elif deeds := list(find_deeds(model, number, folder)):
            print(f"evaluate: {shown}: trusted with TRUST=1, it {'; it '.join(deeds)}", file=sys.stderr, flush=True)
        interface = choose_interface(shown, chosen, settings, classes, is_own)
        candidates.append(Candidate(shown, folder, settings, interface))
    return candidates


def refuse_missing_operations(where: str, meta: MetaGraph) -> None:
    """Raises Fault where the installed TensorFlow cannot load a meta graph, since it lacks operations of it."""
    installed = version("tensorflow")
    if missing := find_missing_operations(meta, installed):
        raise Fault(
            f"{where}: TensorFlow {installed} cannot load it, since it lacks operations: {list_names(missing, 3)};"
            " evaluate imports no other library, so measure a model that was saved without them"
        )


def load(candidate: Candidate, conditions: Conditions) -> Loaded:
    """Loads a module, runs it on blank images and times that.

    Raises:
        Fault: when it cannot be loaded or run, or has another number of outputs.
    """
    settings = candidate.settings
    task = replace(
        conditions.task,
        size=candidate.interface.input.size or 0,
        protocol=settings.protocol or PROTOCOLS[0],
        activation=settings.activation or "softmax",
        pixels=candidate.interface.pixels,
    )
    with Status(candidate.name) as status:
        status.begin("loading")
        note(f"loading {candidate.name} with TensorFlow")
        classifier = load_classifier(candidate.name, candidate.folder, candidate.interface, settings.prefix)
        predict = to_logits(classifier, len(conditions.names), task.activation)
        status.begin("timing the forward pass")
        note(f"running {candidate.name} with TensorFlow")
        return Loaded(candidate, task, predict, measure_speed(predict, classify.blank(task)))


def measure(module: Loaded, names: Sequence[labels.Label], shards: Path) -> tuple[ModuleFigures, Predictions]:
    """Classifies the images with a module.

    Args:
        module: the module.
        names: the labels in the order of the outputs.
        shards: the folder for accuracy.shards.Shards.
    """
    candidate, task = module.candidate, module.task
    note(f"running {candidate.name} with TensorFlow")
    interface, digest = candidate.interface, model_digest(candidate.folder)
    source = interface.input
    evaluated = classifying.evaluate(task, module.predict, f"{digest} {interface}", shards, candidate.name)
    order = check_label_order(evaluated.predictions, names, len(names))
    figures = ModuleFigures(
        **vars(summary.compute_figures(task, evaluated, names, len(names))),
        module=candidate.name,
        content_sha256=digest,
        tags=interface.tags,
        signature=interface.signature,
        input=source.name,
        input_type=str(source.tensor),
        layout_of_pixels=source.layout,
        output=interface.output,
        image_size=source.size,
        range=interface.pixels.name if interface.pixels else None,
        activation=task.activation,
        layout=task.images.description,
        split=task.images.split,
        training_images=summary.count_training_images(task),
        protocol=task.protocol if interface.pixels else None,
        manifest_sha256=image_set.manifest_digest(task.chosen),
        damaged=evaluated.damaged,
        images_per_second=evaluated.rate,
        forward_images_per_second=module.forward_rate,
        label_order=order,
        at_chance=is_at_chance(order, len(evaluated.predictions)),
    )
    return figures, evaluated.predictions


def compare(candidates: Sequence[Candidate], predictions: Sequence[Predictions]) -> McNemarTest:
    """Compares two modules on the same images."""
    a, b = (candidate.name for candidate in candidates)
    if a == b:  # measured in two ways, such as two ranges
        a, b = f"{a} (the first)", f"{b} (the second)"
    return statistics.mcnemar(predictions[0].right, predictions[1].right, a, b)


def refuse_other_order(figures: Sequence[ModuleFigures], label_file: Path) -> None:
    """Refuses figures that were measured with labels in another order than the outputs.

    Args:
        figures: of each module.
        label_file: the file of the labels.

    Raises:
        Fault: names each such module and the evidence.
    """
    if wrong := [
        f"{module.module}: {module.label_order.reason}"
        for module in figures
        if module.label_order.verdict is Verdict.FAIL
    ]:
        raise Fault(
            f"{'; '.join(wrong)}. So the accuracy has no meaning: got the labels of {label_file}, expected a file in"
            " the order of the outputs; pass --labels, or LABELS= to make evaluate"
        )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("evaluate"),
        description="Measures any image classifier on labelled images.",
        epilog="Messages use the names of make's settings: SIZE= is --size, AGAINST_SIZE= is --against-size.",
    )
    parser.add_argument("module", help="the folder, archive or address of a SavedModel")
    parser.add_argument(
        "--images", type=Path, metavar="PLACE", required=True, help="the images, in a layout of docs/images.md"
    )
    parser.add_argument("--labels", type=Path, default=IMAGENET_LABELS, help="the label file (default: ImageNet-1k's)")
    parser.add_argument("--against", help="a second module, to compare with on the same images")
    parser.add_argument("--samples", type=int, help="how many images to use (default: all)")
    add_split(parser)
    parser.add_argument("--real", type=Path, help="the ReaL labels of ImageNet's validation set, real.json")
    for name in NAMES:
        flag = {"nargs": "?", "const": "1"} if name == "background" else {}
        parser.add_argument(f"--{name}", **flag, help=_HELP[name])  # type: ignore[arg-type]
        parser.add_argument(f"--against-{name}", **flag, help=f"that of the second module (default: --{name})")  # type: ignore[arg-type]
    parser.add_argument(
        "--trust", action="store_true", help="run modules that read or write files or use the network, too"
    )
    parser.add_argument("--report", type=Path, help="write the figures to this file as JSON")
    cache.add_options(parser)
    return parser.parse_args(arguments)


def _read_conditions(args: argparse.Namespace, names: Sequence[labels.Label]) -> Conditions:
    try:
        images = image_set.open_images(args.images, names, args.real, args.split)
    except labels.UnknownClass as fault:
        hint = "; for other classes than ImageNet-1k's pass --labels, or LABELS= to make evaluate"
        raise Fault(f"{fault}{hint if args.labels == IMAGENET_LABELS else ''}") from None
    return Conditions(Task(images, image_set.choose(images, args.samples), 0), names)


def _measure_all(
    candidates: Sequence[Candidate], conditions: Conditions, report: Path | None
) -> tuple[list[ModuleFigures], list[Predictions]]:
    """Measures each module and prints its figures; with a report, what is done of it survives a kill.

    All are loaded first: one that fails is refused before the other has classified the images for an hour.
    """
    figures, predictions = [], []
    loaded = [load(candidate, conditions) for candidate in candidates]
    with tempfile.TemporaryDirectory() as scratch:
        shards = report.with_name(f"{report.name}.shards") if report else Path(scratch)
        for number, module in enumerate(loaded):
            measured, rows = measure(module, conditions.names, shards / str(number))
            figures.append(measured)
            predictions.append(rows)
            print(describe(measured), flush=True)
    return figures, predictions


def _write_report(report: Path, figures: Sequence[ModuleFigures], comparison: McNemarTest | None) -> None:
    record = {"modules": [asdict(module) for module in figures]}
    more = {"mcnemar": asdict(comparison)} if comparison else {}
    write_text(report, json.dumps(record | more, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(report.with_name(f"{report.name}.shards"), ignore_errors=True)


def main(arguments: Sequence[str]) -> str:
    args = _parse(arguments)
    names = labels.read(args.labels)
    if len(names) == 1:
        raise Fault(f"{args.labels}: one label, so that every prediction is right; expected a label for each output")
    with ExitStack() as stack:
        candidates = open_candidates(args, len(names), stack)
        conditions = _read_conditions(args, names)
        print(f"evaluate: {summary.describe_images(conditions.task)}", flush=True)
        start_tensorflow()
        figures, predictions = _measure_all(candidates, conditions, args.report)
    comparison = compare(candidates, predictions) if args.against else None
    if comparison:
        print(comparison.sentence)
    if args.report:
        _write_report(args.report, figures, comparison)
    refuse_other_order(figures, args.labels)
    for module, candidate in zip(figures, candidates, strict=True):
        if module.at_chance:
            warning = warn_of_chance(module, candidate.interface, candidate.settings.prefix)
            print(f"evaluate: {warning}", file=sys.stderr, flush=True)
    return public_address(args.module)


if __name__ == "__main__":
    raise SystemExit(supervised("evaluate", lambda: command("evaluate", main)))
