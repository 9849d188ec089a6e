"""Nodes that change shapes, as few of them as possible: what does nothing is left out, what is known is computed."""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.translate.building import FOLDED, Builder, Extent, is_known
from pipeline.translate.graph import Node
from pipeline.translate.operations import Broadcast, Elementwise, Pack, Reshape, Reverse, Slice, Transpose


def reshape(build: Builder, x: Node, sizes: Sequence[Extent]) -> Node:
    """Returns x in another shape with as many elements."""
    while isinstance(x.operation, Reshape):
        x = x.inputs[0]
    if build.extents(x) == tuple(sizes):
        return x
    if len(sizes) <= 1 and x.value is None and build.scalars(x) is not None:
        return x.inputs[0] if not sizes else build.node(Pack(), (x,), (1,), x.dtype)
    if x.value is not None and is_known(sizes):
        return build.constant(x.value.reshape(sizes))
    if isinstance(x.operation, Broadcast) and x.inputs[0].value is not None and x.inputs[0].value.size == 1:
        return broadcast(build, build.constant(x.inputs[0].value.reshape(())), (), sizes)
    return build.node(Reshape(), (x, build.vector(sizes)), sizes, x.dtype)


def broadcast(build: Builder, x: Node, axes: Sequence[int], sizes: Sequence[Extent]) -> Node:
    """Returns x with its axis i at axes[i] of the result, and repeated along all others and where it has size 1."""
    order = sorted(range(len(axes)), key=lambda i: axes[i])
    x = transpose(build, x, order)
    aligned: list[Extent] = [1] * len(sizes)
    for axis, extent in zip(sorted(axes), build.extents(x), strict=True):
        aligned[axis] = extent
    x = reshape(build, x, aligned)
    if build.extents(x) == tuple(sizes):
        return x
    if isinstance(x.operation, Broadcast):
        x = x.inputs[0]
    return build.node(Broadcast(), (x, build.vector(sizes)), sizes, x.dtype)


def transpose(build: Builder, x: Node, permutation: Sequence[int]) -> Node:
    """Returns x with its axis permutation[i] at i."""
    if isinstance(x.operation, Transpose):
        permutation = [x.operation.permutation[axis] for axis in permutation]
        x = x.inputs[0]
    extents = build.extents(x)
    moved = [axis for axis in permutation if extents[axis] != 1]
    if moved == sorted(moved):
        return reshape(build, x, [extents[axis] for axis in permutation])
    if x.value is not None and x.value.size <= FOLDED:
        return build.constant(np.ascontiguousarray(x.value.transpose(permutation)))
    return build.node(Transpose(tuple(permutation)), (x,), [extents[axis] for axis in permutation], x.dtype)


def cut(
    build: Builder, x: Node, starts: Sequence[Extent], limits: Sequence[Extent], strides: Sequence[int] | None = None
) -> Node:
    """Returns the part of x from starts up to limits, which are in bounds."""
    strides = strides or [1] * x.rank
    extents = build.extents(x)
    if all(start == 0 for start in starts) and tuple(limits) == extents and set(strides) <= {1}:
        return x
    if is_known(starts) and is_known(limits):
        parts = tuple(slice(*each) for each in zip(starts, limits, strides, strict=True))
        if x.rank == 1 and x.value is None and isinstance(x.operation, Pack):
            inputs = x.inputs[parts[0]]
            return build.node(Pack(), inputs, (len(inputs),), x.dtype)
        if x.value is not None and x.value.size <= FOLDED:
            return build.constant(x.value[parts])
    sizes = [_length(*each) for each in zip(starts, limits, strides, strict=True)]
    return build.node(Slice(tuple(strides)), (x, build.vector(starts), build.vector(limits)), sizes, x.dtype)


def _length(start: Extent, limit: Extent, stride: int) -> Extent | None:
    if isinstance(start, int) and isinstance(limit, int):
        return max(0, math.ceil((limit - start) / stride))
    if isinstance(limit, Node) and limit.operation == Elementwise("add") and stride == 1:
        rest = [each for each in limit.inputs if each is not start]
        return int(rest[0].value) if len(rest) == 1 and rest[0].value is not None else None
    return limit if start == 0 and stride == 1 else None


def reverse(build: Builder, x: Node, axes: Sequence[int]) -> Node:
    """Returns x with some axes reversed."""
    axes = tuple(axis for axis in sorted(axes) if build.extents(x)[axis] != 1)
    if not axes:
        return x
    if x.value is not None and x.value.size <= FOLDED:
        return build.constant(np.ascontiguousarray(np.flip(x.value, axes)))
    return build.node(Reverse(axes), (x,), build.extents(x), x.dtype)
