"""Graphs in float16: what is computed in which type, and how far the results are off."""

import numpy as np

from pipeline.translate import operations as ops
from pipeline.translate.graph import Constant, Graph, Node, constant, ordered, parameter
from pipeline.translate.half_precision import to_half
from tests.translate.onnx_runs import run_graph

SINGLE, HALF = np.dtype(np.float32), np.dtype(np.float16)


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
