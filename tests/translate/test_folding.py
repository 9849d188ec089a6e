"""What is computed of constants when a graph is translated, and graphs in the place of calls."""

import numpy as np
import pytest

from pipeline.translate import operations as ops
from pipeline.translate.arrays import evaluate
from pipeline.translate.folding import fold
from pipeline.translate.graph import Constant, Graph, Node, Operation, constant, ordered, parameter
from pipeline.translate.inlining import inlined

SINGLE = np.dtype(np.float32)


def weight(value: np.ndarray, name: str) -> Node:
    return Node(Constant(value, name), (), value.shape, value.dtype)


def binary(kind: str, left: Node, right: Node) -> Node:
    shapes = [tuple(size or 0 for size in each.shape) for each in (left, right)]
    return Node(ops.Elementwise(kind), (left, right), np.broadcast_shapes(*shapes), left.dtype)


def single(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def standardised(kernel: Node) -> Node:
    """Returns a kernel (3, 3, inputs, outputs) with the mean 0 for each output."""
    total = Node(ops.Reduce("add", (0, 1, 2), True), (kernel,), (1, 1, 1, kernel.shape[-1]), SINGLE)
    return binary("subtract", kernel, binary("divide", total, constant(np.float32(9 * (kernel.shape[2] or 0)))))


def used_by(x: Node, node: Node) -> Graph:
    return Graph("main", (x,), (Node(ops.Elementwise("add"), (x, node), node.shape, node.dtype),))


def test_what_is_computed_of_a_weight_keeps_its_name() -> None:
    value = np.random.default_rng(0).standard_normal((3, 3, 8, 4)).astype(np.float32)
    folded = fold(used_by(parameter(0, value.shape, SINGLE), standardised(weight(value, "conv/kernel"))))
    (output,) = folded.outputs
    operation = output.inputs[1].operation
    assert isinstance(operation, Constant)
    assert operation.name == "conv/kernel"
    wide = value.astype(np.float64)
    np.testing.assert_allclose(operation.value, wide - wide.mean((0, 1, 2)), atol=1e-7)
    assert len(ordered(folded.outputs)) == 3


def test_parts_and_mixtures_of_weights_lose_their_names() -> None:
    a, b = (weight(np.ones((2, 3), np.float32), name) for name in "ab")
    part = Node(ops.Slice((1, 1)), (a, constant([0, 0]), constant([1, 3])), (1, 3), SINGLE)
    x = parameter(0, (2, 3), SINGLE)
    graph = Graph("main", (x,), tuple(binary("add", x, each) for each in (part, binary("multiply", a, b))))
    constants = [node.inputs[1].operation for node in fold(graph).outputs]
    assert [each.name for each in constants if isinstance(each, Constant)] == ["", ""]


def test_large_broadcasts_stay() -> None:
    row = weight(np.ones((1, 1000), np.float32), "row")
    small, large = (
        Node(ops.Broadcast(), (row, constant([count, 1000], np.int32)), (count, 1000), SINGLE) for count in (2, 100)
    )
    x = parameter(0, (1, 1000), SINGLE)
    graph = Graph("main", (x,), tuple(binary("add", x, each) for each in (small, large)))
    first, second = (node.inputs[1].operation for node in fold(graph).outputs)
    assert isinstance(first, Constant)
    assert isinstance(second, ops.Broadcast)
    reduced = Node(ops.Reduce("add", (0,)), (large,), (1000,), SINGLE)
    folded = fold(Graph("main", (x,), (binary("add", x, reduced),)))
    np.testing.assert_array_equal(folded.outputs[0].inputs[1].value, np.full(1000, 100))


def test_what_has_no_constants_stays_the_same() -> None:
    x = parameter(0, (2,), SINGLE)
    output = binary("add", x, x)
    assert fold(Graph("main", (x,), (output, x))).outputs == (output, x)


@pytest.mark.parametrize(
    ("operation", "inputs", "dtype", "expected"),
    [
        (ops.Elementwise("round_even"), [single(0.5, 2.5)], np.float32, [0, 2]),
        (ops.Elementwise("remainder"), [single(-7), single(3)], np.float32, [-1]),
        (ops.Elementwise("add"), [np.array([255], np.uint8), np.array([2], np.uint8)], np.uint8, [1]),
        (ops.Cast(), [single(-1.7, 0.2)], np.int32, [-1, 0]),
        (ops.Cast(), [single(0, 0.2)], np.bool_, [False, True]),
        (ops.Cast(), [single(306, -1, np.nan)], np.uint8, [255, 0, 0]),
        (ops.Cast(), [single(3e9, np.inf, -np.inf, np.nan)], np.int32, [2**31 - 1, 2**31 - 1, -(2**31), 0]),
        (ops.Take(0), [single(5, 6), np.array([-3, 9], np.int32)], np.float32, [5, 6]),
        (ops.Reduce("maximum", (0,)), [np.zeros((0, 2), np.float32)], np.float32, [-np.inf] * 2),
        (ops.Reverse((0,)), [single(1, 2)], np.float32, [2, 1]),
        (ops.Bitcast(), [single(1)], np.uint32, [0x3F800000]),
    ],
)
def test_arrays(operation: Operation, inputs: list[np.ndarray], dtype: type, expected: list[float]) -> None:
    got = evaluate(Node(operation, (), (), np.dtype(dtype)), inputs)
    assert got is not None
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.asarray(expected, dtype))


def test_integer_division_and_sorting_are_left_to_the_runtime() -> None:
    numbers = np.array([4, 2], np.int32)
    assert evaluate(Node(ops.Elementwise("divide"), (), (2,), numbers.dtype), [numbers, numbers]) is None
    assert evaluate(Node(ops.Sort(False, False), (), (2,), numbers.dtype), [numbers]) is None


# Calls ----------------------------------------------------------------------------------------------------------------
def test_calls_are_inlined_once_for_each_call() -> None:
    inner = parameter(0, (), SINGLE)
    doubled = Graph("double", (inner,), (binary("add", inner, inner), inner))
    x = parameter(0, (), SINGLE)
    calls = []
    value = x
    for _ in range(2):
        calls.append(Node(ops.Call(doubled), (value,), (), SINGLE))
        value = Node(ops.Output(0), (calls[-1],), (), SINGLE)
    graph = inlined(Graph("main", (x,), (value, Node(ops.Output(1), (calls[1],), (), SINGLE))))
    assert {type(node.operation).__name__ for node in ordered(graph.outputs)} == {"Parameter", "Elementwise"}
    four, two = graph.outputs
    assert four.inputs == (two, two)
    assert two.inputs == (x, x)


def test_calls_in_loops_are_inlined() -> None:
    inner = parameter(0, (), SINGLE)
    doubled = Graph("double", (inner,), (binary("add", inner, inner),))
    state = parameter(0, (), SINGLE)
    call = Node(ops.Output(0), (Node(ops.Call(doubled), (state,), (), SINGLE),), (), SINGLE)
    small = Node(ops.Compare("LT"), (state, constant(np.float32(10))), (), np.dtype(bool))
    loop = ops.While(Graph("small", (state,), (small,)), Graph("body", (state,), (call,)))
    x = parameter(0, (), SINGLE)
    result = Node(ops.Output(0), (Node(loop, (x,), (), SINGLE),), (), SINGLE)
    operation = inlined(Graph("main", (x,), (result,))).outputs[0].inputs[0].operation
    assert isinstance(operation, ops.While)
    assert isinstance(operation.body.outputs[0].operation, ops.Elementwise)
