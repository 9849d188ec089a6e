"""Small SavedModels of jax2tf, to write the plain twins of."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def save(
    folder: Path,
    function: Callable[..., Any],
    weights: Mapping[str, np.ndarray],
    shape: str = "(n, 3)",
    has_gradient: bool = True,
    saves_gradient: bool = True,
) -> None:
    """Saves a function of weights by name and a batch of float32 as jax2tf does.

    Args:
        folder: where to.
        function: of JAX.
        weights: its first argument.
        shape: of its second argument.
        has_gradient: whether jax2tf may differentiate it.
        saves_gradient: whether the file has the gradient, too.
    """
    import tensorflow as tf
    from jax.experimental import jax2tf

    module = tf.Module()
    module.weights = {name: tf.Variable(value, name=name) for name, value in weights.items()}
    converted = jax2tf.convert(function, polymorphic_shapes=[None, shape], with_gradient=has_gradient)
    sizes = [None if size.strip() == "n" else int(size) for size in shape.strip("()").split(",")]
    module.f = tf.function(
        lambda x: converted(module.weights, x),
        input_signature=[tf.TensorSpec(sizes, tf.float32, name="x")],
        autograph=False,
    )
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=saves_gradient)
    tf.saved_model.save(module, str(folder), options=options)


def differentiate(folder: Path, x: np.ndarray) -> list[np.ndarray]:
    """Returns the gradients of the sum of a model's squared results by its input and its weights in order."""
    import tensorflow as tf

    module = tf.saved_model.load(str(folder))
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        loss = tf.reduce_sum(module.f(tensor) ** 2)
    return [np.asarray(each) for each in tape.gradient(loss, [tensor, *module.weights.values()])]
