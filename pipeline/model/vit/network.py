"""The Vision Transformers of google-research/vision_transformer as one Flax module; variants.py has their table.

Sources: "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929), "How to train your ViT?"
(https://arxiv.org/abs/2106.10270) and, for what the papers leave open (epsilons, paddings, names of parameters),
vit_jax/models_vit.py of https://github.com/google-research/vision_transformer. Submodules have the names that the
published checkpoints use, so a checkpoint's keys are the parameters' paths. The names of functions that JAX traces are
part of the bytes of published modules.
"""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from pipeline.model.architecture import Shape
from pipeline.model.blocks import call_shared
from pipeline.model.flax_network import FlaxNetwork
from pipeline.model.layers import LayerNorm, MlpBlock, Patches, average_tokens
from pipeline.model.network import Network, Tolerances, Trace, Values, Weights
from pipeline.model.section import Model
from pipeline.model.vit import positions
from pipeline.model.vit.architecture import POSITION, Options, options_of
from pipeline.model.vit.attention import Attention, AttentionPooling
from pipeline.model.vit.positions import AddPositionEmbedding
from pipeline.model.vit.resnet import ResNetStage, resnet
from pipeline.model.vit.variants import Variant, variant


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and MLP. The numbers in the names are from the Flax API before linen.

    Attributes:
        heads: the number of attention heads.
        mlp: the width of the MLP's hidden layer.
        dropout: the rate after the attention and in the MLP; 0 for none.
        queries: the number of first tokens that are computed; None for all.
    """

    heads: int
    mlp: int
    dropout: float = 0.0
    queries: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = LayerNorm(name="LayerNorm_0")(x)
        y = Attention(self.heads, name="MultiHeadDotProductAttention_1")(y[:, : self.queries], y)
        x = x[:, : self.queries] + nn.Dropout(self.dropout, deterministic=False)(y)
        return x + MlpBlock(self.mlp, self.dropout, name="MlpBlock_3")(LayerNorm(name="LayerNorm_2")(x))


class Encoder(nn.Module):
    """Learned positions, encoder blocks and LayerNorm.

    Attributes:
        variant: the architecture.
        dropout: the rate before and in the blocks; 0 for none.
        has_positions: whether the position embedding is learned.
        has_all_tokens: whether all tokens are returned, not the first alone, which is the class token.
    """

    variant: Variant
    dropout: float = 0.0
    has_positions: bool = True
    has_all_tokens: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, tokens, width) to (n, tokens, width), or (n, width) for the first token."""
        if self.has_positions:
            x = AddPositionEmbedding(name="posembed_input")(x)
        x = nn.Dropout(self.dropout, deterministic=False)(x)
        for layer in range(self.variant.layers):
            is_last = layer == self.variant.layers - 1
            queries = 1 if is_last and not self.has_all_tokens else None  # the last block computes what is returned
            block = EncoderBlock(self.variant.heads, self.variant.mlp, self.dropout, queries, parent=None)
            x = call_shared(self, block, f"encoderblock_{layer}", x)
        return LayerNorm(name="encoder_norm")(x if self.has_all_tokens else x[:, 0])


class VisionTransformer(nn.Module):
    """A Vision Transformer.

    Attributes:
        variant: the architecture.
        classes: the number of logits; None for the feature extractor, which has no head.
        dropout: the rate, applied where upstream does: after the position embedding, after each attention and twice in
            each MLP, but not in attention pooling. Positive only while training; it needs a random key,
            `rngs={"dropout": key}`.
        options: how tokens become features, and which positions they have.
        has_tokens: whether it returns the tokens after the last LayerNorm.
        has_both: whether it returns features and tokens.
    """

    variant: Variant
    classes: int | None
    dropout: float = 0.0
    options: Options = Options()
    has_tokens: bool = False
    has_both: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Maps float32 (n, size, size, 3) in [-1, 1] to logits (n, classes), or features (n, width) without a head.

        With has_tokens it returns (n, tokens, width) instead, one token per patch after the class token, if any.
        """
        tokens = self._encode(self._embed(images))
        if self.has_tokens:
            return tokens
        features = self._pool(tokens)
        if self.options.pre_logits is not None:
            features = nn.tanh(nn.Dense(self.options.pre_logits, name="pre_logits")(features))
        if self.has_both:
            return features, tokens
        if self.classes is None:
            return features
        # Upstream starts fine-tuning with a zero head, so that every class is equally likely.
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(features)

    def _embed(self, x: jax.Array) -> jax.Array:
        """Maps images to tokens (n, tokens, width), the class token first."""
        if self.variant.resnet is not None:
            x = resnet(self.variant.resnet, ResNetStage, x)
        x = Patches(self.variant.width, self.variant.patch, name="embedding")(x)
        if self.options.positions == "sincos2d":
            x = positions.add_fixed_positions(x)  # big_vision's class token has no position
        if not self.options.has_class_token:
            return x
        n, _, width = x.shape
        cls = self.param("cls", nn.initializers.zeros, (1, 1, width), jnp.float32)
        return jnp.concatenate([jnp.broadcast_to(cls, (n, 1, width)), x], axis=1)

    def _encode(self, x: jax.Array) -> jax.Array:
        """Maps tokens to those after the last LayerNorm; to the class token alone where no other is used."""
        has_all_tokens = self.has_tokens or self.has_both or not self.options.has_class_token
        is_learned = self.options.positions == "learned"
        return Encoder(self.variant, self.dropout, is_learned, has_all_tokens, name="Transformer")(x)

    def _pool(self, tokens: jax.Array) -> jax.Array:
        """Maps what _encode() returns to (n, width)."""
        if self.options.pooling == "gap":
            return average_tokens(tokens)
        if self.options.pooling == "map":
            pooling = AttentionPooling(self.variant.heads, self.variant.mlp, parent=None)
            return call_shared(self, pooling, "MAPHead_0", tokens)
        return tokens[:, 0] if self.has_both else tokens


class VitNetwork(FlaxNetwork):
    """A Vision Transformer of a section `model`."""

    blocks = "Transformer/encoderblock_"

    def __init__(self, model: Model) -> None:
        self.model = model
        self._variant, self._options = variant(model.variant), options_of(model)
        # A hybrid's convolutions have longer sums, in other orders: for R50+L/32 float32 alone differs from float64 by
        # 2e-5 (benchmarks/precision.py). Gradients, measured with random weights: 8e-6 for S/16, 4e-3 for R26+S/32,
        # 2e-2 for R50+L/32. In JAX alone the float32 gradients of R50+L/32 differ from float64 by 1.6e-2: where a
        # ReLU's input is zero except for rounding, its slope depends on the implementation. A wrong gradient differs by
        # about its whole norm.
        # A token has the error of one place of the ResNet, features have the mean of many: with random R50+L/32 JAX's
        # own float32 tokens differ from float64 by 4.6e-5 when compiled, and by 1.2e-4 operation by operation.
        self.tolerances = Tolerances(outputs=1e-5, gradients=2e-4, tokens=1e-5)
        if self._variant.resnet is not None:
            self.tolerances = Tolerances(outputs=5e-5, gradients=5e-2, tokens=1e-4)

    def module(
        self, classes: int | None, dropout: float = 0.0, has_tokens: bool = False, has_both: bool = False
    ) -> VisionTransformer:
        return VisionTransformer(self._variant, classes, dropout, self._options, has_tokens, has_both)

    def trace(self, weights: Weights, images: Values, rows: int) -> Trace:
        traced = super().trace(weights, images, rows)
        if not self._options.has_class_token:
            return traced
        # Its features are the class token, so that the last block of a module computes no other.
        last = f"{self.blocks}{self._variant.layers - 1}"
        first, output = traced.blocks[last]
        return traced._replace(blocks=traced.blocks | {last: (first, output[:, :1])})

    def _side(self, shapes: Mapping[str, Shape]) -> int | None:
        """Returns the side of a checkpoint's position grid; None without one that is a square."""
        shape = shapes.get(POSITION, ())
        is_grid = len(shape) == 3 and self._options.positions == "learned"
        return positions.find_side(shape[1] - self._options.has_class_token) if is_grid else None

    def stored_image_size(self, shapes: Mapping[str, Shape]) -> int | None:
        side = self._side(shapes)
        size = None if side is None else side * self._variant.stride
        return None if size == self.model.image_size else size

    def resize(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        side = self.model.image_size // self._variant.stride
        resized = positions.resize_positions(arrays[POSITION], side, self._options.has_class_token)
        return arrays | {POSITION: resized}

    def describe_resize(self, image_size: int) -> str:
        before, after = (size // self._variant.stride for size in (image_size, self.model.image_size))
        return f"position embedding resized from {before}x{before} to {after}x{after}"


def open_network(model: Model, folder: Path) -> Network:
    """Returns the network of a section that names this architecture; nothing of it lies in the member's folder."""
    del folder
    return VitNetwork(model)
