"""Measures plain twins beside the modules that they are twins of, in one process on two threads.

    python -m benchmarks.plain_twins [VARIANT ...] [--folder FOLDER]

Each variant (default: S/16 and R26+S/32) has random weights and a dropout of 0.1, and is converted like any member.
Prints a row of a table for each: the seconds to write the twin; its error against the JAX model in float64; its largest
gradient error against the module; the difference of the outputs with dropout by the same key; the first call with a
new batch size, divided by a warm one; and the module's time divided by the twin's, medians of five calls that take
turns. Fails when a limit is missed.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import subjects
from pipeline.saved_model.graph import parse
from pipeline.saved_model.selftest import read_expected, relative_errors

CALLS = 5
DROPOUT = 0.1
NEW_SIZES = (5, 6, 7)  # batches of sizes that the process has not seen
TRAINED = 8  # images in a batch that is trained with
HEAD = "| variant | written, s | error | gradients | same key | new size | batch 1 | batch 32 | training |"


@dataclass(frozen=True)
class Limits:
    """What a twin must reach.

    Attributes:
        error: of any output, relative, at most.
        gradients: of any gradient, relative to the module's, at most.
        batch_1, batch_32: the module's time divided by the twin's, at least.
    """

    error: float
    gradients: float
    batch_1: float
    batch_32: float


LIMITS = {"S/16": Limits(1e-5, 2e-4, 0.85, 0.95), "R26+S/32": Limits(5e-5, 5e-2, 0.0, 0.9)}
NEW_SIZE = 1.5  # at most
SAME_KEY = 1e-5  # relative, at most


def convert(variant: str, folder: Path) -> Path:
    """Converts a variant unless that is done, and returns the folder of its classifier."""
    yaml, weights = subjects.member(folder, variant, DROPOUT), subjects.checkpoint(folder, variant)
    out = folder / f"{yaml.stem}_module"
    if not out.exists():
        subjects.run(subjects.published(yaml, weights, out))
    return out / "classification"


def seconds(call: Callable[[], Any]) -> float:
    """Returns how long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def speed(module: Callable[[], Any], twin: Callable[[], Any]) -> float:
    """Returns the module's median time divided by the twin's."""
    for _ in range(2):
        module()
        twin()
    times = [(seconds(module), seconds(twin)) for _ in range(CALLS)]
    of_module, of_twin = map(statistics.median, zip(*times, strict=True))
    return of_module / of_twin


def draw(count: int) -> Any:
    """Returns a batch of images."""
    import tensorflow as tf

    return tf.constant(np.random.default_rng(count).uniform(-1, 1, (count, 224, 224, 3)), tf.float32)


def caller(module: Any, count: int) -> Callable[[], Any]:
    """Returns a call of a module with a batch."""
    images = draw(count)
    return lambda: module(images).numpy()


def new_size_ratio(module: Any) -> float:
    """Returns the median over NEW_SIZES of the first call divided by a warm one; the module has been called before."""
    ratios = []
    for count in NEW_SIZES:
        call = caller(module, count)
        first = seconds(call)
        ratios.append(first / statistics.median(seconds(call) for _ in range(CALLS)))
    return statistics.median(ratios)


def gradients(module: Any, count: int, training: bool = False) -> list[np.ndarray]:
    """Returns the gradients of a loss by the variables."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = module(draw(count), training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(list(range(count)), outputs)
    return [each.numpy() for each in tape.gradient(losses, module.trainable_variables)]


def gradient_error(module: Any, twin: Any) -> float:
    """Returns the largest relative error of a gradient; small ones count by a thousandth of the largest."""
    expected, got = gradients(module, 2), gradients(twin, 2)
    norms = [float(np.linalg.norm(each)) for each in expected]
    smallest = 1e-3 * max(norms)
    pairs = zip(expected, got, norms, strict=True)
    return max(float(np.linalg.norm(one - other)) / max(norm, smallest) for one, other, norm in pairs)


def same_key_error(source: Path) -> float:
    """Returns the relative difference of the outputs with dropout by the same key, for random weights."""
    from pipeline.translate.gradients import draw_arguments, run_by_xla
    from pipeline.translate.patterns import recover
    from pipeline.translate.reading import read
    from pipeline.translate.tensorflow_functions import to_function
    from pipeline.translate.xla_calls import find_calls

    saved_model = parse((source / "saved_model.pb").read_bytes(), source)
    calls = [each for each in find_calls(saved_model.meta_graphs[0]) if each.gradient is not None]
    call = max(calls, key=lambda each: len(each.arguments))  # it has the key, too
    graph = recover(read(call.module, platforms=call.platforms))
    arguments = draw_arguments(graph, call, np.random.default_rng(0))
    inputs = [arguments[number] for number in call.arguments]
    inputs = [np.array([123456789, 987654321], each.dtype) if each.dtype == np.uint32 else each for each in inputs]
    expected, got = run_by_xla(call.node, inputs)[0].numpy(), to_function(graph)(*inputs)[0].numpy()
    return float(np.abs(expected - got).max() / np.abs(expected).max())


@dataclass(frozen=True)
class Row:
    """The figures of a variant, see the module's docstring."""

    variant: str
    written: float
    error: float
    gradients: float
    same_key: float
    new_size: float
    batch_1: float
    batch_32: float
    training: float

    def __str__(self) -> str:
        ratios = " | ".join(f"{each:.2f}" for each in (self.new_size, self.batch_1, self.batch_32, self.training))
        errors = " | ".join(f"{each:.1e}" for each in (self.error, self.gradients, self.same_key))
        return f"| {self.variant} | {self.written:.1f} | {errors} | {ratios} |"

    def missed(self) -> list[str]:
        """Returns the limits that were missed."""
        limits = LIMITS.get(self.variant, LIMITS["S/16"])
        most = {"error": limits.error, "gradients": limits.gradients, "same_key": SAME_KEY, "new_size": NEW_SIZE}
        least = {"batch_1": limits.batch_1, "batch_32": limits.batch_32}
        too_large = [name for name, limit in most.items() if not getattr(self, name) <= limit]
        too_small = [name for name, limit in least.items() if not getattr(self, name) >= limit]
        return [f"{self.variant}: {name} is {getattr(self, name):.2g}" for name in too_large + too_small]


def measure(variant: str, folder: Path) -> Row:
    """Writes the twin of a variant and measures it."""
    import tensorflow as tf

    from pipeline.translate.saved_models import write_plain

    source = convert(variant, folder)
    target = source.with_name("plain")
    written = seconds(lambda: write_plain(source, target))
    module, twin = tf.saved_model.load(str(source)), tf.saved_model.load(str(target))
    batch_1, batch_32 = (speed(caller(module, count), caller(twin, count)) for count in (1, 32))
    return Row(
        variant,
        written,
        error=max(relative_errors(twin, read_expected(target / "assets.extra/selftest.npz")).values()),
        gradients=gradient_error(module, twin),
        same_key=same_key_error(source),
        new_size=new_size_ratio(twin),
        batch_1=batch_1,
        batch_32=batch_32,
        training=speed(lambda: gradients(module, TRAINED, True), lambda: gradients(twin, TRAINED, True)),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measures plain twins beside their sources.")
    parser.add_argument("variants", nargs="*", default=list(LIMITS), metavar="VARIANT")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints and modules")
    args = parser.parse_args(arguments)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    print(HEAD, "|---" * (HEAD.count("|") - 1) + "|", sep="\n", flush=True)
    missed = []
    for variant in args.variants:
        row = measure(variant, args.folder)
        print(row, flush=True)
        missed += row.missed()
    if missed:
        raise SystemExit(f"limits are missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
