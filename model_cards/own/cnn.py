"""The network of cnn_demo: four convolutions and a linear head, in JAX alone.

It shows all that this pipeline asks of a network that it does not know; docs/own_networks.md explains it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

Parameters = Mapping[str, Any]  # the checkpoint's arrays, nested by the parts of their names between "/"

LAYERS = {"conv1": (32, 2), "conv2": (32, 1), "conv3": (64, 2), "conv4": (64, 1)}  # by name channels and stride


class Cnn:
    """Maps images to features by 3x3 convolutions and a mean over all places, and features to logits.

    Args:
        image_size: the side of the images, in pixels; a mean takes any.
        classes: the number of logits.
        dropout: the rate that is applied to the features while training.
    """

    title = "Convolutional Network"
    plural = "Convolutional Networks"
    tag = "cnn"
    head_prefixes = ("head/",)

    def __init__(self, image_size: int, classes: int, dropout: float) -> None:
        del image_size
        self.classes = classes
        self.dropout = dropout

    def init(self, key: jax.Array) -> dict[str, dict[str, jax.Array]]:
        """Returns random parameters; the pipeline needs none, the training script does."""
        parameters, inputs = {}, 3
        for name, (channels, _) in LAYERS.items():
            key, draw = jax.random.split(key)
            kernel = jax.random.normal(draw, (3, 3, inputs, channels)) * (2 / (9 * inputs)) ** 0.5
            parameters[name] = {"kernel": kernel, "bias": jnp.zeros(channels)}
            inputs = channels
        parameters["head"] = {"kernel": jnp.zeros((inputs, self.classes)), "bias": jnp.zeros(self.classes)}
        return parameters

    def features(self, params: Parameters, images: jax.Array, train: bool, rngs: Mapping[str, jax.Array]) -> jax.Array:
        """Maps images (n, size, size, 3) in [-1, 1] to features (n, 64)."""
        x = images
        for name, (_, stride) in LAYERS.items():
            x = jax.lax.conv_general_dilated(
                x, params[name]["kernel"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.silu(x + params[name]["bias"])
        x = x.mean(axis=(1, 2))
        if train and self.dropout:
            kept = jax.random.bernoulli(rngs["dropout"], 1 - self.dropout, x.shape)
            x = jnp.where(kept, x / (1 - self.dropout), 0)
        return x

    def head(self, params: Parameters, features: jax.Array) -> jax.Array:
        """Maps features (n, 64) to logits (n, classes)."""
        logits: jax.Array = features @ params["head"]["kernel"] + params["head"]["bias"]
        return logits
