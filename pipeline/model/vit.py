"""The Vision Transformers of the AugReg pool, as one Flax module; the table of variants is in variants.py.

Sources: "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929), "How to train your ViT?"
(https://arxiv.org/abs/2106.10270) and, for what the papers leave open (epsilons, paddings, names of parameters),
vit_jax/models_vit.py and vit_jax/models_resnet.py of https://github.com/google-research/vision_transformer.
Sub-modules bear the names that the published checkpoints use, so a checkpoint's keys are the parameters' paths.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import linen as nn

from pipeline.model.parameters import give_back
from pipeline.model.variants import Variant, fitting

BLOCKS = "blocks"  # the Flax collection of what goes into the blocks and comes out, for who compares them


@functools.cache
def _apply(module: nn.Module) -> Callable[..., jax.Array]:
    return jax.jit(module.apply)


def call_alike(parent: nn.Module, module: nn.Module, name: str, x: jax.Array) -> jax.Array:
    """Calls a module as the submodule `name`, as one function of its weights that all modules alike share.

    The function is traced, differentiated and lowered once, where nn.jit traces and differentiates each module anew:
    for L/16 that makes the gradient's trace 12 times as fast. StableHLO then holds it once, too.
    """
    if parent.is_initializing():
        return module.clone(parent=parent, name=name)(x)
    rngs = {"dropout": parent.make_rng("dropout")} if parent.has_rng("dropout") else None
    weights = parent.variables["params"][name]
    # Outside of a trace each call waits for its result: calls that queue up would hold all their weights at once.
    y = jax.block_until_ready(_apply(module)({"params": weights}, x, rngs=rngs))
    give_back(jax.tree.leaves(weights))
    parent.sow(BLOCKS, name, (x, y))  # kept only where a caller says mutable=[BLOCKS]
    return y


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
            stride = self.stride if unit == 1 else 1
            x = call_alike(self, ResidualUnit(self.features, stride, parent=None), f"unit{unit}", x)
        return x


def resnet(units: tuple[int, ...], stage: type[nn.Module], x: jax.Array) -> jax.Array:
    """Maps images to what the hybrids cut into patches; to be called inside a module, whose submodules it makes.

    Args:
        units: how many residual units each stage has; none for the root alone.
        stage: the kind of the stages, ResNetStage or like it.
        x: (n, height, width, 3).
    """
    x = nn.relu(GroupNorm(name="gn_root")(StdConv(64, 7, 2, name="conv_root")(x)))
    x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
    for number, count in enumerate(units):
        x = stage(64 * 2**number, count, 1 if number == 0 else 2, name=f"block{number + 1}")(x)
    return x


class Patches(nn.Module):
    """Cuts images into patches and maps each to a vector: upstream's convolution whose stride is its size.

    It is written as one product of matrices, which a CPU computes faster.
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


class Projection(nn.Module):
    """A dense layer between the tokens and the attention's heads, as one product of two matrices.

    Attributes:
        shape: of the kernel, (width, heads, depth) or (heads, depth, width), as the checkpoints have it.
        inputs: how many of its axes, from the first, are summed over; the bias has the others.
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


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Attributes:
        heads: divides the width.
        queries: how many tokens, from the first, ask; None for all. The others are only attended to.
    """

    heads: int
    queries: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, tokens, width) to (n, queries, width)."""
        width = x.shape[-1]
        depth = width // self.heads
        shape = (width, self.heads, depth)
        query = Projection(shape, 1, name="query")(x[:, : self.queries]) * depth**-0.5
        key = Projection(shape, 1, name="key")(x)
        value = Projection(shape, 1, name="value")(x)
        weights = nn.softmax(jnp.einsum("nqhd,nkhd->nhqk", query, key))
        y = jnp.einsum("nhqk,nkhd->nqhd", weights, value)
        return Projection((self.heads, depth, width), 2, name="out")(y)


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


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and MLP. The counters in the names are those of the Flax API before linen.

    Attributes:
        heads: of the attention.
        mlp: the width of its hidden layer.
        dropout: the rate after the attention and in the MLP; 0 for none.
        queries: how many tokens, from the first, it maps; None for all.
    """

    heads: int
    mlp: int
    dropout: float = 0.0
    queries: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        attention = SelfAttention(self.heads, self.queries, name="MultiHeadDotProductAttention_1")
        y = attention(LayerNorm(name="LayerNorm_0")(x))
        x = x[:, : self.queries] + nn.Dropout(self.dropout, deterministic=False)(y)
        return x + MlpBlock(self.mlp, self.dropout, name="MlpBlock_3")(LayerNorm(name="LayerNorm_2")(x))


class AddPositionEmbedding(nn.Module):
    """Adds one learned vector per token."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.param("pos_embedding", nn.initializers.normal(0.02), (1, *x.shape[1:]), jnp.float32)


class Encoder(nn.Module):
    """The stack of encoder blocks between the position embedding and the last LayerNorm; returns the class token."""

    variant: Variant
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, 1 + tokens, width) to (n, width)."""
        x = AddPositionEmbedding(name="posembed_input")(x)
        x = nn.Dropout(self.dropout, deterministic=False)(x)
        for layer in range(self.variant.layers):
            # Nobody reads what the last block makes of the other tokens.
            queries = 1 if layer == self.variant.layers - 1 else None
            block = EncoderBlock(self.variant.heads, self.variant.mlp, self.dropout, queries, parent=None)
            x = call_alike(self, block, f"encoderblock_{layer}", x)
        return LayerNorm(name="encoder_norm")(x[:, 0])


class VisionTransformer(nn.Module):
    """A Vision Transformer with a class token.

    Attributes:
        variant: the architecture.
        classes: the number of logits; None for the feature extractor, which has no head.
        dropout: the rate, where upstream has it: after the position embedding, after each attention and twice in each
            MLP. Positive only while training; it takes a random key, `rngs={"dropout": key}`.
    """

    variant: Variant
    classes: int | None
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps float32 (n, size, size, 3) in [-1, 1] to logits (n, classes), or features (n, width) without a head."""
        x = images
        if self.variant.resnet is not None:
            x = resnet(self.variant.resnet, ResNetStage, x)
        x = Patches(self.variant.width, self.variant.patch, name="embedding")(x)
        n, _, width = x.shape
        cls = self.param("cls", nn.initializers.zeros, (1, 1, width), jnp.float32)
        x = jnp.concatenate([jnp.broadcast_to(cls, (n, 1, width)), x], axis=1)
        features = Encoder(self.variant, self.dropout, name="Transformer")(x)
        if self.classes is None:
            return features
        # A zero head is how upstream starts fine-tuning: every class equally likely.
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(features)


def parameter_shapes(name: str, image_size: int, classes: int | None) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter by its path, such as "Transformer/encoder_norm/scale", without computing.

    Raises:
        Fault: for an unknown variant, or an image size that its tokens do not divide.
    """
    architecture = fitting(name, image_size)
    image = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    # One encoder block is traced and stands for all, which are alike.
    module = VisionTransformer(replace(architecture, layers=1), classes)
    tree = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
    encoder = tree["Transformer"]
    block = encoder.pop("encoderblock_0")
    encoder |= {f"encoderblock_{layer}": block for layer in range(architecture.layers)}
    return {"/".join(key.key for key in path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
