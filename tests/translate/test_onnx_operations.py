"""Each operation in onnxruntime, where runtimes differ from what pipeline.translate.operations says."""

from typing import Any

import numpy as np
import pytest

from pipeline.translate import operations as ops
from pipeline.translate.graph import Constant, Graph, Node, Operation, constant, parameter
from pipeline.translate.refusal import Untranslatable
from tests.translate.onnx_runs import run, run_graph

NAN, INF = np.nan, np.inf


def single(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def assert_equal(got: Any, expected: object, dtype: np.dtype | type | None = None) -> None:
    np.testing.assert_array_equal(got, expected)
    if dtype is not None:
        assert got.dtype == dtype


# Elementwise ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "x", "expected"),
    [
        ("round_even", single(-1.5, -0.5, 0.5, 2.5, NAN), single(-2, -0.0, 0, 2, NAN)),
        ("round", single(-1.5, -0.5, 0.5, 2.5, 0.49999997, NAN), single(-2, -1, 1, 3, 0, NAN)),
        ("sign", single(-3, 0, 3, NAN), single(-1, 0, 1, NAN)),
        ("is_finite", single(1, NAN, INF, -INF), [True, False, False, False]),
        ("rsqrt", single(0.25, 0, INF), single(2, INF, 0)),
        ("sign", np.array([-3, 0, 3], np.int8), np.array([-1, 0, 1], np.int8)),
        ("not", np.array([0, 5], np.uint32), np.array([2**32 - 1, 2**32 - 6], np.uint32)),
        ("not", np.array([True, False]), [False, True]),
        ("negate", np.array([1, 0], np.uint8), np.array([255, 0], np.uint8)),
    ],
)
def test_unary(kind: str, x: np.ndarray, expected: object) -> None:
    assert_equal(run(ops.Elementwise(kind), [x], bool if kind == "is_finite" else None), expected)


@pytest.mark.parametrize("kind", ["expm1", "log1p", "cbrt"])
def test_small_numbers_keep_their_digits(kind: str) -> None:
    x = np.concatenate([np.geomspace(1e-20, 80, 60), -np.geomspace(1e-20, 0.99, 60), [0, INF]]).astype(np.float32)
    expected = getattr(np, kind)(x.astype(np.float64))
    np.testing.assert_allclose(run(ops.Elementwise(kind), [x]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "x", "y", "expected"),
    [
        ("maximum", single(NAN, 1, 1), single(1, NAN, 2), single(NAN, NAN, 2)),
        ("minimum", single(NAN, 1, 1), single(1, NAN, 2), single(NAN, NAN, 1)),
        ("remainder", single(-7, 7, 3), single(3, -3, INF), single(-1, 1, 3)),
        ("maximum", np.array([True, False]), np.array([False, False]), [True, False]),
        ("multiply", np.array([200], np.uint8), np.array([2], np.uint8), np.array([144], np.uint8)),
        ("add", np.array([2**32 - 1], np.uint32), np.array([2], np.uint32), np.array([1], np.uint32)),
        ("xor", np.array([6], np.int64), np.array([3], np.int64), np.array([5], np.int64)),
    ],
)
def test_binary(kind: str, x: np.ndarray, y: np.ndarray, expected: object) -> None:
    assert_equal(run(ops.Elementwise(kind), [x, y]), expected, x.dtype)


def test_integer_division_rounds_to_zero_and_never_traps() -> None:
    x, y = np.array([-7, 7, -7, 5, -(2**31)], np.int32), np.array([2, -2, -2, 0, -1], np.int32)
    assert_equal(run(ops.Elementwise("divide"), [x, y]), [-3, -3, 3, -1, -(2**31)])
    assert_equal(run(ops.Elementwise("remainder"), [x, y]), [-1, 1, -1, 5, 0])
    x, y = np.array([200, 7], np.uint8), np.array([3, 2], np.uint8)
    assert_equal(run(ops.Elementwise("divide"), [x, y]), [66, 3], np.uint8)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_shifts_by_at_least_the_width_give_nothing(dtype: type) -> None:
    width = np.iinfo(dtype).bits
    amounts = [1, width - 1, width, width + 9]
    x, amount = (np.array(values).astype(np.dtype(dtype)) for values in ([5] * 4, amounts))
    top = np.array(1, np.uint64) << np.uint64(width - 1)
    assert_equal(run(ops.Elementwise("shift_left"), [x, amount]), [10, top.astype(dtype), 0, 0], dtype)
    assert_equal(run(ops.Elementwise("shift_right_logical"), [x, amount]), [2, 0, 0, 0], dtype)
    if np.issubdtype(dtype, np.signedinteger):
        assert_equal(run(ops.Elementwise("shift_right_arithmetic"), [-x, amount]), [-3, -1, -1, -1], dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
def test_arithmetic_shifts_of_unsigned_numbers_repeat_the_highest_bit(dtype: type) -> None:
    top = 1 << np.iinfo(dtype).bits - 1
    x, amount, expected = (
        np.array(values).astype(np.dtype(dtype)) for values in ([top, 10, 7], [1, 1, 99], [top + top // 2, 5, 0])
    )
    assert_equal(run(ops.Elementwise("shift_right_arithmetic"), [x, amount]), expected, dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64])
def test_floats_beyond_the_range_of_integers_are_clipped(dtype: type) -> None:
    limits = np.iinfo(dtype)
    x = single(306, 3e30, -3e30, INF, -INF, NAN, -1.7, 1.7)
    top = 255 if dtype == np.uint8 else 127 if dtype == np.int8 else 306
    expected = [top, limits.max, limits.min, limits.max, limits.min, 0, max(-1, limits.min), 1]
    assert_equal(run(ops.Cast(), [x], dtype), np.array(expected, dtype), dtype)


def test_shifts_by_a_constant_are_one_operator() -> None:
    images = parameter(0, (2,), np.dtype(np.uint32))
    shifted = Node(ops.Elementwise("shift_left"), (images, constant([3, 4], np.uint32)), (2,), images.dtype)
    (result,) = run_graph(Graph("main", (images,), (shifted,)), [np.array([1, 1], np.uint32)])
    assert_equal(result, [8, 16])


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("EQ", [False, False]), ("NE", [True, True]), ("LT", [True, False]), ("GE", [False, False])],
)
def test_comparisons_with_nan_are_false_but_for_ne(direction: str, expected: list[bool]) -> None:
    assert_equal(run(ops.Compare(direction), [single(1, NAN), single(2, NAN)], bool), expected)


def test_comparisons_of_other_types() -> None:
    assert_equal(run(ops.Compare("LT"), [np.array([False, True]), np.array([True, True])], bool), [True, False])
    large = np.array([2**32 - 1], np.uint32)
    assert_equal(run(ops.Compare("GT"), [large, np.array([1], np.uint32)], bool), [True])


@pytest.mark.parametrize("dtype", [np.bool_, np.uint32, np.int8, np.float32])
def test_select_takes_any_type(dtype: type) -> None:
    yes, no = (np.array([value] * 2).astype(np.dtype(dtype)) for value in (1, 0))
    assert_equal(run(ops.Select(), [np.array([True, False]), yes, no], dtype), np.array([1, 0], dtype), dtype)


def test_casts_cut_off_and_wrap() -> None:
    assert_equal(run(ops.Cast(), [single(-1.7, 1.7, 0.2)], np.int32), [-1, 1, 0])
    assert_equal(run(ops.Cast(), [single(0, 0.2, -1)], bool), [False, True, True])
    assert_equal(run(ops.Bitcast(), [np.array([-1, 5], np.int32)], np.uint32), [2**32 - 1, 5], np.uint32)


# Reductions -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("maximum", [NAN, 3]), ("minimum", [NAN, 1]), ("add", [NAN, 6]), ("multiply", [NAN, 6])],
)
def test_reductions_hand_nan_on(kind: str, expected: list[float]) -> None:
    x = np.array([[1, NAN, 9], [1, 2, 3]], np.float32)
    assert_equal(run(ops.Reduce(kind, (1,)), [x], shape=(2,)), expected)


@pytest.mark.parametrize(("kind", "expected"), [("maximum", -INF), ("minimum", INF), ("add", 0), ("multiply", 1)])
def test_reductions_of_nothing(kind: str, expected: float) -> None:
    assert_equal(run(ops.Reduce(kind, (0,)), [np.zeros((0, 2), np.float32)], shape=(2,)), [expected] * 2)
    assert run(ops.Reduce(kind, (1,), True), [np.zeros((0, 2), np.float32)], shape=(0, 1)).shape == (0, 1)


def test_reductions_of_other_types() -> None:
    assert_equal(run(ops.Reduce("and", (0,)), [np.array([True, False])], shape=()), False, bool)
    assert_equal(run(ops.Reduce("or", (0,)), [np.array([True, False])], shape=()), True, bool)
    nothing = np.zeros(0, np.bool_)
    assert_equal([run(ops.Reduce(kind, (0,)), [nothing], shape=()) for kind in ("and", "or")], [True, False])
    assert_equal(run(ops.Reduce("add", (0,)), [np.array([200, 100], np.uint8)], shape=()), 44, np.uint8)


@pytest.mark.parametrize("kind", ["maximum", "minimum"])
def test_the_first_nan_is_the_extreme(kind: str) -> None:
    x = np.array([[INF, NAN, NAN], [2, 2, 2], [-INF, 0, NAN]], np.float32)
    assert_equal(run(ops.ArgReduce(kind, 1), [x], np.int32, (3,)), [1, 0, 2], np.int32)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("kind", "of"), [("add", np.cumsum), ("multiply", np.cumprod), ("maximum", None)])
def test_cumulate(kind: str, of: object, reverse: bool) -> None:
    x = np.array([[2, 1, 3, 1, 2, 5, 4]], np.float32)
    ordered = x[:, ::-1] if reverse else x
    expected = of(ordered, 1) if callable(of) else np.maximum.accumulate(ordered, 1)
    assert_equal(run(ops.Cumulate(kind, 1, reverse), [x]), expected[:, ::-1] if reverse else expected)


# Order ----------------------------------------------------------------------------------------------------------------
def test_sort_is_stable_and_puts_nan_last() -> None:
    x = np.array([[2, NAN, INF, -1, 2, -INF]], np.float32)
    assert_equal(run(ops.Sort(False, False), [x]), [[-INF, -1, 2, 2, INF, NAN]])
    assert_equal(run(ops.Sort(False, True), [x], np.int32), [[5, 3, 0, 4, 2, 1]], np.int32)
    assert_equal(run(ops.Sort(True, True), [x], np.int32), [[2, 0, 4, 3, 5, 1]])


def test_top_k_takes_equal_ones_in_order() -> None:
    x = np.array([[3, 7, 7, 1]], np.int32)
    assert_equal(run(ops.TopK(3, False), [x], shape=(1, 3)), [[7, 7, 3]])
    assert_equal(run(ops.TopK(3, True), [x], np.int32, (1, 3)), [[1, 2, 0]])


# Indices --------------------------------------------------------------------------------------------------------------
def test_take_clamps() -> None:
    x, places = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([-5, 1, 99], np.int32)
    assert_equal(run(ops.Take(0), [x, places], shape=(3, 2)), x[[0, 1, 2]])
    node = parameter(0, (3, 2), np.dtype(np.float32))
    taken = Node(ops.Take(0), (node, constant(places)), (3, 2), node.dtype)
    assert_equal(run_graph(Graph("main", (node,), (taken,)), [x])[0], x)


def test_dynamic_slices_clamp() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for starts, (row, column) in {(-3, 9): (0, 2), (1, 1): (1, 1), (9, -9): (1, 0)}.items():
        got = run(ops.DynamicSlice(), [x, np.array(starts, np.int32)], shape=(2, 2), sizes=[(2, 2)])
        assert_equal(got, x[row : row + 2, column : column + 2])
        update = np.full((2, 2), -1, np.float32)
        expected = x.copy()
        expected[row : row + 2, column : column + 2] = -1
        assert_equal(run(ops.DynamicUpdateSlice(), [x, update, np.array(starts, np.int32)]), expected)


def test_scatter_adds_equal_indices() -> None:
    x, at, new = np.zeros(3, np.float32), np.array([[1], [1], [2]], np.int32), single(1, 2, 5)
    assert_equal(run(ops.ScatterNd("add"), [x, at, new]), [0, 3, 5])
    assert_equal(run(ops.ScatterNd("maximum"), [x, at, new]), [0, 2, 5])
    assert_equal(run(ops.GatherNd(), [new, at], shape=(3,)), [2, 2, 5])


def test_slices_and_reversal() -> None:
    x = np.arange(10, dtype=np.float32).reshape(2, 5)
    assert_equal(run(ops.Slice((1, 2)), [x], shape=(1, 2), sizes=[(1, 0), (2, 4)]), x[1:2, 0:4:2])
    assert_equal(run(ops.Slice((1, 1)), [x], sizes=[(0, 0), (2, 5)]), x)
    assert_equal(run(ops.Reverse((0, 1)), [x]), x[::-1, ::-1])


def test_pad() -> None:
    x = parameter(0, (2,), np.dtype(np.float32))
    padded = Node(ops.Pad(), (x, constant([1]), constant([2]), constant(np.float32(9))), (5,), x.dtype)
    assert_equal(run_graph(Graph("main", (x,), (padded,)), [single(1, 2)])[0], [9, 1, 2, 9, 9])


# Sizes ----------------------------------------------------------------------------------------------------------------
def flattened(free: tuple[int, ...]) -> Graph:
    """Returns a graph from (n, 2, 3), or with more axes of any size, to (n, 6)."""
    shape = tuple(None if axis in free else size for axis, size in enumerate((4, 2, 3)))
    x = parameter(0, shape, np.dtype(np.float32))
    rows = Node(ops.Size(0), (x,), (), np.dtype(np.int32))
    width = constant(np.int32(6))
    if 2 in free:
        last = Node(ops.Size(2), (x,), (), np.dtype(np.int32))
        width = Node(ops.Elementwise("multiply"), (last, constant(np.int32(2))), (), np.dtype(np.int32))
    sizes = Node(ops.Pack(), (rows, width), (2,), np.dtype(np.int32))
    return Graph("main", (x,), (Node(ops.Reshape(), (x, sizes), (None, None if 2 in free else 6), x.dtype),))


@pytest.mark.parametrize("free", [(0,), (0, 2)])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_reshape_to_sizes_that_are_known_when_it_runs(free: tuple[int, ...], batch: int) -> None:
    x = np.arange(batch * 6, dtype=np.float32).reshape(batch, 2, 3)
    assert_equal(run_graph(flattened(free), [x])[0], x.reshape(batch, 6))


def test_range_and_broadcast() -> None:
    count = parameter(0, (), np.dtype(np.int32))
    line = Node(ops.Range(), (count,), (None,), np.dtype(np.float32))
    assert_equal(run_graph(Graph("main", (count,), (line,)), [np.array(3, np.int32)])[0], [0, 1, 2], np.float32)
    assert_equal(run(ops.Broadcast(), [single(1, 2)[:, None]], shape=(2, 3), sizes=[(2, 3)]), [[1] * 3, [2] * 3])


# Products and images --------------------------------------------------------------------------------------------------
def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_matmul(left: bool, right: bool) -> None:
    x, y = floats(2, 3, 4), floats(2, 4, 5)
    given = [x.swapaxes(1, 2) if left else x, y.swapaxes(1, 2) if right else y]
    got = run(ops.MatMul(left, right), [np.ascontiguousarray(each) for each in given], shape=(2, 3, 5))
    np.testing.assert_allclose(got, x @ y, rtol=1e-5, atol=1e-6)


def test_dense_and_einsum() -> None:
    x, kernel, bias = floats(2, 3, 4), floats(4, 5), floats(5)
    expected = x @ kernel + bias
    np.testing.assert_allclose(run(ops.Dense(), [x, kernel, bias], shape=(2, 3, 5)), expected, rtol=1e-5, atol=1e-6)
    flipped = run(ops.Dense(True), [x, np.ascontiguousarray(kernel.T), bias], shape=(2, 3, 5))
    np.testing.assert_allclose(flipped, expected, rtol=1e-5, atol=1e-6)
    got = run(ops.Einsum("abc,cd->bad"), [x, kernel], shape=(3, 2, 5))
    np.testing.assert_allclose(got, (x @ kernel).swapaxes(0, 1), rtol=1e-5, atol=1e-6)


def grouped(x: np.ndarray, groups: int) -> np.ndarray:
    """Returns images with each group of channels normalized, in float64."""
    wide = x.astype(np.float64).reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), -1)
    normal = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + 1e-3)
    return np.asarray(normal.reshape(x.shape))


def test_normalizations() -> None:
    x, scale, bias = floats(2, 5, 4, 6), floats(6), floats(6) / 2
    got = run(ops.GroupNorm(3, 1e-3), [x, scale, bias])
    np.testing.assert_allclose(got, grouped(x, 3) * scale + bias, rtol=1e-5, atol=1e-5)
    flat = x.reshape(2, 20, 6)
    normal = (flat - flat.mean(-1, keepdims=True)) / np.sqrt(flat.var(-1, keepdims=True) + 1e-3)
    got = run(ops.LayerNorm(1e-3), [flat, scale, bias])
    np.testing.assert_allclose(got, normal * scale + bias, rtol=1e-4, atol=1e-5)


def test_softmax_and_activations() -> None:
    assert_equal(run(ops.Softmax(), [np.array([[1000, 0, -INF]], np.float32)]), [[1, 0, 0]])
    assert_equal(run(ops.Relu(), [single(-1, 2, NAN)]), single(0, 2, NAN))
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    tanh = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(run(ops.Gelu(True), [x]), tanh, atol=1e-6)
    assert np.abs(run(ops.Gelu(False), [x]) - tanh).max() > 1e-4


def convolved(x: np.ndarray, kernel: np.ndarray, operation: ops.Convolution) -> np.ndarray:
    """Returns a convolution along one axis, product by product: what the operation means."""
    size, stretch, (low, high) = x.shape[1], operation.dilations_of_input[0], operation.padding[0]
    wide = np.zeros((x.shape[0], (size - 1) * stretch + 1, x.shape[2]))
    wide[:, ::stretch] = x
    wide = np.pad(wide, ((0, 0), (max(low, 0), max(high, 0)), (0, 0)))
    wide = wide[:, max(-low, 0) : wide.shape[1] - max(-high, 0)]
    reach, step = (kernel.shape[0] - 1) * operation.dilations[0], operation.strides[0]
    each = kernel.shape[2] // operation.groups
    starts = range(0, wide.shape[1] - reach, step)
    result = np.zeros((x.shape[0], len(starts), kernel.shape[2]))
    for place, start in enumerate(starts):
        for tap in range(kernel.shape[0]):
            pixel = wide[:, start + tap * operation.dilations[0]]
            for group in range(operation.groups):
                part = slice(group * kernel.shape[1], (group + 1) * kernel.shape[1])
                outputs = slice(group * each, (group + 1) * each)
                result[:, place, outputs] += pixel[:, part] @ kernel[tap, :, outputs]
    return result


@pytest.mark.parametrize(
    "operation",
    [
        ops.Convolution((1,), ((1, 1),), (1,), (1,)),
        ops.Convolution((2,), ((0, 3),), (2,), (1,)),
        ops.Convolution((1,), ((-1, 2),), (1,), (1,)),
        ops.Convolution((1,), ((1, 1),), (1,), (1,), 2),
        ops.Convolution((1,), ((2, 1),), (1,), (2,)),
        ops.Convolution((1,), ((4, 5),), (1,), (3,)),
        ops.Convolution((1,), ((0, 1),), (2,), (2,)),
        ops.Convolution((3,), ((1, 1),), (1,), (2,)),
    ],
)
def test_convolutions(operation: ops.Convolution) -> None:
    x, kernel = floats(2, 9, 4), floats(3, 4 // operation.groups, 6)
    expected = convolved(x, kernel, operation)
    images = parameter(0, x.shape, x.dtype)
    for weights in (parameter(1, kernel.shape, kernel.dtype), Node(Constant(kernel, "k"), (), kernel.shape, x.dtype)):
        node = Node(operation, (images, weights), expected.shape, x.dtype)
        is_given = weights.value is None
        graph = Graph("main", (images, weights) if is_given else (images,), (node,))
        (got,) = run_graph(graph, [x, kernel] if is_given else [x])
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_pools() -> None:
    x = floats(1, 4, 4, 2)
    windows = x.reshape(1, 2, 2, 2, 2, 2)
    largest, total = (ops.Pool(kind, (2, 2), (2, 2), ((0, 0), (0, 0))) for kind in ("maximum", "add"))
    assert_equal(run(largest, [x], shape=(1, 2, 2, 2)), windows.max((2, 4)))
    np.testing.assert_allclose(run(total, [x], shape=(1, 2, 2, 2)), windows.sum((2, 4)), rtol=1e-5)
    edge = run(ops.Pool("add", (3, 3), (1, 1), ((1, 1), (1, 1))), [np.ones((1, 3, 3, 1), np.float32)])
    np.testing.assert_allclose(edge[0, :, :, 0], [[4, 6, 4], [6, 9, 6], [4, 6, 4]], rtol=1e-6)


# Refused --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("operation", "dtype", "message"),
    [
        (ops.Elementwise("atan2"), np.float32, "ONNX: no operator for atan2 of float32"),
        (ops.Elementwise("maximum"), np.uint64, "ONNX: no arithmetic with uint64"),
        (ops.Elementwise("shift_left"), np.int16, "ONNX: no operator for shift_left of int16"),
    ],
)
def test_what_onnx_lacks_is_refused_by_name(operation: Operation, dtype: type, message: str) -> None:
    with pytest.raises(Untranslatable, match=message):
        run(operation, [np.ones(2, dtype), np.ones(2, dtype)])


def test_types_without_arithmetic_are_refused() -> None:
    import ml_dtypes

    x = parameter(0, (2,), np.dtype(ml_dtypes.bfloat16))
    with pytest.raises(Untranslatable, match="ONNX: no type for values of bfloat16"):
        run_graph(Graph("main", (x,), (Node(ops.Cast(), (x,), (2,), np.dtype(np.float32)),)), [np.ones(2)])
