"""Multi-head attention, within tokens and from a learned query.

Submodules have the names that the published checkpoints use.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from pipeline.model.layers import LayerNorm, MlpBlock


class Projection(nn.Module):
    """A dense layer between tokens and attention heads, as one product of two matrices.

    Attributes:
        shape: the kernel's, (width, heads, depth) or (heads, depth, width), as in the checkpoints.
        inputs: the number of its first axes that are summed over; the bias has the others.
    """

    shape: tuple[int, ...]
    inputs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, tokens, *summed axes) to (n, tokens, *other axes)."""
        axes, outputs = tuple(range(len(self.shape))), self.shape[self.inputs :]
        init = nn.initializers.lecun_normal(axes[: self.inputs], axes[self.inputs :])
        kernel = self.param("kernel", init, self.shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, outputs, jnp.float32)
        x = x.reshape(*x.shape[:2], -1) @ kernel.reshape(-1, math.prod(outputs)) + bias.reshape(-1)
        return x.reshape(*x.shape[:2], *outputs)


class Attention(nn.Module):
    """Multi-head attention.

    Attributes:
        heads: divides the width.
    """

    heads: int

    @nn.compact
    def __call__(self, queries: jax.Array, tokens: jax.Array) -> jax.Array:
        """Maps queries (n, queries, width), which attend to tokens (n, tokens, width), to (n, queries, width)."""
        width = tokens.shape[-1]
        depth = width // self.heads
        shape = (width, self.heads, depth)
        query = Projection(shape, 1, name="query")(queries) * depth**-0.5
        key = Projection(shape, 1, name="key")(tokens)
        value = Projection(shape, 1, name="value")(tokens)
        weights = nn.softmax(jnp.einsum("nqhd,nkhd->nhqk", query, key))
        y = jnp.einsum("nhqk,nkhd->nqhd", weights, value)
        return Projection((self.heads, depth, width), 2, name="out")(y)


class AttentionPooling(nn.Module):
    """Pools tokens by a learned query that attends to them, and an MLP.

    Source: MAPHead in big_vision/models/vit.py of https://github.com/google-research/big_vision, after "Set
    Transformer" (https://arxiv.org/abs/1810.00825). It has no dropout.

    Attributes:
        heads: the number of attention heads.
        mlp: the width of the MLP's hidden layer.
    """

    heads: int
    mlp: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Maps (n, tokens, width) to (n, width)."""
        n, _, width = tokens.shape
        probe = self.param("probe", nn.initializers.xavier_uniform(), (1, 1, width), jnp.float32)
        attention = Attention(self.heads, name="MultiHeadDotProductAttention_0")
        x = attention(jnp.broadcast_to(probe, (n, 1, width)), tokens)
        return (x + MlpBlock(self.mlp, name="MlpBlock_0")(LayerNorm(name="LayerNorm_0")(x)))[:, 0]
