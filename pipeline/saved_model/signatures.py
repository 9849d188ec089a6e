"""The signatures of a module: what model servers and the APIs of other languages call.

The names of the functions that TensorFlow traces are part of a module's bytes.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pipeline.base.heads import Head
from pipeline.model.network import Network
from pipeline.model.preprocessing import preprocess
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.selftest import TOP

if TYPE_CHECKING:
    import tensorflow as tf

    from pipeline.saved_model.build import Built

    Outputs = Mapping[str, tf.Tensor]


def decode(encoded: "tf.Tensor") -> "tf.Tensor":
    """Decodes a JPEG or PNG file, a scalar string: uint8 (height, width, 3), RGB.

    The operation reads PNG too. Its settings are those of Pillow and of libjpeg itself, so that the pixels are equal;
    TensorFlow's default, the faster of two inverse transforms, differs in the last bits. Transparency is dropped, and
    the orientation that EXIF names is not applied.
    """
    import tensorflow as tf

    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)


def read_images(encoded: "tf.Tensor", size: int) -> "tf.Tensor":
    """Decodes and preprocesses image files, each of any size.

    Args:
        encoded: strings (n,), JPEG or PNG files.
        size: the side of the result, in pixels.

    Returns:
        float32 (n, size, size, 3) in [-1, 1].
    """
    import tensorflow as tf

    def read(file: tf.Tensor) -> tf.Tensor:
        return preprocess(decode(file)[tf.newaxis], size)[0]

    return tf.map_fn(read, encoded, fn_output_signature=tf.TensorSpec((size, size, 3), tf.float32))


def classify(logits: "tf.Tensor", classes: Classes) -> "Outputs":
    """Returns what serving_classify returns for logits (n, classes): see signatures()."""
    import tensorflow as tf

    probabilities = {"softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid}[classes.activation](logits)
    # Of the logits: large ones all have the sigmoid 1.
    _, indices = tf.math.top_k(logits, min(TOP, logits.shape[1]))
    return {
        "logits": logits,
        "probabilities": probabilities,
        "top_indices": indices,
        "top_probabilities": tf.gather(probabilities, indices, batch_dims=1),
        "top_classes": tf.gather(tf.constant(classes.names), indices) if classes.names else tf.as_string(indices),
    }


def signatures(
    built: "Built", network: Network, head: Head, classes: Classes
) -> dict[str, "tf.types.experimental.ConcreteFunction"]:
    """Returns the module's signatures by name.

    `serving_default` takes `inputs`, as a call does. `serving_images` takes `images`, uint8 (n, height, width, 3) in
    RGB of any size, and preprocesses them as validation does. `serving_jpeg` takes `encoded`, strings (n,), each a JPEG
    or PNG file of any size, and returns what serving_images does for its pixels.

    Of a feature extractor with tokens, `serving_tokens` takes `inputs` and returns `tokens`, as model.tokens() does.

    Of a classifier, `serving_classify` takes `encoded` and returns `logits` and `probabilities`, float32 (n, classes),
    and the k = min(TOP, classes) largest in descending order: `top_indices`, int32, `top_probabilities`, float32, and
    `top_classes`, strings, each (n, k). A classifier whose probabilities say nothing has no such signature.
    """
    import tensorflow as tf

    size, output = network.model.image_size, head.output
    shape, files = (None, size, size, 3), (None,)
    inputs_spec = tf.TensorSpec(shape, tf.float32, name="inputs")
    encoded_spec = tf.TensorSpec(files, tf.string, name="encoded")

    def default(inputs: tf.Tensor) -> "Outputs":
        # Stops inputs of another shape here: XLA's message about them fills a page.
        return {output: built.inference(tf.ensure_shape(inputs, shape))}

    def from_images(images: tf.Tensor) -> "Outputs":
        images = tf.ensure_shape(images, (None, None, None, 3))
        return {output: built.inference(preprocess(images, size))}

    def from_files(encoded: tf.Tensor) -> "Outputs":
        images = read_images(tf.ensure_shape(encoded, files), size)
        return {output: built.inference(images)}

    def tokens(inputs: tf.Tensor) -> "Outputs":
        assert built.tokens is not None
        return {"tokens": built.tokens(tf.ensure_shape(inputs, shape))}

    def classify_files(encoded: tf.Tensor) -> "Outputs":
        return classify(from_files(encoded)[output], classes)

    functions: dict[str, tuple[Callable[[tf.Tensor], Outputs], tf.TensorSpec]] = {
        "serving_default": (default, inputs_spec),
        "serving_images": (from_images, tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")),
        "serving_jpeg": (from_files, encoded_spec),
    }
    if head is Head.CLASSIFICATION and classes.has_probabilities(network.model.classes):
        functions["serving_classify"] = (classify_files, encoded_spec)
    elif head is Head.FE and built.tokens is not None:
        functions["serving_tokens"] = (tokens, inputs_spec)
    return {
        name: tf.function(function, autograph=False).get_concrete_function(spec)
        for name, (function, spec) in functions.items()
    }
