"""Reads reductions, reductions of windows, and what JAX makes of argmax and cumsum."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.translate.building import BOOL, INT32, Builder, Extent, is_float, repeated
from pipeline.translate.elementwise import binary, cast, product, unary
from pipeline.translate.graph import Node
from pipeline.translate.operations import ArgReduce, Broadcast, Cumulate, Pool, Range, Reduce, Reshape
from pipeline.translate.reading_attributes import Source
from pipeline.translate.reading_regions import Expression, read_region, reducer
from pipeline.translate.reading_values import Rule, pad
from pipeline.translate.shaping import reshape, transpose


def neutral(kind: str, dtype: np.dtype) -> Any:
    """Returns the value that changes no other one in a reduction."""
    if kind in ("maximum", "minimum"):
        if is_float(dtype):
            return dtype.type(-np.inf if kind == "maximum" else np.inf)
        if dtype == BOOL:
            return np.bool_(kind == "minimum")
        limits = np.iinfo(dtype)
        return dtype.type(limits.min if kind == "maximum" else limits.max)
    if kind == "and":
        return np.bool_(True) if dtype == BOOL else dtype.type(-1 if dtype.kind == "i" else np.iinfo(dtype).max)
    return dtype.type(1 if kind == "multiply" else 0)


def _is_neutral(kind: str, init: Node) -> bool:
    value = repeated(init)
    return value is not None and bool(value == neutral(kind, init.dtype))


def _reduce(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    count = len(inputs) // 2
    axes = tuple(sorted(source.integers("dimensions")))
    if count == 1:
        kind = reducer(source.operation.regions[0])
        if kind is None:
            raise source.refuse("it does not only add, multiply, or take the maximum or the like")
        return [reduce_(build, source, kind, inputs[0], inputs[1], axes)]
    results = read_region(source.operation.regions[0])
    kinds = [_kind_of_pair(result, place, count) for place, result in enumerate(results)]
    known = [kind for kind in kinds if kind is not None]
    if len(known) == count:
        return [
            reduce_(build, source, kind, inputs[place], inputs[count + place], axes) for place, kind in enumerate(known)
        ]
    return _reduce_to_places(build, source, inputs, results, axes)


def _kind_of_pair(result: Expression, place: int, count: int) -> str | None:
    if isinstance(result, tuple) and len(result) == 3 and set(result[1:]) == {place, place + count}:
        kind = str(result[0]).removeprefix("stablehlo.")
        return kind if kind in ("add", "multiply", "maximum", "minimum", "and", "or") else None
    return None


def reduce_(build: Builder, source: Source, kind: str, x: Node, init: Node, axes: tuple[int, ...]) -> Node:
    """Returns the reduction of x over axes, which starts at a scalar."""
    kind = _plain_kind(source, kind, x.dtype)
    sizes = [extent for axis, extent in enumerate(build.extents(x)) if axis not in axes]
    node = build.node(Reduce(kind, axes), [x], sizes, x.dtype) if axes else x
    return node if _is_neutral(kind, init) else binary(build, kind, node, init)


def _plain_kind(source: Source, kind: str, dtype: np.dtype) -> str:
    """Returns the kind as runtimes have it: "and" and "or" of booleans only, the others of numbers only."""
    if dtype == BOOL:
        kind = {"maximum": "or", "add": "or", "minimum": "and", "multiply": "and"}.get(kind, kind)
    elif kind in ("and", "or"):
        raise source.refuse(f"it reduces the bits of integers by {kind!r}")
    return kind


def _places_expression(is_maximum: bool, takes_nan: bool) -> list[Expression]:
    """Returns the region of JAX's argmax and argmin: the better value, of equal ones that with the smaller index."""
    is_better: Expression = ("LT", 2, 0) if is_maximum else ("LT", 0, 2)
    if takes_nan:
        is_better = ("stablehlo.or", *sorted([is_better, ("NE", 0, 0)], key=repr))
    is_first = ("stablehlo.and", *sorted([("EQ", 0, 2), ("LT", 1, 3)], key=repr))
    is_taken = ("stablehlo.or", *sorted([is_better, is_first], key=repr))
    return [("stablehlo.select", is_better, 0, 2), ("stablehlo.select", is_taken, 1, 3)]


def _reduce_to_places(
    build: Builder, source: Source, inputs: Sequence[Node], results: list[Expression], axes: tuple[int, ...]
) -> list[Node]:
    x, places, first, _ = inputs if len(inputs) == 4 else (*inputs[:2], *inputs[:2])
    for kind in ("maximum", "minimum"):
        regions = [_places_expression(kind == "maximum", takes_nan) for takes_nan in (True, False)]
        is_region = results in (regions[:1] if is_float(x.dtype) else regions)
        if len(axes) == 1 and is_region and is_iota(places, axes[0]) and _is_neutral(kind, first):
            sizes = [extent for axis, extent in enumerate(build.extents(x)) if axis not in axes]
            place = build.node(ArgReduce(kind, axes[0]), [x], sizes, INT32)
            value = build.node(Reduce(kind, axes), [x], sizes, x.dtype)
            return [value, cast(build, place, places.dtype)]
    raise source.refuse("it reduces several arrays together, and is neither argmax nor argmin")


def is_iota(x: Node, axis: int) -> bool:
    """Whether a node is 0, 1, ... along an axis, the same along all others."""
    if isinstance(x.operation, Broadcast):
        x, axis = x.inputs[0], axis
    if any(size != 1 for place, size in enumerate(x.shape) if place != axis):
        return False
    if x.value is not None:
        return bool(np.array_equal(x.value.reshape(-1), np.arange(x.value.size)))
    while isinstance(x.operation, Reshape):
        x = x.inputs[0]
    return isinstance(x.operation, Range)


def _reduce_window(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    rank = inputs[0].rank
    ones = [1] * rank
    kind = reducer(source.operation.regions[0])
    if len(inputs) != 2 or kind not in ("add", "multiply", "maximum", "minimum"):
        raise source.refuse("its windows are not only added, multiplied, or reduced to the maximum or minimum")
    window, strides = source.integers("window_dimensions"), source.integers("window_strides", ones)
    flat = source.integers("padding", [0] * (2 * rank))
    padding = list(zip(flat[::2], flat[1::2], strict=True))
    if source.integers("window_dilations", ones) != ones:
        raise source.refuse("its windows are dilated")
    x, init = inputs
    if kind in ("add", "multiply") and not _is_neutral(kind, init):
        raise source.refuse("it starts at another value than that which changes nothing")
    node = _windows(build, source, kind, x, window, strides, padding)
    return [node if _is_neutral(kind, init) else binary(build, kind, node, init)]


def _windows(
    build: Builder,
    source: Source,
    kind: str,
    x: Node,
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Node:
    interior = [each - 1 for each in source.integers("base_dilations", [1] * x.rank)]
    if any(interior):
        x = pad(build, x, build.constant(neutral(kind, x.dtype)), [0] * x.rank, [0] * x.rank, interior)
    if min(min(each) for each in padding) < 0:
        low, high = ([min(0, each) for each in side] for side in zip(*padding, strict=True))
        x = pad(build, x, build.constant(neutral(kind, x.dtype)), low, high, [0] * x.rank)
        padding = [(max(0, low), max(0, high)) for low, high in padding]
    space = [axis for axis in range(x.rank) if (window[axis], strides[axis], padding[axis]) != (1, 1, (0, 0))]
    if not space:
        return x
    if len(space) == 1 and (node := _cumulated(build, kind, x, space[0], window, strides, padding)) is not None:
        return node
    if len(space) > 3 or kind == "multiply" or not is_float(x.dtype):
        raise source.refuse(f"it would {kind} windows of {x.dtype} along {len(space)} axes")
    if kind == "minimum":
        negative = unary(build, "negate", x)
        return unary(build, "negate", _pooled(build, "maximum", negative, space, window, strides, padding))
    return _pooled(build, kind, x, space, window, strides, padding)


def _cumulated(
    build: Builder,
    kind: str,
    x: Node,
    axis: int,
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Node | None:
    """Returns the sums, or the like, of all values up to each, where the windows reach over the whole axis."""
    size = x.shape[axis]
    if size is None or window[axis] != size or strides[axis] != 1 or sorted(padding[axis]) != [0, size - 1]:
        return None
    return build.node(Cumulate(kind, axis, padding[axis][0] == 0), [x], build.extents(x), x.dtype)


def _pooled(
    build: Builder,
    kind: str,
    x: Node,
    space: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Node:
    """Returns the pooled x: its axes of space in the middle, one before them, and one after."""
    others = [axis for axis in range(x.rank) if axis not in space]
    batch = [axis for axis in others if axis < space[0]]
    channels = [axis for axis in others if axis > space[0]]
    order = [*batch, *space, *channels]
    extents = build.extents(x)
    moved = transpose(build, x, order)
    merged = merge(build, moved, [len(batch), *[1] * len(space), len(channels)])
    sizes: list[Extent | None] = list(build.extents(merged))
    for place, axis in enumerate(space, start=1):
        size, (low, high) = x.shape[axis], padding[axis]
        pooled = None if size is None else max(0, (size + low + high - window[axis]) // strides[axis] + 1)
        sizes[place] = pooled
    operation = Pool(
        kind,
        tuple(window[axis] for axis in space),
        tuple(strides[axis] for axis in space),
        tuple(padding[axis] for axis in space),
    )
    node = build.node(operation, [merged], sizes, x.dtype)
    middle = build.extents(node)[1:-1]
    node = reshape(build, node, [*(extents[axis] for axis in batch), *middle, *(extents[axis] for axis in channels)])
    return transpose(build, node, [order.index(axis) for axis in range(x.rank)])


def merge(build: Builder, x: Node, counts: Sequence[int]) -> Node:
    """Returns x with its axes merged in groups of these counts; a group of none is a new axis of 1."""
    sizes, start = [], 0
    for count in counts:
        sizes.append(product(build, build.extents(x)[start : start + count]))
        start += count
    return reshape(build, x, sizes)


RULES: Mapping[str, Rule] = {
    "stablehlo.reduce": _reduce,
    "stablehlo.reduce_window": _reduce_window,
}
