"""What networks that are one Flax module have in common.

The names of functions that JAX traces are part of the bytes of published modules.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict

from pipeline.model.architecture import Shape
from pipeline.model.blocks import BLOCKS, keeping_rows
from pipeline.model.network import Network, Trace, Values, Weights
from pipeline.model.parameters import nest_parameters


class FlaxNetwork(Network):
    """A network with tokens and equal blocks, whose Flax module ends in a dense layer called `head`.

    Attributes:
        blocks: the path of a block without its number, such as "Transformer/encoderblock_".
    """

    has_tokens = True
    blocks: str

    @abstractmethod
    def module(
        self, classes: int | None, dropout: float = 0.0, has_tokens: bool = False, has_both: bool = False
    ) -> Any:
        """Returns the Flax module; it has a field `variant`, a dataclass with the number of blocks as `layers`.

        Args:
            classes: the number of logits; None for the feature extractor, which has no head.
            dropout: the rate; positive only while training.
            has_tokens: whether it returns the tokens after the last LayerNorm.
            has_both: whether it returns the features and these tokens, of which they are computed.
        """

    def _apply(self, classes: int | None, weights: Weights, images: Values, key: jax.Array | None) -> jax.Array:
        module = self.module(classes, 0.0 if key is None else self.model.dropout)
        rngs = None if key is None else {"dropout": key}
        outputs: jax.Array = module.apply({"params": nest_parameters(weights)}, images, rngs=rngs)
        return outputs

    def features(self, weights: Weights, images: Values, key: jax.Array | None = None) -> jax.Array:
        return self._apply(None, weights, images, key)

    def logits(self, weights: Weights, images: Values, key: jax.Array | None = None) -> jax.Array:
        return self._apply(self.model.classes, weights, images, key)

    def head(self, weights: Weights, features: Values) -> jax.Array:
        head = {name: weights[f"head/{name}"] for name in ("kernel", "bias")}
        logits: jax.Array = nn.Dense(self.model.classes).apply({"params": head}, features)
        return logits

    def head_scales(self, weights: Weights, features: np.ndarray) -> np.ndarray:
        # Of a dense layer the derivatives are the kernel; JAX would compile them.
        kernel, bias = (np.asarray(weights[f"head/{name}"], np.float64) for name in ("kernel", "bias"))
        return np.sqrt(np.square(features) @ np.square(kernel) + np.square(bias))

    def tokens(self, weights: Weights, images: Values) -> jax.Array:
        module = self.module(None, has_tokens=True)
        tokens: jax.Array = module.apply({"params": nest_parameters(weights)}, images)
        return tokens

    def trace(self, weights: Weights, images: Values, rows: int) -> Trace:
        module = self.module(None, has_both=True)
        with keeping_rows(rows):
            (features, tokens), state = module.apply({"params": nest_parameters(weights)}, images, mutable=[BLOCKS])
        blocks = {path: ends for path, (ends,) in flatten_dict(state[BLOCKS], sep="/").items()}
        return Trace(features, tokens[:rows], blocks)

    def expected_shapes(self, image_size: int | None = None) -> dict[str, Shape]:
        size = image_size or self.model.image_size
        image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
        whole = self.module(self.model.classes)
        # One block is traced for all, since they are equal.
        module = whole.clone(variant=replace(whole.variant, layers=1))
        tree = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
        shapes: dict[str, Shape] = {}
        for path, leaf in flatten_dict(tree, sep="/").items():
            first = f"{self.blocks}0/"
            layers = whole.variant.layers if path.startswith(first) else 1
            shapes |= {path.replace(first, f"{self.blocks}{layer}/", 1): leaf.shape for layer in range(layers)}
        return dict(sorted(shapes.items()))
