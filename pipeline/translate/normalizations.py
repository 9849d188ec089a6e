"""Recognizes softmax, layer and group normalization."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.translate.graph import Node
from pipeline.translate.matching import (
    factors,
    fits,
    is_kind,
    is_of_last_axis,
    is_variance,
    mean,
    number,
    orders,
    reshaped,
    stripped,
)
from pipeline.translate.operations import Broadcast, GroupNorm, LayerNorm, Reshape, Softmax


def softmax(node: Node) -> Node | None:
    """Matches exp(x - max(x)) / sum(exp(x - max(x))) along the last axis."""
    exponential, total = node.inputs
    if not is_kind(exponential, "exp") or not is_kind(exponential.inputs[0], "subtract"):
        return None
    x, largest = exponential.inputs[0].inputs
    axes = (x.rank - 1,)
    if not x.rank or x.shape != node.shape or not fits(largest, x, axes) or not fits(total, x, axes):
        return None
    if is_of_last_axis(largest, "maximum", x) and is_of_last_axis(total, "add", exponential):
        return replace(node, operation=Softmax(), inputs=(x,))
    return None


def layer_norm(node: Node) -> Node | None:
    """Matches (x - mean) * rsqrt(variance + epsilon) * scale + bias, in any order, along the last axis."""
    for product, bias in orders(node):
        if (normalized := _normalized(product)) is None:
            continue
        x, middle, factor, scale = normalized
        axes = (x.rank - 1,)

        def is_right(variance: Node, x: Node = x, axes: tuple[int, ...] = axes) -> bool:
            return is_variance(variance, x, axes)

        epsilon = _epsilon(factor, is_right)
        if epsilon is None or mean(middle) != (x, axes) or not fits(middle, x, axes) or not fits(factor, x, axes):
            continue
        vectors = [_vector(each, x.shape[-1]) for each in (scale, bias)]
        if node.shape == x.shape and vectors[0] is not None and vectors[1] is not None:
            return replace(node, operation=LayerNorm(epsilon), inputs=(x, vectors[0], vectors[1]))
    return None


def _normalized(product: Node) -> tuple[Node, Node, Node, Node] | None:
    """Returns x, what is subtracted from it, the reciprocal standard deviation, and the scale of a product of three."""
    parts = factors(product)
    differences = [each for each in parts if is_kind(each, "subtract")]
    deviations = [each for each in parts if is_kind(stripped(each), "rsqrt")]
    rest = [each for each in parts if each not in differences and each not in deviations]
    if len(parts) != 3 or len(differences) != 1 or len(deviations) != 1 or len(rest) != 1:
        return None
    return (*_pair(differences[0]), deviations[0], rest[0])


def _pair(node: Node) -> tuple[Node, Node]:
    left, right = node.inputs
    return left, right


def _epsilon(factor: Node, is_right: Callable[[Node], bool]) -> float | None:
    """Returns the epsilon of rsqrt(variance + epsilon), when it is the right variance."""
    inside = stripped(factor).inputs[0]
    for variance, epsilon in orders(inside) if is_kind(inside, "add") else []:
        value = number(epsilon)
        if value is not None and value >= 0 and epsilon.rank == 0 and is_right(variance):
            return value
    return None


def _vector(node: Node, size: int | None) -> Node | None:
    """Returns a node that is broadcast along all axes but the last as a vector of its elements."""
    if size is None or (1,) * (node.rank - 1) + (size,) != node.shape:
        return None
    return reshaped(node, (size,))


def group_norm(node: Node) -> Node | None:
    """Matches as layer_norm() where mean and variance are of groups of channels, over all axes but the first."""
    for product, bias in orders(node):
        if (normalized := _normalized(product)) is None:
            continue
        x, middle, factor, scale = normalized
        if (
            x.rank < 3
            or node.shape != x.shape
            or (grouped := _grouped(middle, x)) is None
            or not _fits_groups(factor, x)
        ):
            continue
        found = mean(grouped)
        if found is None or (groups := _groups(found[0], x)) is None or found[1] != _group_axes(x):
            continue
        parts, axes = found

        def is_right(variance: Node, x: Node = x, parts: Node = parts, axes: Sequence[int] = axes) -> bool:
            inner = _grouped(variance, x)
            return inner is not None and is_variance(inner, parts, axes)

        epsilon = _epsilon(factor, is_right)
        vectors = [_vector(each, x.shape[-1]) for each in (scale, bias)]
        if epsilon is not None and vectors[0] is not None and vectors[1] is not None:
            return replace(node, operation=GroupNorm(groups, epsilon), inputs=(x, vectors[0], vectors[1]))
    return None


def _group_axes(x: Node) -> tuple[int, ...]:
    """Returns the axes of x with its channels split in groups that are normalized: those of space, and the last."""
    return (*range(1, x.rank - 1), x.rank)


def _groups(parts: Node, x: Node) -> int | None:
    """Returns the number of groups, when a node is x with its channels split in groups."""
    if not isinstance(parts.operation, Reshape) or parts.inputs[0] is not x or parts.rank != x.rank + 1:
        return None
    groups, size = parts.shape[-2:]
    if groups is None or size is None or parts.shape[:-2] != x.shape[:-1] or groups * size != x.shape[-1]:
        return None
    return groups


def _fits_groups(node: Node, x: Node) -> bool:
    """Whether a node has one value for each image and channel of x."""
    return fits(node, x, range(1, x.rank - 1))


def _grouped(node: Node, x: Node) -> Node | None:
    """Returns the values of groups, (n, groups), that a node repeats for the channels of each group."""
    if not isinstance(node.operation, Reshape) or not _fits_groups(node, x):
        return None
    repeated_ = node.inputs[0]
    if not isinstance(repeated_.operation, Broadcast):  # groups of one channel
        return repeated_ if repeated_.rank == 2 else None
    each = repeated_.inputs[0]
    if repeated_.rank != 3 or each.shape != (*repeated_.shape[:2], 1):
        return None
    return stripped(each)
