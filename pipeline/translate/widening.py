"""Graphs in float64, in which rounding is no reason for a difference."""

import numpy as np

from pipeline.translate.graph import Constant, Graph, Node, Operation, Parameter, ordered
from pipeline.translate.operations import Bitcast, Cast, with_inner

_NARROW, _WIDE = np.dtype(np.float32), np.dtype(np.float64)


def widened(graph: Graph) -> Graph:
    """Returns a graph whose float32 values are float64; what is made of the bits of floats stays as it is."""
    return _Widening().graph(graph)


def _dtype(dtype: np.dtype) -> np.dtype:
    return _WIDE if dtype == _NARROW else dtype


class _Widening:
    """Widens each graph once, so that they stay shared."""

    def __init__(self) -> None:
        self._graphs: dict[Graph, Graph] = {}

    def graph(self, graph: Graph) -> Graph:
        if graph not in self._graphs:
            new: dict[Node, Node] = {
                node: Node(Parameter(index), (), node.shape, _dtype(node.dtype))
                for index, node in enumerate(graph.parameters)
            }
            for node in ordered(graph.outputs):
                if node not in new:
                    new[node] = self._node(node, tuple(new[each] for each in node.inputs))
            parameters, outputs = (tuple(new[each] for each in nodes) for nodes in (graph.parameters, graph.outputs))
            self._graphs[graph] = Graph(graph.name, parameters, outputs)
        return self._graphs[graph]

    def _node(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        if isinstance(node.operation, Bitcast):
            if inputs[0].dtype != node.inputs[0].dtype:
                inputs = (Node(Cast(), inputs, node.shape, _NARROW),)
            bits = Node(node.operation, inputs, node.shape, node.dtype)
            return Node(Cast(), (bits,), node.shape, _WIDE) if node.dtype == _NARROW else bits
        return Node(self._operation(node.operation), inputs, node.shape, _dtype(node.dtype))

    def _operation(self, operation: Operation) -> Operation:
        if isinstance(operation, Constant):
            return Constant(operation.value.astype(_dtype(operation.value.dtype)), operation.name)
        return with_inner(operation, self.graph)
