"""The Vision Transformers of the AugReg pool, as one Flax module and one table of variants.

Sources: "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929), "How to train your ViT?"
(https://arxiv.org/abs/2106.10270) and, for what the papers leave open (epsilons, paddings, names of parameters),
vit_jax/models_vit.py and vit_jax/models_resnet.py of https://github.com/google-research/vision_transformer.
Sub-modules bear the names that the published checkpoints use, so a checkpoint's keys are the parameters' paths.
"""

import functools
import re
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from pipeline.fault import Fault, nearest

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One architecture. `resnet` counts the residual units of each stage; None: no convolutions before the patches."""

    patch: int
    width: int
    layers: int
    heads: int
    mlp: int
    resnet: tuple[int, ...] | None = None

    @property
    def stride(self) -> int:
        """Pixels of the image's side per token: the patch, times 4 for the ResNet's root, times 2 per further stage."""
        return self.patch if self.resnet is None else self.patch * 4 * 2 ** max(0, len(self.resnet) - 1)


# width, layers, heads, mlp. Ti to L: table 2 of "How to train your ViT?"; H: table 1 of "An Image is Worth 16x16
# Words".
# Mini is our own, for members that must be small and quick, such as vit_demo.
SIZES: dict[str, tuple[int, int, int, int]] = {
    "Mini": (64, 6, 4, 256),
    "Ti": (192, 12, 3, 768),
    "S": (384, 12, 6, 1536),
    "B": (768, 12, 12, 3072),
    "L": (1024, 24, 16, 4096),
    "H": (1280, 32, 16, 5120),
}

# The hybrids. Their names give the total stride; the patch is what is left of it after the ResNet. R+Ti/16 has the
# root alone (stride 4) before patches of 8: a token for 32 pixels in spite of its name, as its parameter count shows.
HYBRIDS: dict[str, Variant] = {
    "R+Ti/16": Variant(8, *SIZES["Ti"], resnet=()),
    "R26+S/32": Variant(1, *SIZES["S"], resnet=(2, 2, 2, 2)),
    "R50+L/32": Variant(1, *SIZES["L"], resnet=(3, 4, 6, 3)),
}


def variant(name: str) -> Variant:
    """Returns the architecture called `name`: a hybrid of the table, or any `<size>/<patch>` such as "S/16" or "S/14".

    Raises:
        Fault: for a name that is neither.
    """
    if name in HYBRIDS:
        return HYBRIDS[name]
    match = re.fullmatch(r"(\w+)/([1-9]\d*)", name)
    if not match or match[1] not in SIZES:
        known = [*HYBRIDS, *(f"{size}/16" for size in SIZES)]
        raise Fault(
            f"unknown variant {name!r}{nearest(name, known)}: expected <size>/<patch> with a size of "
            f"{', '.join(SIZES)}, or one of {', '.join(HYBRIDS)}"
        )
    return Variant(int(match[2]), *SIZES[match[1]])


@dataclass(frozen=True)
class Model:
    """The section `model` of a member.

    Attributes:
        variant: a name that variant() knows.
        image_size: the side of the square input, in pixels.
        classes: the number of logits.
        labels: a label file, relative to the member's YAML file; None when the classes have no names.
    """

    variant: str
    image_size: int
    classes: int
    labels: str | None = None


class StdConv(nn.Module):
    """A convolution without bias whose kernel is standardised per output channel (https://arxiv.org/abs/1903.10520)."""

    features: int
    size: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        kernel = kernel - jnp.mean(kernel, axis=(0, 1, 2))
        # The epsilon is added to the deviation, not to the variance, as upstream does.
        kernel = kernel / (jnp.std(kernel, axis=(0, 1, 2)) + 1e-5)
        return jax.lax.conv_general_dilated(
            x, kernel, (self.stride, self.stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )


# The variance in two passes, as the mean of (x - mean)^2: with the one-pass E[x^2] - E[x]^2 that Flax takes by default,
# float32 logits of random R26+S/32 and R50+L/32 are 2.4 times further from the float64 ones (9.4e-6 and 5.6e-5 of the
# largest logit, against 3.7e-6 and 2.5e-5; benchmarks/precision.py). LayerNorm gains nothing by it.
GroupNorm = functools.partial(nn.GroupNorm, num_groups=32, epsilon=1e-6, use_fast_variance=False)
LayerNorm = functools.partial(nn.LayerNorm, epsilon=1e-6)


class ResidualUnit(nn.Module):
    """A bottleneck unit with the activation after the sum; the second convolution carries the stride."""

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
    """A run of residual units; the first one carries the stride."""

    features: int
    units: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for unit in range(1, self.units + 1):
            x = ResidualUnit(self.features, self.stride if unit == 1 else 1, name=f"unit{unit}")(x)
        return x


class MlpBlock(nn.Module):
    """Two dense layers with the tanh form of GELU between them."""

    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        x = nn.gelu(nn.Dense(self.hidden, name="Dense_0")(x), approximate=True)
        return nn.Dense(width, name="Dense_1")(x)


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and MLP. The counters in the names are those of the Flax API before linen."""

    heads: int
    mlp: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        attention = nn.MultiHeadDotProductAttention(num_heads=self.heads, name="MultiHeadDotProductAttention_1")
        y = LayerNorm(name="LayerNorm_0")(x)
        x = x + attention(y, y)
        return x + MlpBlock(self.mlp, name="MlpBlock_3")(LayerNorm(name="LayerNorm_2")(x))


class AddPositionEmbedding(nn.Module):
    """Adds one learned vector per token."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.param("pos_embedding", nn.initializers.normal(0.02), (1, *x.shape[1:]), jnp.float32)


class Encoder(nn.Module):
    """The stack of encoder blocks between the position embedding and the last LayerNorm."""

    variant: Variant

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = AddPositionEmbedding(name="posembed_input")(x)
        for layer in range(self.variant.layers):
            x = EncoderBlock(self.variant.heads, self.variant.mlp, name=f"encoderblock_{layer}")(x)
        return LayerNorm(name="encoder_norm")(x)


class VisionTransformer(nn.Module):
    """A Vision Transformer with a class token.

    Attributes:
        variant: the architecture.
        classes: the number of logits; None for the feature extractor, which has no head.
    """

    variant: Variant
    classes: int | None

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps float32 (n, size, size, 3) in [-1, 1] to logits (n, classes), or features (n, width) without a head."""
        x = images
        if self.variant.resnet is not None:
            x = nn.relu(GroupNorm(name="gn_root")(StdConv(64, 7, 2, name="conv_root")(x)))
            x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
            for stage, units in enumerate(self.variant.resnet):
                x = ResNetStage(64 * 2**stage, units, 1 if stage == 0 else 2, name=f"block{stage + 1}")(x)
        patch = (self.variant.patch, self.variant.patch)
        x = nn.Conv(self.variant.width, patch, strides=patch, padding="VALID", name="embedding")(x)
        n, height, width, channels = x.shape
        x = x.reshape(n, height * width, channels)
        cls = self.param("cls", nn.initializers.zeros, (1, 1, channels), jnp.float32)
        x = jnp.concatenate([jnp.broadcast_to(cls, (n, 1, channels)), x], axis=1)
        features = Encoder(self.variant, name="Transformer")(x)[:, 0]
        if self.classes is None:
            return features
        # A zero head is how upstream starts fine-tuning: every class equally likely.
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(features)


def parameter_shapes(name: str, image_size: int, classes: int | None) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter by its path, such as "Transformer/encoder_norm/scale", without computing.

    Raises:
        Fault: for an unknown variant, or an image size that its tokens do not divide.
    """
    architecture = variant(name)
    if image_size <= 0 or image_size % architecture.stride:
        raise Fault(
            f"image_size {image_size} does not fit variant {name}: expected a multiple of {architecture.stride}"
        )
    image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    module = VisionTransformer(architecture, classes)
    tree = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
    return {"/".join(key.key for key in path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
