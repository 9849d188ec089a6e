"""Measures what reading and decoding JPEG files costs beside the forward pass, and the memory of an evaluation.

    python -m benchmarks.evaluation [VARIANT ...] [--images N] [--rounds N] [--memory N] [--folder FOLDER]

For each variant the published SavedModel classifies the same images, N photographs of 500x375 pixels (crops of two that
the tests have, at JPEG quality 90), in turn from memory, prepared once, and from their files, through
pipeline.accuracy.classify as `make validate` does. The ratio of both rates, the median of the rounds, is held against
LIMITS. With --memory, N files (hard links to the same) are classified once, and the process's memory is read on the
way.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import subjects
from pipeline.accuracy import classify
from pipeline.accuracy.classify import BATCH, Task
from pipeline.images import image_set, labels
from pipeline.saved_model.load import start_tensorflow

LIMITS = {"S/16": 0.9, "B/16": 0.95}  # of the bare forward pass
MEMORY = 4e9  # bytes
PHOTOGRAPHS = subjects.ROOT / "tests/data/photographs"
SIZE = (500, 375)  # pixels, the most frequent of ImageNet's


def write_images(folder: Path, count: int, files: int = 512) -> None:
    """Writes photographs into class folders of ImageNet's first 100 classes; beyond `files` they are hard links."""
    names = [label.key for label in labels.read(subjects.ROOT / "model_cards/vit/imagenet2012.tsv")[:100]]
    sources = [Image.open(PHOTOGRAPHS / name).convert("RGB") for name in ("chelsea.jpg", "coffee.jpg")]
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / names[number % len(names)] / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < files:
            source = sources[number % 2]
            width = int(random.integers(source.width // 2, source.width))
            box = (source.width - width, 0, source.width, min(source.height, width * SIZE[1] // SIZE[0]))
            source.crop(box).resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        else:
            first = number % files
            path.hardlink_to(folder / names[first % len(names)] / f"{first:06}.jpg")


def resident() -> int:
    """Returns what this process holds now, in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def task_of(folder: Path) -> Task:
    names = labels.read(subjects.ROOT / "model_cards/vit/imagenet2012.tsv")
    images = image_set.open_images(folder, names)
    return Task(images, images.examples, 224)


def model_of(folder: Path) -> classify.Predict:
    """Loads a SavedModel in TensorFlow and returns its call, compiled for BATCH images."""
    start_tensorflow()
    import tensorflow as tf

    module = tf.saved_model.load(str(folder))

    def predict(inputs: np.ndarray) -> np.ndarray:
        logits: np.ndarray = module(inputs).numpy()
        return logits

    predict(np.zeros((BATCH, 224, 224, 3), np.float32))
    return predict


def rates(folder: Path, images: Path, rounds: int) -> list[tuple[float, float]]:
    """Returns images per second of the forward pass alone and from the files, for each round."""
    predict, task = model_of(folder), task_of(images)
    prepared = [batch for batch, _, _ in classify.batches(task, task.chosen)]
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        for batch in prepared:
            predict(batch)
        bare = len(task.chosen) / (time.perf_counter() - started)
        with tempfile.TemporaryDirectory() as shards:
            started = time.perf_counter()
            classify.evaluate(task, predict, "model", Path(shards), "evaluate")
            found.append((bare, len(task.chosen) / (time.perf_counter() - started)))
    return found


def long_run(folder: Path, images: Path) -> None:
    """Classifies all images once and prints the memory at every tenth."""
    predict, task = model_of(folder), task_of(images)
    done = 0
    most = resident()

    def watched(inputs: np.ndarray) -> np.ndarray:
        nonlocal done, most
        before, done = done * 10 // len(task.chosen), done + len(inputs)
        most = max(most, resident())
        if done * 10 // len(task.chosen) > before or done == BATCH:
            print(f"after {min(done, len(task.chosen)):,} images: {resident() / 1e9:.2f} GB", flush=True)
        return predict(inputs)

    with tempfile.TemporaryDirectory() as shards:
        found = classify.evaluate(task, watched, "model", Path(shards), "evaluate")
    print(f"{len(task.chosen):,} images, {found.rate:.1f} a second, at most {most / 1e9:.2f} GB")
    if most > MEMORY:
        raise SystemExit(f"expected at most {MEMORY / 1e9:.0f} GB")


def converted(folder: Path, variant: str, out: Path) -> Path:
    """Converts random weights of a variant as the pipeline does; returns the classifier's folder."""
    subjects.run(subjects.published(subjects.member(folder, variant), subjects.checkpoint(folder, variant), out))
    return out / "classification"


def apart(call: str) -> list[str]:
    """Runs a call of this module in a process of its own and returns the lines it printed, which are shown if few."""
    code = f"from pathlib import Path\nfrom benchmarks.evaluation import *\n{call}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=subjects.ROOT, env=subjects.environment(), stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures evaluation from JPEG files.")
    parser.add_argument("variants", nargs="*", default=list(LIMITS), help=f"default: {' '.join(LIMITS)}")
    parser.add_argument("--images", type=int, default=512, help="how many; default 512")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--memory", type=int, metavar="N", help="classify N images instead and watch the memory")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints, which stay, and outputs")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    slow = []
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        images = Path(name, "images")
        write_images(images, args.memory or args.images)
        if not args.memory:
            print("| variant | forward pass, images/s | from JPEG files, images/s | ratio | expected |")
            print("|---|---|---|---|---|")
        for variant in args.variants:
            module = converted(args.folder.resolve(), variant, Path(name, "module"))
            if args.memory:
                print("\n".join([variant, *apart(f"long_run(Path({str(module)!r}), Path({str(images)!r}))")]))
                continue
            said = apart(f"for one in rates(Path({str(module)!r}), Path({str(images)!r}), {args.rounds}): print(*one)")
            found = [tuple(map(float, line.split())) for line in said]
            bare, whole = (statistics.median(column) for column in zip(*found, strict=True))
            ratio, limit = statistics.median(one[1] / one[0] for one in found), LIMITS.get(variant)
            print(f"| {variant} | {bare:.1f} | {whole:.1f} | {ratio:.3f} | {limit or ''} |", flush=True)
            if limit and ratio < limit:
                slow.append(variant)
    if slow:
        raise SystemExit(f"decoding costs more than it may: {', '.join(slow)}")


if __name__ == "__main__":
    main()
