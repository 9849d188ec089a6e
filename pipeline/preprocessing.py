"""What happens to an image before the model sees it: one definition, for validation and for the published signature."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def preprocess(pixels: "tf.Tensor", size: int) -> "tf.Tensor":
    """Resizes straight to (size, size), bilinear without antialias, and scales to [-1, 1]: the protocol `resize`.

    Source: vit_jax/input_pipeline.py of google-research/vision_transformer, which evaluates with tf.image.resize and
    (x - 127.5) / 127.5.

    Args:
        pixels: uint8 (n, height, width, 3), RGB.
        size: the side of the result, in pixels.

    Returns:
        float32 (n, size, size, 3) in [-1, 1].
    """
    import tensorflow as tf

    resized = tf.image.resize(tf.cast(pixels, tf.float32), (size, size), tf.image.ResizeMethod.BILINEAR)
    return (resized - 127.5) / 127.5
