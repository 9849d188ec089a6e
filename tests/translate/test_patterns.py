"""What pipeline.translate.patterns recognizes, and what it must not: formulas that differ in one constant, axis or use.

All arrays are square, so that no shape gives a wrong axis away.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from pipeline.translate.building import Builder
from pipeline.translate.elementwise import binary, unary
from pipeline.translate.error_functions import complementary
from pipeline.translate.graph import Graph, Node, constant, ordered
from pipeline.translate.matching import is_number
from pipeline.translate.operations import (
    Call,
    Dense,
    Gelu,
    GroupNorm,
    LayerNorm,
    Output,
    Reduce,
    Relu,
    Softmax,
)
from pipeline.translate.patterns import recover
from pipeline.translate.shaping import broadcast, reshape

FLOAT32 = np.dtype(np.float32)
PATTERNS = (Softmax, LayerNorm, GroupNorm, Gelu, Relu)
Formula = Callable[["Maker"], Node]


def rewritten(graph: Graph, rewrite: Callable[[Node, tuple[Node, ...]], Node]) -> Graph:
    """Returns a graph in which each node but the parameters is what `rewrite` makes of it and its rewritten inputs."""
    new: dict[Node, Node] = {node: node for node in graph.parameters}
    for node in ordered(graph.outputs):
        if node not in new:
            new[node] = rewrite(node, tuple(new[each] for each in node.inputs))
    return Graph(graph.name, graph.parameters, tuple(new[node] for node in graph.outputs))


class Maker:
    """Makes formulas of x and y (4, 4, 4, 4), a square k, and vectors scale and bias (4,)."""

    def __init__(self) -> None:
        self.build = Builder()
        self.parameters: list[Node] = []
        self.x, self.y = self.parameter(4, 4, 4, 4), self.parameter(4, 4, 4, 4)
        self.k, self.scale, self.bias = self.parameter(4, 4), self.parameter(4), self.parameter(4)

    def parameter(self, *shape: int) -> Node:
        self.parameters.append(self.build.parameter(len(self.parameters), shape, FLOAT32))
        return self.parameters[-1]

    def number(self, value: float) -> Node:
        return self.build.constant(value, FLOAT32)

    def apply(self, kind: str, left: Node, right: Node | float) -> Node:
        right = right if isinstance(right, Node) else self.number(right)
        if right.rank == 1 and left.rank > 1:
            right = broadcast(self.build, right, [left.rank - 1], self.build.extents(left))
        return binary(self.build, kind, left, right)

    def product(self, *parts: Node | float) -> Node:
        first, *rest = parts
        assert isinstance(first, Node)
        for part in rest:
            first = self.apply("multiply", first, part)
        return first

    def reduce(self, kind: str, x: Node, axes: Sequence[int]) -> Node:
        sizes = [size for axis, size in enumerate(self.build.extents(x)) if axis not in axes]
        return self.build.node(Reduce(kind, tuple(axes)), [x], sizes, x.dtype)

    def repeat(self, x: Node, like: Node, axes: Sequence[int]) -> Node:
        """Repeats what was reduced along axes of `like`."""
        return broadcast(self.build, x, [a for a in range(like.rank) if a not in axes], self.build.extents(like))

    def mean(self, x: Node, axes: Sequence[int], count: float | None = None) -> Node:
        total = self.reduce("add", x, axes)
        return self.apply("divide", total, count if count is not None else 4.0 ** len(axes))

    def recovered(self, *outputs: Node) -> Graph:
        return recover(Graph("f", tuple(self.parameters), outputs))


def found(graph: Graph) -> list[object]:
    """Returns the patterns of a graph."""
    return [node.operation for node in ordered(graph.outputs) if isinstance(node.operation, PATTERNS)]


def softmax(
    m: Maker, *, largest: Sequence[int] = (3,), total: Sequence[int] = (3,), of: str = "x", divided: str = "same"
) -> Node:
    x = m.x
    top = m.repeat(m.reduce("maximum", getattr(m, of), largest), x, largest)
    e = unary(m.build, "exp", m.apply("subtract", x, top))
    other = e if divided == "same" else unary(m.build, "exp", m.apply("subtract", x, m.y))
    return m.apply("divide", e, m.repeat(m.reduce("add", other, total), x, total))


def layer_norm(
    m: Maker,
    *,
    mean: Sequence[int] = (3,),
    variance: Sequence[int] = (3,),
    of: str = "x",
    count: float = 4,
    is_fast: bool = False,
    least: float = 0,
    is_vector: bool = True,
    middle: str = "x",
) -> Node:
    x, squared = m.x, getattr(m, of)
    average = m.mean(getattr(m, middle), mean)
    if is_fast:
        other = m.mean(squared, variance)
        spread = m.apply("subtract", m.mean(m.product(x, x), variance, count), m.product(other, other))
        spread = m.apply("maximum", spread, least)
    else:
        difference = m.apply("subtract", squared, m.repeat(m.mean(squared, variance), squared, variance))
        spread = m.mean(m.product(difference, difference), variance, count)
    spread = reshape(m.build, spread, [1 if axis in variance else 4 for axis in range(4)])
    factor = unary(m.build, "rsqrt", m.apply("add", spread, 1e-6))
    factor = broadcast(m.build, factor, range(4), [4] * 4)
    scaled = m.apply("multiply", factor, m.scale if is_vector else m.y)
    return m.apply("add", m.product(m.apply("subtract", x, m.repeat(average, x, mean)), scaled), m.bias)


def group_norm(
    m: Maker,
    *,
    axes: Sequence[int] = (1, 2, 4),
    variance: Sequence[int] = (1, 2, 4),
    split: Sequence[int] = (2, 2),
    is_repeated_inside: bool = True,
    of: str = "x",
) -> Node:
    build = m.build

    def parts(x: Node) -> Node:
        return reshape(build, x, [4, 4, 4, *split])

    def spread(statistic: Node) -> Node:
        statistic = reshape(build, statistic, [4, 2])
        each = broadcast(build, statistic, [0, 1] if is_repeated_inside else [0, 2], [4, 2, 2])
        return broadcast(build, reshape(build, each, [4, 4]), [0, 3], [4] * 4)

    grouped = parts(m.x)
    average = m.mean(grouped, axes, 32)
    other = parts(getattr(m, of))
    difference = m.apply("subtract", other, m.repeat(m.mean(other, variance, 32), other, variance))
    square = m.mean(m.product(difference, difference), variance, 32)
    factor = unary(build, "rsqrt", m.apply("add", spread(square), 1e-5))
    scaled = m.apply("multiply", factor, m.scale)
    return m.apply("add", m.product(m.apply("subtract", m.x, spread(average)), scaled), m.bias)


def gelu(
    m: Maker,
    *,
    half: float = 0.5,
    one: float = 1,
    scale: float = math.sqrt(2 / math.pi),
    cubic: float = 0.044715,
    cubed: str = "x",
    outer: str = "x",
    power: int = 3,
) -> Node:
    x, y = m.x, getattr(m, cubed)
    cube = m.product(*[y] * power)
    inside = m.apply("add", x, m.product(cube, cubic))
    tanh = unary(m.build, "tanh", m.product(inside, scale))
    return m.product(getattr(m, outer), m.product(m.apply("add", tanh, one), half))


def exact_gelu(m: Maker, *, half: float = 0.5, scale: float = math.sqrt(0.5), outer: str = "x") -> Node:
    erf = unary(m.build, "erf", m.product(m.x, scale))
    return m.product(m.product(getattr(m, outer), half), m.apply("add", erf, 1))


def gelu_by_erfc(m: Maker, *, half: float = 0.5, scale: float = math.sqrt(0.5), outer: str = "x") -> Node:
    negative = m.product(unary(m.build, "negate", m.x), scale)
    return m.product(m.product(getattr(m, outer), half), complementary(negative))


def gelu_by_division(m: Maker, *, divisor: float = 2, outer: str = "x") -> Node:
    erf = unary(m.build, "erf", m.apply("divide", m.x, math.sqrt(2)))
    return m.apply("divide", m.product(getattr(m, outer), m.apply("add", erf, 1)), divisor)


def relu(m: Maker, *, least: float = 0, kind: str = "maximum") -> Node:
    return m.apply(kind, m.x, least)


KINDS: dict[Formula, type] = {
    softmax: Softmax, layer_norm: LayerNorm, group_norm: GroupNorm, gelu: Gelu, exact_gelu: Gelu, gelu_by_erfc: Gelu,
    gelu_by_division: Gelu,
    relu: Relu,
}  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (softmax, Softmax()),
        (layer_norm, LayerNorm(float(np.float32(1e-6)))),
        (lambda m: layer_norm(m, is_fast=True), LayerNorm(float(np.float32(1e-6)))),
        (group_norm, GroupNorm(2, float(np.float32(1e-5)))),
        (gelu, Gelu(by_tanh=True)),
        (exact_gelu, Gelu(by_tanh=False)),
        (gelu_by_erfc, Gelu(by_tanh=False)),
        (gelu_by_division, Gelu(by_tanh=False)),
        (relu, Relu()),
    ],
)
def test_a_formula_is_recognized(formula: Formula, expected: object) -> None:
    maker = Maker()
    assert found(maker.recovered(formula(maker))) == [expected]


@pytest.mark.parametrize(
    ("formula", "change"),
    [
        (softmax, {"largest": (2,)}),
        (softmax, {"total": (2,)}),
        (softmax, {"largest": (2,), "total": (2,)}),
        (softmax, {"largest": (2, 3), "total": (2, 3)}),
        (softmax, {"of": "y"}),
        (softmax, {"divided": "other"}),
        (layer_norm, {"mean": (2,)}),
        (layer_norm, {"variance": (2,)}),
        (layer_norm, {"mean": (2,), "variance": (2,)}),
        (layer_norm, {"mean": (2, 3), "variance": (2, 3)}),
        (layer_norm, {"of": "y"}),
        (layer_norm, {"middle": "y"}),
        (layer_norm, {"count": 3}),
        (layer_norm, {"is_vector": False}),
        (layer_norm, {"is_fast": True, "count": 3}),
        (layer_norm, {"is_fast": True, "least": 1e-3}),
        (layer_norm, {"is_fast": True, "of": "y"}),
        (group_norm, {"axes": (1, 2, 3)}),
        (group_norm, {"variance": (1, 2, 3)}),
        (group_norm, {"axes": (1, 2, 3), "variance": (1, 2, 3)}),
        (group_norm, {"axes": (0, 1, 2), "variance": (0, 1, 2)}),
        (group_norm, {"is_repeated_inside": False}),
        (group_norm, {"of": "y"}),
        (gelu, {"half": 0.51}),
        (gelu, {"one": 1.01}),
        (gelu, {"scale": 0.7978}),
        (gelu, {"cubic": 0.0447}),
        (gelu, {"cubed": "y"}),
        (gelu, {"outer": "y"}),
        (gelu, {"power": 2}),
        (exact_gelu, {"half": 0.49}),
        (exact_gelu, {"scale": 0.7}),
        (exact_gelu, {"outer": "y"}),
        (gelu_by_erfc, {"half": 0.49}),
        (gelu_by_erfc, {"scale": 0.7}),
        (gelu_by_erfc, {"outer": "y"}),
        (gelu_by_division, {"divisor": 2.01}),
        (gelu_by_division, {"outer": "y"}),
        (relu, {"least": 1e-6}),
        (relu, {"kind": "minimum"}),
    ],
)
def test_a_formula_that_differs_is_left_as_it_is(formula: Callable[..., Node], change: dict[str, object]) -> None:
    maker = Maker()
    graph = maker.recovered(formula(maker, **change))
    assert not [each for each in found(graph) if isinstance(each, KINDS[formula])]


def test_every_constant_of_erfc_is_compared() -> None:
    maker = Maker()
    node = gelu_by_erfc(maker)
    numbers = [each for each in ordered([node]) if each.value is not None and each.dtype == FLOAT32]
    assert len(numbers) > 30
    for number in numbers:
        assert number.value is not None
        other = maker.number(float(number.value) * 1.0001 + 1e-6)

        def change(node: Node, inputs: tuple[Node, ...], number: Node = number, other: Node = other) -> Node:
            return other if node is number else replace(node, inputs=inputs)

        graph = rewritten(Graph("f", tuple(maker.parameters), (node,)), change)
        assert found(recover(graph)) == []


def product(m: Maker) -> Node:
    return m.build.node(Dense(), [m.x, m.k], [4] * 4, FLOAT32)


def test_a_bias_becomes_part_of_the_dense_layer() -> None:
    maker = Maker()
    (output,) = maker.recovered(maker.apply("add", product(maker), maker.bias)).outputs
    assert output.operation == Dense()
    assert output.inputs == (maker.x, maker.k, maker.bias)


def test_a_bias_of_a_split_axis_becomes_part_of_the_dense_layer() -> None:
    maker = Maker()
    bias = maker.parameter(2, 2)
    split = reshape(maker.build, product(maker), [4, 4, 4, 2, 2])
    total = binary(maker.build, "add", split, broadcast(maker.build, bias, [3, 4], [4, 4, 4, 2, 2]))
    (output,) = maker.recovered(total).outputs
    assert output.shape == (4, 4, 4, 2, 2)
    assert output.inputs[0].operation == Dense()
    assert output.inputs[0].inputs[2].inputs[0] is bias


def test_what_is_no_bias_stays_a_sum() -> None:
    maker = Maker()
    rows = broadcast(maker.build, maker.bias, [2], [4] * 4)
    for other in (rows, maker.y, broadcast(maker.build, maker.k, [2, 3], [4] * 4)):
        (output,) = maker.recovered(binary(maker.build, "add", product(maker), other)).outputs
        assert output.operation != Dense()


def test_a_product_that_is_used_twice_is_not_computed_twice() -> None:
    maker = Maker()
    outputs = maker.recovered(maker.apply("add", product(maker), maker.bias), product(maker)).outputs
    assert sum(node.operation == Dense() for node in ordered(outputs)) == 1


def test_a_reduction_keeps_its_axes_where_they_are_added_again() -> None:
    maker = Maker()
    total = maker.reduce("add", maker.x, (1, 3))
    outputs = maker.recovered(
        reshape(maker.build, total, [4, 1, 4, 1]), reshape(maker.build, total, [4, 4, 1, 1])
    ).outputs
    assert outputs[0].operation == Reduce("add", (1, 3), keeps_axes=True)
    assert outputs[1].operation != Reduce("add", (1, 3), keeps_axes=True)


def test_patterns_in_a_graph_that_is_called_are_recovered_once() -> None:
    maker = Maker()
    call = Call(Graph("inner", tuple(maker.parameters), (gelu(maker),)))
    outer = Maker()
    first = outer.build.node(call, outer.parameters, (), FLOAT32)
    second = outer.build.node(call, [outer.y, *outer.parameters[1:]], (), FLOAT32)
    outputs = [outer.build.node(Output(0), [each], [4] * 4, FLOAT32) for each in (first, second)]
    graph = outer.recovered(*outputs)
    calls = [node.operation for node in ordered(graph.outputs) if isinstance(node.operation, Call)]
    assert len(calls) == 2
    assert calls[0] is calls[1]
    assert found(calls[0].graph) == [Gelu(by_tanh=True)]


def test_a_number_that_its_type_holds_must_be_exact() -> None:
    bfloat16, float32 = np.dtype(ml_dtypes.bfloat16), FLOAT32
    assert is_number(constant(64, bfloat16), 64)
    assert not is_number(constant(64.5, bfloat16), 64)
    assert not is_number(constant(63, bfloat16), 64)
    assert is_number(constant(256, bfloat16), 257)  # which bfloat16 lacks
    assert is_number(constant(0.7978846, float32), math.sqrt(2 / math.pi))
    assert not is_number(constant(np.nextafter(np.float32(2), np.float32(3))), 2)
