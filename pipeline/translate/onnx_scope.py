"""The nodes of an ONNX graph while it is written, and the names of the values that were written.

Images are channels last in a translated graph (n, *space, channels) and channels first in ONNX's convolutions. A value
is kept in the layout that it was computed in, and is transposed when another one is asked for.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.translate.graph import Constant, Graph, Node, Operation, ordered
from pipeline.translate.operations import Pack, Size
from pipeline.translate.refusal import Untranslatable

Emit = Callable[["Scope", Node], str]

LAST = 2**63 - 1  # of a Slice: the end of an axis, whatever its size; as a negative number, before its start
_SMALL = 64  # values; smaller constants are compared by value, so that equal ones are written once


def channels_first(rank: int) -> list[int]:
    """Returns the permutation from (n, *space, channels) to (n, channels, *space)."""
    return [0, rank - 1, *range(1, rank - 1)]


def channels_last(rank: int) -> list[int]:
    """Returns the permutation from (n, channels, *space) to (n, *space, channels)."""
    return [0, *range(2, rank), 1]


def element_type(dtype: np.dtype) -> int:
    """Returns ONNX's number of a type.

    Raises:
        Untranslatable: for a type that runtimes do not compute with.
    """
    if dtype.kind not in "biuf":  # bfloat16 and its like are of NumPy's kind V
        raise Untranslatable(f"ONNX: no type for values of {dtype}")
    return helper.np_dtype_to_tensor_dtype(dtype)


@dataclass
class Shared:
    """What a graph and the graphs inside its nodes have in common.

    Attributes:
        emitters: for each kind of operation, the function that writes its nodes and returns the name of the result.
        first_layout: for each kind whose result is channels first, likewise.
        initializers: by name, in the order of their first use.
    """

    emitters: Mapping[type[Operation], Emit]
    first_layout: Mapping[type[Operation], Emit]
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    _names: dict[object, str] = field(default_factory=dict)  # of constants, by what tells them apart
    _arrays: list[np.ndarray] = field(default_factory=list)  # keeps the identities in _names valid
    _counts: dict[str, int] = field(default_factory=dict)

    def fresh(self, hint: str) -> str:
        """Returns a name that no other value or node has: the hint, or the hint with a number."""
        count = self._counts.get(hint, 0)
        self._counts[hint] = count + 1
        return f"{hint}_{count}" if count or not hint else hint

    def constant(self, value: np.ndarray, name: str = "") -> str:
        """Returns the name of an initializer of this value, which is written once."""
        is_small = value.size <= _SMALL
        key = (value.dtype.str, value.shape, value.tobytes() if is_small else id(value), name)
        if key not in self._names:
            self._arrays.append(value)
            unique = self.fresh(name or "constant")
            element_type(value.dtype)  # refuses what ONNX has no type for
            self.initializers[unique] = numpy_helper.from_array(
                np.ascontiguousarray(value).reshape(value.shape), unique
            )
            self._names[key] = unique
        return self._names[key]


class Scope:
    """One graph, or one inside a node, which may read the values of the graphs around it.

    Attributes:
        shared: what all have in common.
        nodes: those written so far.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.nodes: list[onnx.NodeProto] = []
        self._last: dict[Node, str] = {}
        self._first: dict[Node, str] = {}
        self._results: dict[Node, list[str]] = {}

    def inside(self) -> "Scope":
        """Returns a scope for a graph inside a node."""
        return Scope(self.shared)

    def beside(self) -> "Scope":
        """Returns a scope that writes its nodes into this graph, but has names of its own."""
        scope = Scope(self.shared)
        scope.nodes = self.nodes
        return scope

    # What is written --------------------------------------------------------------------------------------------------
    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Writes a node with one result and returns its name."""
        return self.add_many(kind, inputs, 1, **attributes)[0]

    def add_many(self, kind: str, inputs: Iterable[str], outputs: int, **attributes: Any) -> list[str]:
        """Writes a node and returns the names of its results."""
        name = self.shared.fresh(f"{kind}_0")
        names = [name if index == 0 else f"{name}:{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return names

    def integers(self, *values: int) -> str:
        """Returns the name of a vector of int64."""
        return self.shared.constant(np.array(values, np.int64))

    def scalar(self, value: float, dtype: np.dtype) -> str:
        """Returns the name of a scalar."""
        return self.shared.constant(np.array(value, dtype))

    def cast(self, name: str, dtype: np.dtype | type) -> str:
        return self.add("Cast", name, to=element_type(np.dtype(dtype)))

    # What was written -------------------------------------------------------------------------------------------------
    def bind(self, graph: Graph, names: Iterable[str]) -> None:
        """Names the parameters of a graph."""
        self._last.update(zip(graph.parameters, names, strict=True))

    def bind_one(self, node: Node, name: str, is_first: bool) -> None:
        """Names one parameter, whose values may be channels first."""
        (self._first if is_first else self._last)[node] = name

    def name(self, node: Node) -> str:
        """Returns the name of a node's result, which was written."""
        if node not in self._last:
            if isinstance(node.operation, Constant):
                self._last[node] = self.shared.constant(node.operation.value, node.operation.name)
            elif isinstance(node.operation, Pack):
                self._last[node] = self.cast(self.sizes(node), node.dtype)
            else:
                self._last[node] = self.add("Transpose", self._first[node], perm=channels_last(node.rank))
        return self._last[node]

    def names(self, node: Node) -> list[str]:
        """Returns the names of a node's inputs."""
        return [self.name(each) for each in node.inputs]

    def is_first(self, node: Node) -> bool:
        """Whether a node's result was computed channels first."""
        return node in self._first

    def first(self, node: Node) -> str:
        """Returns the name of a node's result, channels first."""
        if node not in self._first:
            if isinstance(node.operation, Constant):
                constant = node.operation
                whole = np.ascontiguousarray(constant.value.transpose(channels_first(node.rank)))
                self._first[node] = self.shared.constant(whole, constant.name)
            else:
                self._first[node] = self.add("Transpose", self._last[node], perm=channels_first(node.rank))
        return self._first[node]

    def first_operand(self, node: Node, rank: int) -> str:
        """Returns the name of an input of an elementwise node of this rank, channels first; see fits_first()."""
        if node.rank == rank:
            return self.first(node)
        if (value := node.value) is None or value.ndim == 0:
            return self.name(node)
        whole = value.reshape((1,) * (rank - value.ndim) + value.shape).transpose(channels_first(rank))
        return self.shared.constant(np.ascontiguousarray(whole), getattr(node.operation, "name", ""))

    def fits_first(self, node: Node) -> bool:
        """Whether an elementwise node can be computed channels first without transposing its inputs."""
        if node.rank < 3 or not any(self.is_first(each) for each in node.inputs):
            return False
        return all(
            each.value is not None or each.rank == 0 or (each.rank == node.rank and self.is_first(each))
            for each in node.inputs
        )

    def results(self, node: Node) -> list[str]:
        """Returns the names of the results of a node with several."""
        return self._results[node]

    def set_results(self, node: Node, names: list[str]) -> None:
        self._results[node] = names

    # Sizes ------------------------------------------------------------------------------------------------------------
    def sizes(self, node: Node) -> str:
        """Returns the name of a vector of sizes as int64, as ONNX's operators read them."""
        if node.value is not None:
            return self.shared.constant(node.value.astype(np.int64))
        if not isinstance(node.operation, Pack):
            return self.name(node) if node.dtype == np.int64 else self.cast(self.name(node), np.int64)
        parts = [self.size(each) for each in node.inputs]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0)

    def size(self, node: Node) -> str:
        """Returns the name of a scalar size as a vector of one int64."""
        if node.value is not None:
            return self.integers(int(node.value))
        if isinstance(node.operation, Size):
            axis = node.operation.axis
            return self.add("Shape", self.name(node.inputs[0]), start=axis, end=axis + 1)
        name = self.name(node) if node.dtype == np.int64 else self.cast(self.name(node), np.int64)
        return self.add("Reshape", name, self.integers(1))

    # Graphs -----------------------------------------------------------------------------------------------------------
    def write(self, graph: Graph) -> list[str]:
        """Writes the nodes of a graph whose parameters are bound, and returns the names of its results.

        Raises:
            Untranslatable: for an operation that ONNX lacks.
        """
        emitters, first_layout = self.shared.emitters, self.shared.first_layout
        for node in ordered(graph.outputs):
            if isinstance(node.operation, Constant | Pack) or node in self._last or node in self._first:
                continue
            kind = type(node.operation)
            if kind in first_layout and (kind not in emitters or self.fits_first(node)):
                self._first[node] = first_layout[kind](self, node)
            elif kind in emitters:
                self._last[node] = emitters[kind](self, node)
            else:
                raise Untranslatable(
                    f"ONNX: no operator for {kind.__name__} with a result of {node.dtype} {node.shape}"
                )
        return [self.name(node) for node in graph.outputs]

    def pruned(self, outputs: Iterable[str]) -> list[onnx.NodeProto]:
        """Returns the nodes that these values need, in order."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.output):
                needed |= used_names([node])
                kept.append(node)
        return kept[::-1]


def used_names(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Returns the names of the values that nodes, and the graphs inside them, read."""
    used: set[str] = set()
    for node in nodes:
        used.update(node.input)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                used |= used_names(attribute.g.node)
    return used
