"""evaluate: measures accuracy and speed of any image classifier on labelled images, and compares two.

    python -m pipeline.evaluate MODULE --images PLACE [--labels FILE] [--against MODULE] [--samples N] [--real FILE]
                                [--split SPLIT] [--protocol resize|crop] [--size N] [--range LOW,HIGH]
                                [--against-range LOW,HIGH] [--activation softmax|sigmoid]
                                [--against-activation softmax|sigmoid] [--background] [--report FILE] [--cache FOLDER]
                                [--offline]

MODULE is a folder, an archive or an address, as pipeline/saved_model/opening.py opens it. The module's own statements
win: the size of its input, and, for a module of this project, the range of the pixels, whatever --range says. A run
with --report that is killed is resumed by the next one. The exit status is 1 when the labels are in another order than
the outputs of a module; the figures are written all the same.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.accuracy import classify, statistics, summary
from pipeline.accuracy.classify import Task
from pipeline.accuracy.label_order import check_label_order
from pipeline.accuracy.predictions import Predictions
from pipeline.accuracy.statistics import McNemarTest, percent
from pipeline.accuracy.third_party import Classifier, load_classifier, measure_speed, to_logits
from pipeline.base.command import command
from pipeline.base.fault import Fault, hide_password
from pipeline.base.files import write_text
from pipeline.base.verdict import Verdict
from pipeline.download import cache
from pipeline.facts.accuracy import Figures, Interval, LabelOrder
from pipeline.facts.collection import ACTIVATIONS
from pipeline.images import image_set, labels
from pipeline.images.split import add_split
from pipeline.model.protocols import PROTOCOLS
from pipeline.saved_model.load import start_tensorflow
from pipeline.saved_model.remote import Downloads, open_model

IMAGENET_LABELS = Path(__file__).parents[1] / "model_cards/vit/imagenet2012.tsv"
RANGES = ("-1,1", "0,1")


@dataclass(frozen=True)
class Candidate:
    """A module to measure.

    Attributes:
        name: its folder, archive or address.
        range: one of RANGES, for a module that does not state it; None where it was not given.
        activation: what turns its logits into probabilities, one of ACTIVATIONS.
    """

    name: str
    range: str | None
    activation: str


@dataclass(frozen=True)
class Conditions:
    """What the modules are measured on.

    Attributes:
        task: the images; size, range and activation depend on the module.
        names: the labels in the order of the outputs.
        has_background: whether a first output stands for none of the labels.
        size: the side of the input in pixels, for modules that take any; None where it was not given.
        downloads: where modules are downloaded to.
    """

    task: Task
    names: Sequence[labels.Label]
    has_background: bool
    size: int | None
    downloads: Downloads


@dataclass(frozen=True, kw_only=True)
class ModuleFigures(Figures):
    """The figures of a module, and what they were measured on: an entry of --report's `modules`.

    Attributes:
        module, content_sha256: its name, and the digest of its files.
        image_size, range, activation: of its input in pixels, of the pixels, and of the probabilities.
        layout, split, training_images, protocol, manifest_sha256, damaged: of the images, as in
            facts.accuracy.Measured.
        images_per_second: from file to logits; None where too few were timed.
        forward_images_per_second: of the model alone.
        label_order: whether the labels are in the order of the outputs.
    """

    module: str
    content_sha256: str
    image_size: int
    range: str
    activation: str
    layout: str
    split: str | None
    training_images: int | None
    protocol: str
    manifest_sha256: str
    damaged: dict[str, str]
    images_per_second: float | None
    forward_images_per_second: float
    label_order: LabelOrder


def _input_size(classifier: Classifier, size: int | None) -> int:
    """Returns the side of a module's input in pixels: its own, or `size` where it takes any."""
    if classifier.size is None and size is None:
        raise Fault(f"{classifier.name}: it takes images of any size; pass --size, the size to measure it with")
    if classifier.size and size and size != classifier.size:
        raise Fault(
            f"{classifier.name}: it takes images of {classifier.size} pixels, got --size {size}; leave out --size"
        )
    return classifier.size or size or 0


def _pixel_range(classifier: Classifier, pixels: str | None) -> str:
    """Returns the range of the pixels that a module takes: that of this project for its modules, else `pixels`."""
    if classifier.is_own:
        return RANGES[0]
    if pixels is None:
        options = " or --range=".join(RANGES)
        raise Fault(f"{classifier.name}: it does not state the range of its pixels; pass --range={options}")
    return pixels


def measure(candidate: Candidate, conditions: Conditions, shards: Path) -> tuple[ModuleFigures, Predictions]:
    """Classifies the images with a module.

    Args:
        candidate: the module.
        conditions: the images.
        shards: the folder for classify.Shards.
    """
    names = conditions.names
    with open_model(candidate.name, "MODULE", conditions.downloads) as (folder, note):
        if note:
            print(f"evaluate: {hide_password(candidate.name)}: {note}", file=sys.stderr, flush=True)
        classifier = load_classifier(candidate.name, folder)
        size, pixels = _input_size(classifier, conditions.size), _pixel_range(classifier, candidate.range)
        task = replace(conditions.task, size=size, unit_range=pixels == "0,1", activation=candidate.activation)
        predict = to_logits(classifier, len(names), conditions.has_background, candidate.activation)
        evaluated = classify.evaluate(task, predict, classifier.digest, shards, candidate.name)
        forward_rate = measure_speed(predict, size)
    figures = ModuleFigures(
        **vars(summary.compute_figures(task, evaluated, names, len(names))),
        module=candidate.name,
        content_sha256=classifier.digest,
        image_size=size,
        range=pixels,
        activation=candidate.activation,
        layout=task.images.description,
        split=task.images.split,
        training_images=summary.count_training_images(task),
        protocol=task.protocol,
        manifest_sha256=image_set.manifest_digest(task.chosen),
        damaged=evaluated.damaged,
        images_per_second=evaluated.rate,
        forward_images_per_second=forward_rate,
        label_order=check_label_order(evaluated.predictions, names, len(names)),
    )
    return figures, evaluated.predictions


def describe(figures: ModuleFigures) -> str:
    """Returns the figures of a module for people, a line each."""
    lines = [
        ("images", f"{figures.images:,} of {figures.classes:,} classes ({figures.layout}, split"
         f" {figures.split or 'not known'}), protocol {figures.protocol}, {len(figures.damaged)} damaged"),
        ("top-1", _with_interval(figures.top1, figures.top1_interval)),
    ]  # fmt: skip
    if figures.top5 is not None and figures.top5_interval is not None:
        lines.append(("top-5", _with_interval(figures.top5, figures.top5_interval)))
    if restricted := figures.restricted:
        lines.append((f"top-1 among {restricted.classes:<5}", f"{percent(restricted.top1)}, the classes of the images"))
    if real := figures.real:
        lines.append(("ReaL", f"{percent(real.top1)} on {real.images:,} images"))
    rate = "unknown" if figures.images_per_second is None else f"{figures.images_per_second:.1f}"
    lines += [
        ("calibration error", f"{percent(figures.calibration.ece)}, {figures.activation} of the logits"),
        ("label order", f"{figures.label_order.verdict}: {figures.label_order.reason}"),
        ("images/s", f"{rate} from files, {figures.forward_images_per_second:.1f} forward pass only"),
    ]
    return "\n".join([figures.module, *(f"  {label:<17} {value}" for label, value in lines)])


def _with_interval(share: float, interval: Interval) -> str:
    return f"{percent(share)} (95 % interval {' to '.join(map(percent, interval))})"


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
        prog="python -m pipeline.evaluate", description="Measures any image classifier on labelled images."
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
    parser.add_argument("--protocol", choices=PROTOCOLS, default="resize", help="how images are resized")
    parser.add_argument("--size", type=int, help="side of the input in pixels, for modules that take any")
    parser.add_argument("--range", choices=RANGES, help="of the pixels, for modules not of this project; --range=-1,1")
    parser.add_argument("--against-range", choices=RANGES, help="that of the second module (default: --range)")
    parser.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        default="softmax",
        help="what turns logits into probabilities, for the calibration",
    )
    parser.add_argument("--against-activation", choices=ACTIVATIONS, help="that of the second (default: --activation)")
    parser.add_argument("--background", action="store_true", help="the first output is none of the labels")
    parser.add_argument("--report", type=Path, help="write the figures to this file as JSON")
    cache.add_options(parser)
    return parser.parse_args(arguments)


def _read_conditions(args: argparse.Namespace) -> Conditions:
    if args.size is not None and args.size < 1:
        raise Fault(f"--size {args.size}: expected a number of pixels from 1")
    names = labels.read(args.labels)
    try:
        images = image_set.open_images(args.images, names, args.real, args.split)
    except labels.UnknownClass as fault:
        hint = "; for other classes than ImageNet-1k's pass --labels, or LABELS= to make evaluate"
        raise Fault(f"{fault}{hint if args.labels == IMAGENET_LABELS else ''}") from None
    task = Task(images, image_set.choose(images, args.samples), 0, args.protocol)
    downloads = Downloads(cache.folder(args.cache), args.offline)
    return Conditions(task, names, args.background, args.size, downloads)


def _candidates(args: argparse.Namespace) -> list[Candidate]:
    first = Candidate(args.module, args.range, args.activation)
    if not args.against:
        return [first]
    range_, activation = args.against_range or args.range, args.against_activation or args.activation
    return [first, Candidate(args.against, range_, activation)]


def main(arguments: Sequence[str]) -> str:
    args = _parse(arguments)
    conditions, candidates = _read_conditions(args), _candidates(args)
    print(f"evaluate: {summary.describe_images(conditions.task)}", flush=True)
    start_tensorflow()
    figures: list[ModuleFigures] = []
    predictions: list[Predictions] = []
    with tempfile.TemporaryDirectory() as scratch:
        shards = args.report.with_name(f"{args.report.name}.shards") if args.report else Path(scratch)
        for number, candidate in enumerate(candidates):
            module, rows = measure(candidate, conditions, shards / str(number))
            figures.append(module)
            predictions.append(rows)
            print(describe(module), flush=True)
    comparison = compare(candidates, predictions) if args.against else None
    if comparison:
        print(comparison.sentence)
    if args.report:
        record = {"modules": [asdict(module) for module in figures]}
        more = {"mcnemar": asdict(comparison)} if comparison else {}
        write_text(args.report, json.dumps(record | more, indent=2, sort_keys=True) + "\n")
        shutil.rmtree(shards, ignore_errors=True)
    refuse_other_order(figures, args.labels)
    return str(args.module)


if __name__ == "__main__":
    raise SystemExit(command("evaluate", main))
