"""Products, reductions, convolutions and pools in TensorFlow."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.translate.graph import Node
from pipeline.translate.operations import ArgReduce, Convolution, Dense, Einsum, MatMul, Pool, Reduce
from pipeline.translate.refusal import Untranslatable

Tensor = Any  # tf.Tensor
_MULTIPLIED = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64)  # by kernels of the CPU


def _widened(inputs: Sequence[Tensor], dtype: tf.DType) -> list[Tensor]:
    """Returns tensors in the node's type, or in int64, where they are of a type that products lack."""
    target = dtype if dtype in _MULTIPLIED else tf.int64
    return [each if each.dtype == target else tf.cast(each, target) for each in inputs]


def _narrowed(x: Tensor, dtype: tf.DType) -> Tensor:
    return x if x.dtype == dtype else tf.cast(x, dtype)


# Products -------------------------------------------------------------------------------------------------------------
def mat_mul(node: Node, operation: MatMul, inputs: list[Tensor]) -> Tensor:
    dtype = tf.as_dtype(node.dtype)
    left, right = _widened(inputs, dtype)
    flags = {"transpose_a": operation.transpose_left, "transpose_b": operation.transpose_right}
    return _narrowed(tf.matmul(left, right, **flags), dtype)


def dense(node: Node, operation: Dense, inputs: list[Tensor]) -> Tensor:
    """Multiplies matrices: all axes but the last of the left one are one axis meanwhile, of no cost."""
    dtype = tf.as_dtype(node.dtype)
    left, right, *bias = _widened(inputs, dtype)
    matrix = (
        left
        if left.shape.rank == 2
        else tf.reshape(left, (-1, tf.shape(left)[-1] if left.shape[-1] is None else left.shape[-1]))
    )
    product = tf.matmul(matrix, right, transpose_b=operation.transpose_right)
    if bias:
        product = tf.nn.bias_add(product, bias[0])
    return _narrowed(product if left.shape.rank == 2 else _with_axes_of(product, left), dtype)


def _with_axes_of(product: Tensor, left: Tensor) -> Tensor:
    """Returns a matrix (m, n) with the leading axes of `left` (..., k), as (..., n)."""
    sizes = [*left.shape[:-1].as_list(), product.shape[-1]]
    if sizes.count(None) <= 1 and 0 not in sizes:
        return tf.reshape(product, [-1 if each is None else each for each in sizes])
    return tf.reshape(product, tf.concat([tf.shape(left)[:-1], tf.shape(product)[1:]], 0))


def einsum(node: Node, operation: Einsum, inputs: list[Tensor]) -> Tensor:
    dtype = tf.as_dtype(node.dtype)
    return _narrowed(tf.einsum(operation.equation, *_widened(inputs, dtype)), dtype)


# Reductions -----------------------------------------------------------------------------------------------------------
_REDUCTIONS = {
    "add": tf.reduce_sum,
    "multiply": tf.reduce_prod,
    "maximum": tf.reduce_max,
    "minimum": tf.reduce_min,
}
_OF_BOOLEANS = {
    "and": tf.reduce_all,
    "or": tf.reduce_any,
    "add": tf.reduce_any,
    "multiply": tf.reduce_all,
    "maximum": tf.reduce_any,
    "minimum": tf.reduce_all,
}


def reduce(node: Node, operation: Reduce, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of a Reduce.

    Raises:
        Untranslatable: for "and" and "or" of integers.
    """
    (x,) = inputs
    table = _OF_BOOLEANS if x.dtype.is_bool else _REDUCTIONS
    if operation.kind not in table:
        raise Untranslatable(f"stablehlo.reduce by {operation.kind} of {x.dtype.name}")
    return table[operation.kind](x, operation.axes, keepdims=operation.keeps_axes)


def arg_reduce(node: Node, operation: ArgReduce, inputs: list[Tensor]) -> Tensor:
    """Returns the first place: tf.argmax leaves open which of equal ones it is, and passes NaN over."""
    (x,), axis = inputs, operation.axis
    x = tf.cast(x, tf.int32) if x.dtype.is_bool else x
    best = _REDUCTIONS[operation.kind](x, axis, keepdims=True)
    is_best = tf.equal(x, best)
    if x.dtype.is_floating:
        is_best |= tf.math.is_nan(x)
    count = tf.shape(x)[axis]
    places = tf.reshape(tf.range(count), [-1 if each == axis else 1 for each in range(x.shape.rank)])
    return tf.cast(tf.reduce_min(tf.where(is_best, places, count - 1), axis), tf.as_dtype(node.dtype))


# Windows --------------------------------------------------------------------------------------------------------------
def _same_padding(size: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    """Returns what TensorFlow's padding "SAME" adds before and after an axis."""
    total = max((-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _padding_name(
    space: Sequence[int | None], windows: Sequence[int], operation: Convolution | Pool, dilations: Sequence[int]
) -> str | None:
    """Returns TensorFlow's name for the padding of an operation; None where it has none."""
    if not any(map(any, operation.padding)):
        return "VALID"
    axes = zip(space, windows, operation.strides, dilations, strict=True)
    same = [None if size is None else _same_padding(size, *rest) for size, *rest in axes]
    return "SAME" if same == list(operation.padding) else None


def _cropped(x: Tensor, padding: Sequence[tuple[int, int]]) -> Tensor:
    """Returns images (n, *space, channels) without what negative paddings take away."""
    places = [slice(max(-low, 0), min(high, 0) or None) for low, high in padding]
    return x if all(each == slice(0, None) for each in places) else x[(slice(None), *places)]


def _padded(x: Tensor, padding: Sequence[tuple[int, int]], value: Tensor | int = 0) -> Tensor:
    """Returns images (n, *space, channels) with margins, which may be negative."""
    margins = [(max(low, 0), max(high, 0)) for low, high in padding]
    x = _cropped(x, padding)
    return tf.pad(x, [(0, 0), *margins, (0, 0)], constant_values=value) if any(map(any, margins)) else x


def _spread(x: Tensor, steps: Sequence[int]) -> Tensor:
    """Returns images (n, *space, channels) with steps - 1 zeros between the pixels."""
    for axis, step in enumerate(steps, 1):
        if step == 1:
            continue
        shape = [tf.shape(x)[each] if size is None else size for each, size in enumerate(x.shape)]
        wide = tf.reshape(x, [*shape[: axis + 1], 1, *shape[axis + 1 :]])
        paddings = [(0, step - 1) if each == axis + 1 else (0, 0) for each in range(x.shape.rank + 1)]
        wide = tf.reshape(tf.pad(wide, paddings), [*shape[:axis], shape[axis] * step, *shape[axis + 1 :]])
        x = wide[(slice(None),) * axis + (slice(None, 1 - step),)]
    return x


_CONVOLUTIONS = {1: tf.nn.conv1d, 2: tf.nn.conv2d, 3: tf.nn.conv3d}


def convolution(node: Node, operation: Convolution, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of a Convolution.

    Raises:
        Untranslatable: for integers.
    """
    x, kernel = inputs
    if not x.dtype.is_floating:
        raise Untranslatable(f"stablehlo.convolution of {x.dtype.name}")
    x = _spread(x, operation.dilations_of_input)
    space, window = x.shape[1:-1].as_list(), kernel.shape[:-2].as_list()
    name = _padding_name(space, window, operation, operation.dilations)
    if name is None:
        x, name = _padded(x, operation.padding), "VALID"
    if operation.groups == 1:
        return _convolved(x, kernel, operation, name)
    is_even = len(set(operation.strides)) == 1 and (max(operation.strides) == 1 or max(operation.dilations) == 1)
    if operation.groups == x.shape[-1] and len(operation.strides) == 2 and is_even:
        return _depthwise(x, kernel, operation, name)
    pairs = zip(tf.split(x, operation.groups, -1), tf.split(kernel, operation.groups, -1), strict=True)
    return tf.concat([_convolved(*pair, operation, name) for pair in pairs], -1)


def _convolved(x: Tensor, kernel: Tensor, operation: Convolution, padding: str) -> Tensor:
    rank = len(operation.strides)
    strides: int | list[int] = list(operation.strides)
    dilations: int | list[int] = list(operation.dilations)
    if rank == 3:
        # TensorFlow has dilated 3-D convolutions on some processors only.
        strides, dilations = [1, *operation.strides, 1], [1] * 5
        if max(operation.dilations) > 1:
            channels = kernel.shape[3:]
            kernel = _spread(tf.reshape(kernel, (1, *kernel.shape[:3], math.prod(channels))), operation.dilations)
            kernel = tf.reshape(kernel, (*kernel.shape[1:4], *channels))
    if rank == 1:
        strides, dilations = operation.strides[0], operation.dilations[0]
    return _CONVOLUTIONS[rank](x, kernel, strides, padding, dilations=dilations)


def _depthwise(x: Tensor, kernel: Tensor, operation: Convolution, padding: str) -> Tensor:
    height, width, _, outputs = kernel.shape.as_list()
    kernel = tf.reshape(kernel, (height, width, operation.groups, outputs // operation.groups))
    strides = [1, *operation.strides, 1]
    return tf.nn.depthwise_conv2d(x, kernel, strides, padding, dilations=list(operation.dilations))


def pool(node: Node, operation: Pool, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of a Pool; TensorFlow's own pools have two axes of space, floats and no sums."""
    (x,) = inputs
    if len(operation.window) != 2 or x.dtype not in (tf.float32, tf.float64):
        return _pooled_by_parts(x, operation)
    name = _padding_name(x.shape[1:-1].as_list(), operation.window, operation, (1, 1))
    if operation.kind == "add":
        x = _padded(x, operation.padding)
        mean = tf.nn.avg_pool2d(x, operation.window, operation.strides, "VALID")
        return mean * tf.constant(math.prod(operation.window), x.dtype)
    if name is None:
        x, name = _padded(x, operation.padding, tf.constant(-np.inf, x.dtype)), "VALID"
    return tf.nn.max_pool2d(x, operation.window, operation.strides, name)


def _pooled_by_parts(x: Tensor, operation: Pool) -> Tensor:
    """Combines the pixels at each place of the window."""
    smallest = -np.inf if x.dtype.is_floating else x.dtype.min
    x = _padded(x, operation.padding, tf.constant(0 if operation.kind == "add" else smallest, x.dtype))
    sizes, parts = tf.shape(x), []
    counts = [
        (sizes[axis] - window) // stride
        for axis, (window, stride) in enumerate(zip(operation.window, operation.strides, strict=True), 1)
    ]
    for offsets in itertools.product(*map(range, operation.window)):
        axes = zip(offsets, counts, operation.strides, strict=True)
        places = [slice(offset, offset + count * stride + 1, stride) for offset, count, stride in axes]
        parts.append(x[(slice(None), *places)])
    combine = tf.add if operation.kind == "add" else tf.maximum
    result = parts[0]
    for part in parts[1:]:
        result = combine(result, part)
    return result
