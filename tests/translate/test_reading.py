"""How StableHLO is read: what is decided, folded and left out before any runtime sees it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from pipeline.translate.graph import Graph, Node, ordered
from pipeline.translate.operations import (
    Broadcast,
    Call,
    Case,
    Compare,
    Elementwise,
    MatMul,
    Pack,
    Reshape,
    Size,
    Transpose,
    While,
)
from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from tests.translate.modules import serialize
from tests.translate.strangers import STRANGERS

pytestmark = pytest.mark.slow

Array = Any
X = np.ones((2, 3, 4), np.float32)
FREE = ("n, 3, 4",)


def operations(graph: Graph) -> list[Any]:
    return [node.operation for node in ordered(graph.outputs)]


def nodes(graph: Graph, kind: type) -> list[Node]:
    return [node for node in ordered(graph.outputs) if isinstance(node.operation, kind)]


@pytest.mark.parametrize(("platform", "kind"), [("cpu", "sin"), ("cuda", "cos"), ("tpu", "tan"), ("metal", "sin")])
def test_the_platform_is_decided(platform: str, kind: str) -> None:
    def function(x: Array) -> Array:
        return lax.platform_dependent(x, cpu=jnp.sin, cuda=jnp.cos, tpu=jnp.tan)

    module = serialize(function, [X], platforms=("cpu", "cuda", "tpu"))
    assert operations(read(module, platform))[-1] == Elementwise(kind)
    other = read(serialize(function, [X], platforms=("cuda", "cpu")), "cpu", ["CUDA", "CPU"])
    assert operations(other)[-1] == Elementwise("sin")


def test_the_parameters_are_the_inputs_of_the_node() -> None:
    graph = read(serialize(lambda x, y: x + y, [X, X[:1]], FREE, ("cpu", "cuda", "tpu")))
    assert [each.shape for each in graph.parameters] == [(None, 3, 4), (1, 3, 4)]
    assert [each.operation for each in graph.outputs] == [Elementwise("add")]
    assert graph.outputs[0].inputs == graph.parameters


def test_assertions_of_shapes_are_dropped() -> None:
    graph = read(serialize(lambda x, y: x + y, [X, X], ("n, 3, m", "n, 3, m")))
    assert not [each for each in operations(graph) if isinstance(each, Compare)]


def test_broadcasts_are_left_to_the_operation() -> None:
    def function(x: Array, vector: Array) -> Array:
        return (x + vector) * 2 - x.mean(1, keepdims=True)

    graph = read(serialize(function, [X, X[0, 0]], FREE))
    assert not nodes(graph, Broadcast)
    (total,) = (node for node in nodes(graph, Elementwise) if node.operation == Elementwise("add"))
    assert total.inputs == graph.parameters


def test_a_broadcast_that_nothing_else_makes_stays() -> None:
    graph = read(serialize(lambda x: jnp.broadcast_to(x[:, :1] * 2, x.shape), [X], FREE))
    assert isinstance(graph.outputs[0].operation, Broadcast)
    assert graph.outputs[0].inputs[0].shape == (None, 1, 4)


def test_sizes_are_those_of_the_parameters() -> None:
    def function(x: Array) -> Array:
        y = jnp.concatenate([x, x * 2], 1).reshape(x.shape[0] * 2, 12)
        return y.T.reshape(4, 3, 2, x.shape[0]) + 0 * x.shape[0]

    graph = read(serialize(function, [X], FREE))
    assert {node.inputs[0] for node in nodes(graph, Size)} == {graph.parameters[0]}


def test_sizes_are_not_computed_twice() -> None:
    def function(x: Array) -> Array:
        return (x.reshape(-1, 12) @ jnp.ones((12, 12))).reshape(-1, 3, 4) + x

    graph = read(serialize(function, [X], FREE))
    assert len(nodes(graph, Size)) == 1
    assert len(nodes(graph, Reshape)) == 2


def test_a_reshape_to_the_same_sizes_is_none() -> None:
    def function(x: Array) -> Array:
        return x.reshape(-1, 12).reshape(x.shape).transpose(0, 2, 1).transpose(0, 2, 1)

    graph = read(serialize(function, [X], FREE))
    assert graph.outputs == graph.parameters


def test_a_function_is_read_once_for_all_its_calls() -> None:
    def tanh(x: Array, kernel: Array) -> Array:
        for _ in range(9):
            x = jnp.tanh(x @ kernel) + x
        return x

    layer = jax.jit(tanh)

    def function(x: Array, kernel: Array) -> Array:
        return layer(layer(layer(x, kernel), kernel), kernel)

    graph = read(serialize(function, [X, np.eye(4, dtype=np.float32)], FREE))
    calls = nodes(graph, Call)
    assert len(calls) == 3
    assert len({node.operation for node in calls}) == 1
    assert [len(node.inputs) for node in calls] == [2, 2, 2]
    assert graph.outputs[0].shape == (None, 3, 4)


def test_attention_is_a_product_of_matrices_without_more_transposes_than_it_needs() -> None:
    def function(q: Array, k: Array) -> Array:
        return jnp.einsum("bhqk,bkhd->bqhd", jnp.einsum("bqhd,bkhd->bhqk", q, k), k)

    x = np.ones((2, 5, 2, 4), np.float32)
    graph = read(serialize(function, [x, x], ("n, 5, 2, 4", "n, 5, 2, 4")))
    assert [each.operation for each in nodes(graph, MatMul)] == [MatMul(transpose_right=True), MatMul()]
    assert {each.operation for each in nodes(graph, Transpose)} == {Transpose((0, 2, 1, 3))}


def test_what_no_step_changes_is_a_constant_of_the_loop() -> None:
    def function(x: Array, y: Array) -> Array:
        return lax.fori_loop(0, 50, lambda i, state: (state[0] * y + i, state[1]), (x, y))

    graph = read(serialize(function, [X, X]))
    (loop,) = nodes(graph, While)
    assert isinstance(loop.operation, While)
    assert loop.operation.constants == 1
    assert len(loop.inputs) == len(loop.operation.body.parameters) == len(loop.operation.condition.parameters)
    assert len(loop.operation.body.outputs) == len(loop.inputs) - 1
    assert graph.outputs[1] is graph.parameters[1]


def test_a_loop_of_few_steps_is_read_as_its_steps() -> None:
    def function(x: Array) -> Array:
        return lax.fori_loop(2, 5, lambda i, y: y + x * (1 << i), x)

    graph = read(serialize(function, [X]))
    assert not nodes(graph, While)
    scales = [node.inputs[1].value for node in nodes(graph, Elementwise) if node.operation == Elementwise("multiply")]
    assert scales == [4, 8, 16]
    nothing = read(serialize(lambda x: lax.fori_loop(5, 5, lambda i, y: y + i, x), [X]))
    assert nothing.outputs == nothing.parameters


def test_branches_take_what_they_use_as_arguments() -> None:
    def function(index: Array, x: Array, y: Array) -> Array:
        return lax.switch(index, [lambda: x + 1, lambda: y * 2])

    graph = read(serialize(function, [np.array(0, np.int32), X, X]))
    (case,) = nodes(graph, Case)
    assert isinstance(case.operation, Case)
    assert case.inputs[1:] == graph.parameters[1:]
    assert [len(each.parameters) for each in case.operation.branches] == [2, 2]


def test_nodes_use_only_the_parameters_of_their_graph() -> None:
    def check(graph: Graph) -> None:
        for node in ordered(graph.outputs):
            if not node.inputs and node.value is None:
                assert node in graph.parameters
            inner = [value for value in vars(node.operation).values() if isinstance(value, Graph)]
            for each in (*inner, *getattr(node.operation, "branches", ())):
                check(each)

    for stranger in STRANGERS:
        if stranger.name in ("looped", "scanned", "lstm", "conditional", "newton", "random_mask"):
            check(read(serialize(stranger.function, stranger.arguments, stranger.shapes)))


def describe(graph: Graph) -> str:
    """Returns all that a graph is, but the values of large constants, as text."""
    places: dict[Node, int] = {}
    lines = [graph.name]
    for node in ordered(graph.outputs):
        inner = [describe(each) for each in vars(node.operation).values() if isinstance(each, Graph)]
        kind = type(node.operation).__name__ if inner or node.value is not None else node.operation
        lines.append(f"{kind} {node.value} {[places[each] for each in node.inputs]} {node.shape} {inner}")
        places[node] = len(places)
    return "\n".join(lines)


def test_a_module_is_always_read_alike() -> None:
    (stranger,) = (each for each in STRANGERS if each.name == "lstm")
    module = serialize(stranger.function, stranger.arguments, stranger.shapes)
    assert describe(read(module)) == describe(read(module))


def test_constants_of_all_types_are_read() -> None:
    values = {
        "bool": [True, False, True], "bfloat16": [1.5, -2.0, 3.0], "float16": [1.5, -2.0, np.inf],
        "uint8": [1, 255, 3], "int32": [-1, 2, 3], "uint32": [1, 2**32 - 1, 3], "float32": [1.5, np.nan, -np.inf],
    }  # fmt: skip
    for name, value in values.items():
        array = np.array(jnp.asarray(value, name))
        large = np.array(jnp.tile(array, 50))
        graph = read(serialize(lambda x, a=array, b=large: (a, b, jnp.full(3, a[0])), [X]))
        expected = (array, large, np.array(array[0]))
        results = [each.inputs[0] if isinstance(each.operation, Broadcast) else each for each in graph.outputs]
        for result, each in zip(results, expected, strict=True):
            assert result.value is not None
            assert result.dtype == array.dtype
            assert result.value.reshape(-1).tobytes() == each.reshape(-1).tobytes()


def test_vectors_of_sizes_are_packed() -> None:
    graph = read(serialize(lambda x: jnp.ones((x.shape[0], 2)), [X], FREE))
    (sizes,) = nodes(graph, Pack)
    assert sizes.shape == (2,)


@pytest.mark.parametrize("module", [b"", b"no module", b"ML\xefR"])
def test_what_is_no_module_is_refused(module: bytes) -> None:
    with pytest.raises(Untranslatable, match=r"cannot be read as StableHLO|has no function main"):
        read(module)
