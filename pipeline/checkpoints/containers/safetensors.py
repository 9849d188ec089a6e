"""Checkpoints in safetensors files, as timm and transformers write them."""

from pathlib import Path

import ml_dtypes  # noqa: F401 - NumPy, and so safetensors, knows the name bfloat16 only once this is imported
import numpy as np
from safetensors import SafetensorError, safe_open

from pipeline.base.fault import UnusableFile
from pipeline.checkpoints.containers.weights_file import Stored, WeightsFile
from pipeline.checkpoints.safetensors_header import DamagedHeader, check_header

# safetensors' names of types, where they are not NumPy's.
_TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "I64": "int64", "I32": "int32"}


class SafetensorsWeights(WeightsFile):
    """A safetensors file."""

    kind = "safetensors"

    def __init__(self, path: Path, where: str) -> None:
        """Opens the file and reads its header.

        Raises:
            UnusableFile: when it is missing, damaged, or no safetensors file.
            OSError: when there is no permission to read it.
        """
        self.where = where
        if not path.is_file():
            raise UnusableFile(f"{where}: no such file; expected a safetensors file")
        path.open("rb").close()  # safetensors reports a file without read permission as missing
        try:
            check_header(path)
            # Not mapped: the pages of a mapping would count as this process's memory, and double it.
            self._file = safe_open(path, framework="numpy", backend="pread").__enter__()
            slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118 - no mapping
            self.stored = {
                name: Stored(tuple(part.get_shape()), _TYPES.get(part.get_dtype(), part.get_dtype()))
                for name, part in slices.items()
            }
        except (SafetensorError, DamagedHeader, OSError) as error:
            raise self.damage(error) from None

    def read(self, name: str) -> np.ndarray:
        try:
            value: np.ndarray = self._file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise self.damage(error) from None
        return value

    def close(self) -> None:
        self._file.__exit__(None, None, None)
