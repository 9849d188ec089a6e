"""Graphs in 16 bits: what is computed in which type, and how far the results are off."""

import ml_dtypes
import numpy as np
import pytest

from pipeline.translate import operations as ops
from pipeline.translate.graph import Constant, Graph, Node, Operation, constant, ordered, parameter
from pipeline.translate.half_precision import BFLOAT16, FLOAT16, HalfType, to_half
from tests.translate.onnx_runs import run_graph

SINGLE, HALF, BRAIN = np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
INTEGER = np.dtype(np.int32)


def weight(value: np.ndarray, name: str) -> Node:
    return Node(Constant(value, name), (), value.shape, value.dtype)


def layer() -> tuple[Graph, np.ndarray]:
    """Returns a normalization, a product, an addition and a softmax, and an argument."""
    random = np.random.default_rng(0)
    x = parameter(0, (None, 8), SINGLE)
    scale, bias = (weight(random.standard_normal(8).astype(np.float32), name) for name in ("scale", "bias"))
    kernel = weight(random.standard_normal((8, 8)).astype(np.float32), "kernel")
    normal = Node(ops.LayerNorm(1e-6), (x, scale, bias), (None, 8), SINGLE)
    product = Node(ops.Dense(), (normal, kernel), (None, 8), SINGLE)
    total = Node(ops.Elementwise("add"), (product, x), (None, 8), SINGLE)
    softmax = Node(ops.Softmax(), (total,), (None, 8), SINGLE)
    return Graph("main", (x,), (softmax, total)), random.standard_normal((3, 8)).astype(np.float32)


def test_products_are_of_float16_and_the_rest_is_not() -> None:
    graph = to_half(layer()[0])
    dtypes = {type(node.operation).__name__: node.dtype for node in ordered(graph.outputs) if node.inputs}
    assert dtypes["Dense"] == dtypes["Elementwise"] == HALF
    assert dtypes["LayerNorm"] == dtypes["Softmax"] == SINGLE
    weights = {
        node.operation.name: node.dtype for node in ordered(graph.outputs) if isinstance(node.operation, Constant)
    }
    assert weights == {"kernel": HALF, "scale": SINGLE, "bias": SINGLE}
    assert [node.dtype for node in (*graph.parameters, *graph.outputs)] == [SINGLE] * 3


def test_results_are_close() -> None:
    graph, x = layer()
    for got, expected in zip(run_graph(to_half(graph), [x]), run_graph(graph, [x]), strict=True):
        assert got.dtype == SINGLE
        assert 0 < np.abs(got - expected).max() < 2e-3 * np.abs(expected).max()


def test_a_value_that_was_never_rounded_is_not_cast() -> None:
    x = parameter(0, (None, 8), SINGLE)
    first, second = (weight(np.ones(8, np.float32), name) for name in "ab")
    inner = Node(ops.LayerNorm(1e-6), (x, first, second), (None, 8), SINGLE)
    graph = to_half(Graph("main", (x,), (Node(ops.Softmax(), (inner,), (None, 8), SINGLE),)))
    assert not any(isinstance(node.operation, ops.Cast) for node in ordered(graph.outputs))


def test_large_weights_stay_finite_and_infinities_stay() -> None:
    x = parameter(0, (3,), SINGLE)
    mask = constant(np.array([1e9, -1e9, -np.inf], np.float32))
    graph = to_half(Graph("main", (x,), (Node(ops.Elementwise("add"), (x, mask), (3,), SINGLE),)))
    (got,) = run_graph(graph, [np.zeros(3, np.float32)])
    np.testing.assert_array_equal(got, [65504, -65504, -np.inf])


def test_other_types_stay() -> None:
    x = parameter(0, (2,), np.dtype(np.int32))
    doubled = Node(ops.Elementwise("add"), (x, x), (2,), x.dtype)
    graph = to_half(Graph("main", (x,), (Node(ops.Cast(), (doubled,), (2,), SINGLE),)))
    (got,) = run_graph(graph, [np.array([1, 5], np.int32)])
    assert got.dtype == SINGLE
    np.testing.assert_array_equal(got, [2, 10])


# Weights that are parameters ------------------------------------------------------------------------------------------
def found(graph: Graph, kind: type[Operation]) -> list[Node]:
    return [node for node in ordered(graph.outputs) if isinstance(node.operation, kind)]


def elementwise(kind: str, *inputs: Node) -> Node:
    return Node(ops.Elementwise(kind), inputs, inputs[0].shape, SINGLE)


def block() -> tuple[Graph, Graph]:
    """Returns a graph that calls another one twice, a dense layer with a residual connection, and the other one."""
    x, kernel, bias = (parameter(index, shape, SINGLE) for index, shape in enumerate(((None, 8), (8, 8), (8,))))
    product = Node(ops.Dense(), (x, kernel, bias), x.shape, SINGLE)
    inner = Graph("block", (x, kernel, bias), (elementwise("add", Node(ops.Relu(), (product,), x.shape, SINGLE), x),))
    images, weights, other = (parameter(index, shape, SINGLE) for index, shape in enumerate(((None, 8), (8, 8), (8,))))
    result = images
    for _ in range(2):
        call = Node(ops.Call(inner), (result, weights, other), (), SINGLE)
        result = Node(ops.Output(0), (call,), images.shape, SINGLE)
    normal = Node(ops.LayerNorm(1e-6), (result, other, other), images.shape, SINGLE)
    return Graph("main", (images, weights, other), (Node(ops.Dense(), (normal, weights), images.shape, SINGLE),)), inner


def test_a_called_graph_is_lowered_once_for_each_type_of_its_arguments() -> None:
    graph = to_half(block()[0], BFLOAT16)
    first, second = (node.operation.graph for node in found(graph, ops.Call) if isinstance(node.operation, ops.Call))
    assert [node.dtype for node in first.parameters] == [SINGLE] * 3
    assert [node.dtype for node in second.parameters] == [BRAIN, SINGLE, SINGLE]
    assert [node.dtype for each in (first, second) for node in each.outputs] == [BRAIN] * 2
    assert [node.dtype for each in (first, second) for node in found(each, ops.Dense)] == [BRAIN] * 2
    assert [node.dtype for node in (*graph.parameters, *graph.outputs)] == [SINGLE] * 4
    constants = (parameter(0, (None, 8), INTEGER), *block()[0].parameters[1:])
    still = Node(ops.Call(block()[1]), (constant(np.zeros((1, 8), np.float32)), *constants[1:]), (), SINGLE)
    alone = Graph("main", constants, (Node(ops.Output(0), (still,), (1, 8), SINGLE),))
    assert to_half(alone, BFLOAT16).outputs[0].inputs[0].operation.graph is still.operation.graph  # type: ignore[attr-defined]


def test_a_bias_is_added_in_float32() -> None:
    """TensorFlow sums the gradient of a bias in the type of the addition: beyond 256, ones change no bfloat16."""
    inner = to_half(block()[1], BFLOAT16)
    (product,) = found(inner, ops.Dense)
    (add,) = [node for node in found(inner, ops.Elementwise) if inner.parameters[2] in node.inputs]
    assert (product.dtype, add.dtype) == (BRAIN, SINGLE)
    (relu,) = found(inner, ops.Relu)
    assert relu.dtype == BRAIN


def test_the_last_product_is_of_float32_and_gets_what_was_not_rounded() -> None:
    x, kernel, other = (parameter(index, shape, SINGLE) for index, shape in enumerate(((None, 8), (8, 8), (8,))))
    first = Node(ops.MatMul(), (x, kernel), x.shape, SINGLE)
    normal = Node(ops.LayerNorm(1e-6), (first, other, other), x.shape, SINGLE)
    moved = Node(ops.Reshape(), (normal, constant([2, 4])), (None, 8), SINGLE)
    last = Node(ops.MatMul(), (moved, kernel), x.shape, SINGLE)
    graph = to_half(Graph("main", (x, kernel, other), (elementwise("add", last, other),)), BFLOAT16)
    assert [node.dtype for node in found(graph, ops.MatMul)] == [BRAIN, SINGLE]
    (reshape,) = found(graph, ops.Reshape)
    assert isinstance(reshape.inputs[0].operation, ops.LayerNorm)
    stream = Graph("main", (x, kernel), (elementwise("add", Node(ops.Relu(), (first,), x.shape, SINGLE), x),))
    assert [node.dtype for node in found(to_half(stream, BFLOAT16), ops.Elementwise)] == [SINGLE]
    assert [node.dtype for node in found(to_half(stream, BFLOAT16), ops.MatMul)] == [BRAIN]


def test_what_is_computed_of_weights_alone_is_rounded_where_it_is_used() -> None:
    x, kernel = parameter(0, (None, 8), SINGLE), parameter(1, (8, 8), SINGLE)
    doubled = elementwise("add", kernel, kernel)
    product = Node(ops.MatMul(), (x, doubled), x.shape, SINGLE)
    graph = to_half(Graph("main", (x, kernel), (elementwise("exp", product), elementwise("abs", product))), BFLOAT16)
    (add,) = [node for node in found(graph, ops.Elementwise) if node.operation == ops.Elementwise("add")]
    assert add.dtype == SINGLE
    fixed = parameter(0, (3, 8), SINGLE)  # without a free size, nothing tells images from weights
    graph = to_half(
        Graph("main", (fixed,), (Node(ops.Softmax(), (elementwise("add", fixed, fixed),), (3, 8), SINGLE),)), BFLOAT16
    )
    assert [node.dtype for node in found(graph, ops.Elementwise)] == [BRAIN]


@pytest.mark.parametrize("kind", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])
def test_what_counts_decides_and_sums_is_of_float32(kind: HalfType) -> None:
    x, ids = parameter(0, (None, 8), SINGLE), parameter(1, (None, 8), INTEGER)
    moved = elementwise("multiply", x, x)
    counts = Node(ops.Cast(), (ids,), ids.shape, SINGLE)  # 257 is no bfloat16
    is_less = Node(ops.Compare("LT"), (counts, moved), x.shape, np.dtype(np.bool_))
    total = Node(ops.Reduce("add", (1,), keeps_axes=True), (moved,), (None, 1), SINGLE)
    chosen = Node(ops.Select(), (is_less, moved, elementwise("floor", moved)), x.shape, SINGLE)
    results = (elementwise("maximum", elementwise("negate", chosen), elementwise("abs", total)),)
    graph = to_half(Graph("main", (x, ids), results), kind)
    for operation in (ops.Compare, ops.Reduce):
        assert [each.dtype for node in found(graph, operation) for each in node.inputs] == [SINGLE] * (
            2 if operation is ops.Compare else 1
        )
    dtypes = {
        node.operation.kind: node.dtype
        for node in found(graph, ops.Elementwise)
        if isinstance(node.operation, ops.Elementwise)
    }
    assert (dtypes["multiply"], dtypes["negate"], dtypes["floor"]) == (kind.dtype, kind.dtype, SINGLE)


@pytest.mark.parametrize(("kind", "largest"), [(FLOAT16, 65504), (BFLOAT16, float(ml_dtypes.finfo(BRAIN).max))])
def test_constants_stay_finite(kind: HalfType, largest: float) -> None:
    x = parameter(0, (None, 3), SINGLE)
    mask = constant(np.array([3.4e38, -np.inf, 1], np.float32))
    total = elementwise("add", x, mask)
    graph = to_half(Graph("main", (x,), (elementwise("maximum", elementwise("negate", total), x),)), kind)
    (rounded,) = [node.value for node in found(graph, Constant)]
    assert rounded is not None
    np.testing.assert_array_equal(rounded.astype(np.float64), [largest, -np.inf, 1])
