"""Reads slices, gathers and scatters at places that are computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxlib.mlir.dialects import stablehlo

from pipeline.translate.building import BOOL, INT32, Builder, Extent, is_float, is_known, repeated
from pipeline.translate.elementwise import binary, calculate, cast, compare, product, saturated, select, unary
from pipeline.translate.graph import Node
from pipeline.translate.operations import DynamicSlice, DynamicUpdateSlice, GatherNd, Pad, ScatterNd, Take
from pipeline.translate.reading_attributes import Source
from pipeline.translate.reading_regions import Expression, read_region
from pipeline.translate.reading_values import Rule, concatenate, iota, sizes_of
from pipeline.translate.shaping import broadcast, cut, reshape, transpose

_KINDS: Mapping[Expression, str] = {
    1: "set",
    ("stablehlo.add", 0, 1): "add",
    ("stablehlo.subtract", 0, 1): "subtract",
    ("stablehlo.maximum", 0, 1): "maximum",
    ("stablehlo.minimum", 0, 1): "minimum",
}


@dataclass(frozen=True, eq=False)
class _Windows:
    """Windows of an array x, at places that are computed.

    Attributes:
        starts: by axis of x, where the windows start along it, int32 (*batch); axes without one start at 0.
        sizes: of a window, by axis of x.
        dropped: axes of x that windows do not have, where their size is 1.
        batch: the sizes of the axes by which windows are counted.
    """

    starts: Mapping[int, Node]
    sizes: tuple[Extent, ...]
    dropped: frozenset[int]
    batch: tuple[Extent, ...]


def _starts(
    build: Builder, indices: Node, vector_axis: int, axes: Sequence[int], batching: Mapping[int, int]
) -> tuple[dict[int, Node], tuple[Extent, ...]]:
    """Returns where windows start by axis of x, and the sizes of the axes by which they are counted.

    Args:
        build: makes the nodes.
        indices: vectors of places along `vector_axis`; single places where it has no such axis.
        vector_axis: see indices.
        axes: of x, which the places are along.
        batching: by axis of x, the axis of indices that counts it.
    """
    sizes = build.extents(indices)
    batch = (*sizes[:vector_axis], *sizes[vector_axis + 1 :])
    starts = {}
    for place, axis in enumerate(axes):
        part = indices
        if vector_axis < indices.rank:
            low, high = [0] * indices.rank, list(sizes)
            low[vector_axis], high[vector_axis] = place, place + 1
            part = reshape(build, cut(build, indices, low, high), batch)
        starts[axis] = saturated(build, part)
    for axis, counted in batching.items():
        starts[axis] = iota(build, batch, counted - (counted > vector_axis), INT32)
    return starts, batch


def _places(build: Builder, windows: _Windows, axes: Sequence[int]) -> list[Node]:
    """Returns the place along each of these axes of every element of the windows: (*batch, *sizes that are kept)."""
    kept = [axis for axis in axes if axis not in windows.dropped]
    sizes = [*windows.batch, *(windows.sizes[axis] for axis in kept)]
    places = []
    for axis in axes:
        place = build.constant(0, INT32)
        if axis in windows.starts:
            place = broadcast(build, windows.starts[axis], range(len(windows.batch)), sizes)
        if axis in kept:
            offset = iota(build, sizes, len(windows.batch) + kept.index(axis), INT32)
            place = binary(build, "add", place, offset) if axis in windows.starts else offset
        places.append(place if place.rank == len(sizes) else broadcast(build, place, (), sizes))
    return places


def dynamic_slice(build: Builder, x: Node, starts: Sequence[Extent], sizes: Sequence[Extent]) -> Node:
    """Returns the part of x that has these sizes, from starts, which are clamped."""
    extents = build.extents(x)
    room = [calculate(build, "subtract", *each) for each in zip(extents, sizes, strict=True)]
    starts = [0 if left == 0 else start for start, left in zip(starts, room, strict=True)]
    if is_known(starts) and all(start == 0 or isinstance(left, int) for start, left in zip(starts, room, strict=True)):
        starts = [
            max(0, min(start, left)) if isinstance(left, int) else 0 for start, left in zip(starts, room, strict=True)
        ]
        limits = [calculate(build, "add", *each) for each in zip(starts, sizes, strict=True)]
        return cut(build, x, starts, limits)
    return build.node(DynamicSlice(), [x, build.vector(starts), build.vector(sizes)], sizes, x.dtype)


def _dynamic_slice(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, *starts = inputs
    return [dynamic_slice(build, x, [_place(build, each) for each in starts], source.integers("slice_sizes"))]


def _dynamic_update_slice(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, update, *starts = inputs
    return [_updated(build, x, update, [_place(build, each) for each in starts])]


def _place(build: Builder, start: Node) -> Extent:
    """Returns where a slice starts, which is clamped later, so that an int32 is wide enough."""
    return build.extent(saturated(build, start))


def _updated(build: Builder, x: Node, update: Node, starts: Sequence[Extent]) -> Node:
    if build.extents(x) == build.extents(update):
        return update
    return build.node(DynamicUpdateSlice(), [x, update, build.vector(starts)], build.extents(x), x.dtype)


def _gather(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [_gathered(build, source, inputs[0], inputs[1], source.integers("slice_sizes"))]


def _dynamic_gather(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [_gathered(build, source, inputs[0], inputs[1], sizes_of(build, inputs[2]))]


def _gathered(build: Builder, source: Source, x: Node, indices: Node, sizes: Sequence[Extent]) -> Node:
    numbers = stablehlo.GatherDimensionNumbers(source.attribute("dimension_numbers"))
    counted = dict(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
    starts, batch = _starts(build, indices, numbers.index_vector_dim, list(numbers.start_index_map), counted)
    dropped = frozenset([*numbers.collapsed_slice_dims, *counted])
    windows = _Windows(starts, tuple(sizes), dropped, batch)
    if not batch:
        at = [build.extent(starts[axis]) if axis in starts else 0 for axis in range(x.rank)]
        part = dynamic_slice(build, x, at, sizes)
        return reshape(build, part, [size for axis, size in enumerate(sizes) if axis not in dropped])
    node, order = _taken(build, x, windows)
    offsets = list(numbers.offset_dims)
    counts = iter(axis for axis in range(node.rank) if axis not in offsets)
    kept = [axis for axis in range(x.rank) if axis not in dropped]
    names = [offsets[kept.index(axis)] if axis is not None else next(counts) for axis in order]
    return transpose(build, node, [names.index(axis) for axis in range(node.rank)])


def _taken(build: Builder, x: Node, windows: _Windows) -> tuple[Node, list[int | None]]:
    """Returns the windows of x, and for each axis of the result the axis of x; None for those that count windows."""
    extents = build.extents(x)
    limits = [extents[axis] if axis in windows.starts else windows.sizes[axis] for axis in range(x.rank)]
    x = cut(build, x, [0] * x.rank, limits)
    moving = sorted(windows.starts)
    whole = [axis for axis in range(x.rank) if axis not in moving]
    counts: list[int | None] = [None] * len(windows.batch)
    if len(moving) == 1 and moving[0] in windows.dropped:
        axis = moving[0]
        before, after = [each for each in whole if each < axis], [each for each in whole if each > axis]
        sizes = [*limits[:axis], *windows.batch, *limits[axis + 1 :]]
        return build.node(Take(axis), [x, windows.starts[axis]], sizes, x.dtype), [*before, *counts, *after]
    clamped = {
        axis: _clamped(build, start, extents[axis], windows.sizes[axis]) for axis, start in windows.starts.items()
    }
    places = _places(build, _Windows(clamped, windows.sizes, windows.dropped, windows.batch), moving)
    index = _stacked(build, places)
    kept = [axis for axis in moving if axis not in windows.dropped]
    sizes = [*build.extents(index)[:-1], *(limits[axis] for axis in whole)]
    node = build.node(GatherNd(), [transpose(build, x, moving + whole), index], sizes, x.dtype)
    return node, [*counts, *kept, *whole]


def _clamped(build: Builder, start: Node, extent: Extent, size: Extent) -> Node:
    """Returns starts, int32, at which a window of a size is in bounds."""
    room = build.scalar(calculate(build, "subtract", extent, size))
    return binary(build, "maximum", binary(build, "minimum", start, room), build.constant(0, INT32))


def _stacked(build: Builder, places: Sequence[Node]) -> Node:
    """Returns indices along a new last axis."""
    sizes = [*build.extents(places[0]), 1]
    return concatenate(build, [reshape(build, each, sizes) for each in places], len(sizes) - 1)


def along_last_axis(build: Builder, x: Node, order: Node) -> Node:
    """Returns the elements of x at places along its last axis, in bounds: (..., n) of (..., m) and (..., n)."""
    if x.rank == 1:
        return build.node(Take(0), [x, order], build.extents(order), x.dtype)
    sizes = build.extents(order)
    index = _stacked(build, [*(iota(build, sizes, axis, INT32) for axis in range(x.rank - 1)), order])
    return build.node(GatherNd(), [x, index], sizes, x.dtype)


def _scatter(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    results = read_region(source.operation.regions[0])
    if len(inputs) != 3 or results[0] not in _KINDS:
        raise source.refuse("it does not only set, add, or take the maximum or minimum")
    kind = _KINDS[results[0]]
    x, indices, updates = inputs
    if kind == "subtract":
        kind, updates = "add", unary(build, "negate", updates)
    numbers = stablehlo.ScatterDimensionNumbers(source.attribute("scatter_dimension_numbers"))
    counted = dict(zip(numbers.input_batching_dims, numbers.scatter_indices_batching_dims, strict=True))
    axes = list(numbers.scattered_dims_to_operand_dims)
    starts, batch = _starts(build, indices, numbers.index_vector_dim, axes, counted)
    dropped = frozenset([*numbers.inserted_window_dims, *counted])
    within = list(numbers.update_window_dims)
    sizes = iter(build.extents(updates)[axis] for axis in within)
    windows = _Windows(starts, tuple(1 if axis in dropped else next(sizes) for axis in range(x.rank)), dropped, batch)
    is_valid = _in_bounds(build, x, windows, axes)
    if not batch and kind == "set":
        at = [build.extent(starts[axis]) if axis in starts else 0 for axis in range(x.rank)]
        node = _updated(build, x, reshape(build, updates, windows.sizes), at)
        return [select(build, is_valid, node, x)]
    order = [axis for axis in range(updates.rank) if axis not in within] + within
    return [_scattered(build, kind, x, windows, transpose(build, updates, order), is_valid)]


def _in_bounds(build: Builder, x: Node, windows: _Windows, axes: Sequence[int]) -> Node:
    """Returns whether windows are in bounds as a whole, (*batch): XLA leaves out the others."""
    is_valid = build.constant(True, BOOL)
    for axis in axes:
        start = windows.starts[axis]
        room = calculate(build, "subtract", build.extents(x)[axis], windows.sizes[axis])
        low = compare(build, "GE", start, build.constant(0, INT32))
        high = compare(build, "LE", start, build.scalar(room))
        is_valid = binary(build, "and", is_valid, binary(build, "and", low, high))
    return is_valid


def _scattered(build: Builder, kind: str, x: Node, windows: _Windows, updates: Node, is_valid: Node) -> Node:
    """Returns x with updates, (*batch, *the windows' axes in the order of x).

    The axes along which windows move are made one. Windows out of bounds go to a place behind it, which is cut off.
    """
    extents = build.extents(x)
    whole = [a for a in range(x.rank) if a not in windows.starts and extents[a] == windows.sizes[a]]
    moving = [axis for axis in range(x.rank) if axis not in whole]
    counts = len(windows.batch)
    kept = [axis for axis in range(x.rank) if axis not in windows.dropped]
    order = [axis for axis in moving if axis in kept] + whole
    updates = transpose(build, updates, [*range(counts), *(counts + kept.index(axis) for axis in order)])
    rows = product(build, [extents[axis] for axis in moving])
    rest = [extents[axis] for axis in whole]
    flat = reshape(build, transpose(build, x, moving + whole), [rows, *rest])
    place = build.constant(0, INT32)
    for axis, each in zip(moving, _places(build, windows, moving), strict=True):
        place = binary(build, "multiply", place, build.scalar(extents[axis])) if place.rank else place
        place = binary(build, "add", each, place)
    is_safe = repeated(is_valid) is not None and bool(repeated(is_valid))
    if not is_safe:
        inside = broadcast(build, is_valid, range(is_valid.rank), build.extents(place))
        place = select(build, inside, place, build.scalar(rows))
        low, high = build.vector([0] * flat.rank), build.vector([1] + [0] * len(rest))
        more = calculate(build, "add", rows, 1)
        flat = build.node(Pad(), [flat, low, high, build.constant(0, x.dtype)], [more, *rest], x.dtype)
    if not place.rank:  # one place is a list of one
        place, updates = reshape(build, place, [1]), reshape(build, updates, [1, *build.extents(updates)])
    index = reshape(build, place, [*build.extents(place), 1])
    node = _scatter_rows(build, kind, flat, index, updates)
    node = cut(build, node, [0] * node.rank, [rows, *rest])
    node = reshape(build, node, [extents[axis] for axis in moving + whole])
    return transpose(build, node, [(moving + whole).index(axis) for axis in range(x.rank)])


def _scatter_rows(build: Builder, kind: str, x: Node, index: Node, updates: Node) -> Node:
    """Returns a node of ScatterNd; NaN is handed on, which ScatterNd alone need not do."""

    def scattered(kind: str, x: Node, updates: Node) -> Node:
        return build.node(ScatterNd(kind), [x, index, updates], build.extents(x), x.dtype)

    result = scattered(kind, x, updates)
    if kind not in ("maximum", "minimum") or not is_float(x.dtype):
        return result
    flags = scattered("maximum", *(cast(build, compare(build, "NE", each, each), INT32) for each in (x, updates)))
    has_nan = compare(build, "GT", flags, build.constant(0, INT32))
    return select(build, has_nan, build.constant(np.nan, x.dtype), result)


RULES: Mapping[str, Rule] = {
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.dynamic_update_slice": _dynamic_update_slice,
    "stablehlo.gather": _gather,
    "stablehlo.dynamic_gather": _dynamic_gather,
    "stablehlo.scatter": _scatter,
}
