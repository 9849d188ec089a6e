"""The Vision Transformers of google-research/vision_transformer as one Flax module; variants.py has their table.

Sources: "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929), "How to train your ViT?"
(https://arxiv.org/abs/2106.10270) and, for what the papers leave open (epsilons, paddings, names of parameters),
vit_jax/models_vit.py and vit_jax/models_resnet.py of https://github.com/google-research/vision_transformer.
Submodules have the names that the published checkpoints use, so a checkpoint's keys are the parameters' paths.
The names of functions that JAX traces are part of the bytes of published modules.
"""

import functools
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict

from pipeline.model.blocks import BLOCKS, call_shared
from pipeline.model.layers import LayerNorm, MlpBlock, Patches
from pipeline.model.network import Network, Shape, Tolerances, Values, Weights
from pipeline.model.parameters import nest_parameters
from pipeline.model.section import Model
from pipeline.model.vit.variants import Variant, variant


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
# relative error of float32 logits is about 2.4 times as large: 9.4e-6 and 5.6e-5 for random R26+S/32 and R50+L/32,
# instead of 3.7e-6 and 2.5e-5 (benchmarks/precision.py). LayerNorm gains nothing by it.
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


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Attributes:
        heads: divides the width.
        queries: the number of first tokens that are computed, None for all; they attend to all tokens.
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
    """Position embedding, encoder blocks and LayerNorm.

    Attributes:
        variant: the architecture.
        dropout: the rate after the position embedding and in the blocks; 0 for none.
        has_all_tokens: whether all tokens are returned, not the first alone, which is the class token.
    """

    variant: Variant
    dropout: float = 0.0
    has_all_tokens: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, tokens, width) to (n, tokens, width), or (n, width) for the first token."""
        x = AddPositionEmbedding(name="posembed_input")(x)
        x = nn.Dropout(self.dropout, deterministic=False)(x)
        for layer in range(self.variant.layers):
            is_last = layer == self.variant.layers - 1
            queries = 1 if is_last and not self.has_all_tokens else None  # the last block computes what is returned
            block = EncoderBlock(self.variant.heads, self.variant.mlp, self.dropout, queries, parent=None)
            x = call_shared(self, block, f"encoderblock_{layer}", x)
        return LayerNorm(name="encoder_norm")(x if self.has_all_tokens else x[:, 0])


class VisionTransformer(nn.Module):
    """A Vision Transformer with a class token.

    Attributes:
        variant: the architecture.
        classes: the number of logits; None for the feature extractor, which has no head.
        dropout: the rate, applied where upstream does: after the position embedding, after each attention and twice in
            each MLP. Positive only while training; it needs a random key, `rngs={"dropout": key}`.
        has_tokens: whether it returns the tokens after the last LayerNorm.
    """

    variant: Variant
    classes: int | None
    dropout: float = 0.0
    has_tokens: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Maps float32 (n, size, size, 3) in [-1, 1] to logits (n, classes), or features (n, width) without a head.

        With has_tokens it returns (n, 1 + size**2 / stride**2, width) instead; the class token is the first.
        """
        x = images
        if self.variant.resnet is not None:
            x = resnet(self.variant.resnet, ResNetStage, x)
        x = Patches(self.variant.width, self.variant.patch, name="embedding")(x)
        n, _, width = x.shape
        cls = self.param("cls", nn.initializers.zeros, (1, 1, width), jnp.float32)
        x = jnp.concatenate([jnp.broadcast_to(cls, (n, 1, width)), x], axis=1)
        features = Encoder(self.variant, self.dropout, self.has_tokens, name="Transformer")(x)
        if self.classes is None or self.has_tokens:
            return features
        # Upstream starts fine-tuning with a zero head, so that every class is equally likely.
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(features)


class VitNetwork(Network):
    """A Vision Transformer of a section `model`."""

    has_tokens = True

    def __init__(self, model: Model) -> None:
        self.model = model
        self._variant = variant(model.variant)
        # A hybrid's convolutions have longer sums, in other orders: for R50+L/32 float32 alone differs from float64 by
        # 2e-5 (benchmarks/precision.py). Gradients, measured with random weights: 8e-6 for S/16, 4e-3 for R26+S/32,
        # 2e-2 for R50+L/32. In JAX alone the float32 gradients of R50+L/32 differ from float64 by 1.6e-2: where a
        # ReLU's input is zero except for rounding, its slope depends on the implementation. A wrong gradient differs by
        # about its whole norm.
        self.tolerances = Tolerances(1e-5, 2e-4) if self._variant.resnet is None else Tolerances(5e-5, 5e-2)

    def _apply(self, classes: int | None, weights: Weights, images: Values, key: jax.Array | None) -> jax.Array:
        module = VisionTransformer(self._variant, classes, 0.0 if key is None else self.model.dropout)
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

    def tokens(self, weights: Weights, images: Values) -> jax.Array:
        module = VisionTransformer(self._variant, None, has_tokens=True)
        tokens: jax.Array = module.apply({"params": nest_parameters(weights)}, images)
        return tokens

    def trace(self, weights: Weights, images: Values) -> dict[str, tuple[jax.Array, jax.Array]]:
        module = VisionTransformer(self._variant, self.model.classes)
        _, state = module.apply({"params": nest_parameters(weights)}, images, mutable=[BLOCKS])
        return {path: ends for path, (ends,) in flatten_dict(state[BLOCKS], sep="/").items()}

    def expected_shapes(self, image_size: int | None = None) -> dict[str, Shape]:
        size = image_size or self.model.image_size
        image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
        # One encoder block is traced for all, since they are equal.
        module = VisionTransformer(replace(self._variant, layers=1), self.model.classes)
        tree = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
        encoder = tree["Transformer"]
        block = encoder.pop("encoderblock_0")
        encoder |= {f"encoderblock_{layer}": block for layer in range(self._variant.layers)}
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {"/".join(key.key for key in path): leaf.shape for path, leaf in leaves}


def open_network(model: Model) -> Network:
    """Returns the network of a section that names this architecture."""
    return VitNetwork(model)
