"""Runs files in their runtime, in a process of its own, and measures how fast they are.

    python -m MODULE IMAGES OUT THREADS ROUNDS SIZES FILE ...

MODULE is that of a runtime, which calls run_models() with its way to open a file. IMAGES is an .npy file; OUT, a
folder, gets 0.npz for the first file and so on: the outputs and the figures. SIZES are those of batches, with commas.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.jobs import run_job, start_job

Model = Callable[[np.ndarray], np.ndarray]  # float32 (n, size, size, 3) in [-1, 1] to (n, k)
_SIZES = (1, 32)  # images


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
class Run:
    """What a file computed, and how fast.

    Attributes:
        outputs: float32 (n, k) of all images, by the size of the batches that they were run in.
        rates: images per second by the size of batches, medians; NaN where they were not measured.
        load_seconds: to open the file.
        first_seconds: the first call, with one image.
        version: of the runtime.
    """

    outputs: Mapping[int, np.ndarray]
    rates: Mapping[int, float]
    load_seconds: float
    first_seconds: float
    version: str


def run_files(
    runner: Runner,
    files: Sequence[Path],
    images: np.ndarray,
    sizes: Sequence[int] = _SIZES,
    threads: int = 2,
    rounds: int = 5,
) -> list[Run]:
    """Runs files on images, one after another, in a process of their own.

    Args:
        runner: of the files.
        files: each with one input and one output, as this project writes them.
        images: float32 (n, size, size, 3) in [-1, 1].
        sizes: of the batches; the last batch may be smaller.
        threads: how many the runtime uses.
        rounds: of each measurement of speed; 0 for none.

    Raises:
        Fault: when the runtime cannot load or run a file.
    """
    with tempfile.TemporaryDirectory() as folder:
        images_file = Path(folder, "images.npy")
        np.save(images_file, images, allow_pickle=False)
        numbers = [str(threads), str(rounds), ",".join(map(str, sizes))]
        names = ", ".join(file.name for file in files)
        with start_job(
            runner.module, [images_file, folder, *numbers, *files], f"{runner.name}'s run of {names}"
        ) as job:
            job.wait()
        return [_read_run(Path(folder, f"{index}.npz"), sizes) for index in range(len(files))]


def _read_run(path: Path, sizes: Sequence[int]) -> Run:
    with np.load(path) as arrays:
        return Run(
            {size: arrays[f"outputs_{size}"] for size in sizes},
            {size: float(arrays[f"rate_{size}"]) for size in sizes},
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
        images_file, out, threads, rounds, sizes, *files = arguments
        images, known = np.load(images_file), version()
        for index, file in enumerate(files):
            started = time.perf_counter()
            model = open_model(Path(file), int(threads))
            loaded = time.perf_counter()
            model(images[:1])
            called = time.perf_counter()
            arrays: dict[str, Any] = {
                "load_seconds": loaded - started,
                "first_seconds": called - loaded,
                "version": known,
            }
            for size in map(int, sizes.split(",")):
                arrays[f"outputs_{size}"] = run_batches(model, images, size)
                arrays[f"rate_{size}"] = _measure_rate(model, np.resize(images, (size, *images.shape[1:])), int(rounds))
            np.savez(Path(out, f"{index}.npz"), allow_pickle=False, **arrays)

    run_job(runner.module, main)


def run_batches(model: Model, images: np.ndarray, size: int) -> np.ndarray:
    """Returns the outputs (n, k) of images in batches of a size; the last one may be smaller."""
    return np.concatenate([model(images[first : first + size]) for first in range(0, len(images), size)])


def _measure_rate(model: Model, images: np.ndarray, rounds: int) -> float:
    """Returns images per second, the median of several calls after one that is not counted; NaN for no rounds."""
    if not rounds:
        return float("nan")
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        model(images)
        seconds.append(time.perf_counter() - started)
    return len(images) / statistics.median(seconds[1:])
