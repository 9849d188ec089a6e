"""Operations mean in TensorFlow what they mean in JAX, at the edges where such translations go wrong in silence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from tests.translate.comparing import Translated, compare
from tests.translate.modules import serialize

pytestmark = pytest.mark.slow

Array = Any
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 2.5, 0.5, -0.5, 1e-30, -3e38], np.float32)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int8, np.uint8, np.int16])
def test_shifts_by_the_width_and_more_shift_everything_out(dtype: type) -> None:
    bits = np.dtype(dtype).itemsize * 8
    by: np.ndarray = np.array([0, 1, bits - 1, bits, bits + 1, 2 * bits, 100], dtype)
    limits = np.iinfo(dtype)
    x: np.ndarray = np.array([limits.min, limits.max, 5, limits.max - 3], dtype)

    def shifts(x: Array, by: Array) -> Array:
        x, by = x[:, None], by[None]
        return lax.shift_left(x, by), lax.shift_right_logical(x, by), lax.shift_right_arithmetic(x, by)

    compare(shifts, x, by)


def test_known_shifts_by_the_width_shift_everything_out() -> None:
    compare(lambda x: (x << 32, x >> 31, lax.shift_right_logical(x, 32), x >> 40), np.array([-7, 9], np.int32))


@pytest.mark.parametrize("dtype", [np.int32, np.int8, np.int16])
def test_integers_are_divided_towards_zero(dtype: type) -> None:
    limits = np.iinfo(dtype)
    x: np.ndarray = np.array([7, -7, 7, -7, 0, limits.max, limits.min, limits.min], dtype)
    y: np.ndarray = np.array([2, 2, -2, -2, 5, -1, 2, limits.max], dtype)
    compare(lambda x, y: (lax.div(x, y), lax.rem(x, y), x // y, x % y), x, y)


def test_unsigned_integers_stay_unsigned() -> None:
    def arithmetic(x: Array, y: Array) -> Array:
        values = (x + y, x - y, x * y, x // y, x % y, jnp.maximum(x, y), x > y, x.max(), x.min(), x.sum())
        return *values, x.astype(jnp.float32), x.astype(jnp.int8), jnp.argmax(x), ~x

    for dtype in (np.uint8, np.uint32, np.uint16):
        top = np.iinfo(dtype).max
        compare(arithmetic, np.array([top, 1, top // 2 + 1, 0], dtype), np.array([1, top, 3, 2], dtype))


def test_floats_are_rounded_as_the_operation_says() -> None:
    x: np.ndarray = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 8388609.0, -0.0, np.inf, np.nan], np.float32)

    def rounded(x: Array) -> Array:
        return (
            jnp.round(x), lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), jnp.floor(x), jnp.ceil(x), jnp.trunc(x),
        )  # fmt: skip

    compare(rounded, x, tolerance=0)


def test_casts_cut_off() -> None:
    x: np.ndarray = np.array([1.9, -1.9, 0.0, 0.3, -0.3, 100.7], np.float32)
    compare(lambda x: (x.astype(jnp.int32), x.astype(bool), x.astype(jnp.int8), jnp.abs(x).astype(jnp.uint8)), x)
    compare(lambda x: (x.astype(jnp.int8), x.astype(jnp.uint8), x.astype(bool)), np.array([300, -1, 0], np.int32))


def test_nan_is_handed_on() -> None:
    def values(x: Array, y: Array) -> Array:
        return (
            jnp.maximum(x, y), jnp.minimum(x, y), jax.nn.relu(x), jnp.clip(x, -1, 1), x.max(), x.min(), jnp.sign(x),
            jnp.argmax(x), jnp.argmin(x), jnp.abs(x), jnp.isfinite(x), lax.cummax(x), jnp.sort(x), jnp.sum(x),
        )  # fmt: skip

    compare(values, SPECIAL, SPECIAL[::-1].copy())


def test_comparisons_with_nan_are_false() -> None:
    def values(x: Array, y: Array) -> Array:
        x, y = x[:, None], y[None]
        return x == y, x != y, x < y, x <= y, x > y, x >= y, jnp.where(x > y, x, y), ~(x < y)

    compare(values, SPECIAL, SPECIAL)


def test_powers_and_remainders_of_floats() -> None:
    x: np.ndarray = np.array([0, 2, -2, -2.5, 9, np.inf, -8, 7.5], np.float32)
    y: np.ndarray = np.array([0, -1, 3, 2, 0.5, 0, 1 / 3, -2], np.float32)
    compare(lambda x, y: (lax.pow(x, y), lax.rem(x, y), jnp.mod(x, y), lax.atan2(x, y), x**3), x, y)


def test_functions_of_one_number() -> None:
    x: np.ndarray = np.array([-3, -1, -1e-4, 0, 1e-4, 0.5, 1, 20], np.float32)

    def functions(x: Array) -> Array:
        y = jnp.abs(x) + 0.1
        return (
            jnp.expm1(x), jnp.log1p(y), lax.rsqrt(y), lax.cbrt(x), jnp.tan(x), jax.nn.sigmoid(x), lax.erf(x),
            jnp.sin(x), jnp.cos(x), jnp.tanh(x), jnp.log(y), lax.erf_inv(jnp.tanh(x)), lax.lgamma(y), lax.erfc(x),
            jnp.arcsinh(x), jnp.arctan(x), jnp.sinh(x / 9), jnp.exp2(x), jax.nn.softplus(x),
        )  # fmt: skip

    compare(functions, x, tolerance=3e-5)
    compare(lambda x: lax.population_count(x), np.array([0, 255, -1, 12345], np.int32))


def test_equal_values_keep_their_order() -> None:
    x: np.ndarray = np.array([[2, 1, 2, 0, 1, 2], [0, 0, 0, 0, 0, 0]], np.float32)

    def places(x: Array) -> Array:
        return (
            lax.top_k(x, 4), jnp.argmax(x, 1), jnp.argmin(x, 1), jnp.argsort(x, 1), jnp.argsort(x, 0),
            jnp.argsort(x, descending=True), lax.top_k(x.astype(jnp.int32), 2),
        )  # fmt: skip

    compare(places, x)


def test_sorts_carry_other_arrays() -> None:
    keys, x = np.array([3, 1, 2, 1, 3], np.int32), np.arange(10, dtype=np.float32).reshape(5, 2)
    compare(lambda k, x: (lax.sort((k, x[:, 1]), num_keys=1), x[jnp.argsort(k)], jnp.lexsort((x[:, 0], k))), keys, x)


@pytest.mark.parametrize("at", [-9, -2, 0, 2, 3, 50])
def test_slices_out_of_bounds_are_moved_into_them(at: int) -> None:
    x = np.arange(20, dtype=np.float32).reshape(5, 4)

    def slices(x: Array, at: Array) -> Array:
        part = lax.dynamic_slice(x, (at, at), (3, 2))
        return part, lax.dynamic_update_slice(x, part * 0 - 1, (at, at)), lax.dynamic_slice(x, (at, at), (5, 4))

    compare(slices, x, np.array(at, np.int32))


@pytest.mark.parametrize("mode", ["clip", "fill", "wrap"])
def test_places_out_of_bounds_are_treated_as_the_mode_says(mode: str) -> None:
    x, places = np.arange(20, dtype=np.float32).reshape(5, 4), np.array([[0, 4, 5], [-1, -6, 99]], np.int32)

    def taken(x: Array, places: Array) -> Array:
        return jnp.take(x, places, axis=0, mode=mode), jnp.take(x, places, axis=1, mode=mode)

    compare(taken, x, places)


def test_gathers_of_windows() -> None:
    x, at = np.arange(60, dtype=np.float32).reshape(5, 4, 3), np.array([[0, 1], [4, 3], [-2, 9]], np.int32)

    def windows(x: Array, at: Array) -> Array:
        numbers = lax.GatherDimensionNumbers((0, 2), (0,), (1, 0))
        kept = lax.GatherDimensionNumbers((1, 2, 3), (), (0, 2))
        return (
            lax.gather(x, at, numbers, (1, 2, 3), mode="clip"), lax.gather(x, at, kept, (2, 3, 2), mode="clip"),
            x[at[:, 0], :, at[:, 1]], x[:, at[:, 1], 0],
        )  # fmt: skip

    compare(windows, x, at)


def test_updates_out_of_bounds_are_left_out() -> None:
    x, places = np.arange(20, dtype=np.float32).reshape(5, 4), np.array([0, 4, 5, -1, 0, 99], np.int32)

    def updates(x: Array, places: Array) -> Array:
        rows = jnp.arange(24.0).reshape(6, 4)
        return (
            x.at[places].add(rows), x.at[places].max(rows), x.at[places].min(-rows), x.at[:, places].add(1),
            x.at[places, places].add(2), x.at[places[1]].set(0), x.at[places[2]].set(0), x.at[:, places[2:3]].set(1),
            x.at[places[1:4]].set(rows[:3]), x.at[places].subtract(rows),
        )  # fmt: skip

    compare(updates, x, places)


def test_windows_are_updated_where_they_are_in_bounds_as_a_whole() -> None:
    x, at = np.zeros((5, 4), np.float32), np.array([[0, 0], [3, 2], [4, 1], [-1, 0]], np.int32)

    def updates(x: Array, at: Array) -> Array:
        numbers = lax.ScatterDimensionNumbers((1, 2), (), (0, 1))
        return lax.scatter_add(x, at, jnp.arange(16.0).reshape(4, 2, 2), numbers, mode="drop")

    compare(updates, x, at)


@pytest.mark.parametrize("kind", ["max", "min"])
def test_scattered_extremes_hand_nan_on(kind: str) -> None:
    x = np.array([1, np.nan, 3, 4], np.float32)
    updates = np.array([[np.nan, 2, 5], [2, 2, np.nan]], np.float32)

    def update(x: Array, updates: Array) -> Array:
        return getattr(x.at[jnp.array([[0, 1, 2], [3, 3, 7]])], kind)(updates, mode="drop")

    compare(update, x, updates)


def test_reductions_of_all_kinds() -> None:
    x: np.ndarray = np.array([[3, -1, 4], [1, -5, 9]], np.int32)

    def reductions(x: Array) -> Array:
        y = x.astype(jnp.float32)
        return (
            x.sum(), x.prod(0), x.max(1), x.min((0, 1)), (x > 0).any(0), (x > 0).all(1), y.mean(1), y.var(0), y.std(1),
            y.max(1, initial=3.5), x.sum(0, initial=7), jnp.sum(y[:, :0], 1), jnp.ptp(y, 1), jnp.median(y, 1),
        )  # fmt: skip

    compare(reductions, x)


def test_cumulated_values_of_all_kinds() -> None:
    x: np.ndarray = np.array([[3, -1, 4, 1], [1, -5, 9, 2]], np.int32)

    def cumulated(x: Array) -> Array:
        y = x.astype(jnp.float32)
        return (
            jnp.cumsum(x, 1), jnp.cumsum(y, 0), jnp.cumprod(y, 1), lax.cumsum(x, 1, reverse=True), lax.cummin(y, 1),
            lax.cummax(x, 1),
        )  # fmt: skip

    compare(cumulated, x)


def test_pads_crop_and_spread() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)

    def padded(x: Array) -> Array:
        return (
            lax.pad(x, 9.0, ((1, 2, 0), (0, 0, 2))), lax.pad(x, 9.0, ((-1, 0, 1), (2, -3, 0))),
            lax.pad(x, 9.0, ((0, 0, 0), (-2, -3, 3))), lax.pad(x[:0], 9.0, ((1, 1, 2), (0, 0, 0))),
            jnp.pad(x, 1, mode="edge"), jnp.pad(x, ((0, 2), (1, 0)), mode="wrap"), x[::-1, 3:0:-2],
        )  # fmt: skip

    compare(padded, x)


def test_convolutions_of_one_to_three_axes() -> None:
    rng = np.random.default_rng(0)

    def convolve(x: Array, kernel: Array, **options: Any) -> Array:
        space = "DHW"[-(x.ndim - 2) :]
        numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
        return lax.conv_general_dilated(x, kernel, dimension_numbers=numbers, **options)

    for space in (1, 2, 3):
        x = rng.standard_normal((2, *[5, 6, 7][:space], 4)).astype(np.float32)
        kernel = rng.standard_normal((*[3] * space, 4, 6)).astype(np.float32)
        grouped = kernel[..., :2, :]

        def convolutions(x: Array, kernel: Array, grouped: Array, space: int = space) -> Array:
            ones, twos = (1,) * space, (2,) * space
            return (
                convolve(x, kernel, window_strides=twos, padding="SAME"),
                convolve(x, kernel, window_strides=ones, padding="VALID", rhs_dilation=twos),
                convolve(x, kernel, window_strides=ones, padding=[(1, 2)] * space, lhs_dilation=twos),
                convolve(x, kernel, window_strides=ones, padding=[(3, -2)] * space),
                convolve(x, grouped, window_strides=ones, padding="SAME", feature_group_count=2),
                lax.conv_transpose(x, kernel, twos, "VALID"),
            )

        compare(convolutions, x, kernel, grouped, tolerance=5e-5)


def test_windows_of_all_kinds() -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, 7, 3)).astype(np.float32)

    def windows(x: Array) -> Array:
        return (
            lax.reduce_window(x, 0.0, lax.add, (1, 3, 2, 1), (1, 2, 1, 1), "SAME"),
            lax.reduce_window(x, jnp.inf, lax.min, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
            lax.reduce_window(x, 0.0, lax.max, (1, 2, 2, 1), (1, 1, 1, 1), "SAME"),
            lax.reduce_window(x, 0.0, lax.add, (1, 1, 1, 3), (1, 1, 1, 1), "SAME"),
            lax.reduce_window(x[0], -jnp.inf, lax.max, (2, 2, 2), (1, 2, 1), "VALID"),
            lax.reduce_window(x, -jnp.inf, lax.max, (1, 5, 1, 1), (1, 1, 1, 1), ((0, 0), (4, 0), (0, 0), (0, 0))),
        )

    compare(windows, x)


def test_products_of_all_kinds() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, 4, 5), (2, 4, 5, 6)))

    def products(x: Array, y: Array) -> Array:
        i = jnp.round(x[0] * 9).astype(jnp.int8)
        return (
            jnp.einsum("abcd,acde->abe", x, y), jnp.einsum("abcd,acde->bde", x, y), jnp.einsum("abcd,ecdf->abef", x, y),
            jnp.einsum("abcd,abcd->", x, x), x[0] @ y[0, 0], jnp.einsum("abcd,bc->da", x, x[0, :, :, 0]),
            x[0, 0, 0] @ x[0, 0, 1], jnp.einsum("abc,adc->abd", i, i, preferred_element_type=jnp.int32),
            jnp.einsum("abcd,acbd->bca", x, jnp.swapaxes(x, 1, 2)), jnp.outer(x[0, 0, 0], x[0, 0, 1]),
        )  # fmt: skip

    compare(products, x, y, tolerance=3e-5)


def test_bits_keep_their_meaning() -> None:
    x: np.ndarray = np.array([1.5, -0.0, 3e7], np.float32)

    def bits(x: Array) -> Array:
        y = lax.bitcast_convert_type(x, jnp.uint32)
        return y, lax.bitcast_convert_type(y ^ 7, jnp.float32), lax.bitcast_convert_type(x, jnp.int32) >> 31

    compare(bits, x)


def test_branches_out_of_range_take_the_last() -> None:
    def branch(index: Array, x: Array) -> Array:
        return lax.switch(index, [lambda x: x, lambda x: -x, lambda x: x * 3], x)

    translated = Translated(branch, [np.array(0, np.int32), np.ones(2, np.float32)])
    for index in (-3, 0, 1, 2, 9):
        translated.compare(np.array(index, np.int32), np.ones(2, np.float32))


def test_loops_in_loops_see_what_is_around_them() -> None:
    def nested(x: Array, y: Array) -> Array:
        def outer(i: Array, state: Array) -> Array:
            inner = lax.fori_loop(0, i, lambda j, s: s + y[j] * x.sum(), state)
            return lax.cond(i % 2 == 0, lambda s: s * 0.5 + x[0], lambda s: s - i, inner)

        return lax.fori_loop(0, x.shape[0], outer, x)

    compare(nested, np.linspace(0, 1, 6, dtype=np.float32), np.arange(6, dtype=np.float32))


def test_a_loop_may_take_no_step() -> None:
    translated = Translated(
        lambda n, x: lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 2), (0, x)),
        [np.array(1, np.int32), np.ones(2, np.float32)],
    )
    for count in (0, 3, -1):
        translated.compare(np.array(count, np.int32), np.ones(2, np.float32))


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        (np.float32, (5, 10)), (np.float32, (8, 7)), (np.float32, (8, 23)), (np.float32, (11, 52)),
        (np.float16, (5, 10)), (np.float16, (8, 23)), (jnp.bfloat16, (5, 10)),
    ],
)  # fmt: skip
def test_fewer_bits_of_floats_round_as_xla_does(dtype: Any, bits: tuple[int, int]) -> None:
    least = 2.0**-14
    edges = [least - 2.0**-25, least - 2.0**-26, least - 2.0**-26 - 2.0**-38, least, least / 2, least - 2.0**-27]
    wide = np.array([3e-5, -3e-5, 6e-8, 1e-4, 7e4, 65519, 65520, -0.0, np.nan, -np.inf, 1 / 3, *edges])
    with np.errstate(over="ignore"):
        x = wide.astype(dtype)

    def reduced(x: Array) -> Array:
        y = lax.reduce_precision(x, *bits)
        return y, 1 / y > 0  # of a zero its sign

    compare(reduced, x, tolerance=0)
    assert bits != (5, 10) or dtype is np.float16 or not np.asarray(jax.jit(reduced)(x)[0])[0]


def test_a_reduction_that_rounds_otherwise_is_refused() -> None:
    with pytest.raises(Untranslatable, match=r"stablehlo\.reduce_precision"):
        read(serialize(lambda x: lax.reduce_precision(x, 8, 7), [np.ones(2, np.float16)]))
