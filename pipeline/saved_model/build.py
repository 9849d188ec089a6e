"""Builds a Reusable SavedModel (https://www.tensorflow.org/hub/reusable_saved_models) of a network.

The names of the functions that JAX and TensorFlow trace are part of a module's bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.base.heads import Head
from pipeline.model.network import Network
from pipeline.saved_model import portable
from pipeline.saved_model.frozen import refuse_training

if TYPE_CHECKING:
    import jax
    import tensorflow as tf


def _random_key() -> "tf.Tensor":
    """Draws a key for JAX's default generator, threefry2x32: uint32 (2,).

    In StableHLO this generator is plain arithmetic, which gives the same mask on every platform. The generator rbg
    makes a smaller module, but with a batch of any size it is a custom call, stablehlo.dynamic_rng_bit_generator.
    """
    import tensorflow as tf

    return tf.bitcast(tf.random.uniform((2,), tf.int32.min, tf.int32.max, tf.int32), tf.uint32)


def _spec(network: Network, name: str) -> "tf.TensorSpec":
    """Returns the type of a batch of the network's images, called `name`."""
    import tensorflow as tf

    size = network.model.image_size
    return tf.TensorSpec((None, size, size, 3), tf.float32, name=name)


def _convert(apply: Callable, network: Network, has_key: bool = False, has_gradient: bool = True) -> Callable:
    """Converts a function of parameters by path, images and perhaps a random key to TensorFlow."""
    from jax.experimental import jax2tf

    size = network.model.image_size
    converted: Callable = jax2tf.convert(
        apply,
        polymorphic_shapes=[None, f"(n, {size}, {size}, 3)", *([None] if has_key else [])],
        with_gradient=has_gradient,
        native_serialization_platforms=portable.PLATFORMS,
    )
    return converted


def _forward(
    network: Network, head: Head, variables: Mapping[str, "tf.Variable"], has_dropout: bool
) -> "tf.types.experimental.ConcreteFunction":
    """Converts the forward pass of a head, with dropout at the model's rate or without.

    Returns a concrete function, which callers share: a tf.function would be traced again for its second caller, since
    TensorFlow keeps the first trace, in which variables may be created, apart.
    """
    import jax
    import tensorflow as tf

    def apply(parameters: Mapping, images: "jax.Array", *key: "jax.Array") -> "jax.Array":
        keys = [jax.random.wrap_key_data(data, impl="threefry2x32") for data in key]
        return network.outputs(head, parameters, images, *keys)

    converted = _convert(apply, network, has_dropout)
    named = dict(variables)
    forward = tf.function(
        lambda inputs: converted(named, inputs, *([_random_key()] if has_dropout else [])), autograph=False
    )
    return forward.get_concrete_function(_spec(network, "inputs"))


def _tokens(network: Network, variables: Mapping[str, "tf.Variable"]) -> "tf.types.experimental.ConcreteFunction":
    """Converts the tokens of a network, without dropout or gradient; returns a concrete function, as _forward()."""
    import tensorflow as tf

    def apply(parameters: Mapping, images: "jax.Array") -> "jax.Array":
        return network.tokens(parameters, images)

    converted, named = _convert(apply, network, has_gradient=False), dict(variables)
    tokens = tf.function(lambda images: converted(named, images), autograph=False)
    return tokens.get_concrete_function(_spec(network, "images"))


@dataclass(frozen=True)
class Built:
    """What is saved.

    Attributes:
        module: the object for tf.saved_model.save.
        inference: the forward pass, which the signatures call: a trace of module.__call__ of their own would be another
            function with all variables, which takes time at every load.
        tokens: likewise of module.tokens; None where there are none.
    """

    module: "tf.train.Checkpoint"
    inference: "tf.types.experimental.ConcreteFunction"
    tokens: "tf.types.experimental.ConcreteFunction | None"


def build(network: Network, head: Head, variables: Mapping[str, "tf.Variable"]) -> Built:
    """Builds the object for tf.saved_model.save.

    `obj(inputs, training=False)` maps float32 (n, size, size, 3) in [-1, 1], n at least 1, to logits or features
    (n, k). With training=True it applies dropout at the rate the checkpoint was trained with, by a random key drawn in
    each call. `obj.train(inputs)` is the same as a function of one argument, which keras.layers.TFSMLayer needs. Of a
    frozen network, both fail, and no variable is trainable.

    A feature extractor of a network with tokens has `obj.tokens(images)` too, of one argument like `inputs`: the tokens
    after the last LayerNorm, float32 (n, tokens, width). They have no gradient: with it, S/16 would take 1.34 times as
    long to load as without tokens (benchmarks/loading.py).

    Args:
        network: the network.
        head: which of the two modules.
        variables: the parameters that this head uses, by path.
    """
    import tensorflow as tf

    inference = _forward(network, head, variables, has_dropout=False)
    training_ = _forward(network, head, variables, has_dropout=True) if network.model.dropout else inference
    if network.frozen:
        training_ = refuse_training(network.frozen, inference)

    module = tf.train.Checkpoint()
    module.variables = list(variables.values())
    module.trainable_variables = [] if network.frozen else list(variables.values())
    module.regularization_losses = []
    module.__call__ = tf.function(
        lambda inputs, training=False: (training_ if training else inference)(inputs), autograph=False
    )
    module.train = tf.function(lambda inputs: training_(inputs), autograph=False)
    (inputs,), _ = inference.structured_input_signature
    for training in (False, True):
        module.__call__.get_concrete_function(inputs, training=training)
    module.train.get_concrete_function(inputs)
    tokens = None
    if head is Head.FE and network.has_tokens:
        tokens = _tokens(network, variables)
        module.tokens = tf.function(lambda images: tokens(images), [_spec(network, "images")], autograph=False)
    return Built(module, inference, tokens)
