"""Another way to resize the position embedding than upstream's fails the comparison of the weights."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.random_checkpoints import random_arrays
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.model.vit.architecture import POSITION
from pipeline.proof import checks, ladder

pytestmark = pytest.mark.slow

STORED, SIZE = 24, 40  # pixels: grids of 3x3 and 5x5 patches of Mini/8


def fit_checkpoint() -> npz.Parameters:
    """Returns the weights of a model from a checkpoint of another image size."""
    return npz.fit(
        random_arrays(Model("Mini/8", STORED, 3)), open_network(Model("Mini/8", SIZE, 3), Path()), Path("a.npz")
    )


ZOOM = ndimage.zoom
FAULTS = {
    "transposed": lambda grid, factors, order: ZOOM(grid.swapaxes(0, 1), factors, order=order),
    "cubic": lambda grid, factors, order: ZOOM(grid, factors, order=3),
    "pixel centres": lambda grid, factors, order: ZOOM(grid, factors, order=order, grid_mode=True, mode="nearest"),
    "nearest": lambda grid, factors, order: ZOOM(grid, factors, order=0),
}


class Variable:
    """What compare_weights() uses of a TensorFlow variable."""

    def __init__(self, name: str, value: np.ndarray) -> None:
        self.name, self._value = f"{name}:0", value

    def numpy(self) -> np.ndarray:
        return self._value


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_another_way_to_resize_fails_the_weights(fault: str | None) -> None:
    expected = {name: checks.fingerprint(value) for name, value in fit_checkpoint().arrays.items()}
    with patch.object(ndimage, "zoom", FAULTS.get(fault or "", ZOOM)):
        module = [Variable(name, value) for name, value in fit_checkpoint().arrays.items()]
    check = checks.compare_weights(module, expected, STORED)
    assert check.different == ((POSITION,) if fault else ())
    assert check.verdict == ("fail" if fault else "pass")
    result = ladder.judge("weights", check)
    assert "with its position embedding resized from 24 pixels" in (result.reason if fault else result.figure)
