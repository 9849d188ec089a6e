"""Compares the LiteRT files of full-size modules with their SavedModels of one XLA program.

    python -m benchmarks.litert_files [--threads N] [--rounds N] [--folder FOLDER] [VARIANT ...]

Both run in one process, by turns; the figures are medians of the rounds. Prints tables for benchmarks/README.md. The
weights are random, on which int8 differs most; how trained weights fare is measured on the demonstration member's
images. Fails when a file is larger, slower or less exact than the limits below.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import subjects
from benchmarks.subjects import environment
from pipeline.base.heads import Head
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.forms.quality import BARS
from pipeline.litert.running import Model
from pipeline.saved_model.load import start_tensorflow

CONVERT = """
import sys
from pathlib import Path
from pipeline.translate.saved_models import write_plain
write_plain(Path(sys.argv[1]), Path(sys.argv[2]))
from pipeline.forms.precision import OF_FILES
from pipeline.litert.converting import convert_to
for precision in OF_FILES:
    Path(sys.argv[3], precision).write_bytes(convert_to(Path(sys.argv[2]), precision))
"""
BATCHES = (1, 32)
SIZE = 224

# Of the largest output of the XLA module: the largest difference of the float32 file.
PARITY: Mapping[str, float] = {"S/16": 1e-5, "R26+S/32": 5e-5}
# Speed against the XLA module by variant, precision and batch size. The aim for R26+S/32 is 0.9 at batch 32.
SPEED: Mapping[tuple[str, Precision, int], float] = {
    ("S/16", Precision.FLOAT32, 1): 1.25,
    ("S/16", Precision.INT8, 1): 3.0,
    ("R26+S/32", Precision.FLOAT32, 32): 0.9,
}

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Row:
    """What was measured of a file, or of the XLA module.

    Attributes:
        name: what it is.
        bytes: its size.
        load, first: seconds to load it, and of the first call with one image.
        speeds: images per second by batch size.
        ratios: the median of its speed against the XLA module's in the same round, by batch size.
        error: the largest difference from the XLA module, of the largest output.
    """

    name: str
    bytes: int
    load: float
    first: float
    speeds: Mapping[int, float]
    ratios: Mapping[int, float]
    error: float


def prepare(variant: str, folder: Path) -> tuple[Path, Path]:
    """Makes a classifier and its LiteRT files; returns the SavedModel's folder, and that of the files."""
    weights, yaml = subjects.checkpoint(folder, variant), subjects.member(folder, variant)
    out = weights.parent / "published"
    subjects.run(subjects.published(yaml, weights, out))
    module, plain, files = out / Head.CLASSIFICATION, weights.parent / "plain", weights.parent / "litert"
    files.mkdir(exist_ok=True)
    subjects.run([sys.executable, "-c", CONVERT, str(module), str(plain), str(files)])
    return module, files


def load_xla(folder: Path) -> Run:
    """Returns the signature serving_default of a SavedModel."""
    import tensorflow as tf

    module: Any = tf.saved_model.load(str(folder))

    def run(images: np.ndarray) -> np.ndarray:
        outputs = module.signatures["serving_default"](inputs=tf.constant(images))
        logits: np.ndarray = outputs[Head.CLASSIFICATION.output].numpy()
        return logits

    return run


def measure(variant: str, folder: Path, threads: int, rounds: int) -> list[Row]:
    """Measures the XLA module and the LiteRT files of a variant."""
    module, files = prepare(variant, folder)
    runs: dict[str, Run] = {}
    loads, firsts = {}, {}
    images = np.random.default_rng(0).uniform(-1, 1, (BATCHES[-1], SIZE, SIZE, 3)).astype(np.float32)
    start_tensorflow()  # its import is not part of the load
    openers: dict[str, Callable[[], Run]] = {"XLA": lambda: load_xla(module)}
    openers |= {precision: partial(Model, files / precision, threads) for precision in OF_FILES}
    for name, opener in openers.items():
        started = time.perf_counter()
        runs[name] = opener()
        loads[name] = time.perf_counter() - started
        runs[name](images[:1])
        firsts[name] = time.perf_counter() - started - loads[name]
    outputs = {name: run(images) for name, run in runs.items()}
    largest = np.abs(outputs["XLA"]).max()
    seconds = {batch: take_turns(runs, images[:batch], rounds) for batch in BATCHES}
    sizes: dict[str, int] = {precision: (files / precision).stat().st_size for precision in OF_FILES}
    sizes["XLA"] = sum(file.stat().st_size for file in module.rglob("*") if file.is_file())
    return [
        Row(
            name=name,
            bytes=sizes[name],
            load=loads[name],
            first=firsts[name],
            speeds={batch: batch / statistics.median(seconds[batch][name]) for batch in BATCHES},
            ratios={batch: ratio(seconds[batch]["XLA"], seconds[batch][name]) for batch in BATCHES},
            error=float(np.abs(outputs[name] - outputs["XLA"]).max() / largest),
        )
        for name in runs
    ]


def take_turns(runs: Mapping[str, Run], images: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each round; in each, every model runs once, so that all share the machine's load."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(images)
            if round_:  # another batch size is planned for, and compiled, at its first call
                seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(reference: Sequence[float], seconds: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(reference, seconds, strict=True))


def table(rows: Sequence[Row]) -> str:
    """Returns a Markdown table."""
    lines = [
        "| | MB | load, s | first call, s | images/s, batch 1 | batch 32 | to XLA, batch 1 | batch 32 | difference |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row.name, f"{row.bytes / 1e6:.1f}", f"{row.load:.2f}", f"{row.first:.2f}"]
        cells += [f"{row.speeds[batch]:.1f}" for batch in BATCHES]
        cells += [f"{row.ratios[batch]:.2f}" for batch in BATCHES]
        lines.append(f"| {' | '.join([*cells, f'{row.error:.1e}'])} |")
    return "\n".join(lines)


def failures(variant: str, rows: Sequence[Row]) -> list[str]:
    """Returns what is outside the limits, a sentence each."""
    by_name = {row.name: row for row in rows}
    sentences = []
    error = by_name[Precision.FLOAT32].error
    if not error <= PARITY.get(variant, 5e-5):
        sentences.append(f"{variant} float32: difference {error:.1e} (limit {PARITY.get(variant, 5e-5):.0e})")
    for (name, precision, batch), least in SPEED.items():
        if name == variant and by_name[precision].ratios[batch] < least:
            got = by_name[precision].ratios[batch]
            sentences.append(f"{variant} {precision}, batch {batch}: {got:.2f} of XLA's speed (at least {least})")
    for precision in OF_FILES[1:]:
        bar = BARS[precision]
        share = by_name[precision].bytes / by_name[Precision.FLOAT32].bytes
        if share > bar.size:
            sentences.append(f"{variant} {precision}: {share:.1%} of float32's size (at most {bar.size:.0%})")
    return sentences


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares LiteRT files with SavedModels of one XLA program.")
    parser.add_argument("variants", nargs="*", default=["S/16", "R26+S/32"], help="default: S/16 R26+S/32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints, which stay, and outputs")
    args = parser.parse_args()
    threads = {f"TF_NUM_{kind}OP_THREADS": str(args.threads) for kind in ("INTRA", "INTER")}
    os.environ.update(environment() | threads)  # TensorFlow reads them when it starts
    sentences = []
    for variant in args.variants:
        rows = measure(variant, args.folder.resolve(), args.threads, args.rounds)
        print(f"\n{variant}, {args.threads} threads, medians of {args.rounds} rounds\n\n{table(rows)}", flush=True)
        sentences += failures(variant, rows)
    if sentences:
        raise SystemExit("\n".join(sentences))


if __name__ == "__main__":
    main()
