"""Anybody's image classifier on labelled images: accuracy and speed, and a second one beside it.

    python -m pipeline.evaluate MODULE --images PLACE [--labels FILE] [--against MODULE] [--samples N] [--real FILE]
                                [--protocol resize|crop] [--size N] [--range LOW,HIGH] [--against-range LOW,HIGH]
                                [--activation softmax|sigmoid] [--against-activation softmax|sigmoid] [--background]
                                [--report FILE]

MODULE is a SavedModel's folder, its .tar.gz, or an address that tensorflow_hub resolves. What it says of itself is
believed: its input's size, and, of a module of this project, the range of the pixels, whatever --range says of the
other one. A run with --report that is killed goes on from there. The exit status is 1 when the labels prove to be in
another order than the outputs of a module; the figures are written all the same.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.accuracy import classify, statistics
from pipeline.accuracy.classify import Evaluated, Task
from pipeline.accuracy.label_order import label_order
from pipeline.accuracy.predictions import Predictions
from pipeline.accuracy.statistics import percent
from pipeline.accuracy.third_party import folder_of, load_classifier, logits_of, speed
from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.facts.collection import ACTIVATIONS
from pipeline.images import image_set, labels
from pipeline.model.protocols import PROTOCOLS
from pipeline.saved_model.load import start_tensorflow

IMAGENET_LABELS = Path(__file__).parents[1] / "model_cards/vit/imagenet2012.tsv"
RANGES = ("-1,1", "0,1")


@dataclass(frozen=True)
class Measured:
    """What was found of one module."""

    figures: dict[str, Any]
    predictions: Predictions


def measure(
    name: str, task: Task, names: Sequence[labels.Label], background: bool, size: int | None, pixels: str | None,
    activation: str, shards: Path,
) -> Measured:  # fmt: skip
    """Classifies the images of a task with a module.

    Args:
        name: the module, see classifier.folder_of().
        task: the images; its size, range and activation are this function's to set.
        names: the labels in the order of the outputs.
        background: see classifier.logits_of().
        size: of the input in pixels, where the module does not say it.
        pixels: one of RANGES, for a module that does not say it; one of this project does.
        activation: what turns its logits into probabilities, one of ACTIVATIONS.
        shards: a folder for what is done.
    """
    with folder_of(name) as folder:
        classifier = load_classifier(name, folder)
        side = classifier.size or size
        if side is None:
            raise Fault(f"{name}: it takes images of any size; say --size, the one that it is to be measured with")
        if size and size != side:
            raise Fault(f"{name}: it takes images of {side} pixels, got --size {size}; leave it out")
        taken = RANGES[0] if classifier.own else pixels
        if taken is None:
            raise Fault(
                f"{name}: it does not say what range of pixels it takes; say --range={' or --range='.join(RANGES)}"
            )
        task = replace(task, size=side, unit_range=taken == "0,1", activation=activation)
        predict = logits_of(classifier, len(names), background, activation)
        found: Evaluated = classify.evaluate(task, predict, classifier.digest, shards, name)
        bare = speed(predict, side)
    rows = found.predictions
    real = [example.real for example in task.chosen if example.name not in found.damaged]
    figures = statistics.accuracy(rows, names, len(names), real if any(one is not None for one in real) else None)
    about = {"module": name, "content_sha256": classifier.digest, "image_size": side, "range": taken}
    how = {
        "protocol": task.protocol,
        "activation": activation,
        "layout": task.images.description,
        "damaged": found.damaged,
    }
    rates = {"images_per_second": found.rate, "forward_images_per_second": bare}
    order = {"label_order": label_order(rows, names, len(names))}
    manifest = {"manifest_sha256": image_set.manifest_digest(task.chosen)}
    return Measured(about | how | manifest | figures | order | rates, rows)


def lines(found: dict[str, Any]) -> list[str]:
    """Returns what a person wants to know of one module."""

    def share(name: str) -> str:
        return f"{percent(found[name])} (95 % interval {' to '.join(map(percent, found[f'{name}_interval']))})"

    said = [
        found["module"],
        f"  images            {found['images']:,} of {found['classes']:,} classes ({found['layout']}),"
        f" protocol {found['protocol']}, {len(found['damaged'])} damaged",
        f"  top-1             {share('top1')}",
    ]
    if "top5" in found:
        said.append(f"  top-5             {share('top5')}")
    if restricted := found.get("restricted"):
        said.append(
            f"  top-1 among {restricted['classes']:<5} {percent(restricted['top1'])}, the classes of the images"
        )
    if real := found.get("real"):
        said.append(f"  ReaL              {percent(real['top1'])} on {real['images']:,} images")
    rate = found["images_per_second"]
    return [
        *said,
        f"  calibration error {percent(found['calibration']['ece'])}, of the {found['activation']} of the logits",
        f"  label order       {found['label_order']['verdict']}: {found['label_order']['reason']}",
        f"  images/s          {'unknown' if rate is None else f'{rate:.1f}'} from the files,"
        f" {found['forward_images_per_second']:.1f} the forward pass alone",
    ]


def refuse_other_order(found: Sequence[dict[str, Any]], label_file: Path) -> None:
    """Refuses figures that were measured with labels in another order than the outputs.

    Args:
        found: the figures of each module.
        label_file: the file that the labels are from.

    Raises:
        Fault: says of each such module what shows it.
    """
    if wrong := [
        f"{one['module']}: {one['label_order']['reason']}" for one in found if one["label_order"]["verdict"] == "fail"
    ]:
        raise Fault(
            f"{'; '.join(wrong)}. The accuracy says nothing then: got the labels of {label_file}, expected a file in"
            " the order of the outputs; say --labels, or LABELS= with make evaluate"
        )


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluate", description="Measures anybody's image classifier on labelled images."
    )
    parser.add_argument("module", help="a SavedModel's folder, its .tar.gz, or an http(s):// address")
    parser.add_argument("--images", type=Path, required=True, help="the images, in any layout that README names")
    parser.add_argument("--labels", type=Path, default=IMAGENET_LABELS, help="the label file (default: ImageNet-1k's)")
    parser.add_argument("--against", help="a second module, to compare with on the same images")
    parser.add_argument("--samples", type=int, help="how many images to use (default: all)")
    parser.add_argument("--real", type=Path, help="the ReaL labels of ImageNet's validation set, real.json")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="resize", help="how images are made to fit")
    parser.add_argument("--size", type=int, help="of the input in pixels, for modules that take any")
    parser.add_argument("--range", choices=RANGES, help="of the pixels, for modules not of this project; --range=-1,1")
    parser.add_argument("--against-range", choices=RANGES, help="that of the second module (default: --range)")
    parser.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        default="softmax",
        help="what makes probabilities of logits, for the calibration",
    )
    parser.add_argument("--against-activation", choices=ACTIVATIONS, help="that of the second (default: --activation)")
    parser.add_argument("--background", action="store_true", help="the first output is none of the labels")
    parser.add_argument("--report", type=Path, help="write the figures to this file as JSON")
    args = parser.parse_args(arguments)
    if args.size is not None and args.size < 1:
        raise Fault(f"--size {args.size}: expected a number of pixels from 1")
    names = labels.read(args.labels)
    try:
        images = image_set.open_images(args.images, names, args.real)
    except Fault as fault:
        hint = "; for classes other than ImageNet-1k's say --labels, or LABELS= with make evaluate"
        raise Fault(f"{fault}{hint if args.labels == IMAGENET_LABELS else ''}") from None
    task = Task(images, image_set.choose(images, args.samples), 0, args.protocol)
    start_tensorflow()
    modules = [(args.module, args.range, args.activation)]
    if args.against:
        range_, activation = args.against_range or args.range, args.against_activation or args.activation
        modules.append((args.against, range_, activation))
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        shards = args.report.with_name(args.report.name + ".shards") if args.report else Path(scratch)
        for number, (name, pixels, activation) in enumerate(modules):
            mine = shards / str(number)
            found.append(measure(name, task, names, args.background, args.size, pixels, activation, mine))
            print("\n".join(lines(found[-1].figures)), flush=True)
    record: dict[str, Any] = {"modules": [one.figures for one in found]}
    if args.against:
        first, second = (one.predictions.right for one in found)
        called = (args.module, args.against)
        if args.module == args.against:  # in two ways, such as two ranges
            called = (f"{args.module} (the first)", f"{args.against} (the second)")
        record["mcnemar"] = statistics.mcnemar(first, second, *called)
        print(record["mcnemar"]["sentence"])
    if args.report:
        write_text(args.report, json.dumps(record, indent=2, sort_keys=True) + "\n")
        shutil.rmtree(shards, ignore_errors=True)
    refuse_other_order([one.figures for one in found], args.labels)
    return str(args.module)


if __name__ == "__main__":
    raise SystemExit(command("evaluate", main))
