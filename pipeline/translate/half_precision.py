"""Lowers a graph from float32 to float16, which halves the weights."""

from collections.abc import Sequence

import numpy as np

from pipeline.translate import operations as ops
from pipeline.translate.graph import Constant, Graph, Node, Operation, ordered

_HALF, _SINGLE = np.dtype(np.float16), np.dtype(np.float32)
_LARGEST = float(np.finfo(np.float16).max)

# Whose intermediate values, sums of many or exponentials, leave float16's range or lose its digits.
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
)
_KEPT_KINDS = frozenset(("exp", "expm1", "log", "log1p", "power", "rsqrt", "divide"))


def to_half(graph: Graph) -> Graph:
    """Returns a graph that computes in float16 what is float32 in another one; its inputs and outputs stay float32.

    Softmax, normalizations, sums and control flow are computed in float32. Weights beyond float16's range become its
    largest numbers.

    Args:
        graph: the graph, without Call.
    """
    lowering = _Lowering()
    for node in ordered(graph.outputs):
        lowering.visit(node)
    return Graph(graph.name, graph.parameters, tuple(lowering.single(node) for node in graph.outputs))


class _Lowering:
    """What nodes became.

    A node of float32 that stays so is kept in that type, and is rounded where it is used; and the other way round.
    """

    def __init__(self) -> None:
        self._new: dict[Node, Node] = {}
        self._half: dict[Node, Node] = {}
        self._single: dict[Node, Node] = {}

    def visit(self, node: Node) -> None:
        """Lowers a node whose inputs were visited."""
        if isinstance(node.operation, Constant):
            self._new[node] = _rounded(node, node.operation) if node.dtype == _SINGLE else node
        elif not node.inputs:
            self._new[node] = node
        elif self._is_kept(node):
            self._new[node] = self._rebuilt(node, [self.single(each) for each in node.inputs], node.dtype)
        else:
            inputs = [self.half(each) for each in node.inputs]
            self._new[node] = self._rebuilt(node, inputs, _HALF if node.dtype == _SINGLE else node.dtype)

    def _is_kept(self, node: Node) -> bool:
        operation = node.operation
        is_kind = isinstance(operation, ops.Elementwise) and operation.kind in _KEPT_KINDS
        # The bits of a float32 are another number of bits.
        return is_kind or isinstance(operation, (*_KEPT, ops.Bitcast))

    def _rebuilt(self, node: Node, inputs: Sequence[Node], dtype: np.dtype) -> Node:
        return Node(node.operation, tuple(inputs), node.shape, dtype)

    def half(self, node: Node) -> Node:
        """Returns what a node became, in float16 where it was float32."""
        new = self._new[node]
        if new.dtype != _SINGLE:
            return new
        if node not in self._half:
            self._half[node] = Node(ops.Cast(), (new,), new.shape, _HALF)
        return self._half[node]

    def single(self, node: Node) -> Node:
        """Returns what a node became, in float32 where it was."""
        new = self._new[node]
        if node.dtype != _SINGLE or new.dtype != _HALF:
            return new
        if isinstance(node.operation, Constant):
            return node  # not rounded
        if node not in self._single:
            self._single[node] = Node(ops.Cast(), (new,), new.shape, _SINGLE)
        return self._single[node]


def _rounded(node: Node, constant: Constant) -> Node:
    """Returns a constant in float16; infinities, which masks have, stay."""
    value = constant.value
    finite = np.where(np.isfinite(value), value.clip(-_LARGEST, _LARGEST), value).astype(_HALF)
    return Node(Constant(finite, constant.name), (), node.shape, _HALF)
