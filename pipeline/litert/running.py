"""Runs a LiteRT file in LiteRT's own interpreter; as a job, see pipeline.forms.running."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.fault import Fault
from pipeline.forms.running import Runner, run_models

RUNNER = Runner("LiteRT", "pipeline.litert.running")


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


def _version() -> str:
    from importlib.metadata import version

    import ai_edge_litert.interpreter  # noqa: F401 (its import is not part of a load)

    return version("ai-edge-litert")


if __name__ == "__main__":
    run_models(RUNNER, Model, _version)
