"""Questions about nodes, with which patterns are recognized. All of them are exact: what is not sure does not match."""

import math
from collections.abc import Iterator, Sequence

import ml_dtypes
import numpy as np

from pipeline.translate.building import is_float, repeated
from pipeline.translate.graph import Node, Shape, constant
from pipeline.translate.operations import Elementwise, Reduce, Reshape


def is_kind(node: Node, kind: str) -> bool:
    """Whether a node is an Elementwise of a kind."""
    return isinstance(node.operation, Elementwise) and node.operation.kind == kind


def number(node: Node) -> float | None:
    """Returns the number that all elements of a node are; None where they differ or are not known."""
    value = repeated(node)
    return None if value is None else float(value)


def is_number(node: Node, expected: float) -> bool:
    """Whether all elements of a node are a number, as near as its type can hold it.

    One that the type holds must be there exactly: in bfloat16, 63 is near 64.
    """
    value = number(node)
    if value is None or not is_float(node.dtype) or float(node.dtype.type(expected)) == expected:
        return value == expected
    return abs(value - expected) <= 2 * float(ml_dtypes.finfo(node.dtype).eps) * abs(expected)


def orders(node: Node) -> Iterator[tuple[Node, Node]]:
    """Yields the two inputs of a commutative operation in both orders."""
    left, right = node.inputs
    yield left, right
    yield right, left


def factors(node: Node, whole: Sequence[Node] = ()) -> list[Node]:
    """Returns what a product of several is made of; the nodes `whole` are not taken apart."""
    if node in whole or not is_kind(node, "multiply"):
        return [node]
    return [factor for each in node.inputs for factor in factors(each, whole)]


def square_of(node: Node) -> Node | None:
    """Returns the x of x * x or x ** 2."""
    if is_kind(node, "multiply") and node.inputs[0] is node.inputs[1]:
        return node.inputs[0]
    return node.inputs[0] if is_kind(node, "power") and is_number(node.inputs[1], 2) else None


def without_ones(shape: Shape) -> Shape:
    """Returns a shape without its axes of 1."""
    return tuple(size for size in shape if size != 1)


def stripped(node: Node) -> Node:
    """Returns the node behind reshapes that only add or remove axes of 1."""
    while isinstance(node.operation, Reshape) and is_same(without_ones(node.shape), without_ones(node.inputs[0].shape)):
        node = node.inputs[0]
    return node


def is_same(shape: Shape, other: Shape) -> bool:
    """Whether two shapes with as many elements are the same for sure: one free size follows, two may be exchanged."""
    return shape == other and shape.count(None) <= 1


def kept(shape: Shape, axes: Sequence[int]) -> Shape:
    """Returns a shape whose axes have been reduced and stay with size 1."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def fits(node: Node, x: Node, axes: Sequence[int]) -> bool:
    """Whether a node that is broadcast to x has one value for all elements along the axes, and one for each other."""
    return node.rank <= x.rank and (1,) * (x.rank - node.rank) + node.shape == kept(x.shape, axes)


def reduced(node: Node, kind: str) -> tuple[Node, tuple[int, ...]] | None:
    """Returns what a node is the sum, or another kind of reduction, of, and the axes."""
    node = stripped(node)
    if isinstance(node.operation, Reduce) and node.operation.kind == kind:
        return node.inputs[0], node.operation.axes
    return None


def is_of_last_axis(node: Node, kind: str, x: Node) -> bool:
    """Whether a node is a reduction of x along its last axis, perhaps of x with more or fewer axes of 1."""
    found = reduced(node, kind)
    if found is None or found[1] != (found[0].rank - 1,):
        return False
    size = x.shape[-1]
    is_alike = stripped(found[0]) is stripped(x) and found[0].shape[-1] == size and size not in (None, 1)
    return found[0] is x or is_alike


def mean(node: Node) -> tuple[Node, tuple[int, ...]] | None:
    """Returns what a node is the mean of, and the axes."""
    node = stripped(node)
    if not (is_kind(node, "divide") or is_kind(node, "multiply")):
        return None
    is_product = is_kind(node, "multiply")
    for total, count in orders(node) if is_product else [(node.inputs[0], node.inputs[1])]:
        if (found := reduced(total, "add")) is not None and count.rank == 0:
            x, axes = found
            sizes = [size for axis in axes if (size := x.shape[axis]) is not None]
            expected = math.prod(sizes)
            is_count = expected > 0 and is_number(count, 1 / expected if is_product else expected)
            if len(sizes) == len(axes) and is_count and total.shape == node.shape:
                return found
    return None


def deviation(node: Node) -> tuple[Node, tuple[int, ...]] | None:
    """Returns the x and the axes of x - mean(x)."""
    if not is_kind(node, "subtract"):
        return None
    x, middle = node.inputs
    found = mean(middle)
    return found if found is not None and found[0] is x and fits(middle, x, found[1]) else None


def is_variance(node: Node, x: Node, axes: Sequence[int]) -> bool:
    """Whether a node is the variance of x: the mean of squared deviations, or E[x^2] - E[x]^2, perhaps not below 0."""
    node = stripped(node)
    if without_ones(node.shape) != without_ones(kept(x.shape, axes)):
        return False
    if (found := mean(node)) is not None:
        root = square_of(found[0])
        return root is not None and found[1] == tuple(axes) and deviation(root) == (x, tuple(axes))
    for zero, inner in orders(node) if is_kind(node, "maximum") else []:
        if is_number(zero, 0):
            return is_variance(inner, x, axes)
    if not is_kind(node, "subtract"):
        return False
    of_squares, root = mean(node.inputs[0]), square_of(stripped(node.inputs[1]))
    if of_squares is None or root is None or node.inputs[0].shape != node.inputs[1].shape:
        return False
    return square_of(of_squares[0]) is x and of_squares[1] == tuple(axes) and mean(root) == (x, tuple(axes))


def reshaped(node: Node, shape: tuple[int, ...]) -> Node:
    """Returns a node in another shape with as many elements."""
    if node.shape == shape:
        return node
    if isinstance(node.operation, Reshape):
        return reshaped(node.inputs[0], shape)
    return Node(Reshape(), (node, constant(shape, np.int32)), shape, node.dtype)
