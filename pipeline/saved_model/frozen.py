"""Modules that cannot be trained: what training=True does in them.

The names of the functions that TensorFlow traces are part of a module's bytes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def refuse_training(
    reason: str, inference: "tf.types.experimental.ConcreteFunction"
) -> "Callable[[tf.Tensor], tf.Tensor]":
    """Returns the function of training=True of a module that cannot be trained: it fails and says why.

    Without it, TensorFlow would say that no function of the module takes these arguments.

    Args:
        reason: pipeline.model.network.Network.frozen.
        inference: the function of training=False.
    """
    import tensorflow as tf

    def refuse(inputs: tf.Tensor) -> tf.Tensor:
        # A condition of the inputs: TensorFlow would fail here, while it traces, if it were constant.
        is_never = tf.less(tf.size(inputs), 0)
        message = f"This module cannot be trained: {reason}. Call it with training=False."
        with tf.control_dependencies([tf.debugging.Assert(is_never, [message])]):
            return tf.identity(inference(inputs))

    return refuse
