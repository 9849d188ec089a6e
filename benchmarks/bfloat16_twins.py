"""Compares bfloat16 twins with the modules that they are made of: outputs, and every variable's gradient.

    python -m benchmarks.bfloat16_twins [--folder FOLDER] [VARIANT ...]

Of vit_demo, on the 1,000 images of its test set: accuracy, same class, smallest cosine, largest relative error; fails
outside the bar. Of random weights of the VARIANTs, 224 pixels, the classifier: the same on 16 images of noise, without
accuracy. Gradients are those of the self-test's image. What breaks a model must fail its self-test: the error of one
with its classes in reverse order, and the smallest with a kernel that is zero, are printed beside the tolerance.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import subjects
from pipeline.base.heads import Head
from pipeline.forms.precision import Precision
from pipeline.forms.quality import BARS
from pipeline.forms.running import run_batches
from pipeline.images.decoding import decode
from pipeline.images.image_set import open_images
from pipeline.images.labels import read as read_labels
from pipeline.model.preprocessing import prepare
from pipeline.proof.gradients import TrainableModule
from pipeline.proof.loaders import SelfTest, read_selftest
from pipeline.runtimes.judging import Images, compare_on_images, failures, judge_quality
from pipeline.saved_model import selftest
from pipeline.saved_model.load import load_saved_model, start_tensorflow

DEMO = subjects.ROOT / "model_cards/demo"
BATCH = 32
KERNELS = 20  # that are set to zero, spread over the model


def demo_images() -> tuple[np.ndarray, np.ndarray]:
    """Returns the test set of the demonstration member, float32 (n, 28, 28, 3) in [-1, 1], and its labels."""
    image_set = open_images(DEMO / "fashion_mnist_test", read_labels(DEMO / "fashion_mnist.tsv"))
    images = [prepare(decode(image_set.read(each), each.name), 28, "resize") for each in image_set.examples]
    return np.stack(images), np.array([each.label for each in image_set.examples])


def gradients(model: Any, test: SelfTest) -> dict[str, np.ndarray]:
    """Returns the gradient of the loss of the self-test's image by each variable's name."""
    labels = (test.outputs.argmax(axis=1) == 0).astype(np.int32)
    found = TrainableModule(model, selftest.scaled(test.pixels), labels).gradients(training=False)
    return {name: value.numpy() for name, value in found.items()}


def describe_gradients(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> str:
    """Returns the smallest cosine and the largest relative error, of gradients that are not about zero."""
    norms = {name: float(np.linalg.norm(value)) for name, value in expected.items()}
    names = [name for name, norm in norms.items() if norm >= 1e-3 * max(norms.values())]
    cosines = [
        float((got[name] * expected[name]).sum()) / (norms[name] * float(np.linalg.norm(got[name]))) for name in names
    ]
    errors = [float(np.linalg.norm(got[name] - expected[name])) / norms[name] for name in names]
    finite = all(np.isfinite(value).all() for value in got.values())
    return f"{len(names)}/{len(norms)}, all finite: {finite} | {min(cosines):.5f} | {max(errors):.1e}"


def damaged_errors(model: Any, test: SelfTest) -> Iterator[tuple[str, float]]:
    """Yields the self-test's error of a model with one kernel that is zero, for some kernels."""
    kernels = [each for each in model.variables if "kernel" in each.name]
    for variable in kernels[:: max(1, len(kernels) // KERNELS)]:
        value = variable.numpy()
        variable.assign(np.zeros_like(value))
        yield variable.name, test.relative_error(model(selftest.scaled(test.pixels)).numpy())
        variable.assign(value)


def measure(name: str, module: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    """Prints the figures of a module; fails when the demonstration member's are outside the bar."""
    from pipeline.translate.bfloat16 import write_bfloat16

    twin = module.with_name(f"{module.name}_bfloat16")
    write_bfloat16(module, twin)
    source, loaded, test = load_saved_model(module), load_saved_model(twin), read_selftest(twin)
    expected = run_batches(lambda batch: source(batch).numpy(), images, BATCH)
    outputs = run_batches(lambda batch: loaded(batch).numpy(), images, BATCH)
    found = compare_on_images(Head.CLASSIFICATION, outputs, expected, Images(images, labels, name))
    error = float(np.abs(outputs - expected).max()) / max(test.scale, float(np.abs(expected).max()))
    replayed = max(selftest.relative_errors(loaded, test).values())
    print(f"\n{name}: {len(images)} images\n\n| same class | top-1 | module's | min cosine | max rel | self-test |")
    print(f"|---|---|---|---|---|---|\n| {found.same_class} | {found.top1} | {found.module_top1}", end="")
    print(f" | {found.cosine:.5f} | {error:.1e} | {replayed:.1e} (limit {test.tolerance:g}) |")
    print("\ngradients that are not about zero | min cosine | max rel")
    print(describe_gradients(gradients(loaded, test), gradients(source, test)))
    reversed_error = test.relative_error(loaded(selftest.scaled(test.pixels)).numpy()[:, ::-1])
    damaged = dict(damaged_errors(loaded, test))
    print(f"\nself-test: {reversed_error:.2f} with the classes reversed; with a kernel of zeros:")
    for kernel, value in sorted(damaged.items(), key=lambda item: item[1]):
        print(f"{value:.3f} {kernel}")
    bar = BARS[Precision.BFLOAT16]
    if labels is not None and (failed := failures(judge_quality(Head.CLASSIFICATION, bar, 1, found))):
        raise SystemExit(f"{name}: bfloat16: {failed}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares bfloat16 twins with the modules that they are made of.")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints and modules, kept")
    parser.add_argument("variants", nargs="*", default=["S/16"])
    args = parser.parse_args()
    os.environ.update(subjects.environment())
    start_tensorflow()
    demo = args.folder / "vit_demo"
    if not (demo / "build.json").exists():
        subjects.run(subjects.published(DEMO / "vit_demo.yaml", DEMO / "vit_demo.npz", demo))
    measure("vit_demo", demo / Head.CLASSIFICATION, *demo_images())
    noise = np.random.default_rng(0).uniform(-1, 1, (16, 224, 224, 3)).astype(np.float32)
    for variant in args.variants:
        weights = subjects.checkpoint(args.folder, variant)
        out = weights.parent / "published"
        if not (out / "build.json").exists():
            subjects.run(subjects.published(subjects.member(args.folder, variant), weights, out))
        measure(variant, out / Head.CLASSIFICATION, noise, None)


if __name__ == "__main__":
    main()
