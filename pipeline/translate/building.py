"""Makes the nodes of one graph: equal nodes are made once, and what is known of their sizes is kept.

A size is an int, or a scalar node where it is known only when the graph runs. Two sizes are the same when their nodes
are: that is why sizes of intermediate values are traced back to the graph's parameters.
"""

from collections.abc import Hashable, Sequence
from typing import TypeGuard

import numpy as np

from pipeline.translate.graph import Constant, Node, Operation, Shape, constant, parameter
from pipeline.translate.operations import Broadcast, Cast, Pack, Size

Extent = int | Node
INT32 = np.dtype(np.int32)
BOOL = np.dtype(np.bool_)

# Constants of at most this many elements are folded, and equal ones are one node.
FOLDED = 4096
_VECTOR = 64  # elements of a vector that may be sizes


def is_integer(dtype: np.dtype) -> bool:
    """Whether a type is one of integers, signed or not."""
    return dtype.kind in "iu"


def is_known(sizes: Sequence[Extent]) -> TypeGuard[Sequence[int]]:
    """Whether all sizes are ints."""
    return all(isinstance(size, int) for size in sizes)


def is_float(dtype: np.dtype) -> bool:
    """Whether a type is one of floats; bfloat16 is of no kind that NumPy knows."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def keeps_values(cast: Node) -> bool:
    """Whether a node of Cast takes integers to a type that holds all of them."""
    before = cast.inputs[0].dtype
    return is_integer(before) and is_integer(cast.dtype) and np.can_cast(before, cast.dtype)


class Builder:
    """Makes the nodes of one graph."""

    def __init__(self) -> None:
        self._nodes: dict[Hashable, Node] = {}
        self._extents: dict[Node, tuple[Extent, ...]] = {}

    def node(
        self, operation: Operation, inputs: Sequence[Node], sizes: Sequence[Extent | None], dtype: np.dtype
    ) -> Node:
        """Returns a node.

        Args:
            operation: what it does.
            inputs: its inputs.
            sizes: of its result; None for one that nothing is known of.
            dtype: of its result.
        """
        shape = tuple(size if isinstance(size, int) else None for size in sizes)
        key = (operation, tuple(inputs), shape, dtype)
        if key not in self._nodes:
            node = self._nodes[key] = Node(operation, tuple(inputs), shape, dtype)
            self.remember(node, sizes)
        return self._nodes[key]

    def constant(self, value: np.ndarray | np.generic | float, dtype: np.dtype | None = None) -> Node:
        """Returns a node of Constant."""
        array = np.asarray(value, dtype)
        if array.size > FOLDED:
            return constant(array)
        key = (Constant, array.shape, array.dtype, array.tobytes())
        if key not in self._nodes:
            self._nodes[key] = constant(array)
        return self._nodes[key]

    def parameter(self, index: int, shape: Shape, dtype: np.dtype) -> Node:
        """Returns a new node of Parameter."""
        return parameter(index, shape, dtype)

    def remember(self, node: Node, sizes: Sequence[Extent | None]) -> None:
        """Keeps the sizes of a node's result; None for those that only the node itself has."""
        if any(isinstance(size, Node) for size in sizes):
            self._extents[node] = tuple(
                self._size(node, axis) if size is None else size for axis, size in enumerate(sizes)
            )

    def extents(self, x: Node) -> tuple[Extent, ...]:
        """Returns the sizes of a node's result."""
        if x not in self._extents:
            self._extents[x] = tuple(self._size(x, axis) if size is None else size for axis, size in enumerate(x.shape))
        return self._extents[x]

    def _size(self, x: Node, axis: int) -> Node:
        return self.node(Size(axis), (x,), (), INT32)

    def scalar(self, extent: Extent) -> Node:
        """Returns a size as a scalar int32."""
        if isinstance(extent, int):
            return self.constant(extent, INT32)
        return extent if extent.dtype == INT32 else self.node(Cast(), (extent,), (), INT32)

    def extent(self, x: Node) -> Extent:
        """Returns a scalar integer as a size, or as another number that fits in an int32."""
        while isinstance(x.operation, Cast) and (
            keeps_values(x) or (x.inputs[0].dtype == np.int64 and x.dtype == INT32)
        ):
            x = x.inputs[0]
        return int(x.value) if x.value is not None else x

    def vector(self, sizes: Sequence[Extent]) -> Node:
        """Returns sizes as a vector of int32."""
        if is_known(sizes):
            return self.constant(np.array(sizes, INT32))
        return self.node(Pack(), [self.scalar(size) for size in sizes], (len(sizes),), INT32)

    def scalars(self, x: Node) -> tuple[Node, ...] | None:
        """Returns the elements of a vector or scalar of integers, of its type; None where they are not known."""
        if x.rank > 1 or x.dtype.name not in ("int32", "int64"):
            return None
        if x.value is not None:
            few = x.value.reshape(-1) if x.value.size <= _VECTOR else None
            return None if few is None else tuple(self.constant(each) for each in few)
        if isinstance(x.operation, Pack):
            return x.inputs
        return (x,) if x.rank == 0 else None

    def elements(self, x: Node) -> tuple[Extent, ...] | None:
        """Returns the elements of a vector or scalar of sizes; None where they are not known."""
        scalars = self.scalars(x)
        return None if scalars is None else tuple(self.extent(each) for each in scalars)


def is_repeated(x: Node) -> bool:
    """Whether a node is one value in a larger shape: a Broadcast of a Constant of one element."""
    return isinstance(x.operation, Broadcast) and x.inputs[0].value is not None and x.inputs[0].value.size == 1


def repeated(x: Node) -> np.ndarray | None:
    """Returns the value that all elements of a node have, a scalar; None where they differ or are not known."""
    value = x.inputs[0].value if isinstance(x.operation, Broadcast) else x.value
    if value is None or not value.size or value.size > FOLDED:
        return None
    first = value.reshape(-1)[:1]
    return first.reshape(()) if value.tobytes() == first.tobytes() * value.size else None
