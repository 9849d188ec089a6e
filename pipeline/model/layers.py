"""Layers that several architectures have, with the names that upstream's checkpoints use."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

LayerNorm = functools.partial(nn.LayerNorm, epsilon=1e-6)


def average_tokens(tokens: jax.Array | np.ndarray) -> jax.Array:
    """Maps tokens (n, tokens, width) to their mean, (n, width)."""
    return jnp.mean(tokens, axis=1)


class Patches(nn.Module):
    """Cuts images into patches and maps each to a vector, as a convolution does whose stride is its size.

    Upstream has that convolution. One product of matrices is faster on a CPU.
    """

    width: int
    patch: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, rows * patch, columns * patch, channels) to (n, rows * columns, width)."""
        n, height, width, channels = x.shape
        rows, columns = height // self.patch, width // self.patch
        shape = (self.patch, self.patch, channels, self.width)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        x = x.reshape(n, rows, self.patch, columns, self.patch, channels).swapaxes(2, 3)
        return x.reshape(n, rows * columns, -1) @ kernel.reshape(-1, self.width) + bias


class MlpBlock(nn.Module):
    """Two dense layers with the tanh form of GELU between them."""

    hidden: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        x = nn.gelu(nn.Dense(self.hidden, name="Dense_0")(x), approximate=True)
        x = nn.Dropout(self.dropout, deterministic=False)(x)
        x = nn.Dense(width, name="Dense_1")(x)
        return nn.Dropout(self.dropout, deterministic=False)(x)
