"""Operations on axes, places and sizes in TensorFlow."""

from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.translate.graph import Node
from pipeline.translate.operations import (
    Concatenate,
    Cumulate,
    Pack,
    Reverse,
    ScatterNd,
    Size,
    Slice,
    Sort,
    Take,
    TopK,
    Transpose,
)
from pipeline.translate.refusal import Untranslatable
from pipeline.translate.tensorflow_sizes import (
    as_int32,
    clamped_indices,
    clamped_starts,
    elements,
    is_size_of,
    with_one_unknown,
)

Tensor = Any  # tf.Tensor


def size(node: Node, operation: Size, inputs: list[Tensor]) -> Tensor:
    return tf.shape(inputs[0])[operation.axis]


def pack(node: Node, operation: Pack, inputs: list[Tensor]) -> Tensor:
    return tf.stack(inputs)


def reshape(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    known = with_one_unknown(node.inputs[1])
    return tf.reshape(inputs[0], as_int32(inputs[1]) if known is None else known)


def broadcast(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    return tf.broadcast_to(inputs[0], as_int32(inputs[1]))


def transpose(node: Node, operation: Transpose, inputs: list[Tensor]) -> Tensor:
    return tf.transpose(inputs[0], operation.permutation)


def concatenate(node: Node, operation: Concatenate, inputs: list[Tensor]) -> Tensor:
    return tf.concat(inputs, operation.axis)


def range_(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    """Returns 0, 1, ..., n - 1; counts in int64, of which no type's numbers are cut off."""
    return tf.cast(tf.range(tf.cast(inputs[0], tf.int64)), tf.as_dtype(node.dtype))


# Slices ---------------------------------------------------------------------------------------------------------------
def _slice_masks(node: Node) -> tuple[int, int]:
    """Returns the bits of the axes whose slice begins at 0, and of those whose slice ends with the axis."""
    x, starts, limits = node.inputs
    begins, ends = elements(starts) or [], elements(limits) or []
    begin = sum(1 << axis for axis, each in enumerate(begins) if each == 0)
    end = sum(1 << axis for axis, each in enumerate(ends) if is_size_of(each, x, axis))
    return begin, end


def slice_(node: Node, operation: Slice, inputs: list[Tensor]) -> Tensor:
    x, starts, limits = inputs
    begin_mask, end_mask = _slice_masks(node)
    if begin_mask == end_mask == (1 << x.shape.rank) - 1 and set(operation.strides) <= {1}:
        return tf.identity(x)
    return tf.strided_slice(
        x,
        _masked(node.inputs[1], starts, begin_mask),
        _masked(node.inputs[2], limits, end_mask),
        list(operation.strides),
        begin_mask,
        end_mask,
    )


def _masked(node: Node, vector: Tensor, mask: int) -> Tensor | list[int]:
    """Returns a vector, without the nodes that compute elements which a mask leaves out."""
    items = elements(node)
    if items is not None and all(isinstance(each, int) or mask >> axis & 1 for axis, each in enumerate(items)):
        return [each if isinstance(each, int) else 0 for each in items]
    return as_int32(vector)


def dynamic_slice(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    x, starts, sizes = inputs
    return tf.slice(x, clamped_starts(starts, x, sizes), as_int32(sizes))


def dynamic_update_slice(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    """Puts the update between what is before and after it, one axis after another."""
    x, update, starts = inputs
    places = tf.unstack(clamped_starts(starts, x, tf.shape(update)), num=x.shape.rank)
    axes = [axis for axis in range(x.shape.rank) if x.shape[axis] is None or x.shape[axis] != update.shape[axis]]
    return _updated(x, update, places, axes)


def _updated(x: Tensor, update: Tensor, places: list[Tensor], axes: list[int]) -> Tensor:
    if not axes:
        return update
    axis, rank = axes[0], x.shape.rank
    start, stop = places[axis], places[axis] + tf.shape(update)[axis]

    def part(begin: Tensor | None, end: Tensor | None) -> Tensor:
        place = [slice(None)] * rank
        place[axis] = slice(begin, end)
        return x[tuple(place)]

    inner = _updated(part(start, stop), update, places, axes[1:])
    return tf.concat([part(None, start), inner, part(stop, None)], axis)


def pad(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    x, low, high, value = inputs
    paddings = tf.stack([as_int32(low), as_int32(high)], axis=1)
    known = node.inputs[3].value
    return tf.pad(x, paddings) if known is not None and not known.any() else tf.pad(x, paddings, constant_values=value)


def reverse(node: Node, operation: Reverse, inputs: list[Tensor]) -> Tensor:
    return tf.reverse(inputs[0], operation.axes)


# Gathers and scatters -------------------------------------------------------------------------------------------------
def take(node: Node, operation: Take, inputs: list[Tensor]) -> Tensor:
    x, indices = inputs
    return tf.gather(x, clamped_indices(indices, x, operation.axis), axis=operation.axis)


def gather_nd(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    return tf.gather_nd(inputs[0], _as_index(inputs[1]))


_SCATTERS = {
    "set": tf.tensor_scatter_nd_update,
    "add": tf.tensor_scatter_nd_add,
    "maximum": tf.tensor_scatter_nd_max,
    "minimum": tf.tensor_scatter_nd_min,
}


def scatter_nd(node: Node, operation: ScatterNd, inputs: list[Tensor]) -> Tensor:
    x, indices, updates = inputs
    return _SCATTERS[operation.kind](x, _as_index(indices), updates)


def _as_index(x: Tensor) -> Tensor:
    """Returns integers of a type that gathers and scatters have."""
    return x if x.dtype in (tf.int32, tf.int64) else tf.cast(x, tf.int64)


# Orders ---------------------------------------------------------------------------------------------------------------
def _keys(x: Tensor) -> Tensor:
    """Returns signed integers in the order of x; NaN is the largest, and -0 is less than 0."""
    if x.dtype.is_bool:
        return tf.cast(x, tf.int32)
    if x.dtype == tf.uint64:
        return tf.bitcast(tf.bitwise.bitwise_xor(x, tf.constant(1 << 63, tf.uint64)), tf.int64)
    if x.dtype.is_integer:
        return tf.cast(x, tf.int64)
    wide = x if x.dtype.size >= 4 else tf.cast(x, tf.float32)
    integers = tf.int64 if wide.dtype == tf.float64 else tf.int32
    bits = tf.bitcast(wide, integers)
    largest = tf.constant(integers.max, integers)
    ordered = tf.where(tf.less(bits, tf.zeros((), integers)), tf.bitwise.bitwise_xor(bits, largest), bits)
    return tf.where(tf.math.is_nan(wide), largest, ordered)


def _taken(node: Node, x: Tensor, indices: Tensor, is_indices: bool) -> Tensor:
    if is_indices:
        return tf.cast(indices, tf.as_dtype(node.dtype))
    return tf.gather(x, indices, batch_dims=x.shape.rank - 1)


def sort(node: Node, operation: Sort, inputs: list[Tensor]) -> Tensor:
    """Sorts by integers: TensorFlow's top_k keeps the order of equal ones, and knows no order of NaN."""
    (x,) = inputs
    keys = _keys(x)
    if x.dtype.is_floating:  # -0 equals 0
        keys = tf.where(tf.equal(x, tf.zeros((), x.dtype)), tf.zeros((), keys.dtype), keys)
    if operation.descending and x.dtype.is_floating:  # NaN last here, too
        keys = tf.where(tf.math.is_nan(x), tf.constant(keys.dtype.min, keys.dtype), keys)
    keys = keys if operation.descending else tf.bitwise.invert(keys)
    count = tf.shape(x)[-1] if x.shape[-1] is None else x.shape[-1]
    return _taken(node, x, tf.math.top_k(keys, count).indices, operation.is_indices)


def top_k(node: Node, operation: TopK, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    return _taken(node, x, tf.math.top_k(_keys(x), operation.k).indices, operation.is_indices)


_COMBINE = {"multiply": tf.multiply, "maximum": tf.maximum, "minimum": tf.minimum}


def _neutral(kind: str, dtype: tf.DType) -> Tensor:
    """Returns what changes nothing."""
    if kind == "multiply":
        return tf.ones((), dtype)
    if dtype.is_floating:
        return tf.constant(-np.inf if kind == "maximum" else np.inf, dtype)
    return tf.constant(dtype.min if kind == "maximum" else dtype.max, dtype)


def cumulate(node: Node, operation: Cumulate, inputs: list[Tensor]) -> Tensor:
    """Accumulates along an axis; all but sums by doubling: cumprod's gradient divides by x, and there is no cummax.

    Raises:
        Untranslatable: when the size of the axis is not known.
    """
    (x,), axis = inputs, operation.axis
    if operation.kind == "add":
        return tf.cumsum(x, axis, reverse=operation.reverse)
    if x.shape[axis] is None:
        raise Untranslatable(f"a cumulative {operation.kind} along an axis of unknown size")
    combine, filler, step = _COMBINE[operation.kind], _neutral(operation.kind, x.dtype), 1
    while step < x.shape[axis]:
        place, paddings = [slice(None)] * x.shape.rank, [[0, 0]] * x.shape.rank
        place[axis] = slice(step, None) if operation.reverse else slice(None, -step)
        paddings[axis] = [0, step] if operation.reverse else [step, 0]
        x = combine(x, tf.pad(x[tuple(place)], paddings, constant_values=filler))
        step *= 2
    return x
