"""Runs a LiteRT file in LiteRT's own interpreter, in a process of its own, and measures how fast it is.

    python -m pipeline.litert.running FILE IMAGES OUT THREADS ROUNDS

IMAGES is an .npy file; OUT, an .npz file, gets the outputs and the figures.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.fault import Fault
from pipeline.base.jobs import run_job, start_job

_MODULE = "pipeline.litert.running"
_BATCH = 32  # images
_ALONE = 4  # images that are also run one at a time


@dataclass(frozen=True, eq=False)
class Run:
    """What a LiteRT file computed, and how fast.

    Attributes:
        outputs: float32 (n, k), of batches of 32.
        alone: float32 (min(n, 4), k): of the first images, each alone.
        load_seconds: to open the file and plan for one image.
        first_seconds: the first call, with one image.
        rate_1, rate_32: images per second in batches of 1 and 32, medians; NaN where they were not measured.
        version: of ai-edge-litert.
    """

    outputs: np.ndarray
    alone: np.ndarray
    load_seconds: float
    first_seconds: float
    rate_1: float
    rate_32: float
    version: str


def run_file(file: Path, images: np.ndarray, threads: int = 2, rounds: int = 5) -> Run:
    """Runs a LiteRT file on images.

    Args:
        file: its signature serving_default takes `inputs`.
        images: float32 (n, size, size, 3) in [-1, 1].
        threads: how many the interpreter uses.
        rounds: of each measurement of speed; 0 for none.

    Raises:
        Fault: when LiteRT cannot load or run the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "images.npy"), Path(folder, "run.npz")
        np.save(given, images, allow_pickle=False)
        with start_job(_MODULE, [file, given, made, str(threads), str(rounds)], f"LiteRT's run of {file.name}") as job:
            job.wait()
        with np.load(made) as arrays:
            single = {name: arrays[name].item() for name in arrays.files if arrays[name].ndim == 0}
            return Run(outputs=arrays["outputs"], alone=arrays["alone"], **single)


class Model:
    """A LiteRT file in LiteRT's interpreter.

    It has one signature with one input and one output, as those of this project have.
    """

    def __init__(self, file: Path, threads: int) -> None:
        """Loads a file, to run in so many threads.

        Raises:
            Fault: when LiteRT cannot load it.
        """
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter: Any = Interpreter(str(file), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise Fault(f"{file}: LiteRT cannot load it ({str(error).strip()}); write it again") from error
        self._file = file
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()
        self._shape = tuple(self._input["shape"])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the outputs (n, k) of images (n, size, size, 3); another n than the last one plans again.

        Raises:
            Fault: when LiteRT cannot run it.
        """
        interpreter = self._interpreter
        try:
            if images.shape != self._shape:
                interpreter.resize_tensor_input(self._input["index"], images.shape, strict=True)
                interpreter.allocate_tensors()
                self._shape = images.shape
            interpreter.set_tensor(self._input["index"], images)
            interpreter.invoke()
            outputs: np.ndarray = interpreter.get_tensor(self._output["index"])
        except (ValueError, RuntimeError) as error:
            shown = f"float32 {images.shape}"
            raise Fault(f"{self._file}: LiteRT fails on images, {shown} ({str(error).strip()})") from error
        return outputs


def measure_rate(model: Model, images: np.ndarray, rounds: int) -> float:
    """Returns images per second, the median of several calls after one that is not counted; NaN for no rounds."""
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        model(images)
        seconds.append(time.perf_counter() - started)
    return len(images) / statistics.median(seconds[1:]) if rounds else float("nan")


def _main(arguments: Sequence[str]) -> None:
    from importlib.metadata import version

    file, given, made = map(Path, arguments[:3])
    threads, rounds = map(int, arguments[3:])
    images = np.load(given)
    import ai_edge_litert.interpreter  # noqa: F401 (its import is not part of the load)

    started = time.perf_counter()
    model = Model(file, threads)
    loaded = time.perf_counter()
    model(images[:1])
    called = time.perf_counter()
    alone = [model(images[index : index + 1]) for index in range(min(len(images), _ALONE))]
    rate_1 = measure_rate(model, images[:1], rounds)
    outputs = [model(images[first : first + _BATCH]) for first in range(0, len(images), _BATCH)]
    rate_32 = measure_rate(model, np.resize(images, (_BATCH, *images.shape[1:])), rounds)
    np.savez(
        made,
        allow_pickle=False,
        outputs=np.concatenate(outputs),
        alone=np.concatenate(alone),
        load_seconds=loaded - started,
        first_seconds=called - loaded,
        rate_1=rate_1,
        rate_32=rate_32,
        version=version("ai-edge-litert"),
    )


if __name__ == "__main__":
    run_job(_MODULE, _main)
