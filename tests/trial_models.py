"""A small LiteRT model, for the tests of the website: one layer on flattened pixels."""

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layer:
    """Weights, float32 (inputs, classes), of a model without hidden layers."""

    weights: np.ndarray

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Returns softmax probabilities, float64 (n, classes), of images, float32 (n, size, size, 3)."""
        logits = images.reshape(len(images), -1).astype(np.float64) @ self.weights.astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def make_layer(size: int, classes: int) -> Layer:
    """Returns a model of random weights, whose logits are of the order of 1."""
    weights = np.random.default_rng(0).standard_normal((size * size * 3, classes))
    return Layer((weights / np.sqrt(size * size)).astype(np.float32))


def to_litert(layer: Layer, size: int) -> bytes:
    """Returns the model as a LiteRT file, with the signature and the free batch of a published one."""
    import tensorflow as tf

    images = tf.TensorSpec((None, size, size, 3), tf.float32, name="inputs")
    weights = tf.constant(layer.weights)

    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": tf.matmul(tf.reshape(inputs, (-1, size * size * 3)), weights)}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter, which warns of every model without variables
        function = tf.function(classify, input_signature=[images], autograph=False).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        return bytes(converter.convert())
