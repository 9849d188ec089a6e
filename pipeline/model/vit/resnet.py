"""The ResNet before the Transformer of the hybrids.

Source: vit_jax/models_resnet.py of https://github.com/google-research/vision_transformer. Submodules have the names
that the published checkpoints use.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from pipeline.model.blocks import call_shared


class StdConv(nn.Module):
    """A convolution without bias whose kernel is standardised per output channel (https://arxiv.org/abs/1903.10520)."""

    features: int
    size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32).astype(x.dtype)
        kernel = kernel - jnp.mean(kernel, axis=(0, 1, 2))
        # The epsilon is added to the deviation, not to the variance, as upstream does.
        kernel = kernel / (jnp.std(kernel, axis=(0, 1, 2)) + 1e-5)
        return jax.lax.conv_general_dilated(
            x, kernel, (self.stride, self.stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )


# The variance in two passes, as the mean of (x - mean)^2. With Flax's default, E[x^2] - E[x]^2 in one pass, the
# relative error of float32 logits is two to three times as large: 1.0e-5 and 5.4e-5 for random R26+S/32 and R50+L/32,
# instead of 5.2e-6 and 1.9e-5 (benchmarks/precision.py). LayerNorm gains nothing by it.
GroupNorm = functools.partial(nn.GroupNorm, num_groups=32, epsilon=1e-6, use_fast_variance=False)


class ResidualUnit(nn.Module):
    """A bottleneck unit with the activation after the sum; the second convolution has the stride."""

    features: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        wide = 4 * self.features
        residual = x
        if x.shape[-1] != wide or self.stride != 1:
            residual = GroupNorm(name="gn_proj")(StdConv(wide, 1, self.stride, name="conv_proj")(x))
        y = nn.relu(GroupNorm(name="gn1")(StdConv(self.features, 1, name="conv1")(x)))
        y = nn.relu(GroupNorm(name="gn2")(StdConv(self.features, 3, self.stride, name="conv2")(y)))
        y = GroupNorm(name="gn3")(StdConv(wide, 1, name="conv3")(y))
        return nn.relu(residual + y)


class ResNetStage(nn.Module):
    """A sequence of residual units; the first has the stride."""

    features: int
    units: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for unit in range(1, self.units + 1):
            stride = self.stride if unit == 1 else 1
            x = call_shared(self, ResidualUnit(self.features, stride, parent=None), f"unit{unit}", x)
        return x


def resnet(units: tuple[int, ...], stage: type[nn.Module], x: jax.Array) -> jax.Array:
    """Maps images to the features that the hybrids cut into patches; called in a module, it adds submodules to it.

    Args:
        units: the number of residual units in each stage; () for the root alone.
        stage: the class of the stages, such as ResNetStage.
        x: (n, height, width, 3).
    """
    x = nn.relu(GroupNorm(name="gn_root")(StdConv(64, 7, 2, name="conv_root")(x)))
    x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
    for number, count in enumerate(units):
        x = stage(64 * 2**number, count, 1 if number == 0 else 2, name=f"block{number + 1}")(x)
    return x
