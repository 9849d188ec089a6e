"""Lowers a graph from float32 to a type of 16 bits.

Softmax, normalizations, sums, comparisons, what counts, and control flow are computed in float32 all the same, and so
are the parts of a gradient that are sums over images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from pipeline.translate import operations as ops
from pipeline.translate.graph import Constant, Graph, Node, Operation, ordered

_SINGLE = np.dtype(np.float32)


@dataclass(frozen=True)
class HalfType:
    """A type of 16 bits, and how a graph is lowered to it.

    Attributes:
        dtype: the type.
        has_weights_inside: whether weights are constants of the graph, which are stored in the type. If not, they are
            parameters: what is computed of them alone stays float32 and is rounded where it is used, so that a training
            loses none of their digits; and the last product stays float32, of whose results few differ by much.
    """

    dtype: np.dtype
    has_weights_inside: bool


FLOAT16 = HalfType(np.dtype(np.float16), has_weights_inside=True)
BFLOAT16 = HalfType(np.dtype(ml_dtypes.bfloat16), has_weights_inside=False)

# Whose intermediate values, sums of many or exponentials, leave float16's range or lose its digits; and what decides.
_KEPT: tuple[type[Operation], ...] = (
    ops.Softmax,
    ops.LayerNorm,
    ops.GroupNorm,
    ops.Reduce,
    ops.Cumulate,
    ops.Pool,
    ops.While,
    ops.Case,
    ops.Output,
    ops.Bitcast,  # the bits of a float32 are another number of bits
    ops.Compare,
    ops.ArgReduce,
    ops.Sort,
    ops.TopK,
    ops.ScatterNd,
)
# fmt: off
_KEPT_KINDS = frozenset((
    "exp", "expm1", "log", "log1p", "power", "rsqrt", "divide", "sin", "cos", "tan", "atan2", "cbrt", "remainder",
    "floor", "ceil", "round", "round_even",
))
# fmt: on
_PRODUCTS = (ops.Dense, ops.MatMul, ops.Einsum, ops.Convolution)
_LAYOUT = (ops.Reshape, ops.Slice, ops.Transpose)
_WITH_WEIGHTS = (ops.Elementwise, ops.Select, ops.Take, ops.GatherNd)


def to_half(graph: Graph, kind: HalfType = FLOAT16) -> Graph:
    """Returns a graph that computes in 16 bits what is float32 in another one; its inputs and outputs stay float32.

    Numbers beyond the range of the type become its largest ones in constants.

    Args:
        graph: the graph, without Call where weights are inside.
        kind: the type.
    """
    return _Library(kind).whole(graph)


@dataclass(frozen=True)
class _Argument:
    """What a graph is called with.

    Attributes:
        dtype: its type after lowering.
        is_data: whether it depends on the batch, see _find_data().
    """

    dtype: np.dtype
    is_data: bool


class _Library:
    """Lowers each graph once for each kind of arguments, so that it stays shared by its callers."""

    def __init__(self, kind: HalfType) -> None:
        self.kind = kind
        self._graphs: dict[tuple[Graph, tuple[_Argument, ...]], Graph] = {}

    def whole(self, graph: Graph) -> Graph:
        """Lowers a graph that no other one calls."""
        arguments = [_Argument(node.dtype, _is_batch(node, graph)) for node in graph.parameters]
        lowering = _Lowering(self, graph, arguments, graph.outputs)
        return Graph(graph.name, graph.parameters, tuple(map(lowering.single, graph.outputs)))

    def called(self, graph: Graph, arguments: tuple[_Argument, ...]) -> Graph:
        """Lowers a graph that another one calls; its results have whatever type they are computed in."""
        if not any(each.is_data for each in arguments):
            return graph
        key = graph, arguments
        if key not in self._graphs:
            lowering = _Lowering(self, graph, arguments, ())
            self._graphs[key] = Graph(graph.name, lowering.parameters, tuple(map(lowering.lowered, graph.outputs)))
        return self._graphs[key]


def _is_batch(node: Node, graph: Graph) -> bool:
    """Whether a parameter is of as many images as a call has: of any size, unless all sizes are known."""
    is_free = None in node.shape
    return is_free or (node.dtype == _SINGLE and not any(None in each.shape for each in graph.parameters))


def _find_data(graph: Graph, arguments: Sequence[_Argument], kind: HalfType) -> set[Node]:
    """Returns the nodes whose values depend on the batch, not on its size: not on weights and random keys alone."""
    if kind.has_weights_inside:
        return set(ordered(graph.outputs))
    data = {node for node, each in zip(graph.parameters, arguments, strict=True) if each.is_data}
    for node in ordered(graph.outputs):
        if not isinstance(node.operation, ops.Size) and not data.isdisjoint(node.inputs):
            data.add(node)
    return data


def _find_last(results: Sequence[Node], data: set[Node]) -> set[Node]:
    """Returns the last product before each result, what lies between both, and what only moves the product's input."""
    last = set[Node]()
    for node in results:
        is_product, each = False, node
        while each in data and not (is_product and not isinstance(each.operation, _LAYOUT)):
            last.add(each)
            is_product |= isinstance(each.operation, _PRODUCTS)
            sources = [source for source in each.inputs if source in data]
            if len(sources) != 1 or isinstance(each.operation, (*_KEPT, ops.Call)):
                break
            (each,) = sources
    return last


class _Lowering:
    """What the nodes of a graph became.

    A node of float32 that stays so is kept in that type, and is rounded where it is used; and the other way round.
    """

    def __init__(
        self, library: _Library, graph: Graph, arguments: Sequence[_Argument], results: Sequence[Node]
    ) -> None:
        """Takes the nodes of a graph that are results of the whole."""
        self._library, self._dtype = library, library.kind.dtype
        self._data = _find_data(graph, arguments, library.kind)
        self._last = set[Node]() if library.kind.has_weights_inside else _find_last(results, self._data)
        self._new: dict[Node, Node] = {}
        self._half: dict[Node, Node] = {}
        self._single: dict[Node, Node] = {}
        for node, argument in zip(graph.parameters, arguments, strict=True):
            is_same = node.dtype == argument.dtype
            self._new[node] = node if is_same else Node(node.operation, (), node.shape, argument.dtype)
        self.parameters = tuple(self._new[node] for node in graph.parameters)
        for node in ordered(graph.outputs):
            if node not in self._new:
                self._new[node] = self._visited(node)

    def _visited(self, node: Node) -> Node:
        """Lowers a node whose inputs were visited."""
        operation = node.operation
        if not node.inputs:
            return node
        if isinstance(operation, ops.Call):
            return self._call(node, operation)
        if isinstance(operation, ops.Output) and isinstance(called := self._new[node.inputs[0]].operation, ops.Call):
            return self._rebuilt(node, [self._new[node.inputs[0]]], called.graph.outputs[operation.index].dtype)
        if self._is_kept(node):
            return self._rebuilt(node, [self.single(each) for each in node.inputs], node.dtype)
        if isinstance(operation, ops.Dense) and len(node.inputs) == 3 and not self._library.kind.has_weights_inside:
            return self._without_bias(node)
        return self._rebuilt(
            node, [self.half(each) for each in node.inputs], self._dtype if node.dtype == _SINGLE else node.dtype
        )

    def _is_kept(self, node: Node) -> bool:
        operation = node.operation
        if node not in self._data or node in self._last or isinstance(operation, _KEPT):
            return True
        if isinstance(operation, ops.Elementwise) and operation.kind in _KEPT_KINDS:
            return True
        is_count = isinstance(operation, ops.Cast) and not np.issubdtype(node.inputs[0].dtype, np.inexact)
        # The gradient of a weight that is added or multiplied is a sum over images.
        return is_count or (isinstance(operation, _WITH_WEIGHTS) and any(map(self._is_weight, node.inputs)))

    def _is_weight(self, node: Node) -> bool:
        return node.dtype == _SINGLE and node not in self._data and not isinstance(node.operation, Constant)

    def _call(self, node: Node, operation: ops.Call) -> Node:
        inputs = tuple(self._new[each] for each in node.inputs)
        arguments = tuple(
            _Argument(new.dtype, each in self._data) for each, new in zip(node.inputs, inputs, strict=True)
        )
        return Node(ops.Call(self._library.called(operation.graph, arguments)), inputs, node.shape, node.dtype)

    def _without_bias(self, node: Node) -> Node:
        """Lowers the product of a dense layer, and adds its bias in float32: its gradient is a sum over images."""
        product = self._rebuilt(node, [self.half(each) for each in node.inputs[:2]], self._dtype)
        single = Node(ops.Cast(), (product,), node.shape, _SINGLE)
        return Node(ops.Elementwise("add"), (single, self.single(node.inputs[2])), node.shape, _SINGLE)

    def _rebuilt(self, node: Node, inputs: Sequence[Node], dtype: np.dtype) -> Node:
        return Node(node.operation, tuple(inputs), node.shape, dtype)

    def lowered(self, node: Node) -> Node:
        """Returns what a node became, in whatever type."""
        return self._new[node]

    def half(self, node: Node) -> Node:
        """Returns what a node became, in 16 bits where it was float32."""
        new = self._new[node]
        if new.dtype != _SINGLE:
            return new
        if node not in self._half:
            is_known = isinstance(new.operation, Constant)
            self._half[node] = self._rounded(new) if is_known else Node(ops.Cast(), (new,), new.shape, self._dtype)
        return self._half[node]

    def single(self, node: Node) -> Node:
        """Returns what a node became, in float32 where it was."""
        new = self._new[node]
        if node.dtype != _SINGLE or new.dtype != self._dtype:
            return new
        if node not in self._single:
            self._single[node] = Node(ops.Cast(), (new,), new.shape, _SINGLE)
        return self._single[node]

    def _rounded(self, node: Node) -> Node:
        """Returns a constant in 16 bits; infinities, which masks have, stay."""
        operation = node.operation
        assert isinstance(operation, Constant)
        value, largest = operation.value, float(ml_dtypes.finfo(self._dtype).max)
        rounded = np.where(np.isfinite(value), value.clip(-largest, largest), value).astype(self._dtype)
        return Node(Constant(rounded, operation.name), (), node.shape, self._dtype)
