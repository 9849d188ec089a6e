"""Position embeddings: fixed ones are big_vision's, and learned ones of another grid are resized as upstream does."""

import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.random_checkpoints import random_arrays
from pipeline.base.fault import Fault
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.model.vit.architecture import POSITION
from pipeline.model.vit.positions import add_fixed_positions, resize_positions

pytestmark = pytest.mark.slow

STORED, SIZE = 24, 40  # pixels: grids of 3x3 and 5x5 patches of Mini/8


def zoom_by_hand(grid: np.ndarray, side: int) -> np.ndarray:
    """Interpolates a grid (rows, columns, width) linearly, corner to corner, first down and then across."""
    rows, columns, width = grid.shape
    at_rows, at_columns = np.linspace(0, rows - 1, side), np.linspace(0, columns - 1, side)
    down = np.empty((side, columns, width))
    for column, channel in np.ndindex(columns, width):
        down[:, column, channel] = np.interp(at_rows, np.arange(rows), grid[:, column, channel])
    across = np.empty((side, side, width))
    for row, channel in np.ndindex(side, width):
        across[row, :, channel] = np.interp(at_columns, np.arange(columns), down[row, :, channel])
    return across


@pytest.mark.parametrize(("before", "after"), [(3, 5), (14, 24), (7, 4), (5, 5)])
@pytest.mark.parametrize("has_class_token", [True, False])
def test_a_grid_is_resized_linearly_and_the_class_token_stays(before: int, after: int, has_class_token: bool) -> None:
    first = int(has_class_token)
    positions = np.random.default_rng(0).standard_normal((1, first + before**2, 8)).astype(np.float32)
    resized = resize_positions(positions, after, has_class_token)
    assert resized.dtype == np.float32
    assert resized.shape == (1, first + after**2, 8)
    np.testing.assert_array_equal(resized[:, :first], positions[:, :first])
    expected = zoom_by_hand(positions[0, first:].reshape(before, before, 8), after)
    np.testing.assert_allclose(resized[0, first:], expected.reshape(-1, 8), rtol=0, atol=1e-6)


def test_tokens_that_are_no_square_cannot_be_resized() -> None:
    with pytest.raises(ValueError, match="12 tokens are no square grid"):
        resize_positions(np.zeros((1, 13, 4), np.float32), 5, has_class_token=True)


def test_fixed_positions_are_sines_and_cosines_of_the_column_then_of_the_row() -> None:
    side, width = 3, 16
    added = np.asarray(add_fixed_positions(jnp.ones((2, side * side, width)))) - 1
    for token, channel in np.ndindex(side * side, width):
        row, column = divmod(token, side)
        part, index = divmod(channel, width // 4)
        angle = (column, column, row, row)[part] / 10_000 ** (index / (width // 4 - 1))
        expected = (math.sin, math.cos)[part % 2](angle)
        np.testing.assert_allclose(added[:, token, channel], expected, rtol=0, atol=2e-7)


def fit(size: int, stored: int, **options: Any) -> npz.Parameters:
    """Returns the weights of a model of one image size from a checkpoint of another."""
    arrays = random_arrays(Model("Mini/8", stored, 3, options=options))
    return npz.fit(arrays, open_network(Model("Mini/8", size, 3, options=options), Path()), Path("a.npz"))


@pytest.mark.parametrize("pooling", ["token", "gap", "map"])
def test_a_checkpoint_of_another_image_size_fits(pooling: str) -> None:
    parameters, original = fit(SIZE, STORED, pooling=pooling), fit(STORED, STORED, pooling=pooling)
    assert (parameters.image_size, original.image_size) == (STORED, None)
    for name, value in original.arrays.items():
        if name != POSITION:
            np.testing.assert_array_equal(parameters.arrays[name], value)
    network = open_network(Model("Mini/8", SIZE, 3, options={"pooling": pooling}), Path())
    assert {name: value.shape for name, value in parameters.arrays.items()} == network.expected_shapes()
    assert network.describe_resize(STORED) == "position embedding resized from 3x3 to 5x5"


def test_fixed_positions_need_no_resizing() -> None:
    assert fit(SIZE, STORED, positions="sincos2d").image_size is None


def test_a_checkpoint_whose_tokens_are_no_square_is_refused() -> None:
    arrays = random_arrays(Model("Mini/8", STORED, 3))
    arrays[POSITION] = arrays[POSITION][:, :-1]
    with pytest.raises(Fault, match=r"pos_embedding: expected \(1, 26, 64\), got \(1, 9, 64\)"):
        npz.fit(arrays, open_network(Model("Mini/8", SIZE, 3), Path()), Path("a.npz"))


def test_only_the_positions_may_be_of_another_size() -> None:
    """The refusal names the array that is off, not the positions, which could be resized."""
    arrays = random_arrays(Model("Mini/8", STORED, 3))
    arrays["head/bias"] = arrays["head/bias"][:2]
    with pytest.raises(Fault, match=r"head/bias: expected \(3,\), got \(2,\)") as raised:
        npz.fit(arrays, open_network(Model("Mini/8", SIZE, 3), Path()), Path("a.npz"))
    assert POSITION not in str(raised.value)
