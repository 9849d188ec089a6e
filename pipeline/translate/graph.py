"""A small graph of operations, which all back ends translate.

Nodes are shared, compared by identity and never changed. Walks over them keep a stack of their own: a chain of a large
model is deeper than Python's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Shape = tuple[int | None, ...]  # None for a size that is known only when the graph runs


class Operation:
    """The base of all kinds."""


@dataclass(frozen=True, eq=False)
class Constant(Operation):
    """A known value; no inputs.

    Attributes:
        value: the array.
        name: of a weight, its path such as "head/kernel"; "" for others.
    """

    value: np.ndarray
    name: str = ""


@dataclass(frozen=True)
class Parameter(Operation):
    """An argument of the graph; no inputs."""

    index: int


@dataclass(frozen=True, eq=False)
class Node:
    """One operation with its inputs.

    Attributes:
        operation: what it does.
        inputs: what it does it to.
        shape: of its result.
        dtype: of its result.
    """

    operation: Operation
    inputs: tuple["Node", ...]
    shape: Shape
    dtype: np.dtype

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def value(self) -> np.ndarray | None:
        """The value of a Constant; None for others."""
        return self.operation.value if isinstance(self.operation, Constant) else None


@dataclass(frozen=True, eq=False)
class Graph:
    """A function.

    Attributes:
        name: for people, of letters, digits and underscores.
        parameters: its arguments in order, each a node of Parameter.
        outputs: its results.
    """

    name: str
    parameters: tuple[Node, ...]
    outputs: tuple[Node, ...]


def constant(value: np.ndarray | np.generic | float | Sequence[int], dtype: np.dtype | type | None = None) -> Node:
    """Returns a node of Constant."""
    array = np.asarray(value, dtype)
    return Node(Constant(array), (), array.shape, array.dtype)


def parameter(index: int, shape: Shape, dtype: np.dtype) -> Node:
    """Returns a node of Parameter."""
    return Node(Parameter(index), (), shape, dtype)


def ordered(outputs: Iterable[Node]) -> list[Node]:
    """Returns all nodes that the outputs need, each after its inputs; always in the same order for the same graph."""
    done: dict[Node, None] = {}
    stack = list(outputs)[::-1]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
        elif waiting := [each for each in node.inputs if each not in done]:
            stack.extend(reversed(waiting))
        else:
            done[stack.pop()] = None
    return list(done)


def bound(graph: Graph, values: Mapping[int, Constant]) -> Graph:
    """Returns a graph whose parameters of these indices are constants; the others keep their order.

    Args:
        graph: the graph.
        values: of parameters, by index.
    """
    new: dict[Node, Node] = {}
    kept: list[Node] = []
    for index, node in enumerate(graph.parameters):
        if index in values:
            new[node] = Node(values[index], (), values[index].value.shape, values[index].value.dtype)
        else:
            kept.append(parameter(len(kept), node.shape, node.dtype))
            new[node] = kept[-1]
    for node in ordered(graph.outputs):
        if node not in new:
            new[node] = Node(node.operation, tuple(new[each] for each in node.inputs), node.shape, node.dtype)
    return Graph(graph.name, tuple(kept), tuple(new[node] for node in graph.outputs))
