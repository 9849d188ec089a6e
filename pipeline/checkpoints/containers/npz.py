"""Checkpoints in .npz files, as NumPy, vision_transformer and big_vision write them."""

from pathlib import Path

import numpy as np

from pipeline.checkpoints.containers.weights_file import Stored, WeightsFile
from pipeline.checkpoints.digest import open_npz


class NpzWeights(WeightsFile):
    """An .npz file."""

    kind = "npz"

    def __init__(self, path: Path, where: str) -> None:
        """Opens the file; see pipeline.base.npz_file for what is refused."""
        self.where, self._file = where, open_npz(path, where)
        headers = self._file.headers
        self.stored = {name: Stored(header.shape, _type_of(header.dtype)) for name, header in headers.items()}

    def read(self, name: str) -> np.ndarray:
        return self._file.read(name)

    def close(self) -> None:
        self._file.close()


def _type_of(dtype: np.dtype) -> str:
    """Returns a type's name; NumPy writes bfloat16, which it does not have, as two bytes."""
    return "bfloat16" if dtype.str == "|V2" else dtype.name
