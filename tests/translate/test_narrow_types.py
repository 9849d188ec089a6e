"""Indices and sizes of types other than int32 mean what they mean in JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.translate.comparing import Translated, compare

pytestmark = pytest.mark.slow

Array = Any
LINE = np.arange(300, dtype=np.float32)


def test_an_index_is_cast_as_the_function_says() -> None:
    translated = Translated(lambda x, i: x[i.astype(jnp.uint8)], [LINE, np.array(0, np.int32)])
    for index in (0, 257, 299, -1):
        translated.compare(LINE, np.array(index, np.int32))


def test_stacked_numbers_are_cast_as_the_function_says() -> None:
    def stacked(a: Array, b: Array) -> Array:
        pair = jnp.stack([a.astype(jnp.int8).astype(jnp.int32), b])
        return pair, pair + 1, pair * jnp.stack([b, a]), pair.astype(jnp.int8).astype(jnp.int32)

    compare(stacked, np.array(300, np.int32), np.array(-200, np.int32))


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.int16, jnp.uint32])
def test_slices_start_where_indices_of_any_type_say(dtype: Any) -> None:
    def slices(x: Array, i: Array) -> Array:
        i = i.astype(dtype)
        part = lax.dynamic_slice(x, (i,), (2,))
        return part, lax.dynamic_update_slice(x, -part, (i,))

    translated = Translated(slices, [LINE, np.array(0, np.int32)])
    for index in (-1, 0, 5, 255, 299, 1000):
        translated.compare(LINE, np.array(index, np.int32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32])  # JAX refuses int8 here
def test_windows_of_arrays_larger_than_the_type_of_the_indices(dtype: Any) -> None:
    places = np.array([0, 1, 100, 127, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)

    def windows(x: Array, at: Array) -> Array:
        numbers = lax.ScatterDimensionNumbers((1,), (), (0,))
        updates = jnp.arange(12.0).reshape(6, 2)
        return (
            jax.vmap(lambda i: lax.dynamic_slice(x, (i,), (2,)))(at), x[at], jnp.take(x, at, mode="clip"),
            lax.scatter_add(x, at[:, None], updates, numbers, mode="drop"), x.at[at].add(1.0), x.at[at[3]].set(-1.0),
        )  # fmt: skip

    compare(windows, LINE, places)


def test_wide_integers_keep_their_values() -> None:
    with jax.enable_x64(True):
        a, b = np.array(2**40, np.int64), np.array(-(2**40) - 7, np.int64)
        compare(lambda a, b: (jnp.stack([a, b]), jnp.stack([a, b]) + jnp.stack([b, b]), jnp.stack([a, a - 5])), a, b)

        def slices(x: Array, i: Array) -> Array:
            part = lax.dynamic_slice(x, (i,), (2,))
            many = jnp.stack([i, i - i + 3])
            return part, lax.dynamic_update_slice(x, -part, (i,)), x[many], x.at[many].add(1.0)

        for dtype in (np.int64, np.uint64):
            translated = Translated(slices, [LINE, np.array(0, dtype)])
            for index in (0, 7, 299, 2**32 + 1, 2**40):
                translated.compare(LINE, np.array(index, dtype))


def test_free_sizes_of_wide_integers_are_still_the_same() -> None:
    with jax.enable_x64(True):
        translated = Translated(
            lambda x: jnp.concatenate([x, x * 2], 0).reshape(2, x.shape[0], 4) + x[None] + jnp.zeros((x.shape[0], 4)),
            [np.ones((3, 4), np.float32)],
            ["n, 4"],
        )
        for count in (1, 3):
            translated.compare(np.ones((count, 4), np.float32))
