"""Elementwise nodes: constants folded, broadcasts left to NumPy's rules, and arithmetic on sizes."""

from collections.abc import Sequence

import numpy as np

from pipeline.translate.arithmetic import compute
from pipeline.translate.building import FOLDED, INT32, Builder, Extent, is_float, is_integer, keeps_values, repeated
from pipeline.translate.graph import Node, Operation
from pipeline.translate.operations import Broadcast, Cast, Compare, Elementwise, Pack, Reshape, Select
from pipeline.translate.shaping import broadcast, reshape


def unary(build: Builder, kind: str, x: Node) -> Node:
    """Returns a node of Elementwise with one input."""
    return elementwise(build, Elementwise(kind), [x], np.dtype(np.bool_) if kind == "is_finite" else x.dtype)


def binary(build: Builder, kind: str, x: Node, y: Node) -> Node:
    """Returns a node of Elementwise with two inputs of one shape, or a scalar among them."""
    return elementwise(build, Elementwise(kind), [x, y], x.dtype)


def compare(build: Builder, direction: str, x: Node, y: Node) -> Node:
    """Returns a node of Compare of two inputs of one shape, or a scalar among them."""
    return elementwise(build, Compare(direction), [x, y], np.dtype(np.bool_))


def select(build: Builder, condition: Node, x: Node, y: Node) -> Node:
    """Returns a node of Select of inputs of one shape, or scalars among them."""
    return elementwise(build, Select(), [condition, x, y], x.dtype)


def cast(build: Builder, x: Node, dtype: np.dtype) -> Node:
    """Returns x in another type."""
    return elementwise(build, Cast(), [x], dtype)


def calculate(build: Builder, kind: str, x: Extent, y: Extent) -> Extent:
    """Returns the sum or the like of two sizes."""
    return build.extent(binary(build, kind, build.scalar(x), build.scalar(y)))


def product(build: Builder, sizes: Sequence[Extent]) -> Extent:
    """Returns the product of sizes; 1 of none."""
    result: Extent = int(np.prod([size for size in sizes if isinstance(size, int)], dtype=np.int64))
    for size in sizes:
        if isinstance(size, Node):
            result = calculate(build, "multiply", size, result)
    return result


def elementwise(build: Builder, operation: Operation, inputs: Sequence[Node], dtype: np.dtype) -> Node:
    """Returns what an operation makes of each element of inputs of one shape, or scalars among them."""
    if isinstance(operation, Cast) and is_integer(dtype):
        inputs = [_widened_from(inputs[0])]
    sizes = build.extents(max(inputs, key=lambda x: x.rank))
    if (node := _folded(build, operation, inputs, dtype) or _identity(operation, inputs, dtype)) is not None:
        return node if node.rank == len(sizes) else broadcast(build, node, (), sizes)
    if operation == Elementwise("subtract") and inputs[0] is inputs[1] and is_integer(dtype):
        return broadcast(build, build.constant(0, dtype), (), sizes)
    if (node := _by_element(build, operation, inputs, dtype)) is not None:
        return node
    peeled = [x.inputs[0] if isinstance(x.operation, Broadcast) else x for x in inputs]
    short = _without_leading_ones(build, peeled, len(sizes))
    if (folded := _folded(build, operation, short, dtype)) is not None:
        return folded if build.extents(folded) == sizes else broadcast(build, folded, range(len(sizes)), sizes)
    if any(x is inner and x.rank == len(sizes) for x, inner in zip(inputs, peeled, strict=True)):
        return build.node(operation, short, _known(build, inputs), dtype)
    node = build.node(operation, short, _broadcast_sizes(build, peeled, len(sizes)), dtype)
    return node if build.extents(node) == sizes else broadcast(build, node, range(len(sizes)), sizes)


def _widened_from(x: Node) -> Node:
    """Returns what integers were before they were cast to types that hold all of them."""
    while isinstance(x.operation, Cast) and keeps_values(x):
        x = x.inputs[0]
    return x


def saturated(build: Builder, x: Node) -> Node:
    """Returns integers as int32: those that it cannot hold are its least or largest one."""
    x = _widened_from(x)
    limits, own = np.iinfo(INT32), np.iinfo(x.dtype)
    if own.max > limits.max:
        x = binary(build, "minimum", x, build.constant(limits.max, x.dtype))
    if own.min < limits.min:
        x = binary(build, "maximum", x, build.constant(limits.min, x.dtype))
    return cast(build, x, INT32)


def _known(build: Builder, inputs: Sequence[Node]) -> list[Extent]:
    """Returns the sizes that inputs of one shape have, of each axis what is known best."""
    rank = max(x.rank for x in inputs)
    return [
        min(extents, key=lambda extent: not isinstance(extent, int))
        for extents in zip(*(build.extents(x) for x in inputs if x.rank == rank), strict=True)
    ]


def _broadcast_sizes(build: Builder, inputs: Sequence[Node], rank: int) -> list[Extent | None]:
    """Returns the sizes of inputs broadcast by NumPy's rules; None where that cannot be known."""
    sizes: list[Extent | None] = []
    for extents in zip(*(build.extents(x) for x in inputs if x.rank == rank), strict=True):
        others = dict.fromkeys(extent for extent in extents if extent != 1)
        ints = [extent for extent in others if isinstance(extent, int)]
        sizes.append(ints[0] if ints else next(iter(others), 1) if len(others) < 2 else None)
    return sizes


def _without_leading_ones(build: Builder, inputs: Sequence[Node], rank: int) -> list[Node]:
    """Returns inputs without the leading axes of 1 that NumPy adds by itself; one of them keeps the rank."""
    short = [_shortened(build, x) for x in inputs]
    if all(x.rank < rank for x in short):
        keeper = next(place for place, x in enumerate(inputs) if x.rank == rank)
        short[keeper] = inputs[keeper]
    return short


def _shortened(build: Builder, x: Node) -> Node:
    if x.value is not None and x.value.size <= FOLDED:
        shape = x.value.shape
        while shape and shape[0] == 1:
            shape = shape[1:]
        return build.constant(x.value.reshape(shape)) if len(shape) < x.rank else x
    sizes = build.extents(x)
    while sizes and sizes[0] == 1:
        sizes = sizes[1:]
    return reshape(build, x, sizes) if isinstance(x.operation, Reshape) and len(sizes) < x.rank else x


def _folded(build: Builder, operation: Operation, inputs: Sequence[Node], dtype: np.dtype) -> Node | None:
    values = [x.value for x in inputs if x.value is not None and x.value.size <= FOLDED]
    if len(values) < len(inputs) or np.prod(np.broadcast_shapes(*(each.shape for each in values))) > FOLDED:
        return None
    result = compute(operation, values, dtype)
    return None if result is None else build.constant(result)


def _identity(operation: Operation, inputs: Sequence[Node], dtype: np.dtype) -> Node | None:
    """Returns the input that the operation hands on unchanged; None where it does something."""
    if isinstance(operation, Cast):
        return inputs[0] if inputs[0].dtype == dtype else None
    values = [repeated(x) for x in inputs]
    if isinstance(operation, Select):
        return None if values[0] is None else inputs[1 if values[0] else 2]
    if len(inputs) != 2:
        return None
    for value, (other, is_right) in zip(values, ((inputs[1], False), (inputs[0], True)), strict=True):
        if value is not None and value.dtype == other.dtype and _is_neutral(operation, value, is_right):
            return other
    return None


def _is_neutral(operation: Operation, value: np.ndarray, is_right: bool) -> bool:
    """Whether a value changes no other one. Zeros of floats have signs, so adding them may."""
    dtype = value.dtype
    if isinstance(operation, Compare):
        return dtype == np.bool_ and operation.direction == ("EQ" if value else "NE")
    if not isinstance(operation, Elementwise):
        return False
    kind = operation.kind
    if is_float(dtype):
        if kind == "subtract":
            return is_right and bool(value == 0) and not np.signbit(value)
        floats = {"maximum": -np.inf, "minimum": np.inf, "multiply": 1} | ({"divide": 1} if is_right else {})
        return kind in floats and bool(value == floats[kind])
    if dtype == np.bool_:
        return bool(value) == {"and": True, "or": False, "xor": False}.get(kind)
    commutative = {"add": 0, "multiply": 1, "or": 0, "xor": 0}
    right = {"subtract": 0, "divide": 1, "shift_left": 0, "shift_right_logical": 0, "shift_right_arithmetic": 0}
    neutral = {**commutative, **right} if is_right else commutative
    return is_integer(dtype) and kind in neutral and int(value) == neutral[kind]


def _by_element(build: Builder, operation: Operation, inputs: Sequence[Node], dtype: np.dtype) -> Node | None:
    """Returns the Pack of what the operation makes of each element, where an input is a Pack: they are sizes."""
    if not any(isinstance(x.operation, Pack) for x in inputs) or dtype.name not in ("int32", "int64"):
        return None
    found = [scalars for x in inputs if x.rank == 1 and (scalars := build.scalars(x)) is not None]
    if len(found) < len(inputs):
        return None
    results = [elementwise(build, operation, each, dtype) for each in zip(*found, strict=True)]
    return build.node(Pack(), results, (len(results),), dtype)
