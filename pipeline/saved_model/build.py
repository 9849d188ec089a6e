"""The Flax model as a Reusable SavedModel (https://www.tensorflow.org/hub/reusable_saved_models)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.base.heads import Head
from pipeline.model.parameters import nest_parameters
from pipeline.model.preprocessing import preprocess
from pipeline.model.variants import Model, variant
from pipeline.model.vit import VisionTransformer
from pipeline.saved_model import portable

if TYPE_CHECKING:
    import jax
    import tensorflow as tf


def _random_key() -> "tf.Tensor":
    """Draws a key for JAX's default generator, threefry2x32: uint32 (2,).

    Its bits are plain arithmetic in StableHLO, so that a mask is the same on every platform. A key of the kind rbg
    makes a smaller module, but with a batch of any size it is a custom call, stablehlo.dynamic_rng_bit_generator.
    """
    import tensorflow as tf

    return tf.bitcast(tf.random.uniform((2,), tf.int32.min, tf.int32.max, tf.int32), tf.uint32)


def _forward(
    model: Model, head: str, variables: Mapping[str, "tf.Variable"], dropout: float
) -> "tf.types.experimental.ConcreteFunction":
    """Converts the forward pass of a head, with the given rate of dropout.

    Returns a concrete function rather than a tf.function, so that its callers share it: a tf.function would be traced
    anew by its second caller, since its first trace is kept apart to create variables.
    """
    import jax
    import tensorflow as tf
    from jax.experimental import jax2tf

    flax_module = VisionTransformer(
        variant(model.variant), model.classes if head == "classification" else None, dropout
    )

    def apply(parameters: Mapping, images: "jax.Array", *key: "jax.Array") -> "jax.Array":
        rngs = {"dropout": jax.random.wrap_key_data(key[0], impl="threefry2x32")} if key else None
        return flax_module.apply({"params": nest_parameters(parameters)}, images, rngs=rngs)

    shape = (None, model.image_size, model.image_size, 3)
    converted = jax2tf.convert(
        apply,
        polymorphic_shapes=[None, f"(n, {', '.join(map(str, shape[1:]))})", *([None] if dropout else [])],
        with_gradient=True,
        native_serialization_platforms=portable.PLATFORMS,
    )
    named = dict(variables)
    forward = tf.function(
        lambda inputs: converted(named, inputs, *([_random_key()] if dropout else [])), autograph=False
    )
    return forward.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="inputs"))


def build(model: Model, head: str, variables: Mapping[str, "tf.Variable"]) -> "tf.train.Checkpoint":
    """Builds what tf.saved_model.save takes.

    `obj(inputs, training=False)` maps float32 (n, size, size, 3) in [-1, 1], n from 1, to logits or features (n, k).
    With training=True it drops units at the rate the checkpoint was trained with, after a random key of its own.
    `obj.train(inputs)` is the same as a function of one argument, as keras.layers.TFSMLayer wants it.

    Args:
        model: the section.
        head: "classification" or "fe".
        variables: the parameters this head uses, by their upstream paths.
    """
    import tensorflow as tf

    inference = _forward(model, head, variables, dropout=0.0)
    training_ = _forward(model, head, variables, model.dropout) if model.dropout else inference

    module = tf.train.Checkpoint()
    module.variables = list(variables.values())
    module.trainable_variables = list(variables.values())
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
    module: "tf.train.Checkpoint", model: Model, head: str
) -> dict[str, "tf.types.experimental.GenericFunction"]:
    """Returns the module's signatures: `serving_default`, as a call, and `serving_images`, uint8 pixels of any size.

    `serving_images` takes `images`, (n, height, width, 3) in RGB, and does to them what validation does.
    """
    import tensorflow as tf

    output = Head(head).output
    inputs = tf.TensorSpec((None, model.image_size, model.image_size, 3), tf.float32, name="inputs")
    images = tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")

    def default(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        # A server's clients get no further than here with another shape; XLA's own words for it fill a page.
        inputs = tf.ensure_shape(inputs, (None, model.image_size, model.image_size, 3))
        return {output: module.__call__(inputs, training=False)}

    def from_images(images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.ensure_shape(images, (None, None, None, 3))
        return {output: module.__call__(preprocess(images, model.image_size), training=False)}

    return {
        "serving_default": tf.function(default, autograph=False).get_concrete_function(inputs),
        "serving_images": tf.function(from_images, autograph=False).get_concrete_function(images),
    }
