"""Runs a LiteRT or an ONNX file on batches of several sizes, in a process of its own.

    python -m pipeline.runtimes.file_runs RUNTIME FILE IMAGES OUT SIZE [SIZE ...]

IMAGES is an .npy file; OUT, an .npz file, gets the outputs of all images in batches of each SIZE.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pipeline.base.jobs import run_job, start_job
from pipeline.litert import running as litert
from pipeline.onnx_form import running as onnx
from pipeline.runtimes.table import Runtime

_MODULE = "pipeline.runtimes.file_runs"
_THREADS = 2
_MODELS: Mapping[Runtime, Callable[[Path, int], Callable[[np.ndarray], np.ndarray]]] = {
    Runtime.LITERT: litert.Model,
    Runtime.ONNX: onnx.Model,
}
_PACKAGES = {Runtime.LITERT: "ai-edge-litert", Runtime.ONNX: "onnxruntime"}


@dataclass(frozen=True, eq=False)
class Run:
    """What a file computed.

    Attributes:
        outputs: float32 (n, k), by the size of the batches that the images were run in.
        version: of the runtime.
    """

    outputs: Mapping[int, np.ndarray]
    version: str


def run_file(runtime: Runtime, file: Path, images: np.ndarray, sizes: Sequence[int]) -> Run:
    """Runs a file.

    Args:
        runtime: LiteRT or onnxruntime.
        file: with one input and one output, as this project writes it.
        images: float32 (n, size, size, 3) in [-1, 1].
        sizes: of the batches; the last batch may be smaller.

    Raises:
        Fault: when the runtime cannot load or run the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "images.npy"), Path(folder, "outputs.npz")
        np.save(given, images, allow_pickle=False)
        arguments: list[str | Path] = [runtime, file, given, made, *map(str, sizes)]
        with start_job(_MODULE, arguments, f"{runtime}'s run of {file.name}") as job:
            job.wait()
        with np.load(made) as arrays:
            return Run({size: arrays[str(size)] for size in sizes}, version(_PACKAGES[runtime]))


def _main(arguments: Sequence[str]) -> None:
    runtime, (file, given, made) = Runtime(arguments[0]), map(Path, arguments[1:4])
    images = np.load(given)
    model = _MODELS[runtime](file, _THREADS)
    outputs = {
        size: np.concatenate([model(images[first : first + int(size)]) for first in range(0, len(images), int(size))])
        for size in arguments[4:]
    }
    np.savez(made, allow_pickle=False, **outputs)


if __name__ == "__main__":
    run_job(_MODULE, _main)
