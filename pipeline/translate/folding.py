"""Computes what depends on constants only, such as the standardised kernels of hybrids."""

import numpy as np

from pipeline.translate.arrays import evaluate
from pipeline.translate.graph import Constant, Graph, Node, ordered
from pipeline.translate.operations import Broadcast

_LARGE = 1 << 16  # bytes; a larger constant is broadcast when the graph runs, not in its file


def fold(graph: Graph) -> Graph:
    """Returns a graph in which every node whose inputs are all constants is a constant.

    Exceptions: a broadcast to more than 64 kB, and what pipeline.translate.arrays does not compute. Graphs inside
    operations stay as they are.

    A constant that is computed from a single weight, and has as many values, keeps the weight's name.
    """
    nodes = ordered(graph.outputs)
    last_use = {each: index for index, node in enumerate(nodes) for each in node.inputs}
    kept = set(graph.outputs)
    folding = _Folding(graph)
    for index, node in enumerate(nodes):
        folding.visit(node)
        for each in node.inputs:
            if last_use[each] == index and each not in kept:
                folding.values.pop(each, None)  # of a large model, the values on the way take more than the weights
    return Graph(graph.name, graph.parameters, tuple(folding.use(node) for node in graph.outputs))


class _Folding:
    """The constants that were computed, and the nodes that stay.

    Attributes:
        values: of the nodes that depend on constants only.
    """

    def __init__(self, graph: Graph) -> None:
        self.values: dict[Node, Constant] = {}
        self._new: dict[Node, Node] = {node: node for node in graph.parameters}

    def visit(self, node: Node) -> None:
        """Computes a node whose inputs were visited, or rebuilds it."""
        if node in self._new:
            return
        if isinstance(node.operation, Constant):
            self.values[node] = node.operation
            self._new[node] = node
        elif (value := self._evaluated(node)) is not None:
            self.values[node] = Constant(value, self._name(node, value.size))
            if isinstance(node.operation, Broadcast) and value.nbytes > _LARGE:
                self._new[node] = self._rebuilt(node)
        else:
            self._new[node] = self._rebuilt(node)

    def use(self, node: Node) -> Node:
        """Returns what a node that is no constant reads in place of a node that was visited."""
        if node not in self._new:
            constant = self.values[node]
            whole = np.ascontiguousarray(constant.value).reshape(constant.value.shape)  # it makes a scalar a vector
            self._new[node] = Node(Constant(whole, constant.name), (), whole.shape, node.dtype)
        return self._new[node]

    def _rebuilt(self, node: Node) -> Node:
        inputs = tuple(map(self.use, node.inputs))
        return node if inputs == node.inputs else Node(node.operation, inputs, node.shape, node.dtype)

    def _evaluated(self, node: Node) -> np.ndarray | None:
        constants = [self.values.get(each) for each in node.inputs]
        values = [each.value for each in constants if each is not None]
        return evaluate(node, values) if values and len(values) == len(constants) else None

    def _name(self, node: Node, size: int) -> str:
        named = [each for each in (self.values[each] for each in node.inputs) if each.name]
        return named[0].name if len(named) == 1 and named[0].value.size == size else ""
