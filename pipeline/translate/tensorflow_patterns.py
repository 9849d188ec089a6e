"""The recovered patterns in TensorFlow, in forms that are fast and that TensorFlow can differentiate."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pipeline.translate.graph import Node
from pipeline.translate.operations import Gelu, GroupNorm, LayerNorm

Tensor = Any  # tf.Tensor


def softmax(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    return tf.nn.softmax(inputs[0])


def layer_norm(node: Node, operation: LayerNorm, inputs: list[Tensor]) -> Tensor:
    x, scale, bias = inputs
    mean = tf.reduce_mean(x, -1, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
    factor = tf.math.rsqrt(variance + tf.constant(operation.epsilon, x.dtype)) * scale
    return centred * factor + bias


def group_norm(node: Node, operation: GroupNorm, inputs: list[Tensor]) -> Tensor:
    x, scale, bias = inputs
    channels, groups = x.shape[-1], operation.groups
    space = list(range(1, x.shape.rank - 1))
    ones = [1] * len(space)

    def by_group(values: Tensor) -> Tensor:
        """Returns the mean of each group, for each of its channels, of values (n, *space, channels)."""
        means = tf.reduce_mean(values, space)
        grouped = tf.reduce_mean(tf.reshape(means, (-1, groups, channels // groups)), -1, keepdims=True)
        whole = tf.tile(grouped, (1, 1, channels // groups))
        return tf.reshape(whole, (-1, *ones, channels))

    mean = by_group(x)
    variance = by_group(tf.math.squared_difference(x, mean))
    factor = tf.math.rsqrt(variance + tf.constant(operation.epsilon, x.dtype)) * scale
    return x * factor + (bias - mean * factor)  # two passes over x


def gelu(node: Node, operation: Gelu, inputs: list[Tensor]) -> Tensor:
    return _after_dense(lambda x: tf.nn.gelu(x, approximate=operation.by_tanh), inputs[0])


def relu(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    return _after_dense(tf.nn.relu, inputs[0])


def _after_dense(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Applies an activation; to a dense layer's matrix before it gets its axes back, since TensorFlow fuses the two."""
    if x.op.type == "Reshape" and x.op.inputs[0].op.type == "BiasAdd":
        return tf.reshape(function(x.op.inputs[0]), x.op.inputs[1])
    return function(x)
