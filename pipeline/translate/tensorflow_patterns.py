"""The recovered patterns in TensorFlow, in forms that are fast and that TensorFlow can differentiate."""

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

    centred = x - by_group(x)
    variance = by_group(tf.square(centred))
    factor = tf.math.rsqrt(variance + tf.constant(operation.epsilon, x.dtype)) * scale
    return centred * factor + bias


def gelu(node: Node, operation: Gelu, inputs: list[Tensor]) -> Tensor:
    return tf.nn.gelu(inputs[0], approximate=operation.by_tanh)


def relu(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    return tf.nn.relu(inputs[0])
