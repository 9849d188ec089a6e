"""Recovers what StableHLO took apart: dense layers with a bias, softmax, normalizations, GELU and ReLU.

A runtime has one fast operation for each. A match changes no meaning, only how it is rounded: every constant, axis and
use is compared.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pipeline.translate.activations import dense, gelu, relu
from pipeline.translate.building import is_float
from pipeline.translate.graph import Graph, Node, Operation, ordered
from pipeline.translate.matching import is_same, kept
from pipeline.translate.normalizations import group_norm, layer_norm, softmax
from pipeline.translate.operations import Elementwise, Reduce, Reshape, inner_graphs, with_inner


def recover(graph: Graph) -> Graph:
    """Returns a graph with the recovered patterns, also in the graphs inside its operations."""
    return _Recovery().graph(graph)


class _Recovery:
    """Recovers patterns; a graph that is called many times is done once."""

    def __init__(self) -> None:
        self._graphs: dict[Graph, Graph] = {}
        self._operations: dict[Operation, Operation] = {}

    def graph(self, graph: Graph) -> Graph:
        if graph not in self._graphs:
            kept_axes = _rewritten(graph, _keep_axes)
            nodes = _rewritten(kept_axes, _recovered(kept_axes))
            self._graphs[graph] = _rewritten(nodes, self._inner)
        return self._graphs[graph]

    def _inner(self, node: Node) -> Node:
        """Returns a node whose graphs are recovered."""
        if not inner_graphs(node.operation):
            return node
        if node.operation not in self._operations:
            self._operations[node.operation] = with_inner(node.operation, self.graph)
        return replace(node, operation=self._operations[node.operation])


def _rewritten(graph: Graph, rewrite: Callable[[Node], Node]) -> Graph:
    """Returns a graph in which each node is what `rewrite` makes of it.

    Args:
        graph: the graph.
        rewrite: gets a node of the graph, and returns another one with inputs of the graph, or itself.
    """
    new: dict[Node, Node] = {node: node for node in graph.parameters}
    for node in ordered(graph.outputs):
        if node not in new:
            _rebuild(rewrite(node), new, node)
    return Graph(graph.name, graph.parameters, tuple(new[node] for node in graph.outputs))


def _rebuild(found: Node, new: dict[Node, Node], node: Node) -> None:
    """Keeps what a node became, with inputs that have been rewritten before, or that the rewriting made."""
    inputs = []
    for each in found.inputs:
        if each not in new:
            _rebuild(each, new, each)
        inputs.append(new[each])
    is_unchanged = found is node and all(new_input is old for new_input, old in zip(inputs, node.inputs, strict=True))
    new[node] = node if is_unchanged else replace(found, inputs=tuple(inputs))


def _keep_axes(node: Node) -> Node:
    """Makes a reduction keep its axes, where they are added again."""
    if not isinstance(node.operation, Reshape) or not isinstance(node.inputs[0].operation, Reduce):
        return node
    reduction = node.inputs[0]
    operation = node.inputs[0].operation
    if operation.keeps_axes or not is_same(node.shape, kept(reduction.inputs[0].shape, operation.axes)):
        return node
    return replace(node, operation=replace(operation, keeps_axes=True), inputs=reduction.inputs)


def _recovered(graph: Graph) -> Callable[[Node], Node]:
    uses = Counter(each for node in ordered(graph.outputs) for each in node.inputs)
    uses.update(graph.outputs)

    def rewrite(node: Node) -> Node:
        if not isinstance(node.operation, Elementwise) or not is_float(node.dtype):
            return node
        for rule in _RULES.get(node.operation.kind, ()):
            if (found := rule(node)) is not None:
                return found
        return dense(node, uses) or node if node.operation.kind == "add" else node

    return rewrite


_RULES: Mapping[str, Sequence[Callable[[Node], Node | None]]] = {
    "divide": (softmax, gelu),
    "add": (layer_norm, group_norm),
    "multiply": (gelu,),
    "maximum": (relu,),
}
