"""Runs ONNX files in onnxruntime, in a process of its own, and measures how fast they are.

    python -m pipeline.onnx_form.running IMAGES OUT THREADS ROUNDS FILE ...

IMAGES is an .npy file; OUT, a folder, gets 0.npz for the first file and so on: the outputs and the figures.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.fault import Fault
from pipeline.base.jobs import run_job, start_job

_MODULE = "pipeline.onnx_form.running"
_BATCH = 32  # images
_ALONE = 4  # images that are also run one at a time


@dataclass(frozen=True, eq=False)
class Run:
    """What an ONNX file computed, and how fast.

    Attributes:
        outputs: float32 (n, k), of batches of 32.
        alone: float32 (min(n, 4), k): of the first images, each alone.
        load_seconds: to open the file and plan.
        first_seconds: the first call, with one image.
        rate_1, rate_32: images per second in batches of 1 and 32, medians; NaN where they were not measured.
        version: of onnxruntime.
    """

    outputs: np.ndarray
    alone: np.ndarray
    load_seconds: float
    first_seconds: float
    rate_1: float
    rate_32: float
    version: str


def run_files(files: Sequence[Path], images: np.ndarray, threads: int = 2, rounds: int = 5) -> list[Run]:
    """Runs ONNX files on images, one after another.

    Args:
        files: each with one input and one output, as pipeline.onnx_form.files writes them.
        images: float32 (n, size, size, 3) in [-1, 1].
        threads: how many onnxruntime uses.
        rounds: of each measurement of speed; 0 for none.

    Raises:
        Fault: when onnxruntime cannot load or run a file.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "images.npy")
        np.save(given, images, allow_pickle=False)
        arguments: list[str | Path] = [given, folder, str(threads), str(rounds), *files]
        with start_job(_MODULE, arguments, f"onnxruntime's run of {', '.join(file.name for file in files)}") as job:
            job.wait()
        return [_read_run(Path(folder, f"{index}.npz")) for index in range(len(files))]


def _read_run(path: Path) -> Run:
    with np.load(path) as arrays:
        single = {name: arrays[name].item() for name in arrays.files if arrays[name].ndim == 0}
        return Run(outputs=arrays["outputs"], alone=arrays["alone"], **single)


class Model:
    """An ONNX file in onnxruntime, on the CPU."""

    def __init__(self, file: Path, threads: int) -> None:
        """Loads a file, to run in so many threads.

        Raises:
            Fault: when onnxruntime cannot load it.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what fails is raised, too
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own classes have no common base
            raise Fault(f"{file}: onnxruntime cannot load it ({str(error).strip()}); write it again") from error
        self._file = file
        (self._input,) = self._session.get_inputs()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the outputs (n, k) of images (n, size, size, 3).

        Raises:
            Fault: when onnxruntime cannot run it.
        """
        first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        try:
            outputs: np.ndarray = self._session.run(None, {self._input.name: first})[0]
        except Exception as error:
            shown = f"{images.dtype} {images.shape}"
            raise Fault(f"{self._file}: onnxruntime fails on images, {shown} ({str(error).strip()})") from error
        return outputs


def measure_rate(model: Model, images: np.ndarray, rounds: int) -> float:
    """Returns images per second, the median of several calls after one that is not counted; NaN for no rounds."""
    seconds = []
    for _ in range(rounds + 1 if rounds else 0):
        started = time.perf_counter()
        model(images)
        seconds.append(time.perf_counter() - started)
    return len(images) / statistics.median(seconds[1:]) if rounds else float("nan")


def _run(file: Path, images: np.ndarray, threads: int, rounds: int) -> Run:
    import onnxruntime

    started = time.perf_counter()
    model = Model(file, threads)
    loaded = time.perf_counter()
    model(images[:1])
    called = time.perf_counter()
    alone = [model(images[index : index + 1]) for index in range(min(len(images), _ALONE))]
    rate_1 = measure_rate(model, images[:1], rounds)
    outputs = [model(images[first : first + _BATCH]) for first in range(0, len(images), _BATCH)]
    rate_32 = measure_rate(model, np.resize(images, (_BATCH, *images.shape[1:])), rounds)
    return Run(
        outputs=np.concatenate(outputs),
        alone=np.concatenate(alone),
        load_seconds=loaded - started,
        first_seconds=called - loaded,
        rate_1=rate_1,
        rate_32=rate_32,
        version=onnxruntime.__version__,
    )


def _main(arguments: Sequence[str]) -> None:
    import onnxruntime  # noqa: F401 (its import is not part of the load)

    given, out, threads, rounds, *files = arguments
    images = np.load(given)
    for index, file in enumerate(files):
        run = _run(Path(file), images, int(threads), int(rounds))
        np.savez(Path(out, f"{index}.npz"), allow_pickle=False, **vars(run))


if __name__ == "__main__":
    run_job(_MODULE, _main)
