"""Measures the ONNX files of full-size modules beside the modules themselves, in one process on two threads.

    python -m benchmarks.onnx_files [--folder FOLDER] [VARIANT ...]

Random weights of S/16 and R26+S/32, 224 pixels, the classifier. Rates are medians of five rounds, in which the
contenders take turns; ratios are rates divided by that of the XLA module in TensorFlow. The ratio of processor time is
that of all threads, which other work on the machine changes less. OpenVINO is measured where it is installed, in
float32: its own choice may be bfloat16. Of vit_demo, prints size and accuracy of the files. Fails when a limit is
missed.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

from benchmarks import subjects
from pipeline.base.heads import Head
from pipeline.forms.facts import Publication, read_facts
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.forms.quality import BARS
from pipeline.forms.running import run_files
from pipeline.images.decoding import decode
from pipeline.images.image_set import open_images
from pipeline.images.labels import read as read_labels
from pipeline.model.preprocessing import prepare
from pipeline.onnx_form.files import write_files
from pipeline.onnx_form.forms import file_name
from pipeline.onnx_form.running import RUNNER, Model
from pipeline.runtimes.judging import Images, compare_on_images, failures, judge_quality

THREADS, ROUNDS = 2, 5
BATCHES = {1: 8, 32: 1}  # calls in a round
SLOWEST = {1: 1.1, 32: 0.9}  # ratios of onnxruntime in float32 to the XLA module, of S/16
AIM = 0.9  # of R26+S/32; printed, no limit
NODES = 450  # of S/16, at most
ERRORS = {"S/16": 1e-5, "R26+S/32": 5e-5}  # relative, of float32 files
DEMO = subjects.ROOT / "model_cards/demo"
PUBLICATION = Publication("Bench", "vit-publisher/bench/1", license="apache-2.0")

Forward = Callable[[np.ndarray], np.ndarray]  # float32 (n, size, size, 3) to (n, classes)


@dataclass(frozen=True)
class Rate:
    """Images per second, of the clock and of the processor."""

    wall: float
    processor: float


def converted(yaml: Path, weights: Path, folder: Path) -> Path:
    """Returns the classifier of a member; converts it unless that was done."""
    if not (folder / "build.json").exists():
        subjects.run(subjects.published(yaml, weights, folder))
    return folder / Head.CLASSIFICATION


def selftest(module: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the self-test's images, its outputs in float64 JAX, and the scale of errors."""
    with np.load(module / "assets.extra/selftest.npz") as archive:
        images = (archive["pixels"].astype(np.float32) - np.float32(127.5)) / np.float32(127.5)
        return images, archive["outputs"], float(archive["scale"])


def open_module(module: Path) -> Forward:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(module))
    return lambda images: np.asarray(loaded(tf.constant(images)))


def open_openvino(file: Path) -> Forward:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": THREADS}
    compiled = openvino.Core().compile_model(str(file), "CPU", settings)
    return lambda images: np.asarray(compiled(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))[0])


def contenders(module: Path, files: Path) -> dict[str, Forward]:
    """Returns what is measured, the XLA module first."""
    opened: dict[str, Forward] = {"TensorFlow, XLA module": open_module(module)}
    opened |= {f"onnxruntime, {precision}": Model(files / file_name(precision), THREADS) for precision in OF_FILES}
    if find_spec("openvino"):
        opened["OpenVINO, float32"] = open_openvino(files / file_name(Precision.FLOAT32))
    return opened


def measure(opened: dict[str, Forward], batch: int) -> dict[str, Rate]:
    """Returns the rates of contenders that take turns; a first call of each is not counted."""
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 224, 224, 3)).astype(np.float32)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in opened}
    for forward in opened.values():
        forward(images)
    for _ in range(ROUNDS):
        for name, forward in opened.items():
            wall, processor = time.perf_counter(), time.process_time()
            for _ in range(BATCHES[batch]):
                forward(images)
            seconds[name].append((time.perf_counter() - wall, time.process_time() - processor))
    count = batch * BATCHES[batch]
    return {
        name: Rate(*(count / statistics.median(column) for column in zip(*each, strict=True)))
        for name, each in seconds.items()
    }


def compare(variant: str, module: Path, files: Path) -> list[str]:
    """Prints the table of a variant; returns the limits that it missed."""
    images, expected, scale = selftest(module)
    opened = contenders(module, files)
    errors = {
        name: float(np.abs(forward(images).astype(np.float64) - expected).max()) / scale
        for name, forward in opened.items()
    }
    rates = {batch: measure(opened, batch) for batch in BATCHES}
    first = next(iter(opened))
    print(f"\n{variant}\n\n| contender | relative error | batch | images/s | ratio | ratio of processor time |")
    print("|---|---|---|---|---|---|")
    for name in opened:
        for batch, rate in rates.items():
            mine, base = rate[name], rate[first]
            ratios = f"{mine.wall / base.wall:.2f} | {mine.processor / base.processor:.2f}"
            print(f"| {name} | {errors[name]:.1e} | {batch} | {mine.wall:.1f} | {ratios} |")
    return _missed(variant, errors, {batch: _ratio(rate, first) for batch, rate in rates.items()}, files)


def _ratio(rates: dict[str, Rate], first: str) -> float:
    return rates[f"onnxruntime, {Precision.FLOAT32}"].wall / rates[first].wall


def _missed(variant: str, errors: dict[str, float], ratios: dict[int, float], files: Path) -> list[str]:
    nodes = len(onnx.load(files / file_name(Precision.FLOAT32)).graph.node)
    sizes = ", ".join(
        f"{precision} {(files / file_name(precision)).stat().st_size / 1e6:.1f} MB" for precision in OF_FILES
    )
    print(f"\n{nodes} nodes; {sizes}")
    error = errors[f"onnxruntime, {Precision.FLOAT32}"]
    missed = [f"{variant}: relative error {error:.1e}, limit {ERRORS.get(variant, 1e-5):.0e}"]
    missed = missed if error > ERRORS.get(variant, 1e-5) else []
    if variant != "S/16":
        print(f"aim for onnxruntime in float32: {AIM} at batch 32")
        return missed
    if nodes > NODES:
        missed.append(f"{variant}: {nodes} nodes, limit {NODES}")
    slow = [(batch, ratio) for batch, ratio in ratios.items() if ratio < SLOWEST[batch]]
    return missed + [f"{variant}: ratio {ratio:.2f} at batch {batch}, limit {SLOWEST[batch]}" for batch, ratio in slow]


def demo(folder: Path) -> list[str]:
    """Prints size and accuracy of the files of vit_demo beside that of float32; fails when one is outside its bar."""
    module = converted(DEMO / "vit_demo.yaml", DEMO / "vit_demo.npz", folder / "vit_demo")
    labels = read_labels(DEMO / "fashion_mnist.tsv")
    image_set = open_images(DEMO / "fashion_mnist_test", labels)
    images = [prepare(decode(image_set.read(example), example.name), 28, "resize") for example in image_set.examples]
    facts = read_facts(module, Head.CLASSIFICATION, PUBLICATION)
    answers = np.array([example.label for example in image_set.examples])
    tried = Images(np.stack(images), answers, "the test set")
    files = {precision: folder / "vit_demo/onnx" / file_name(precision) for precision in OF_FILES}
    write_files(module, folder / "vit_demo/onnx", facts)
    runs = run_files(RUNNER, list(files.values()), tried.pixels, (32,), rounds=0)
    outputs = {precision: run.outputs[32] for precision, run in zip(files, runs, strict=True)}
    print(
        "\nvit_demo\n\n| file | size of float32's, % | top-1, % | same class, % | min cosine |\n|---|---|---|---|---|"
    )
    missed = []
    for precision in OF_FILES[1:]:
        share = files[precision].stat().st_size / files[Precision.FLOAT32].stat().st_size
        found = compare_on_images(Head.CLASSIFICATION, outputs[precision], outputs[Precision.FLOAT32], tried)
        top1, same = (100 * (each or 0) for each in (found.top1, found.same_class))
        print(f"| {file_name(precision)} | {100 * share:.1f} | {top1:.2f} | {same:.2f} | {found.cosine:.5f} |")
        if failed := failures(judge_quality(Head.CLASSIFICATION, BARS[precision], share, found)):
            missed.append(f"vit_demo {file_name(precision)}: {failed}")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures ONNX files beside the modules that they are made of.")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints and modules, kept")
    parser.add_argument("variants", nargs="*", default=["S/16", "R26+S/32"])
    args = parser.parse_args()
    os.environ.update(subjects.environment())
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    missed = demo(args.folder)
    for variant in args.variants:
        weights = subjects.checkpoint(args.folder, variant)
        module = converted(subjects.member(args.folder, variant), weights, weights.parent)
        files = weights.parent / "onnx"
        facts = read_facts(module, Head.CLASSIFICATION, PUBLICATION)
        write_files(module, files, facts)
        missed += compare(variant, module, files)
    if missed:
        raise SystemExit("; ".join(missed))


if __name__ == "__main__":
    main()
