"""Operations on shapes, indices and axes as ONNX operators."""

from collections.abc import Callable

import numpy as np

from pipeline.translate import operations as ops
from pipeline.translate.graph import Node
from pipeline.translate.onnx_elementwise import converted, wide
from pipeline.translate.onnx_scope import LAST, Scope
from pipeline.translate.refusal import Untranslatable

_INT64 = np.dtype(np.int64)


# Sizes ----------------------------------------------------------------------------------------------------------------
def _size(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Size)
    axis = node.operation.axis
    shape = scope.add("Shape", scope.name(node.inputs[0]), start=axis, end=axis + 1)
    return scope.cast(scope.add("Squeeze", shape), node.dtype)


def _reshape(scope: Scope, node: Node) -> str:
    x, sizes = node.inputs
    name = scope.name(x)
    known = sizes.value
    if known is None and isinstance(sizes.operation, ops.Pack):
        parts = [-1 if each.value is None else int(each.value) for each in sizes.inputs]
        if parts.count(-1) == 1 and 0 not in parts:  # the runtime finds the size that is not known
            return scope.add("Reshape", name, scope.integers(*parts))
    options = {} if known is not None and known.all() else {"allowzero": 1}
    return scope.add("Reshape", name, scope.sizes(sizes), **options)


def _broadcast(scope: Scope, node: Node) -> str:
    return scope.add("Expand", scope.name(node.inputs[0]), scope.sizes(node.inputs[1]))


def _transpose(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Transpose)
    (x,), permutation = node.inputs, node.operation.permutation
    if scope.is_first(x):  # one transposition in place of two
        stored = (0, x.rank - 1, *range(1, x.rank - 1))
        order = [stored.index(axis) for axis in permutation]
        name = scope.first(x)
        return name if order == list(range(x.rank)) else scope.add("Transpose", name, perm=order)
    return scope.add("Transpose", scope.name(x), perm=list(permutation))


def _concatenate(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Concatenate)
    return scope.add("Concat", *scope.names(node), axis=node.operation.axis)


def _range(scope: Scope, node: Node) -> str:
    limit = scope.add("Squeeze", scope.size(node.inputs[0]))
    numbers = scope.add("Range", scope.scalar(0, _INT64), limit, scope.scalar(1, _INT64))
    return converted(scope, [numbers], _INT64, node.dtype)[0]


# Parts ----------------------------------------------------------------------------------------------------------------
def _cut(scope: Scope, name: str, starts: str, limits: str, strides: tuple[int, ...]) -> str:
    axes = scope.integers(*range(len(strides)))
    return scope.add("Slice", name, starts, limits, axes, scope.integers(*strides))


def _slice(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Slice)
    x, starts, limits = node.inputs
    strides = node.operation.strides
    if starts.value is None or limits.value is None:
        return _cut(scope, scope.name(x), scope.sizes(starts), scope.sizes(limits), strides)
    parts = [
        (axis, int(start), int(limit), stride)
        for axis, (start, limit, stride) in enumerate(zip(starts.value, limits.value, strides, strict=True))
        if (start, limit, stride) != (0, x.shape[axis], 1)
    ]
    if not parts:
        return scope.name(x)
    axes, first, last, steps = (scope.integers(*values) for values in zip(*parts, strict=True))
    return scope.add("Slice", scope.name(x), first, last, axes, steps)


def _clamped(scope: Scope, starts: Node, x: str, sizes: str) -> str:
    """Returns int64 starts for which a part of these sizes is within x."""
    most = scope.add("Sub", scope.add("Shape", x), sizes)
    return scope.add("Max", scope.integers(0), scope.add("Min", scope.sizes(starts), most))


def _dynamic_slice(scope: Scope, node: Node) -> str:
    x, starts, sizes = node.inputs
    name, length = scope.name(x), scope.sizes(sizes)
    first = _clamped(scope, starts, name, length)
    return _cut(scope, name, first, scope.add("Add", first, length), (1,) * x.rank)


def _dynamic_update_slice(scope: Scope, node: Node) -> str:
    """Scatters the update's values to the indices of its place."""
    x, update, starts = node.inputs
    if x.rank == 0:
        return scope.name(update)
    name, new = scope.name(x), scope.name(update)
    shape = scope.add("Shape", new)
    first = _clamped(scope, starts, name, shape)
    zero, one = scope.scalar(0, _INT64), scope.scalar(1, _INT64)
    grid = scope.add("Concat", shape, scope.integers(1), axis=0)
    indices = []
    for axis in range(x.rank):
        start, size = (scope.add("Gather", each, scope.scalar(axis, _INT64), axis=0) for each in (first, shape))
        line = scope.add("Add", scope.add("Range", zero, size, one), start)
        aligned = scope.integers(*(-1 if axis == other else 1 for other in range(x.rank)), 1)
        indices.append(scope.add("Expand", scope.add("Reshape", line, aligned), grid))
    return scope.add("ScatterND", name, scope.add("Concat", *indices, axis=-1), new)


def _pad(scope: Scope, node: Node) -> str:
    x, low, high, value = node.inputs
    if low.value is not None and high.value is not None:
        pads = scope.integers(*map(int, low.value), *map(int, high.value))
    else:
        pads = scope.add("Concat", scope.sizes(low), scope.sizes(high), axis=0)
    return scope.add("Pad", scope.name(x), pads, scope.name(value))


def _reverse(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Reverse)
    axes = node.operation.axes
    starts, ends, steps = (scope.integers(*[value] * len(axes)) for value in (LAST, -LAST, -1))
    return scope.add("Slice", scope.name(node.inputs[0]), starts, ends, scope.integers(*axes), steps)


# Indices --------------------------------------------------------------------------------------------------------------
def _take(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Take)
    x, indices = node.inputs
    axis, size = node.operation.axis, x.shape[node.operation.axis]
    name, places = scope.name(x), indices.value
    if places is not None and size is not None and size:
        return scope.add("Gather", name, scope.shared.constant(places.clip(0, size - 1).astype(_INT64)), axis=axis)
    shape = scope.add("Squeeze", scope.add("Shape", name, start=axis, end=axis + 1))
    last = scope.add("Sub", shape, scope.scalar(1, _INT64))
    at = converted(scope, [scope.name(indices)], indices.dtype, _INT64)[0]
    return scope.add("Gather", name, scope.add("Clip", at, scope.scalar(0, _INT64), last), axis=axis)


def _gather_nd(scope: Scope, node: Node) -> str:
    x, indices = node.inputs
    at = converted(scope, [scope.name(indices)], indices.dtype, _INT64)[0]
    return scope.add("GatherND", scope.name(x), at)


def _scatter_nd(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.ScatterNd)
    x, indices, updates = node.inputs
    kind = {"set": "none", "add": "add", "maximum": "max", "minimum": "min"}[node.operation.kind]
    computed = wide(node.dtype, is_modular=kind in ("none", "add"))
    values, new = converted(scope, [scope.name(x), scope.name(updates)], node.dtype, computed)
    at = converted(scope, [scope.name(indices)], indices.dtype, _INT64)[0]
    result = scope.add("ScatterND", values, at, new, reduction=kind)
    return converted(scope, [result], computed, node.dtype)[0]


def _ordered_places(scope: Scope, x: str, shape: str, is_descending: bool) -> str:
    """Returns the places of sorted values along the last axis; ONNX puts equal ones in order."""
    size = scope.add("Gather", shape, scope.integers(-1), axis=0)
    return scope.add_many("TopK", [x, size], 2, axis=-1, largest=int(is_descending), sorted=1)[1]


def _sort(scope: Scope, node: Node) -> str:
    """Sorts by value, then moves NaN to the end, which ONNX leaves open."""
    assert isinstance(node.operation, ops.Sort)
    (x,), is_descending = node.inputs, node.operation.descending
    computed = np.dtype(np.int32) if x.dtype == np.bool_ else wide(x.dtype)
    name = converted(scope, [scope.name(x)], x.dtype, computed)[0]
    shape = scope.add("Shape", name)
    if computed.kind == "f":
        is_nan = scope.add("IsNaN", name)
        comparable = scope.add("Where", is_nan, scope.scalar(0, computed), name)
        places = _ordered_places(scope, comparable, shape, is_descending)
        flags = scope.add("GatherElements", scope.cast(is_nan, np.int32), places, axis=-1)
        places = scope.add("GatherElements", places, _ordered_places(scope, flags, shape, False), axis=-1)
    else:
        places = _ordered_places(scope, name, shape, is_descending)
    if node.operation.is_indices:
        return scope.cast(places, node.dtype)
    return converted(scope, [scope.add("GatherElements", name, places, axis=-1)], computed, node.dtype)[0]


def _top_k(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.TopK)
    (x,) = node.inputs
    computed = wide(x.dtype)
    name = converted(scope, [scope.name(x)], x.dtype, computed)[0]
    values, places = scope.add_many("TopK", [name, scope.integers(node.operation.k)], 2, axis=-1)
    if node.operation.is_indices:
        return scope.cast(places, node.dtype)
    return converted(scope, [values], computed, node.dtype)[0]


# Axes -----------------------------------------------------------------------------------------------------------------
def _cumulate(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Cumulate)
    operation, (x,) = node.operation, node.inputs
    computed = wide(node.dtype, operation.kind in ("add", "multiply"))
    name = converted(scope, [scope.name(x)], node.dtype, computed)[0]
    if operation.kind == "add":
        axis = scope.scalar(operation.axis, _INT64)
        result = scope.add("CumSum", name, axis, reverse=int(operation.reverse))
    else:
        result = _cumulate_in_steps(scope, node, name)
    return converted(scope, [result], computed, node.dtype)[0]


def _cumulate_in_steps(scope: Scope, node: Node, name: str) -> str:
    """Combines each value with that 1, 2, 4, ... places before it; the first places stay as they are."""
    assert isinstance(node.operation, ops.Cumulate)
    axis, size = node.operation.axis, node.shape[node.operation.axis]
    if size is None:
        raise Untranslatable(f"ONNX: no operator for a cumulative {node.operation.kind} along an axis of any size")
    combine = {"multiply": "Mul", "maximum": "Max", "minimum": "Min"}[node.operation.kind]
    along, distance = scope.integers(axis), 1
    while distance < size:
        low, high = (scope.integers(0), scope.integers(size - distance))
        far, near = (scope.integers(distance), scope.integers(size))
        if node.operation.reverse:
            low, high, far, near = far, near, low, high
        both = scope.add(
            combine, scope.add("Slice", name, low, high, along), scope.add("Slice", name, far, near, along)
        )
        edges = (size - distance, size) if node.operation.reverse else (0, distance)
        edge = scope.add("Slice", name, *map(scope.integers, edges), along)
        name = scope.add("Concat", *((both, edge) if node.operation.reverse else (edge, both)), axis=axis)
        distance *= 2
    return name


_REDUCTIONS = {
    "add": "ReduceSum",
    "multiply": "ReduceProd",
    "maximum": "ReduceMax",
    "minimum": "ReduceMin",
    "and": "ReduceMin",
    "or": "ReduceSum",  # of zeros and ones; also of none at all
}


def _reduce(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Reduce)
    operation, (x,) = node.operation, node.inputs
    if operation.kind in ("and", "or") and x.dtype != np.bool_:
        raise Untranslatable(f"ONNX: no operator for a reduction by {operation.kind} of {x.dtype}")
    is_modular = operation.kind in ("add", "multiply")
    computed = np.dtype(np.int32) if x.dtype == np.bool_ else wide(x.dtype, is_modular)
    name = converted(scope, [scope.name(x)], x.dtype, computed)[0]
    if not operation.axes:
        return scope.name(x)
    axes = scope.integers(*operation.axes)
    result = scope.add(_REDUCTIONS[operation.kind], name, axes, keepdims=int(operation.keeps_axes))
    if computed.kind == "f" and operation.kind in ("maximum", "minimum"):  # onnxruntime passes over NaN
        flags = scope.cast(scope.add("IsNaN", name), np.int32)
        has_nan = scope.cast(scope.add("ReduceSum", flags, axes, keepdims=int(operation.keeps_axes)), np.bool_)
        result = scope.add("Where", has_nan, scope.scalar(np.nan, computed), result)
    return converted(scope, [result], computed, node.dtype)[0]


def _arg_reduce(scope: Scope, node: Node) -> str:
    """The first NaN, where there are any: ONNX leaves open where they count."""
    assert isinstance(node.operation, ops.ArgReduce)
    (x,), axis = node.inputs, node.operation.axis
    computed = np.dtype(np.int32) if x.dtype == np.bool_ else wide(x.dtype)
    name = converted(scope, [scope.name(x)], x.dtype, computed)[0]
    operator = {"maximum": "ArgMax", "minimum": "ArgMin"}[node.operation.kind]
    place = scope.add(operator, name, axis=axis, keepdims=0)
    if computed.kind == "f":
        is_nan = scope.cast(scope.add("IsNaN", name), np.int32)
        has_nan = scope.cast(scope.add("ReduceMax", is_nan, scope.integers(axis), keepdims=0), np.bool_)
        place = scope.add("Where", has_nan, scope.add("ArgMax", is_nan, axis=axis, keepdims=0), place)
    return scope.cast(place, node.dtype)


TABLE: dict[type, Callable[[Scope, Node], str]] = {
    ops.Size: _size,
    ops.Reshape: _reshape,
    ops.Broadcast: _broadcast,
    ops.Transpose: _transpose,
    ops.Concatenate: _concatenate,
    ops.Range: _range,
    ops.Slice: _slice,
    ops.DynamicSlice: _dynamic_slice,
    ops.DynamicUpdateSlice: _dynamic_update_slice,
    ops.Pad: _pad,
    ops.Reverse: _reverse,
    ops.Take: _take,
    ops.GatherNd: _gather_nd,
    ops.ScatterNd: _scatter_nd,
    ops.Sort: _sort,
    ops.TopK: _top_k,
    ops.Cumulate: _cumulate,
    ops.Reduce: _reduce,
    ops.ArgReduce: _arg_reduce,
}
