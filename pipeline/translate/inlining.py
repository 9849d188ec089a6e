"""Puts the graphs of calls in the place of the calls."""

from collections.abc import Sequence

from pipeline.translate.graph import Graph, Node, ordered
from pipeline.translate.operations import Call, Output, with_inner


def inlined(graph: Graph) -> Graph:
    """Returns a graph without Call, also in the graphs inside its operations."""
    return Graph(graph.name, graph.parameters, _results(graph, graph.parameters))


def _results(graph: Graph, arguments: Sequence[Node]) -> tuple[Node, ...]:
    """Returns the results of a graph for nodes in place of its parameters."""
    new = dict(zip(graph.parameters, arguments, strict=True))
    calls: dict[Node, tuple[Node, ...]] = {}
    for node in ordered(graph.outputs):
        if node in new:
            continue
        inputs = tuple(new[each] for each in node.inputs)
        operation = node.operation
        if isinstance(operation, Call):
            calls[node] = _results(operation.graph, inputs)
            new[node] = node  # nothing but its results are read
        elif isinstance(operation, Output) and node.inputs[0] in calls:
            new[node] = calls[node.inputs[0]][operation.index]
        else:
            operation = with_inner(operation, inlined)
            is_same = inputs == node.inputs and operation is node.operation
            new[node] = node if is_same else Node(operation, inputs, node.shape, node.dtype)
    return tuple(new[node] for node in graph.outputs)
