"""tensorflow_functions: every operation means in TensorFlow what pipeline.translate.operations says, as in JAX."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from jax import lax

from pipeline.translate import operations as op
from pipeline.translate.function_library import to_library
from pipeline.translate.graph import Graph, Node, Operation, constant, parameter
from pipeline.translate.refusal import Untranslatable
from pipeline.translate.tensorflow_functions import to_function

pytestmark = pytest.mark.slow

FLOATS = np.array([-np.inf, -2.5, -1.5, -0.5, -0.0, 0.0, 0.49999997, 0.5, 1.5, 2.5, 7.25, np.inf, np.nan], np.float32)
NAN = np.array([[1, np.nan, 3], [np.inf, 2, np.nan], [5, 5, 1]], np.float32)
INTEGERS = np.array([-(2**31), -7, -2, -1, 0, 1, 2, 7, 2**31 - 1], np.int32)
BOTH = np.array([False, False, True, True])


def run(operation: Operation, inputs: Sequence[Any], dtype: Any, rank: int) -> np.ndarray:
    """Computes a node of an operation; arrays are its arguments, of any size, and nodes are constants."""
    parameters: list[Node] = []
    nodes = []
    for each in inputs:
        if not isinstance(each, Node):
            parameters.append(parameter(len(parameters), (None,) * each.ndim, each.dtype))
            each = parameters[-1]
        nodes.append(each)
    node = Node(operation, tuple(nodes), (None,) * rank, np.dtype(dtype))
    function = to_function(Graph("f", tuple(parameters), (node,)))
    (result,) = function(*(each for each in inputs if not isinstance(each, Node)))
    return np.asarray(result)


def elementwise(kind: str, *inputs: np.ndarray) -> np.ndarray:
    return run(op.Elementwise(kind), inputs, inputs[0].dtype, inputs[0].ndim)


def pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns every value with every other."""
    left, right = np.meshgrid(values, values)
    return left.ravel(), right.ravel()


UNARY: dict[str, Callable[..., Any]] = {
    "negate": lax.neg, "exp": lax.exp, "expm1": lax.expm1, "log": lax.log, "log1p": lax.log1p, "sqrt": lax.sqrt,
    "rsqrt": lax.rsqrt, "cbrt": lax.cbrt, "sin": lax.sin, "cos": lax.cos, "tan": lax.tan, "tanh": lax.tanh,
    "sigmoid": lax.logistic, "erf": lax.erf, "abs": lax.abs, "sign": lax.sign, "floor": lax.floor, "ceil": lax.ceil,
    "round_even": lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), "round": lax.round,
}  # fmt: skip
BINARY: dict[str, Callable[..., Any]] = {
    "add": lax.add, "subtract": lax.sub, "multiply": lax.mul, "divide": lax.div, "maximum": lax.max, "minimum": lax.min,
    "power": lax.pow, "remainder": lax.rem, "atan2": lax.atan2, "and": lax.bitwise_and, "or": lax.bitwise_or,
    "xor": lax.bitwise_xor, "shift_left": lax.shift_left, "shift_right_logical": lax.shift_right_logical,
    "shift_right_arithmetic": lax.shift_right_arithmetic,
}  # fmt: skip
BITS = ("and", "or", "xor")
SHIFTS = ("shift_left", "shift_right_logical", "shift_right_arithmetic")
ARITHMETIC = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "remainder")


def test_the_tables_have_every_kind() -> None:
    others = {"is_finite", "not", "popcount"}  # of other results than their inputs
    assert UNARY.keys() | others == op.UNARY
    assert BINARY.keys() == op.BINARY


@pytest.mark.parametrize("kind", sorted(UNARY))
def test_functions_of_floats(kind: str) -> None:
    np.testing.assert_allclose(elementwise(kind, FLOATS), UNARY[kind](FLOATS), rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("kind", sorted(set(BINARY) - {*BITS, *SHIFTS}))
def test_functions_of_two_floats(kind: str) -> None:
    left, right = pairs(FLOATS)
    np.testing.assert_allclose(elementwise(kind, left, right), BINARY[kind](left, right), rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32])
@pytest.mark.parametrize("kind", [*ARITHMETIC, *BITS, *SHIFTS])
def test_functions_of_two_integers(kind: str, dtype: Any) -> None:
    """Division by 0 and -1, the sign of remainders, overflow, shifts by negative counts and by the width or more."""
    info = np.iinfo(dtype)
    values = [info.min, info.max, 0, 1, 2, 7, info.bits - 1, info.bits, info.bits + 3]
    left, right = pairs(np.array([*values, *((-1, -7, -2) if info.min else ())], dtype))
    np.testing.assert_array_equal(elementwise(kind, left, right), BINARY[kind](left, right))


@pytest.mark.parametrize("kind", ["add", "multiply", "maximum", "minimum", *BITS])
def test_functions_of_two_booleans(kind: str) -> None:
    other = np.array([False, True, False, True])
    function = {"add": np.logical_or, "multiply": np.logical_and, "maximum": np.logical_or, "minimum": np.logical_and}
    expected = function[kind](BOTH, other) if kind in function else BINARY[kind](BOTH, other)
    np.testing.assert_array_equal(elementwise(kind, BOTH, other), expected)


def test_a_shift_by_a_known_count_is_no_selection() -> None:
    x = np.array([1, 2**31], np.uint32)
    graph = Graph("f", (parameter(0, (2,), x.dtype),), ())
    for count, is_selected in ((5, False), (32, True)):
        shift = op.Elementwise("shift_left")
        node = Node(shift, (graph.parameters[0], constant(count, np.uint32)), (2,), x.dtype)
        function = to_function(Graph("f", graph.parameters, (node,)))
        assert ("SelectV2" in {each.type for each in function.graph.get_operations()}) == is_selected
        np.testing.assert_array_equal(function(x)[0], lax.shift_left(x, np.full(2, count, np.uint32)))


def test_other_functions_of_one_argument() -> None:
    np.testing.assert_array_equal(run(op.Elementwise("is_finite"), [FLOATS], np.bool_, 1), np.isfinite(FLOATS))
    np.testing.assert_array_equal(elementwise("not", BOTH), ~BOTH)
    np.testing.assert_array_equal(elementwise("not", INTEGERS), ~INTEGERS)
    np.testing.assert_array_equal(elementwise("popcount", INTEGERS), lax.population_count(INTEGERS))
    unsigned = np.array([0, 1, 2**32 - 1], np.uint32)
    np.testing.assert_array_equal(elementwise("negate", unsigned), lax.neg(unsigned))
    np.testing.assert_array_equal(elementwise("abs", unsigned), unsigned)
    np.testing.assert_array_equal(elementwise("sign", unsigned), [0, 1, 1])


@pytest.mark.parametrize("direction", ["EQ", "NE", "LT", "LE", "GT", "GE"])
@pytest.mark.parametrize("values", [FLOATS, BOTH, np.array([0, 1, 2**32 - 1], np.uint32)], ids=["f32", "i1", "u32"])
def test_comparisons(direction: str, values: np.ndarray) -> None:
    left, right = pairs(values)
    expected = getattr(lax, direction.lower())(left, right)
    np.testing.assert_array_equal(run(op.Compare(direction), [left, right], np.bool_, 1), expected)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int32, np.uint32, np.float16, ml_dtypes.bfloat16])
def test_casts_of_floats(dtype: Any) -> None:
    values = np.array([*FLOATS, 127.9, 128, -128.9, 255.5, 256, -1, 2**31, -(2**31), 2**32, 3e38, -3e38], np.float32)
    expected, got = np.asarray(lax.convert_element_type(values, dtype)), run(op.Cast(), [values], dtype, 1)
    np.testing.assert_array_equal(got.astype(np.float64), expected.astype(np.float64))


def test_casts_of_integers_wrap() -> None:
    np.testing.assert_array_equal(run(op.Cast(), [INTEGERS], np.uint8, 1), INTEGERS.astype(np.uint8))
    np.testing.assert_array_equal(run(op.Cast(), [INTEGERS], np.bool_, 1), INTEGERS != 0)
    np.testing.assert_array_equal(run(op.Bitcast(), [FLOATS], np.int32, 1), FLOATS.view(np.int32))


# Places and orders ----------------------------------------------------------------------------------------------------
GRID = np.arange(20, dtype=np.float32).reshape(4, 5)


@pytest.mark.parametrize("starts", [(-3, 2), (0, 0), (1, 9), (2**31 - 1, -(2**31))])
def test_starts_are_clamped(starts: tuple[int, int]) -> None:
    where, sizes = np.array(starts, np.int32), constant([2, 3], np.int32)
    got = run(op.DynamicSlice(), [GRID, where, sizes], np.float32, 2)
    row, column = np.clip(starts, 0, (2, 2))  # JAX itself counts negative ones from the end
    np.testing.assert_array_equal(got, GRID[row : row + 2, column : column + 3])
    update = np.full((2, 3), -1, np.float32)
    got = run(op.DynamicUpdateSlice(), [GRID, update, where], np.float32, 2)
    np.testing.assert_array_equal(got, lax.dynamic_update_slice(GRID, update, (row, column)))


def test_slices() -> None:
    got = run(op.Slice((1, 2)), [GRID, constant([1, 0]), constant([3, 5])], np.float32, 2)
    np.testing.assert_array_equal(got, GRID[1:3, 0:5:2])
    got = run(op.Slice((1, 1)), [GRID, np.array([1, 2]), np.array([4, 3])], np.float32, 2)
    np.testing.assert_array_equal(got, GRID[1:4, 2:3])
    x = parameter(0, (None, 5), GRID.dtype)
    size = Node(op.Size(0), (x,), (), np.dtype(np.int32))
    limits = Node(op.Pack(), (size, constant(2, np.int32)), (2,), np.dtype(np.int32))
    node = Node(op.Slice((1, 1)), (x, constant([0, 1], np.int32), limits), (None, 1), GRID.dtype)
    function = to_function(Graph("f", (x,), (node,)))
    np.testing.assert_array_equal(function(GRID)[0], GRID[:, 1:2])
    assert [each.op for each in to_library(function, "plain")[0].node_def].count("Shape") == 0


def test_places_of_an_axis_are_clamped() -> None:
    places = np.array([[-5, 0], [4, 99]], np.int32)
    for axis in (0, 1):
        got = run(op.Take(axis), [GRID, places], np.float32, 3)
        np.testing.assert_array_equal(got, np.take(GRID, np.clip(places, 0, GRID.shape[axis] - 1), axis))


def test_gathers_and_scatters() -> None:
    places = np.array([[0, 1], [3, 4], [0, 1]], np.int32)
    np.testing.assert_array_equal(run(op.GatherNd(), [GRID, places], np.float32, 1), [1, 19, 1])
    updates = np.array([5, -5, 7], np.float32)
    for kind, at in (("set", np.copyto), ("add", np.add), ("maximum", np.maximum), ("minimum", np.minimum)):
        expected = GRID.copy()
        for place, update in zip(places, updates, strict=True):
            here = tuple(place)
            expected[here] = update if kind == "set" else at(expected[here], update)
        np.testing.assert_array_equal(run(op.ScatterNd(kind), [GRID, places, updates], np.float32, 2), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, np.bool_])
def test_orders(dtype: Any) -> None:
    """Equal values keep their order, NaN is last, and -0 equals 0."""
    values = np.array([[3, 1, 1, 0, 2, 3], [0, 0, 1, 1, 0, 1]], np.float32)
    if dtype == np.float32:
        values = np.stack([values[0], np.array([np.nan, -0.0, 0.0, -np.inf, np.inf, -1], np.float32)])
    x = values.astype(dtype)
    indices = np.asarray(jax.numpy.argsort(x, axis=-1, stable=True))
    np.testing.assert_array_equal(run(op.Sort(False, True), [x], np.int32, 2), indices)
    np.testing.assert_array_equal(run(op.Sort(False, False), [x], dtype, 2), np.take_along_axis(x, indices, -1))
    largest, places = lax.top_k(x, 4)
    np.testing.assert_array_equal(run(op.TopK(4, True), [x], np.int32, 2), places)
    np.testing.assert_array_equal(run(op.TopK(4, False), [x], dtype, 2), largest)


def test_descending_orders_have_nan_last() -> None:
    x = np.array([1, np.nan, 3, 3, -np.inf], np.float32)
    np.testing.assert_array_equal(run(op.Sort(True, True), [x], np.int32, 1), [2, 3, 0, 4, 1])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["add", "multiply", "maximum", "minimum"])
def test_cumulative_functions(kind: str, reverse: bool) -> None:
    x = np.array([[2, -1, 3, 0, 5], [1, 2, 3, 4, 5]], np.float32)
    function = {"add": lax.cumsum, "multiply": lax.cumprod, "maximum": lax.cummax, "minimum": lax.cummin}[kind]
    node = Node(op.Cumulate(kind, 1, reverse), (parameter(0, (None, 5), x.dtype),), (None, 5), x.dtype)
    got = to_function(Graph("f", node.inputs, (node,)))
    np.testing.assert_allclose(got(x)[0], function(x, 1, reverse))
    with tf.GradientTape() as tape:
        tape.watch(tensor := tf.constant(x))
        result = got(tensor)[0]
    expected = jax.grad(lambda x: function(x, 1, reverse).sum())(x)  # of a product with a zero, too
    np.testing.assert_allclose(tape.gradient(result, tensor), expected)


# Products, reductions and windows -------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["maximum", "minimum"])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_first_of_equal_places(kind: str, axis: int) -> None:
    """NaN counts as both the largest and the smallest."""
    function = {"maximum": lax.argmax, "minimum": lax.argmin}[kind]
    for x in (NAN, np.zeros((3, 3), np.float32), np.array([[7, 7], [7, 7]], np.int32), np.array([BOTH, ~BOTH])):
        got = run(op.ArgReduce(kind, axis), [x], np.int32, 1)
        np.testing.assert_array_equal(got, function(x, axis, np.int32))


@pytest.mark.parametrize("kind", ["add", "multiply", "maximum", "minimum"])
def test_reductions_hand_nan_on(kind: str) -> None:
    functions: dict[str, Any] = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}
    function = functions[kind]
    np.testing.assert_array_equal(run(op.Reduce(kind, (1,)), [NAN], np.float32, 1), function(NAN, axis=1))
    integers = np.array([[1, 2, 250], [3, 3, 3]], np.uint8)
    np.testing.assert_array_equal(
        run(op.Reduce(kind, (1,), True), [integers], np.uint8, 2),
        function(integers, axis=1, keepdims=True).astype(np.uint8),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8, np.float16])
def test_products(dtype: Any) -> None:
    generator = np.random.default_rng(0)
    left, right, bias = (generator.integers(0, 5, size).astype(dtype) for size in ((2, 3, 4), (4, 5), (5,)))
    np.testing.assert_array_equal(run(op.Dense(), [left, right, bias], dtype, 3), left @ right + bias)
    np.testing.assert_array_equal(run(op.Dense(True), [left, right.T.copy()], dtype, 3), left @ right)
    batch = np.stack([right, right + 1])
    np.testing.assert_array_equal(run(op.MatMul(), [left, batch], dtype, 3), left @ batch)
    turned = [np.swapaxes(each, 1, 2).copy() for each in (left, batch)]
    np.testing.assert_array_equal(run(op.MatMul(True, True), turned, dtype, 3), left @ batch)
    np.testing.assert_array_equal(
        run(op.Einsum("abc,cd->dab"), [left, right], dtype, 3), np.moveaxis(left @ right, 2, 0)
    )


def known(array: np.ndarray) -> Node:
    """Returns a node of the array, as a kernel is when its sizes are known."""
    return constant(array)


def convolve(operation: op.Convolution, x: np.ndarray, kernel: np.ndarray) -> Any:
    rank = len(operation.strides)
    letters = "HWD"[:rank]
    return lax.conv_general_dilated(
        x, kernel, operation.strides, operation.padding, operation.dilations_of_input, operation.dilations,
        (f"N{letters}C", f"{letters}IO", f"N{letters}C"), operation.groups,
    )  # fmt: skip


CONVOLUTIONS = [
    op.Convolution((1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
    op.Convolution((2, 2), ((1, 1), (0, 1)), (1, 1), (1, 1)),
    op.Convolution((2, 2), ((0, 1), (0, 1)), (1, 1), (1, 1)),  # SAME of 8 pixels
    op.Convolution((1, 1), ((2, 2), (1, 3)), (2, 2), (1, 1)),
    op.Convolution((1, 1), ((2, 1), (-1, 2)), (1, 1), (2, 3)),  # a transposed convolution
    op.Convolution((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 2),
    op.Convolution((2, 2), ((1, 1), (1, 1)), (1, 1), (1, 1), 4),  # depthwise
    op.Convolution((2, 1), ((1, 1), (1, 1)), (1, 1), (1, 1), 4),
    op.Convolution((2,), ((1, 0),), (1,), (1,)),
    op.Convolution((1, 2, 1), ((1, 1), (0, 1), (0, 0)), (1, 1, 1), (1, 1, 1)),
]


@pytest.mark.parametrize("operation", CONVOLUTIONS, ids=range(len(CONVOLUTIONS)))
def test_convolutions(operation: op.Convolution) -> None:
    generator, rank = np.random.default_rng(0), len(operation.strides)
    x = generator.standard_normal((2, *(8,) * rank, 4)).astype(np.float32)
    kernel = generator.standard_normal((*(3,) * rank, 4 // operation.groups, 8)).astype(np.float32)
    image = parameter(0, (None, *x.shape[1:]), x.dtype)
    expected = convolve(operation, x, kernel)
    node = Node(operation, (image, known(kernel)), (None, *expected.shape[1:]), x.dtype)
    function = to_function(Graph("f", (image,), (node,)))
    np.testing.assert_allclose(function(x)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["maximum", "add"])
@pytest.mark.parametrize(
    ("window", "strides", "padding"),
    [((2, 2), (2, 2), ((0, 0), (0, 0))), ((3, 3), (2, 2), ((0, 1), (0, 1))), ((3, 2), (1, 2), ((1, 1), (0, 0)))],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pools(kind: str, window: Any, strides: Any, padding: Any, dtype: Any) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (2, 8, 8, 3)).astype(dtype)
    start = 0 if kind == "add" else -np.inf if dtype == np.float32 else np.iinfo(dtype).min
    expected = lax.reduce_window(
        x, np.array(start, dtype), {"add": lax.add, "maximum": lax.max}[kind], (1, *window, 1), (1, *strides, 1),
        ((0, 0), *padding, (0, 0)),
    )  # fmt: skip
    np.testing.assert_allclose(run(op.Pool(kind, window, strides, padding), [x], dtype, 4), expected, atol=1e-5)


def test_pools_of_other_ranks() -> None:
    x = np.arange(12, dtype=np.float32).reshape(1, 6, 2)
    np.testing.assert_array_equal(
        run(op.Pool("maximum", (3,), (2,), ((1, 0),)), [x], np.float32, 3), [[[2, 3], [6, 7], [10, 11]]]
    )


# Patterns -------------------------------------------------------------------------------------------------------------
def check_pattern(operation: Operation, function: Callable[..., Any], *arrays: np.ndarray) -> None:
    """Compares the results and the gradients of a pattern with JAX's, and tries it with an empty batch."""
    first, *rest = arrays
    x = parameter(0, (None, *first.shape[1:]), first.dtype)
    others = [parameter(index, each.shape, each.dtype) for index, each in enumerate(rest, 1)]
    node = Node(operation, (x, *others), (None, *first.shape[1:]), first.dtype)
    translated = to_function(Graph("f", (x, *others), (node,)))
    assert translated(first[:0], *rest)[0].shape == (0, *first.shape[1:])
    tensors = [tf.constant(each) for each in arrays]
    weights = np.random.default_rng(1).standard_normal(first.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        (result,) = translated(*tensors)
        total = tf.reduce_sum(result * weights)
    np.testing.assert_allclose(result, function(*arrays), rtol=1e-5, atol=2e-6)
    places = tuple(range(len(arrays)))
    expected = jax.grad(lambda *arrays: (function(*arrays) * weights).sum(), places)(*arrays)
    for got, gradient in zip(tape.gradient(total, tensors), expected, strict=True):
        np.testing.assert_allclose(got, gradient, rtol=1e-4, atol=1e-5 * float(np.abs(gradient).max()))


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape).astype(np.float32) for shape in shapes]


def normalize(x: Any, axes: tuple[int, ...]) -> Any:
    return (x - x.mean(axes, keepdims=True)) * lax.rsqrt(x.var(axes, keepdims=True) + 1e-6)


def test_patterns() -> None:
    check_pattern(op.Softmax(), jax.nn.softmax, *draw((2, 3, 7)))
    check_pattern(op.Gelu(True), lambda x: jax.nn.gelu(x, approximate=True), *draw((2, 50)))
    check_pattern(op.Gelu(False), lambda x: jax.nn.gelu(x, approximate=False), *draw((2, 50)))
    check_pattern(op.Relu(), jax.nn.relu, *draw((2, 50)))
    assert np.isnan(run(op.Relu(), [np.array([np.nan], np.float32)], np.float32, 1)).all()


def test_norms() -> None:
    def layer_norm(x: Any, scale: Any, bias: Any) -> Any:
        return normalize(x, (-1,)) * scale + bias

    def group_norm(x: Any, scale: Any, bias: Any) -> Any:
        grouped = normalize(x.reshape(*x.shape[:-1], 2, -1), (1, 2, 4))
        return grouped.reshape(x.shape) * scale + bias

    check_pattern(op.LayerNorm(1e-6), layer_norm, *draw((2, 5, 8), (8,), (8,)))
    check_pattern(op.GroupNorm(2, 1e-6), group_norm, *draw((2, 4, 4, 8), (8,), (8,)))
    x, scale, bias = draw((2, 4, 4, 8), (8,), (8,))
    check_pattern(op.GroupNorm(2, 1e-6), group_norm, x + 3, scale, bias)


# Control flow ---------------------------------------------------------------------------------------------------------
def test_graphs_are_one_function_for_all_callers() -> None:
    x = parameter(0, (None,), np.dtype(np.float32))
    inner = Graph("twice", (x,), (Node(op.Elementwise("add"), (x, x), x.shape, x.dtype), x))
    call, outer = op.Call(inner), parameter(0, (None,), x.dtype)

    def called(node: Node, index: int) -> Node:
        return Node(op.Output(index), (Node(call, (node,), (), x.dtype),), x.shape, x.dtype)

    graph = Graph("f", (outer,), (called(called(outer, 0), 0), called(outer, 1), outer, outer))
    function = to_function(graph)
    np.testing.assert_array_equal(np.asarray(function(np.array([3], np.float32))), [[12], [3], [3], [3]])
    assert len(function.graph.as_graph_def().library.function) == 1


def test_loops_and_branches() -> None:
    i, x, step = (parameter(index, (), np.dtype(np.int32)) for index in range(3))

    def binary(kind: str, left: Node, right: Node) -> Node:
        return Node(op.Elementwise(kind), (left, right), (), left.dtype)

    condition = Graph("c", (i, x, step), (Node(op.Compare("LT"), (i, constant(5, np.int32)), (), np.dtype(np.bool_)),))
    body = Graph("b", (i, x, step), (binary("add", i, constant(1, np.int32)), binary("add", x, step)))
    loop = Node(op.While(condition, body, 1), (i, x, step), (), i.dtype)
    graph = Graph("f", (i, x, step), (Node(op.Output(1), (loop,), (), i.dtype),))
    assert int(to_function(graph)(2, 10, 7)[0]) == 31
    one = parameter(0, (), i.dtype)
    branches = tuple(Graph("g", (one,), (binary("add", one, constant(number, np.int32)),)) for number in (10, 20, 30))
    case = Node(op.Case(branches), (i, x), (), i.dtype)
    function = to_function(Graph("f", (i, x), (Node(op.Output(0), (case,), (), i.dtype),)))
    assert [int(function(index, 1)[0]) for index in (-1, 0, 1, 2, 9)] == [31, 11, 21, 31, 31]


# What is refused ------------------------------------------------------------------------------------------------------
def test_what_tensorflow_lacks_is_refused() -> None:
    x = parameter(0, (2,), np.dtype(ml_dtypes.float8_e4m3fn))
    with pytest.raises(Untranslatable, match="the type float8_e4m3fn, which TensorFlow's operations lack"):
        to_function(Graph("f", (x,), (Node(op.Elementwise("add"), (x, x), (2,), x.dtype),)))
    with pytest.raises(Untranslatable, match=r"stablehlo\.power of integers"):
        elementwise("power", INTEGERS, INTEGERS)
    with pytest.raises(Untranslatable, match=r"stablehlo\.reduce by and of int32"):
        run(op.Reduce("and", (0,)), [INTEGERS], np.int32, 0)
    with pytest.raises(Untranslatable, match="a cumulative maximum along an axis of unknown size"):
        run(op.Cumulate("maximum", 0, False), [FLOATS], np.float32, 1)


def test_a_result_of_another_shape_fails() -> None:
    x = parameter(0, (2,), np.dtype(np.float32))
    with pytest.raises(ValueError, match="must be equal"):
        to_function(Graph("f", (x,), (Node(op.Elementwise("exp"), (x,), (3,), x.dtype),)))
    assert math.isclose(
        to_function(Graph("f", (x,), (Node(op.Elementwise("exp"), (x,), (2,), x.dtype),)))([0.0, 1.0])[0][0], 1
    )


def test_what_tensorflow_does_not_take_is_refused_by_name() -> None:
    x = parameter(0, (2, 3), np.dtype(np.float32))
    wrong = Node(op.MatMul(), (x, x), (2, 3), np.dtype(np.float32))
    with pytest.raises(Untranslatable, match="MatMul, which TensorFlow does not take so"):
        to_function(Graph("wrong", (x,), (wrong,)))
