"""Builds a Reusable SavedModel (https://www.tensorflow.org/hub/reusable_saved_models) of a network.

The names of the functions that JAX and TensorFlow trace are part of a module's bytes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.base.heads import Head
from pipeline.model.network import Network
from pipeline.model.preprocessing import preprocess
from pipeline.model.section import Model
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


def _forward(
    network: Network, head: Head, variables: Mapping[str, "tf.Variable"], has_dropout: bool
) -> "tf.types.experimental.ConcreteFunction":
    """Converts the forward pass of a head, with dropout at the model's rate or without.

    Returns a concrete function, which callers share: a tf.function would be traced again for its second caller, since
    TensorFlow keeps the first trace, in which variables may be created, apart.
    """
    import jax
    import tensorflow as tf
    from jax.experimental import jax2tf

    def apply(parameters: Mapping, images: "jax.Array", *key: "jax.Array") -> "jax.Array":
        keys = [jax.random.wrap_key_data(data, impl="threefry2x32") for data in key]
        return network.outputs(head, parameters, images, *keys)

    size = network.model.image_size
    shape = (None, size, size, 3)
    converted = jax2tf.convert(
        apply,
        polymorphic_shapes=[None, f"(n, {', '.join(map(str, shape[1:]))})", *([None] if has_dropout else [])],
        with_gradient=True,
        native_serialization_platforms=portable.PLATFORMS,
    )
    named = dict(variables)
    forward = tf.function(
        lambda inputs: converted(named, inputs, *([_random_key()] if has_dropout else [])), autograph=False
    )
    return forward.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="inputs"))


def build(network: Network, head: Head, variables: Mapping[str, "tf.Variable"]) -> "tf.train.Checkpoint":
    """Builds the object for tf.saved_model.save.

    `obj(inputs, training=False)` maps float32 (n, size, size, 3) in [-1, 1], n at least 1, to logits or features
    (n, k). With training=True it applies dropout at the rate the checkpoint was trained with, by a random key drawn in
    each call. `obj.train(inputs)` is the same as a function of one argument, which keras.layers.TFSMLayer needs. Of a
    frozen network, both fail, and no variable is trainable.

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
    return module


def signatures(
    module: "tf.train.Checkpoint", model: Model, head: Head
) -> dict[str, "tf.types.experimental.GenericFunction"]:
    """Returns the module's signatures by name.

    `serving_default` takes `inputs`, as a call does. `serving_images` takes `images`, uint8 (n, height, width, 3) in
    RGB of any size, and preprocesses them as validation does.
    """
    import tensorflow as tf

    output = head.output
    inputs = tf.TensorSpec((None, model.image_size, model.image_size, 3), tf.float32, name="inputs")
    images = tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")

    def default(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        # Stops inputs of another shape here: XLA's message about them fills a page.
        inputs = tf.ensure_shape(inputs, (None, model.image_size, model.image_size, 3))
        return {output: module.__call__(inputs, training=False)}

    def from_images(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.ensure_shape(images, (None, None, None, 3))
        return {output: module.__call__(preprocess(images, model.image_size), training=False)}

    return {
        "serving_default": tf.function(default, autograph=False).get_concrete_function(inputs),
        "serving_images": tf.function(from_images, autograph=False).get_concrete_function(images),
    }
