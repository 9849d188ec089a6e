"""What is known of sizes, starts and limits when a function is written."""

import numpy as np
import tensorflow as tf

from pipeline.translate.graph import Node
from pipeline.translate.operations import Pack, Size


def elements(node: Node) -> list[int | Node] | None:
    """Returns the integers of a vector, or the nodes of those that are computed; None where it is not a Pack."""
    if node.value is not None:
        return [int(each) for each in node.value.reshape(-1)]
    if isinstance(node.operation, Pack):
        return [each if each.value is None else int(each.value) for each in node.inputs]
    return None


def with_one_unknown(sizes: Node) -> list[int] | None:
    """Returns sizes with -1 in place of the only one that is computed; None where there are more."""
    items = elements(sizes)
    if items is None or sum(isinstance(each, Node) for each in items) > 1:
        return None
    known = [each if isinstance(each, int) else -1 for each in items]
    return None if -1 in known and 0 in known else known  # of nothing, the size cannot be told


def is_size_of(node: int | Node, x: Node, axis: int) -> bool:
    """Whether an element is the size of an axis of x."""
    if isinstance(node, int):
        return node == x.shape[axis]
    operation = node.operation
    return isinstance(operation, Size) and operation.axis == axis and node.inputs[0] is x


def as_int32(x: tf.Tensor) -> tf.Tensor:
    """Returns integers as int32."""
    return x if x.dtype == tf.int32 else tf.cast(x, tf.int32)


def clamped_starts(starts: tf.Tensor, x: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Returns starts, int32, so that a slice of these sizes lies within x."""
    room = tf.shape(x, tf.int64) - tf.cast(sizes, tf.int64)
    zero = tf.constant(0, tf.int64)
    return tf.cast(tf.minimum(tf.maximum(tf.cast(starts, tf.int64), zero), room), tf.int32)


def clamped_indices(indices: tf.Tensor, x: tf.Tensor, axis: int) -> tf.Tensor:
    """Returns indices of an axis of x, clamped to those that there are."""
    known, size = tf.get_static_value(indices), x.shape[axis]
    if known is not None and size is not None and np.all((known >= 0) & (known < size)):
        return indices
    last = tf.shape(x, tf.int64)[axis] - 1 if size is None else tf.constant(size - 1, tf.int64)
    return tf.minimum(tf.maximum(tf.cast(indices, tf.int64), tf.constant(0, tf.int64)), last)
