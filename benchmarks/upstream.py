"""Upstream's Vision Transformer and MLP-Mixer, in flax.linen's own layers, to compare ours with.

Sources: vit_jax/models_vit.py, vit_jax/models_resnet.py and vit_jax/models_mixer.py of
https://github.com/google-research/vision_transformer; for attention pooling and fixed positions
big_vision/models/vit.py of https://github.com/google-research/big_vision. The hybrids' root and residual units are
shared with pipeline/model/vit/resnet.py, where they are upstream's too. The parameters have the same names.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from pipeline.model.layers import LayerNorm, MlpBlock
from pipeline.model.mixer.variants import Variant as MixerVariant
from pipeline.model.vit.architecture import Options
from pipeline.model.vit.positions import AddPositionEmbedding
from pipeline.model.vit.resnet import ResidualUnit, resnet
from pipeline.model.vit.variants import Variant


class UpstreamBlock(nn.Module):
    """Pre-norm self-attention and MLP."""

    heads: int
    mlp: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        attention = nn.MultiHeadDotProductAttention(num_heads=self.heads, name="MultiHeadDotProductAttention_1")
        y = LayerNorm(name="LayerNorm_0")(x)
        x = x + attention(y, y)
        return x + MlpBlock(self.mlp, name="MlpBlock_3")(LayerNorm(name="LayerNorm_2")(x))


class UpstreamEncoder(nn.Module):
    """The stack of blocks; each computes all tokens."""

    variant: Variant
    has_positions: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.has_positions:
            x = AddPositionEmbedding(name="posembed_input")(x)
        for layer in range(self.variant.layers):
            x = UpstreamBlock(self.variant.heads, self.variant.mlp, name=f"encoderblock_{layer}")(x)
        return LayerNorm(name="encoder_norm")(x)


class UpstreamStage(nn.Module):
    """A run of residual units, each traced; the first has the stride."""

    features: int
    units: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for unit in range(1, self.units + 1):
            x = ResidualUnit(self.features, self.stride if unit == 1 else 1, name=f"unit{unit}")(x)
        return x


def fixed_positions(side: int, width: int) -> jax.Array:
    """Returns big_vision's sines and cosines of each token's place, float32 (side * side, width)."""
    row, column = jnp.mgrid[:side, :side]
    frequencies = 1 / 10_000.0 ** (jnp.arange(width // 4) / (width // 4 - 1))
    waves = [wave(jnp.outer(axis.ravel(), frequencies)) for axis in (column, row) for wave in (jnp.sin, jnp.cos)]
    return jnp.concatenate(waves, axis=1)


class UpstreamPooling(nn.Module):
    """big_vision's attention pooling."""

    variant: Variant

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        n, _, width = tokens.shape
        probe = self.param("probe", nn.initializers.xavier_uniform(), (1, 1, width), jnp.float32)
        attention = nn.MultiHeadDotProductAttention(num_heads=self.variant.heads, name="MultiHeadDotProductAttention_0")
        x = attention(jnp.tile(probe, (n, 1, 1)), tokens)
        y = LayerNorm(name="LayerNorm_0")(x)
        return (x + MlpBlock(self.variant.mlp, name="MlpBlock_0")(y))[:, 0]


class UpstreamTransformer(nn.Module):
    """Maps float32 (n, size, size, 3) in [-1, 1] to logits (n, classes), or features (n, width) without classes.

    With has_tokens it returns all tokens, (n, tokens, width), instead.
    """

    variant: Variant
    classes: int | None
    options: Options = Options()
    has_tokens: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x, options = images, self.options
        if self.variant.resnet is not None:
            x = resnet(self.variant.resnet, UpstreamStage, x)
        patch = (self.variant.patch, self.variant.patch)
        x = nn.Conv(self.variant.width, patch, strides=patch, padding="VALID", name="embedding")(x)
        n, side, _, width = x.shape
        x = x.reshape(n, -1, width)
        has_positions = options.positions == "learned"
        if not has_positions:
            x = x + fixed_positions(side, width)
        if options.pooling == "token":
            cls = self.param("cls", nn.initializers.zeros, (1, 1, width), jnp.float32)
            x = jnp.concatenate([jnp.tile(cls, (n, 1, 1)), x], axis=1)
        tokens = UpstreamEncoder(self.variant, has_positions, name="Transformer")(x)
        if self.has_tokens:
            return tokens
        if options.pooling == "map":
            features = UpstreamPooling(self.variant, name="MAPHead_0")(tokens)
        else:
            features = tokens.mean(axis=1) if options.pooling == "gap" else tokens[:, 0]
        if options.pre_logits is not None:
            features = jnp.tanh(nn.Dense(options.pre_logits, name="pre_logits")(features))
        return features if self.classes is None else nn.Dense(self.classes, name="head")(features)


class UpstreamMlp(nn.Module):
    """Two dense layers of the last axis."""

    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.gelu(nn.Dense(self.hidden)(x))
        return nn.Dense(x.shape[-1])(y)


class UpstreamMixerBlock(nn.Module):
    """Mixes tokens, then channels."""

    tokens_mlp: int
    channels_mlp: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = jnp.moveaxis(nn.LayerNorm()(x), 2, 1)
        x += jnp.moveaxis(UpstreamMlp(self.tokens_mlp, name="token_mixing")(y), 1, 2)
        return x + UpstreamMlp(self.channels_mlp, name="channel_mixing")(nn.LayerNorm()(x))


class UpstreamMixer(nn.Module):
    """Maps images as UpstreamTransformer does."""

    variant: MixerVariant
    classes: int | None
    has_tokens: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        patch = (self.variant.patch, self.variant.patch)
        x = nn.Conv(self.variant.width, patch, strides=patch, name="stem")(images)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        for layer in range(self.variant.layers):
            name = f"MixerBlock_{layer}"
            x = UpstreamMixerBlock(self.variant.tokens_mlp, self.variant.channels_mlp, name=name)(x)
        tokens = nn.LayerNorm(name="pre_head_layer_norm")(x)
        if self.has_tokens:
            return tokens
        features = tokens.mean(1)
        return features if self.classes is None else nn.Dense(self.classes, name="head")(features)
