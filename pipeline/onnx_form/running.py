"""Runs an ONNX file in onnxruntime; as a job, see pipeline.forms.running."""

from pathlib import Path

import numpy as np

from pipeline.base.fault import Fault
from pipeline.forms.running import Runner, run_models

RUNNER = Runner("onnxruntime", "pipeline.onnx_form.running")


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


def _version() -> str:
    import onnxruntime

    version: str = onnxruntime.__version__
    return version


if __name__ == "__main__":
    run_models(RUNNER, Model, _version)
