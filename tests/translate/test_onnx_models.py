"""Whole graphs as ONNX models: names, types, sizes, layouts and control flow."""

import numpy as np
import pytest

from pipeline.translate import operations as ops
from pipeline.translate.graph import Constant, Graph, Node, constant, parameter
from pipeline.translate.onnx_models import OPSET, Input, to_onnx
from tests.translate.onnx_runs import check, run_graph, session

SINGLE, INT = np.dtype(np.float32), np.dtype(np.int32)


def weight(value: np.ndarray, name: str) -> Node:
    return Node(Constant(value, name), (), value.shape, value.dtype)


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def single(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def patches() -> Graph:
    """Returns a graph of images: convolution, normalization, ReLU, a sum, a product by channel, a list of pixels."""
    x = parameter(0, (None, 8, 8, 3), SINGLE)
    shape = (None, 4, 4, 6)
    kernel = weight(floats(2, 2, 3, 6), "stem/kernel")
    stem = Node(ops.Convolution((2, 2), ((0, 0), (0, 0)), (1, 1), (1, 1)), (x, kernel), shape, SINGLE)
    scale, bias = (weight(floats(6) + index, f"stem/{name}") for index, name in enumerate(("scale", "bias")))
    normal = Node(ops.GroupNorm(2, 1e-5), (stem, scale, bias), shape, SINGLE)
    relu = Node(ops.Relu(), (normal,), shape, SINGLE)
    total = Node(ops.Elementwise("add"), (relu, stem), shape, SINGLE)
    product = Node(ops.Elementwise("multiply"), (total, weight(floats(6), "by")), shape, SINGLE)
    rows = Node(ops.Size(0), (product,), (), INT)
    sizes = Node(ops.Pack(), (rows, constant(np.int32(16)), constant(np.int32(6))), (3,), INT)
    return Graph("main", (x,), (Node(ops.Reshape(), (product, sizes), (None, 16, 6), SINGLE),))


def written(is_first: bool = True) -> bytes:
    images = Input("pixel_values", is_first, {0: "batch_size"})
    content: bytes = to_onnx(patches(), [images], ["tokens"], {"licence": "x"}).SerializeToString(deterministic=True)
    return content


def test_names_types_and_sizes() -> None:
    model = check(
        to_onnx(patches(), [Input("pixel_values", True, {0: "batch_size"})], ["tokens"], {"b": "1", "a": "2"})
    )
    assert model.opset_import[0].version == OPSET
    assert {each.name for each in model.graph.initializer} >= {"stem/kernel", "stem/scale", "stem/bias", "by"}
    assert [(each.key, each.value) for each in model.metadata_props] == [("b", "1"), ("a", "2")]
    (given,), (result,) = model.graph.input, model.graph.output
    sizes = [[each.dim_param or each.dim_value for each in one.type.tensor_type.shape.dim] for one in (given, result)]
    assert (given.name, result.name, sizes) == (
        "pixel_values",
        "tokens",
        [["batch_size", 3, 8, 8], ["batch_size", 16, 6]],
    )


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert written() == written()


def test_images_are_transposed_once() -> None:
    """Convolution, normalization, ReLU, sum and product stay channels first."""
    model = to_onnx(patches(), [Input("x", True)], ["y"])
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Transpose") == 1
    assert [node.op_type for node in to_onnx(patches(), [Input("x")], ["y"]).graph.node].count("Transpose") == 2


def test_operands_of_another_rank_are_broadcast_in_their_own_layout() -> None:
    """Of equal sizes, so that a wrong axis would go unnoticed."""
    images, rows = floats(1, 4, 4, 4), floats(4, 4, 4)
    x, y = (parameter(index, each.shape, SINGLE) for index, each in enumerate((images, rows)))
    plane = Node(ops.Pool("maximum", (1, 1), (1, 1), ((0, 0), (0, 0))), (x,), x.shape, SINGLE)
    line = Node(ops.Pool("maximum", (1,), (1,), ((0, 0),)), (y,), y.shape, SINGLE)
    total = Node(ops.Elementwise("add"), (plane, line), x.shape, SINGLE)
    np.testing.assert_array_equal(run_graph(Graph("main", (x, y), (total,)), [images, rows])[0], images + rows)


def test_both_layouts_of_the_input_give_the_same_result() -> None:
    x = floats(3, 8, 8, 3)
    first = session(to_onnx(patches(), [Input("x", True)], ["y"])).run(None, {"x": x.transpose(0, 3, 1, 2)})[0]
    (last,) = run_graph(patches(), [x])
    np.testing.assert_array_equal(first, last)
    assert first.shape == (3, 16, 6)


def test_an_input_may_be_an_output() -> None:
    x = parameter(0, (2,), SINGLE)
    got = run_graph(Graph("main", (x,), (x, constant(single(5, 6)))), [single(1, 2)])
    np.testing.assert_array_equal(got, [[1, 2], [5, 6]])


def test_two_weights_of_one_name_stay_apart() -> None:
    x = parameter(0, (2,), SINGLE)
    a, b = (weight(np.full(2, value, np.float32), "w") for value in (1, 10))
    total = Node(ops.Elementwise("add"), (Node(ops.Elementwise("add"), (x, a), (2,), SINGLE), b), (2,), SINGLE)
    model = to_onnx(Graph("main", (x,), (total,)), [Input("w")], ["y"])
    assert [each.name for each in model.graph.initializer] == ["w_1", "w_2"]
    np.testing.assert_array_equal(session(model).run(None, {"w": single(0, 1)})[0], [11, 12])


# Control flow ---------------------------------------------------------------------------------------------------------
def added(x: Node, y: Node) -> Node:
    return Node(ops.Elementwise("add"), (x, y), x.shape, x.dtype)


@pytest.mark.parametrize("index", [-1, 0, 1, 2, 7])
def test_case_takes_the_last_branch_for_any_index_out_of_range(index: int) -> None:
    x = parameter(0, (2,), SINGLE)
    branches = []
    for number in (1, 10, 100):
        argument = parameter(0, (2,), SINGLE)
        branches.append(Graph(f"branch_{number}", (argument,), (added(argument, constant(np.float32(number))),)))
    place = parameter(1, (), INT)
    case = Node(ops.Case(tuple(branches)), (place, x), (), SINGLE)
    graph = Graph("main", (x, place), (Node(ops.Output(0), (case,), (2,), SINGLE),))
    (got,) = run_graph(graph, [single(0, 1), np.array(index, np.int32)])
    expected = {0: 1, 1: 10}.get(index, 100)
    np.testing.assert_array_equal(got, [expected, expected + 1])


@pytest.mark.parametrize("start", [0, 5, 50])
def test_while_keeps_constants_and_may_run_no_step(start: int) -> None:
    """Adds the constant until the sum is 20 or more, and counts the steps."""
    total, steps, by = (parameter(index, (), INT) for index in range(3))
    body = Graph("body", (total, steps, by), (added(total, by), added(steps, constant(np.int32(1)))))
    total, steps, by = (parameter(index, (), INT) for index in range(3))
    is_small = Node(ops.Compare("LT"), (total, constant(np.int32(20))), (), np.dtype(bool))
    loop = ops.While(Graph("condition", (total, steps, by), (is_small,)), body, constants=1)
    x, y = parameter(0, (), INT), parameter(1, (), INT)
    node = Node(loop, (x, constant(np.int32(0)), y), (), INT)
    outputs = tuple(Node(ops.Output(index), (node,), (), INT) for index in range(2))
    got = run_graph(Graph("main", (x, y), outputs), [np.array(start, np.int32), np.array(6, np.int32)])
    expected = [start, 0]
    while expected[0] < 20:
        expected = [expected[0] + 6, expected[1] + 1]
    assert [int(each) for each in got] == expected
