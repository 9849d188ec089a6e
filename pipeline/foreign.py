"""Anybody's image classifier on labelled images: accuracy and speed, and a second one beside it.

    python -m pipeline.validate MODULE --images PLACE [--labels FILE] [--against MODULE] [--samples N] [--real FILE]
                                [--protocol resize|crop] [--size N] [--range LOW,HIGH] [--against-range LOW,HIGH]
                                [--activation softmax|sigmoid] [--against-activation softmax|sigmoid] [--background]
                                [--report FILE]

MODULE is a SavedModel's folder, its .tar.gz, or an address that tensorflow_hub resolves. What it says of itself is
believed: its input's size, and, of a module of this project, the range of the pixels, whatever --range says of the
other one. A run with --report that is killed goes on from there. The exit status is 1 when the labels prove to be in
another order than the outputs of a module; the figures are written all the same.
"""

import argparse
import http.client
import json
import shutil
import tarfile
import tempfile
import textwrap
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from pipeline import artifact, evaluation, imagenet, labels, proof, statistics
from pipeline.evaluation import BATCH, Evaluated, Task
from pipeline.fault import Fault
from pipeline.files import write_text
from pipeline.label_order import label_order
from pipeline.pages import ACTIVATIONS
from pipeline.predictions import Predictions
from pipeline.preprocessing import PROTOCOLS
from pipeline.statistics import percent
from pipeline.tensorflow_start import start_tensorflow

IMAGENET_LABELS = Path(__file__).parents[1] / "model_cards/vit/imagenet2012.tsv"
RANGES = ("-1,1", "0,1")
OUTPUTS = ("logits", "default", "probabilities", "predictions")  # what authors call the one that is wanted, if several
TIMED = 5  # batches


def _brief(error: Exception) -> str:
    """Returns what an error says on one line, without the arrays that TensorFlow prints into it."""
    return textwrap.shorten(str(error), 300, placeholder=" ...")


@contextmanager
def folder_of(module: str) -> Iterator[Path]:
    """Yields the folder of a SavedModel that is named by a folder, a .tar.gz, or an address.

    Raises:
        Fault: when there is no such file, or it is neither.
    """
    if "://" in module:
        import tensorflow as tf
        import tensorflow_hub

        broken = (tarfile.TarError, EOFError, zlib.error, http.client.HTTPException)  # of a download that is cut short
        try:
            folder = Path(tensorflow_hub.resolve(module))
        except (OSError, ValueError, RuntimeError, tf.errors.OpError, *broken) as error:
            raise Fault(f"{module}: tensorflow_hub cannot get it ({_brief(error)})") from None
        yield folder
        return
    path = Path(module).expanduser()
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise Fault(f"{module}: no such file; expected a SavedModel's folder, its .tar.gz, or an http(s):// address")
    with tempfile.TemporaryDirectory() as unpacked:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(unpacked, filter="data")
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise Fault(f"{module}: not a whole .tar.gz of a SavedModel ({error})") from None
        yield Path(unpacked)


def one_of(outputs: Any, where: str) -> np.ndarray:
    """Returns a module's output as float32 (n, k), of whatever a call of it returned.

    Raises:
        Fault: when there are several and none has a usual name, or it has another shape.
    """
    if isinstance(outputs, dict):
        names = list(outputs) if len(outputs) == 1 else [name for name in OUTPUTS if name in outputs]
        if not names:
            raise Fault(f"{where}: it returns {', '.join(sorted(outputs))}; expected one of {', '.join(OUTPUTS)}")
        outputs = outputs[names[0]]
    if isinstance(outputs, (list, tuple)):
        if len(outputs) != 1:
            raise Fault(f"{where}: it returns a list of {len(outputs)}; expected one output, or several with names")
        (outputs,) = outputs
    array = np.asarray(outputs, np.float32)
    if array.ndim != 2:
        raise Fault(f"{where}: its output has shape {array.shape}, expected (n, classes)")
    return array


@dataclass(frozen=True)
class Classifier:
    """A loaded module.

    Attributes:
        name: what to call it.
        digest: of its files.
        size: the side of its input in pixels; None where it takes any.
        own: whether this project made it, so that its range of pixels is known.
        call: maps float32 (n, size, size, 3) to float32 (n, k).
    """

    name: str
    digest: str
    size: int | None
    own: bool
    call: Callable[[np.ndarray], np.ndarray]


def _images_of(signature: Any) -> tuple[str, int | None] | None:
    """Returns the name of a signature's input, and its side in pixels, or None where it takes any.

    A signature, once loaded, computes something of whatever shape it is given, so the shape is looked at here.

    Returns:
        None for a signature that does not take batches of square images, float32 (n, side, side, 3).
    """
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1:
        return None
    ((key, spec),) = inputs.items()
    shape = [None] * 4 if spec.shape.rank is None else spec.shape.as_list()
    fits = len(shape) == 4 and shape[0] is None and shape[1] == shape[2] and shape[3] in (None, 3)
    return (key, shape[1]) if fits and spec.dtype.name == "float32" else None


def load(name: str, folder: Path) -> Classifier:
    """Loads a SavedModel as its users do: as something to call, or by its signature.

    Raises:
        Fault: when it cannot be loaded, is neither, or takes something else than batches of images; from call() when
            it refuses them.
    """
    import tensorflow as tf

    module = proof.load(folder)
    signatures = getattr(module, "signatures", {})
    signature = signatures.get("serving_default") or signatures.get("default")
    if not callable(module) and signature is None:
        raise Fault(f"{name}: it can neither be called, nor has it a signature serving_default or default")
    served: Any = signature
    taken = _images_of(served) if signature is not None else None
    if taken is None and not callable(module):
        specs = sorted(served.structured_input_signature[1].items())
        inputs = ", ".join(f"{spec.dtype.name} {spec.shape}" for _, spec in specs)
        raise Fault(f"{name}: its signature takes {inputs}; expected one input, float32 (n, side, side, 3)")
    key, size = taken or ("", None)

    def call(inputs: np.ndarray) -> np.ndarray:
        tensor = tf.constant(inputs)
        try:
            outputs = module(tensor) if callable(module) else served(**{key: tensor})
        except (TypeError, ValueError, tf.errors.OpError) as error:
            raise Fault(f"{name}: it refuses images, float32 {inputs.shape} ({_brief(error)})") from None
        return one_of(outputs, name)

    own = (folder / "assets.extra" / "provenance.json").is_file()
    return Classifier(name, artifact.folder_digest(folder), size, own, call)


def _of_probabilities(outputs: np.ndarray, activation: str) -> np.ndarray:
    """Returns logits (n, k) that give those outputs (n, k) by the activation, if they can come of it; else the outputs.

    Those of a softmax add up to 1 for each image; those of a sigmoid just lie in 0 to 1.
    """
    tiny, below_1 = np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg
    if activation == "sigmoid":
        likely = bool(np.all((outputs >= 0) & (outputs <= 1)))
        return logit(np.clip(outputs, tiny, below_1)) if likely else outputs
    likely = bool(np.all(outputs >= 0)) and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    return np.log(np.maximum(outputs, tiny)) if likely else outputs


def logits_of(
    classifier: Classifier, classes: int, background: bool, activation: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function to logits of exactly those classes.

    Probabilities are taken back to logits: the same order, and the same probabilities after the activation.

    Args:
        classifier: the module.
        classes: how many labels there are.
        background: whether a first output stands for none of them, as in modules of Inception's time.
        activation: what turns its logits into probabilities, one of ACTIVATIONS.
    """

    def predict(inputs: np.ndarray) -> np.ndarray:
        outputs = classifier.call(inputs)
        if outputs.shape[1] != classes + background:
            hint = "; say --background if its first output is one" if outputs.shape[1] == classes + 1 else ""
            raise Fault(
                f"{classifier.name}: it returns {outputs.shape[1]} outputs, expected {classes + background} for"
                f" {classes} labels{hint}"
            )
        outputs = _of_probabilities(outputs, activation)
        return outputs[:, 1:] if background else outputs

    return predict


def speed(predict: Callable[[np.ndarray], np.ndarray], size: int) -> float:
    """Returns the images per second of the forward pass alone, in batches of BATCH, after a first one."""
    batch = np.zeros((BATCH, size, size, 3), np.float32)
    predict(batch)
    started = time.perf_counter()
    for _ in range(TIMED):
        predict(batch)
    return TIMED * BATCH / (time.perf_counter() - started)


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
        name: the module, see folder_of().
        task: the images; its size, range and activation are this function's to set.
        names: the labels in the order of the outputs.
        background: see logits_of().
        size: of the input in pixels, where the module does not say it.
        pixels: one of RANGES, for a module that does not say it; one of this project does.
        activation: what turns its logits into probabilities, one of ACTIVATIONS.
        shards: a folder for what is done.
    """
    with folder_of(name) as folder:
        classifier = load(name, folder)
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
        found: Evaluated = evaluation.evaluate(task, predict, classifier.digest, shards, name)
        bare = speed(predict, side)
    rows = found.predictions
    real = [example.real for example in task.chosen if example.name not in found.damaged]
    figures = statistics.accuracy(rows, names, len(names), real if any(one is not None for one in real) else None)
    about = {"module": name, "content_sha256": classifier.digest, "image_size": side, "range": taken}
    how = {"protocol": task.protocol, "activation": activation, "layout": task.images.kind, "damaged": found.damaged}
    rates = {"images_per_second": found.rate, "forward_images_per_second": bare}
    order = {"label_order": label_order(rows, names, len(names))}
    manifest = {"manifest_sha256": imagenet.manifest_digest(task.chosen)}
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
        prog="python -m pipeline.validate", description="Measures anybody's image classifier on labelled images."
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
        images = imagenet.open_images(args.images, names, args.real)
    except Fault as fault:
        hint = "; for classes other than ImageNet-1k's say --labels, or LABELS= with make evaluate"
        raise Fault(f"{fault}{hint if args.labels == IMAGENET_LABELS else ''}") from None
    task = Task(images, imagenet.choose(images, args.samples), 0, args.protocol)
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
