"""The forward pass of one model in JAX, which all proofs and modules are made of.

The names of functions that JAX traces are part of the bytes of published modules.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.base.heads import Head
from pipeline.model.architecture import Architecture, Shape, find_architecture
from pipeline.model.section import Model

Weights = Mapping[str, Any]  # arrays of NumPy, JAX or TensorFlow by path, such as "Transformer/encoder_norm/scale"
Values = jax.Array | np.ndarray


@dataclass(frozen=True)
class Tolerances:
    """The largest relative errors allowed between two float32 implementations.

    Attributes:
        outputs: relative to the largest output.
        gradients: see pipeline.proof.gradients.compare().
        tokens: relative to the largest value of a token.
    """

    outputs: float
    gradients: float
    tokens: float


class Trace(NamedTuple):
    """What a network computes of images.

    Attributes:
        features: (n, width).
        tokens: (rows, tokens, width), of the first images; None of a network without.
        blocks: the input and the output of each block by its path, in order, of the first images; {} where there are no
            blocks. pipeline.proof.blocks recognises a block in a module as a function whose weights share that path.
    """

    features: jax.Array
    tokens: jax.Array | None
    blocks: dict[str, tuple[jax.Array, jax.Array]]


class Network(ABC):
    """One model's forward pass: features, and the head that turns them into logits.

    All functions take float32 weights and images, or float64 ones, and compute in that type.

    Attributes:
        model: the section that it was made of.
        tolerances: of its proofs.
        head_prefixes: how the paths of the head's weights begin; the feature extractor has all others.
        state_prefixes: how the paths of arrays begin that are no parameters, such as the means of a BatchNorm. A module
            with such arrays cannot be trained.
        has_tokens: whether tokens() can be called.
    """

    model: Model
    tolerances: Tolerances
    head_prefixes: tuple[str, ...] = ("head/",)
    state_prefixes: tuple[str, ...] = ()
    has_tokens: bool = False

    @property
    def architecture(self) -> Architecture:
        """The words for cards."""
        return find_architecture(self.model)

    @property
    def frozen(self) -> str:
        """Why a module of it cannot be trained; "" for one that can."""
        if not self.state_prefixes:
            return ""
        arrays = " and ".join(f"{prefix}..." for prefix in self.state_prefixes)
        return f"the network has state beside its parameters ({arrays}), which training would have to update"

    @abstractmethod
    def expected_shapes(self, image_size: int | None = None) -> dict[str, Shape] | None:
        """Returns the shape of every weight by its path; None for a network that takes those of its checkpoint.

        Args:
            image_size: of the images; None for the model's.
        """

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Refuses arrays that are not its weights, of a network whose expected_shapes() are None.

        Args:
            arrays: of a checkpoint, by path.

        Raises:
            Fault: in one sentence.
        """
        del arrays

    @abstractmethod
    def features(self, weights: Weights, images: Values, key: jax.Array | None = None) -> jax.Array:
        """Returns what the head reads, (n, width).

        Args:
            weights: at least those that are not the head's.
            images: (n, size, size, 3) in [-1, 1].
            key: for dropout at the model's rate; None for inference.
        """

    @abstractmethod
    def head(self, weights: Weights, features: Values) -> jax.Array:
        """Returns logits (n, classes) of features (n, width); needs the head's weights alone."""

    def logits(self, weights: Weights, images: Values, key: jax.Array | None = None) -> jax.Array:
        """Returns logits (n, classes) of images; see features()."""
        return self.head(weights, self.features(weights, images, key))

    def tokens(self, weights: Weights, images: Values) -> jax.Array:
        """Returns the tokens after the last LayerNorm, (n, tokens, width), of images; only where has_tokens."""
        raise NotImplementedError

    def outputs(self, head: Head, weights: Weights, images: Values, key: jax.Array | None = None) -> jax.Array:
        """Returns what the module of a head returns: logits or features; see features()."""
        return (self.logits if head is Head.CLASSIFICATION else self.features)(weights, images, key)

    def trace(self, weights: Weights, images: Values, rows: int) -> Trace:
        """Returns the features, and on the way to them the tokens and the ends of blocks.

        Args:
            weights, images: see features().
            rows: the number of images whose tokens and blocks are returned: the first ones.
        """
        tokens = self.tokens(weights, images[:rows]) if self.has_tokens else None
        return Trace(self.features(weights, images), tokens, {})

    def stored_image_size(self, shapes: Mapping[str, Shape]) -> int | None:
        """Returns the image size of a checkpoint that resize() can fit to the model's, or None.

        Args:
            shapes: of its normalized arrays, which are not the model's.

        Raises:
            Fault: when only the image size is wrong, and the network cannot be given another one.
        """
        del shapes
        return None

    def resize(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Fits the arrays of a checkpoint of another image size, which stored_image_size() returned, to the model's."""
        raise NotImplementedError

    def describe_resize(self, image_size: int) -> str:
        """Returns what resize() does to a checkpoint of that image size, in words."""
        raise NotImplementedError

    def is_head(self, path: str) -> bool:
        """Whether a weight is the head's."""
        return path.startswith(self.head_prefixes)

    def head_scales(self, weights: Weights, features: np.ndarray) -> np.ndarray:
        """Returns the size of the terms that the logits are sums of, float64 (n, classes).

        A logit is a sum of products and a bias. Its float32 error is relative to the size of these terms, the root of
        the sum of their squares, also where they cancel and the sum is about zero. The terms are the head's derivatives
        times the features, and its value for features of zero.

        Args:
            weights: the head's, float64.
            features: float64 (n, width).
        """
        exact = jnp.asarray(features)
        constant = self.head(weights, jnp.zeros_like(exact[:1]))[0]

        def scale(row: jax.Array) -> jax.Array:
            slopes = jax.jacrev(lambda each: self.head(weights, each[None])[0])(row)
            return jnp.sqrt((slopes**2) @ (row**2) + constant**2)

        return np.stack([np.asarray(scale(row)) for row in exact])


def select_weights(network: Network, arrays: Mapping[str, Any], head: Head) -> dict[str, Any]:
    """Returns the arrays that a module uses by path: all, or for the feature extractor all but the head's."""
    has_head = head is Head.CLASSIFICATION
    return {name: value for name, value in arrays.items() if has_head or not network.is_head(name)}


def count_operations(network: Network, arrays: Mapping[str, Any]) -> int:
    """Returns the floating-point operations of the logits of one image, as XLA counts them before it compiles.

    A multiplication and an addition are two operations.

    Args:
        network: the network.
        arrays: its weights; only their shapes and types are read.
    """
    weights = {name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in arrays.items()}
    size = network.model.image_size
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    analysis = jax.jit(network.logits).lower(weights, image).cost_analysis()
    return int((analysis or {}).get("flops", 0))
