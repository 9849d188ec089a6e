"""Small functions of all kinds, as models of strangers have them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = Any


@dataclass(frozen=True)
class Stranger:
    """A function and arguments to try it with.

    Attributes:
        function: takes the arguments.
        arguments: arrays.
        shapes: with free sizes, by argument, see tests.translate.modules.serialize(); None for fixed ones.
        refused: the name of the operation that no runtime has; "" where the function is translated.
        tolerance: of its results, relative to 1 or to the value, whichever is larger.
    """

    function: Callable[..., Any]
    arguments: tuple[np.ndarray, ...]
    shapes: tuple[str | None, ...] = ()
    refused: str = ""
    tolerance: float = 1e-5

    @property
    def name(self) -> str:
        return self.function.__name__


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    """Returns normally distributed float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(*shape: int, high: int, seed: int = 0) -> np.ndarray:
    """Returns int32 from 0 to high - 1."""
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.int32)


IMAGES = floats(2, 8, 8, 3)
KERNEL = floats(3, 3, 3, 4, seed=1) / 5
TOKENS = floats(2, 5, 8)
FREE_IMAGES = ("n, 8, 8, 3",)
FREE_TOKENS = ("n, 5, 8",)
CONVOLVED = ("NHWC", "HWIO", "NHWC")


def convolutional(x: Array, kernel: Array) -> Array:
    y = jax.nn.relu(lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=CONVOLVED) + 0.5)
    y = lax.reduce_window(y, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return y.reshape(y.shape[0], 64) @ jnp.ones((64, 3))


def masked_attention(x: Array) -> Array:
    scores = jnp.einsum("bqd,bkd->bqk", x, x) / np.sqrt(8)
    mask = jnp.tril(jnp.ones((5, 5), bool))
    return jnp.einsum("bqk,bkd->bqd", jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)), x)


def scanned(x: Array) -> Array:
    def step(state: Array, token: Array) -> tuple[Array, Array]:
        state = 0.9 * state + jnp.tanh(token)
        return state, state * 2

    return lax.scan(step, jnp.zeros_like(x[:, 0]), jnp.swapaxes(jnp.tile(x, (1, 3, 1)), 0, 1))[1]


def conditional(x: Array) -> Array:
    return lax.cond(x.sum() > 0, lambda y: y * 2, lambda y: jnp.sin(y) - 1, x)


def switched(index: Array, x: Array) -> Array:
    return lax.switch(index, [lambda y: y + 1, lambda y: y * y, lambda y: -y], x)


def resized(x: Array) -> Array:
    return jax.image.resize(x, (x.shape[0], 5, 11, 3), "bilinear")


def exact_gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)


def two_free_sizes(x: Array) -> Array:
    scores = jax.nn.softmax(jnp.einsum("btd,bsd->bts", x, x))
    return jnp.einsum("bts,bsd->btd", scores, x).reshape(-1, 8) + x.mean((0, 1))


def embedded(indices: Array, table: Array) -> Array:
    return table[indices] + jnp.take(table, indices, axis=0, mode="clip")


def largest(x: Array) -> Array:
    return lax.top_k(x, 3)


def cumulated(x: Array) -> Array:
    return jnp.cumsum(x, 1), jnp.cumsum(x, 2)[..., ::-1], lax.cummax(x, 1, reverse=True)


def transposed_convolution(x: Array, kernel: Array) -> Array:
    return lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=CONVOLVED)


def transformed(x: Array) -> Array:
    return jnp.abs(jnp.fft.rfft(x))


def complex_numbers(x: Array) -> Array:
    return jnp.abs(x + 2j * x)


def decomposed(x: Array) -> Array:
    return jnp.linalg.cholesky(x @ x.T + 9 * jnp.eye(4))


def solved(x: Array) -> Array:
    return lax.linalg.triangular_solve(jnp.tril(x) + 9 * jnp.eye(4), x, left_side=True, lower=True)


def sorted_(x: Array) -> Array:
    return jnp.sort(x, 1), jnp.argsort(x), jnp.argsort(x, descending=True), jnp.sort(x, descending=True)


def sorted_by_two_keys(keys: Array, x: Array) -> Array:
    return lax.sort((keys, x, jnp.arange(24).reshape(4, 6)), dimension=1, num_keys=2)


def scattered(x: Array, indices: Array) -> Array:
    return x.at[indices].add(1.5), x.at[indices, indices].max(2), x.at[:, 1:3].set(-1), x.at[indices[:2]].set(0)


def segments(x: Array, indices: Array) -> Array:
    return jax.ops.segment_sum(x, indices, num_segments=3), jnp.bincount(indices, length=7)


def contracted(x: Array, y: Array) -> Array:
    return jnp.einsum("bij,bjkl->bkil", x, y), jnp.einsum("bij,bij->b", x, x), jnp.einsum("bij,cij->bc", x, x)


def newton(x: Array) -> Array:
    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        return state[0] + 1, 0.5 * (state[1] + x / state[1])

    return lax.while_loop(lambda state: (state[0] < 20) & (jnp.abs(state[1] ** 2 - x).max() > 1e-4), step, (0, x + 1))


def first_places(x: Array) -> Array:
    return jnp.argmax(x, 1), jnp.argmin(x, -1), jnp.max(x, (1, 2)), jnp.argmax(x)


def one_hot(indices: Array) -> Array:
    return jax.nn.one_hot(indices, 6) * 2


def updated(x: Array, index: Array) -> Array:
    part = lax.dynamic_slice(x, (0, index, 0), (2, 2, 8))
    return lax.dynamic_update_slice(x, part * 2, (0, index + 1, 3))


def lstm(x: Array, kernel: Array) -> Array:
    def step(state: tuple[Array, Array], token: Array) -> tuple[tuple[Array, Array], Array]:
        hidden, cell = state
        gates = jnp.concatenate([token, hidden], -1) @ kernel
        forget, let, out, new = jnp.split(gates, 4, -1)
        cell = jax.nn.sigmoid(forget + 1) * cell + jax.nn.sigmoid(let) * jnp.tanh(new)
        hidden = jax.nn.sigmoid(out) * jnp.tanh(cell)
        return (hidden, cell), hidden

    zeros = jnp.zeros((x.shape[0], 4))
    return lax.scan(step, (zeros, zeros), jnp.swapaxes(x, 0, 1))


def grouped_convolution(x: Array, kernel: Array) -> Array:
    y = jnp.concatenate([x, -x, x[..., :2]], -1)
    return lax.conv_general_dilated(y, kernel, (1, 2), "SAME", dimension_numbers=CONVOLVED, feature_group_count=4)


def depthwise_convolution(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x, kernel, (2, 2), "VALID", dimension_numbers=CONVOLVED, feature_group_count=3)


def dilated_convolution(x: Array, kernel: Array) -> Array:
    padding = [(2, 1), (-1, 3)]
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, rhs_dilation=(2, 1), dimension_numbers=CONVOLVED)


def channels_first(x: Array, kernel: Array) -> Array:
    y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
    return lax.reduce_window(y, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), "SAME")


def convolution_of_one_axis(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x, kernel, (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


def averaged(x: Array) -> Array:
    sums = lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    return sums / lax.reduce_window(jnp.ones_like(x), 0.0, lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")


def in_bfloat16(x: Array) -> Array:
    y = x.astype(jnp.bfloat16)
    return (jax.nn.silu(y) * 2 + jnp.ones(8, jnp.bfloat16)).astype(jnp.float32)


def integer_arithmetic(x: Array, y: Array) -> Array:
    return x // y, x % y, lax.div(x, y), lax.rem(x, y), x << 3, x >> 1, lax.shift_right_logical(x, 2), x & y, x ^ y, ~x


def crops(x: Array, corners: Array) -> Array:
    return jax.vmap(lambda image, corner: lax.dynamic_slice(image, (corner[0], corner[1], 0), (3, 4, 3)))(x, corners)


def interpolated(x: Array, places: Array) -> Array:
    return jax.scipy.ndimage.map_coordinates(x, [places[0], places[1]], order=1, mode="nearest")


def looped(x: Array) -> Array:
    return lax.fori_loop(0, 17, lambda i, y: y.at[i % 5].add(y[(i + 1) % 5] * 0.5), x)


def random_mask(x: Array) -> Array:
    return jnp.where(jax.random.bernoulli(jax.random.key(3), 0.7, x.shape), x / 0.7, 0)


def random_by_the_runtime(x: Array) -> Array:
    return x + lax.rng_uniform(0.0, 1.0, x.shape)


def log_probabilities(x: Array) -> Array:
    return jax.nn.log_softmax(x), jax.nn.logsumexp(x, axis=1)


def batch_norm(x: Array) -> Array:
    return (x - x.mean((0, 1))) / jnp.sqrt(x.var((0, 1)) + 1e-5)


def along_an_axis(x: Array, indices: Array) -> Array:
    return jnp.take_along_axis(x, indices, axis=2)


def shifted_windows(x: Array) -> Array:
    y = jnp.roll(x, (-1, -1), (1, 2)).reshape(-1, 4, 2, 4, 2, 3)
    return y.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4, 3)


def places_of_true(x: Array) -> Array:
    return jnp.nonzero(x > 0, size=6, fill_value=-1)[0]


def scanned_by_pairs(x: Array) -> Array:
    return lax.associative_scan(lambda a, b: a * b + a + b, x, axis=1)


def padded(x: Array) -> Array:
    reflected = jnp.pad(x, ((0, 0), (2, 1), (0, 0)), mode="reflect")
    return lax.pad(x, 7.0, ((0, 0, 0), (1, -2, 2), (-1, 2, 0))), reflected


def gradient_of_pools(x: Array) -> Array:
    def loss(x: Array) -> Array:
        pooled = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1), "SAME")
        return jnp.sum(pooled**2) + jnp.sum(jax.nn.softmax(x[:, ::2, 1]) ** 3)

    return jax.grad(loss)(x)


STRANGERS = (
    Stranger(convolutional, (IMAGES, KERNEL), FREE_IMAGES),
    Stranger(masked_attention, (TOKENS,), FREE_TOKENS),
    Stranger(scanned, (TOKENS,), FREE_TOKENS),
    Stranger(conditional, (TOKENS,), FREE_TOKENS),
    Stranger(switched, (np.array(1, np.int32), TOKENS)),
    Stranger(resized, (IMAGES,), FREE_IMAGES),
    Stranger(exact_gelu, (4 * TOKENS,), FREE_TOKENS),
    Stranger(two_free_sizes, (TOKENS,), ("b, t, 8",)),
    Stranger(embedded, (integers(3, 4, high=9), floats(9, 5)), ("n, 4",)),
    Stranger(largest, (np.round(TOKENS) + 0,), FREE_TOKENS),
    Stranger(cumulated, (TOKENS,), FREE_TOKENS),
    Stranger(transposed_convolution, (IMAGES, KERNEL), FREE_IMAGES),
    Stranger(transformed, (TOKENS,), refused="stablehlo.fft"),
    Stranger(complex_numbers, (TOKENS,), refused="complex<f32>"),
    Stranger(decomposed, (floats(4, 4),), refused="lapack_spotrf_ffi"),
    Stranger(solved, (floats(4, 4),), refused="lapack_strsm_ffi"),
    Stranger(sorted_, (np.round(TOKENS),), FREE_TOKENS),
    Stranger(sorted_by_two_keys, (integers(4, 6, high=3), np.round(floats(4, 6)))),
    Stranger(scattered, (floats(5, 6), np.array([1, 4, 1, 9], np.int32))),
    Stranger(segments, (floats(6, 3), integers(6, high=4))),
    Stranger(contracted, (TOKENS, floats(2, 8, 3, 4)), ("n, 5, 8", "n, 8, 3, 4")),
    Stranger(newton, (np.abs(floats(6)) + 0.1,)),
    Stranger(first_places, (np.round(TOKENS),)),
    Stranger(one_hot, (integers(7, high=8),), ("n",)),
    Stranger(updated, (TOKENS, np.array(3, np.int32))),
    Stranger(lstm, (TOKENS, floats(12, 16) / 4), FREE_TOKENS),
    Stranger(grouped_convolution, (IMAGES, floats(3, 3, 2, 8)), FREE_IMAGES),
    Stranger(depthwise_convolution, (IMAGES, floats(3, 3, 1, 6)), FREE_IMAGES),
    Stranger(dilated_convolution, (IMAGES, KERNEL), FREE_IMAGES),
    Stranger(channels_first, (floats(2, 3, 8, 8), floats(4, 3, 3, 3)), ("n, 3, 8, 8",)),
    Stranger(convolution_of_one_axis, (TOKENS, floats(3, 8, 4)), FREE_TOKENS),
    Stranger(averaged, (IMAGES,), FREE_IMAGES),
    Stranger(gradient_of_pools, (np.round(IMAGES),), FREE_IMAGES),
    Stranger(in_bfloat16, (TOKENS,), FREE_TOKENS, tolerance=0.01),
    Stranger(integer_arithmetic, (integers(40, high=200) - 100, integers(40, high=9, seed=1) * 2 - 9)),
    Stranger(crops, (IMAGES, np.array([[1, 2], [9, -3]], np.int32))),
    Stranger(interpolated, (floats(6, 7), np.abs(floats(2, 9)) * 3)),
    Stranger(looped, (floats(5, 3),)),
    Stranger(random_mask, (TOKENS,)),
    Stranger(random_by_the_runtime, (TOKENS,), refused="stablehlo.rng"),
    Stranger(log_probabilities, (TOKENS,), FREE_TOKENS),
    Stranger(batch_norm, (TOKENS,), FREE_TOKENS),
    Stranger(along_an_axis, (TOKENS, integers(2, 5, 3, high=8)), ("n, 5, 8", "n, 5, 3")),
    Stranger(shifted_windows, (IMAGES,), FREE_IMAGES),
    Stranger(places_of_true, (floats(9),)),
    Stranger(scanned_by_pairs, (TOKENS,), FREE_TOKENS),
    Stranger(padded, (TOKENS,), FREE_TOKENS),
)
