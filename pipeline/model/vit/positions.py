"""Position embeddings: learned or fixed ones, and learned ones for another image size."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

TEMPERATURE = 10_000  # the largest wavelength of the fixed embedding, divided by 2 pi, in tokens


class AddPositionEmbedding(nn.Module):
    """Adds one learned vector per token."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.param("pos_embedding", nn.initializers.normal(0.02), (1, *x.shape[1:]), jnp.float32)


def encode_positions(side: int, width: int) -> np.ndarray:
    """Returns the sines and cosines of one axis of a grid at width / 4 frequencies, float64 (side, width / 2)."""
    frequencies = TEMPERATURE ** -np.linspace(0, 1, width // 4)
    angles = np.arange(side)[:, np.newaxis] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def add_fixed_positions(x: jax.Array) -> jax.Array:
    """Adds the fixed embedding of a square grid to its tokens (n, side * side, width), row by row.

    The first half of a token's vector encodes its column, the second its row. Source: posemb_sincos_2d in
    big_vision/models/vit.py of https://github.com/google-research/big_vision, after MoCo v3
    (https://arxiv.org/abs/2104.02057). The table is computed in float64 and is one axis long, so that modules hold a
    small constant; upstream computes it in float32, which differs by rounding.
    """
    _, tokens, width = x.shape
    side = math.isqrt(tokens)
    axis = jnp.asarray(encode_positions(side, width), x.dtype)
    columns = jnp.broadcast_to(axis[jnp.newaxis], (side, side, width // 2))
    rows = jnp.broadcast_to(axis[:, jnp.newaxis], (side, side, width // 2))
    return x + jnp.concatenate([columns, rows], axis=-1).reshape(tokens, width)


def find_side(tokens: int) -> int | None:
    """Returns the side of a square grid of tokens; None where they are none."""
    side = math.isqrt(max(0, tokens))
    return side if side and side**2 == tokens else None


def resize_positions(positions: np.ndarray, side: int, has_class_token: bool) -> np.ndarray:
    """Fits a learned position embedding to a grid of another size, as upstream does before it fine-tunes.

    Linear interpolation, with the corners of both grids on each other; the class token's row stays. Source:
    interpolate_posembed in vit_jax/checkpoint.py of https://github.com/google-research/vision_transformer.

    Args:
        positions: float32 (1, tokens, width); the tokens, but for the class token, are a square grid, row by row.
        side: of the new grid.
        has_class_token: whether the first token is the class token.

    Returns:
        float32 (1, new tokens, width).
    """
    from scipy import ndimage  # takes a quarter of a second, and few checkpoints need it

    first = int(has_class_token)
    before = find_side(positions.shape[1] - first)
    if before is None:
        raise ValueError(f"{positions.shape[1] - first} tokens are no square grid")
    width = positions.shape[-1]
    grid = positions[0, first:].reshape(before, before, width)
    zoomed = ndimage.zoom(grid, (side / before, side / before, 1), order=1)
    return np.concatenate([positions[:, :first], zoomed.reshape(1, side * side, width)], axis=1)
