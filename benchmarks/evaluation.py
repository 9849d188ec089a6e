"""Measures what decoding JPEG files costs beside the forward pass, and the memory of an evaluation.

    python -m benchmarks.evaluation [VARIANT ...] [--images N] [--rounds N] [--memory N] [--folder FOLDER]

For each variant the published SavedModel classifies N photographs of 500x375 pixels (crops of two of the tests'
photographs, JPEG quality 90) in two ways in turn: from memory, prepared before, and from their files, through
pipeline.accuracy.classify as `make validate` does. Prints both rates and their ratio, medians over the rounds. Fails
where the ratio is below LIMITS.

With --memory, classifies N files (hard links to 512) once, prints the memory of the process at every tenth, and fails
above 4 GB.
"""

import argparse
import json
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
from pipeline.accuracy import classify, classifying
from pipeline.accuracy.classify import BATCH, Task
from pipeline.images import image_set, labels
from pipeline.saved_model.load import start_tensorflow

LIMITS = {"S/16": 0.9, "B/16": 0.95}  # rate from files divided by the rate of the forward pass
MEMORY = 4e9  # bytes
PHOTOGRAPHS = subjects.ROOT / "tests/data/photographs"
LABELS = subjects.ROOT / "model_cards/vit/imagenet2012.tsv"
SIZE = (500, 375)  # pixels, the most frequent size in ImageNet
FILES = 512  # different ones


def write_images(folder: Path, count: int) -> None:
    """Writes photographs into class folders of ImageNet's first 100 classes; beyond FILES they are hard links."""
    names = [label.key for label in labels.read(LABELS)[:100]]
    paths = [folder / names[number % len(names)] / f"{number:06}.jpg" for number in range(count)]
    photographs = [Image.open(PHOTOGRAPHS / name).convert("RGB") for name in ("chelsea.jpg", "coffee.jpg")]
    random = np.random.default_rng(0)
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < FILES:
            crop(photographs[number % 2], random).save(path, quality=90)
        else:
            path.hardlink_to(paths[number % FILES])


def crop(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    """Returns a crop of random size from the upper right corner, resized to SIZE."""
    width = int(random.integers(photograph.width // 2, photograph.width))
    height = min(photograph.height, width * SIZE[1] // SIZE[0])
    box = (photograph.width - width, 0, photograph.width, height)
    return photograph.crop(box).resize(SIZE, Image.Resampling.BICUBIC)


def resident_memory() -> int:
    """Returns the resident memory of this process in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_task(images: Path) -> Task:
    """Returns the task of classifying all images of a folder at 224 pixels."""
    image_set_ = image_set.open_images(images, labels.read(LABELS))
    return Task(image_set_, image_set_.examples, 224)


def load_model(folder: Path) -> classify.Predict:
    """Loads a SavedModel in TensorFlow and returns its call, compiled for BATCH images."""
    start_tensorflow()
    import tensorflow as tf

    module = tf.saved_model.load(str(folder))

    def predict(inputs: np.ndarray) -> np.ndarray:
        logits: np.ndarray = module(inputs).numpy()
        return logits

    predict(np.zeros((BATCH, 224, 224, 3), np.float32))
    return predict


def measure_rates(folder: Path, images: Path, rounds: int) -> list[tuple[float, float]]:
    """Returns images per second of the forward pass alone and from files, for each round."""
    predict, task = load_model(folder), open_task(images)
    prepared = [batch.inputs for batch in classify.batches(task, task.chosen)]
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        for batch in prepared:
            predict(batch)
        forward = len(task.chosen) / (time.perf_counter() - started)
        with tempfile.TemporaryDirectory() as shards:
            started = time.perf_counter()
            classifying.evaluate(task, predict, "model", Path(shards), "evaluate")
            rates.append((forward, len(task.chosen) / (time.perf_counter() - started)))
    return rates


def measure_memory(folder: Path, images: Path) -> None:
    """Classifies all images once and prints the memory at every tenth; exits above MEMORY."""
    predict, task = load_model(folder), open_task(images)
    count = len(task.chosen)
    done, peak = 0, resident_memory()

    def watched(inputs: np.ndarray) -> np.ndarray:
        nonlocal done, peak
        before, done = done * 10 // count, done + len(inputs)
        peak = max(peak, resident_memory())
        if done * 10 // count > before or done == BATCH:
            print(f"after {min(done, count):,} images: {resident_memory() / 1e9:.2f} GB", flush=True)
        return predict(inputs)

    with tempfile.TemporaryDirectory() as shards:
        evaluated = classifying.evaluate(task, watched, "model", Path(shards), "evaluate")
    print(f"{count:,} images, {evaluated.rate:.1f} images/s, peak memory {peak / 1e9:.2f} GB")
    if peak > MEMORY:
        raise SystemExit(f"expected at most {MEMORY / 1e9:.0f} GB")


def convert(folder: Path, variant: str, out: Path) -> Path:
    """Converts random weights of a variant as the pipeline does; returns the classifier's folder."""
    subjects.run(subjects.published(subjects.member(folder, variant), subjects.checkpoint(folder, variant), out))
    return out / "classification"


def run_apart(call: str) -> str:
    """Runs a call of this module in a process of its own and returns what it printed."""
    code = f"import json\nfrom pathlib import Path\nfrom benchmarks.evaluation import *\n{call}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=subjects.ROOT, env=subjects.environment(), stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout


def compare(variant: str, folder: Path, images: Path, rounds: int) -> bool:
    """Prints the row of a variant whose SavedModel lies in `folder`; returns whether it meets its limit."""
    call = f"print(json.dumps(measure_rates(Path({str(folder)!r}), Path({str(images)!r}), {rounds})))"
    rates = json.loads(run_apart(call).splitlines()[-1])
    forward, from_files = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio, limit = statistics.median(files / alone for alone, files in rates), LIMITS.get(variant)
    print(f"| {variant} | {forward:.1f} | {from_files:.1f} | {ratio:.3f} | {limit or ''} |", flush=True)
    return limit is None or ratio >= limit


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures evaluation from JPEG files.")
    parser.add_argument("variants", nargs="*", default=list(LIMITS), help=f"default: {' '.join(LIMITS)}")
    parser.add_argument("--images", type=int, default=512, help="how many; default 512")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--memory", type=int, metavar="N", help="classify N images once and measure the memory instead")
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
            module = convert(args.folder.resolve(), variant, Path(name, "module"))
            if args.memory:
                print(variant)
                print(run_apart(f"measure_memory(Path({str(module)!r}), Path({str(images)!r}))"), end="")
            elif not compare(variant, module, images, args.rounds):
                slow.append(variant)
    if slow:
        raise SystemExit(f"decoding is too slow for {', '.join(slow)}")


if __name__ == "__main__":
    main()
