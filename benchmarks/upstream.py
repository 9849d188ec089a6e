"""Upstream's Vision Transformer and MLP-Mixer, in flax.linen's own layers, to compare ours with.

Source: vit_jax/models_vit.py, vit_jax/models_resnet.py and vit_jax/models_mixer.py of
https://github.com/google-research/vision_transformer. The hybrids' root and residual units are shared with
pipeline/model/vit/network.py, where they are upstream's too. The parameters have the same names.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from pipeline.model.layers import LayerNorm, MlpBlock
from pipeline.model.mixer.variants import Variant as MixerVariant
from pipeline.model.vit.network import AddPositionEmbedding, ResidualUnit, resnet
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

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
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


class UpstreamTransformer(nn.Module):
    """Maps float32 (n, size, size, 3) in [-1, 1] to logits (n, classes), or features (n, width) without classes.

    With has_tokens it returns all tokens, (n, tokens, width), instead.
    """

    variant: Variant
    classes: int | None
    has_tokens: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        if self.variant.resnet is not None:
            x = resnet(self.variant.resnet, UpstreamStage, x)
        patch = (self.variant.patch, self.variant.patch)
        x = nn.Conv(self.variant.width, patch, strides=patch, padding="VALID", name="embedding")(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        cls = self.param("cls", nn.initializers.zeros, (1, 1, x.shape[-1]), jnp.float32)
        x = jnp.concatenate([jnp.tile(cls, (x.shape[0], 1, 1)), x], axis=1)
        tokens = UpstreamEncoder(self.variant, name="Transformer")(x)
        if self.has_tokens:
            return tokens
        features = tokens[:, 0]
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
