"""Runs files in their runtime, in a process of its own, and measures how fast they are.

    python -m MODULE PLAN OUT

MODULE is that of a runtime, which calls run_models() with its way to open a file. PLAN is JSON: the number of threads,
and a list of runs, as _Order has them. OUT, a folder, gets 0.npz for the first run and so on: outputs and figures.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.jobs import run_job, start_job

Model = Callable[[np.ndarray], np.ndarray]  # float32 (n, size, size, 3) in [-1, 1] to (n, k)
_SIZES = (1, 32)  # images
_LONGEST = 3.0  # seconds of a measurement of speed: the median of what there was time for


@dataclass(frozen=True)
class Runner:
    """What runs a kind of files.

    Attributes:
        name: for people.
        module: the dotted name of the module that calls run_models().
    """

    name: str
    module: str


@dataclass(frozen=True, eq=False)
class Order:
    """What to run.

    Attributes:
        file: has one input and one output, as this project writes them.
        images: float32 (n, size, size, 3) in [-1, 1].
        sizes: of the batches; the last batch may be smaller.
        speeds: the sizes of batches whose speed is measured.
        rounds: the most calls of a measurement of speed.
    """

    file: Path
    images: np.ndarray
    sizes: Sequence[int] = _SIZES
    speeds: Sequence[int] = ()
    rounds: int = 5


@dataclass(frozen=True, eq=False)
class Run:
    """What a file computed, and how fast.

    Attributes:
        outputs: float32 (n, k) of all images, by the size of the batches that they were run in.
        rates: images per second by the size of batches, medians.
        load_seconds: to open the file.
        first_seconds: the first call, with one image.
        version: of the runtime.
    """

    outputs: Mapping[int, np.ndarray]
    rates: Mapping[int, float]
    load_seconds: float
    first_seconds: float
    version: str


@dataclass(frozen=True)
class _Order:
    """An Order in the plan of a process, whose images are in an .npy file."""

    file: str
    images: str
    sizes: list[int]
    speeds: list[int]
    rounds: int


def run_files(
    runner: Runner,
    files: Sequence[Path],
    images: np.ndarray,
    sizes: Sequence[int] = _SIZES,
    threads: int = 2,
    rounds: int = 5,
) -> list[Run]:
    """Runs files on the same images, and measures the speed of all sizes unless `rounds` is 0, see run_orders()."""
    return run_orders(runner, [Order(file, images, sizes, sizes if rounds else (), rounds) for file in files], threads)


def run_orders(runner: Runner, orders: Sequence[Order], threads: int = 2, scratch: Path | None = None) -> list[Run]:
    """Runs files on images, one after another, in a process of their own.

    Args:
        runner: of the files.
        orders: what to run.
        threads: how many the runtime uses.
        scratch: a folder for the images meanwhile; None for that of all temporary files.

    Raises:
        Fault: when the runtime cannot load or run a file.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        images: dict[int, str] = {}  # by the identity of the array: many orders share one
        for order in orders:
            if id(order.images) not in images:
                path = Path(folder, f"images_{len(images)}.npy")
                np.save(path, order.images, allow_pickle=False)
                images[id(order.images)] = str(path)
        plan = Path(folder, "plan.json")
        written = [
            _Order(str(each.file), images[id(each.images)], list(each.sizes), list(each.speeds), each.rounds)
            for each in orders
        ]
        plan.write_text(json.dumps([threads, [asdict(order) for order in written]]), encoding="utf-8")
        names = ", ".join(dict.fromkeys(order.file.name for order in orders))
        with start_job(runner.module, [plan, folder], f"{runner.name}'s run of {names}") as job:
            job.wait()
        return [_read_run(Path(folder, f"{index}.npz"), order) for index, order in enumerate(orders)]


def _read_run(path: Path, order: Order) -> Run:
    with np.load(path) as arrays:
        return Run(
            {size: arrays[f"outputs_{size}"] for size in order.sizes},
            {size: float(arrays[f"rate_{size}"]) for size in order.speeds},
            float(arrays["load_seconds"]),
            float(arrays["first_seconds"]),
            str(arrays["version"]),
        )


def run_models(runner: Runner, open_model: Callable[[Path, int], Model], version: Callable[[], str]) -> None:
    """Is the job of a runtime: its module calls this when it is run.

    Args:
        runner: its own.
        open_model: loads a file, to run in so many threads.
        version: imports the runtime, which is not part of the load, and returns its version.
    """

    def main(arguments: Sequence[str]) -> None:
        plan, out = map(Path, arguments)
        threads, orders = json.loads(plan.read_text(encoding="utf-8"))
        known = version()
        for index, order in enumerate(_Order(**each) for each in orders):
            run = _run(order, lambda file: open_model(file, threads), known)
            arrays: dict[str, Any] = {f"outputs_{size}": outputs for size, outputs in run.outputs.items()}
            arrays |= {f"rate_{size}": rate for size, rate in run.rates.items()}
            figures = {name: getattr(run, name) for name in ("load_seconds", "first_seconds", "version")}
            np.savez(out / f"{index}.npz", allow_pickle=False, **arrays, **figures)

    run_job(runner.module, main)


def _run(order: _Order, open_model: Callable[[Path], Model], version: str) -> Run:
    images = np.load(order.images)
    whole = Order(Path(order.file), images, order.sizes, order.speeds, order.rounds)
    return measure_run(lambda: open_model(whole.file), whole, version)


def measure_run(load: Callable[[], Model], order: Order, version: str) -> Run:
    """Loads a model in this process, runs it as the order says, and measures both.

    Args:
        load: returns the model of the order's file.
        order: what to run.
        version: of the runtime, which is imported already.
    """
    images, started = order.images, time.perf_counter()
    model = load()
    loaded = time.perf_counter()
    model(images[:1])
    called = time.perf_counter()
    return Run(
        {size: run_batches(model, images, size) for size in order.sizes},
        {
            size: _measure_rate(model, np.resize(images, (size, *images.shape[1:])), order.rounds)
            for size in order.speeds
        },
        loaded - started,
        called - loaded,
        version,
    )


def run_batches(model: Model, images: np.ndarray, size: int) -> np.ndarray:
    """Returns the outputs (n, k) of images in batches of a size; the last one may be smaller."""
    return np.concatenate([model(images[first : first + size]) for first in range(0, len(images), size)])


def _measure_rate(model: Model, images: np.ndarray, rounds: int) -> float:
    """Returns images per second, the median of several calls after one that is not counted.

    A first call that takes _LONGEST counts, and is the only one: a large model takes minutes for all of its files, and
    what its first call prepares is little beside what it computes (benchmarks/README.md, section Speed of files).
    """
    first = _measure_call(model, images)
    if first >= _LONGEST:
        return len(images) / first
    seconds: list[float] = []
    while len(seconds) < rounds and sum(seconds) < _LONGEST:
        seconds.append(_measure_call(model, images))
    return len(images) / statistics.median(seconds)


def _measure_call(model: Model, images: np.ndarray) -> float:
    """Returns the seconds of a call."""
    started = time.perf_counter()
    model(images)
    return time.perf_counter() - started
