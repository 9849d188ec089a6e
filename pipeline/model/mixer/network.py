"""The MLP-Mixers of google-research/vision_transformer as one Flax module; variants.py has their table.

Sources: "MLP-Mixer: An all-MLP Architecture for Vision" (https://arxiv.org/abs/2105.01601) and, for what the paper
leaves open (epsilons, the form of GELU, names of parameters), vit_jax/models_mixer.py of
https://github.com/google-research/vision_transformer and big_vision/models/mlp_mixer.py of
https://github.com/google-research/big_vision.
Submodules have the names that the published checkpoints use, so a checkpoint's keys are the parameters' paths.
The names of functions that JAX traces are part of the bytes of published modules.
"""

from collections.abc import Mapping
from pathlib import Path

import jax
from flax import linen as nn

from pipeline.base.fault import Fault
from pipeline.model.architecture import Shape
from pipeline.model.blocks import call_shared
from pipeline.model.flax_network import FlaxNetwork
from pipeline.model.layers import LayerNorm, MlpBlock, Patches, average_tokens
from pipeline.model.mixer.architecture import find_image_size
from pipeline.model.mixer.variants import Variant, variant
from pipeline.model.network import Network, Tolerances
from pipeline.model.section import Model


class MixerBlock(nn.Module):
    """Pre-norm MLPs that mix tokens, each channel for itself, and then channels, each token for itself.

    Attributes:
        tokens_mlp, channels_mlp: the widths of the hidden layers.
    """

    tokens_mlp: int
    channels_mlp: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (n, tokens, width) to the same shape."""
        y = LayerNorm(name="LayerNorm_0")(x).swapaxes(1, 2)
        x = x + MlpBlock(self.tokens_mlp, name="token_mixing")(y).swapaxes(1, 2)
        return x + MlpBlock(self.channels_mlp, name="channel_mixing")(LayerNorm(name="LayerNorm_1")(x))


class MlpMixer(nn.Module):
    """An MLP-Mixer.

    Attributes:
        variant: the architecture.
        classes: the number of logits; None for the feature extractor, which has no head.
        has_tokens: whether it returns the tokens after the last LayerNorm.
        has_both: whether it returns features and tokens.
    """

    variant: Variant
    classes: int | None
    has_tokens: bool = False
    has_both: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Maps float32 (n, size, size, 3) in [-1, 1] to logits (n, classes), or features (n, width) without a head.

        With has_tokens it returns (n, size**2 / patch**2, width) instead, whose mean over the tokens the features are.
        """
        x = Patches(self.variant.width, self.variant.patch, name="stem")(images)
        for layer in range(self.variant.layers):
            block = MixerBlock(self.variant.tokens_mlp, self.variant.channels_mlp, parent=None)
            x = call_shared(self, block, f"MixerBlock_{layer}", x)
        tokens = LayerNorm(name="pre_head_layer_norm")(x)
        if self.has_tokens:
            return tokens
        features = average_tokens(tokens)
        if self.has_both:
            return features, tokens
        if self.classes is None:
            return features
        # Upstream starts fine-tuning with a zero head, so that every class is equally likely.
        return nn.Dense(self.classes, kernel_init=nn.initializers.zeros, name="head")(features)


class MixerNetwork(FlaxNetwork):
    """An MLP-Mixer of a section `model`."""

    blocks = "MixerBlock_"
    tolerances = Tolerances(outputs=1e-5, gradients=2e-4, tokens=1e-5)

    def __init__(self, model: Model) -> None:
        self.model = model
        self._variant = variant(model.variant)

    def module(
        self, classes: int | None, dropout: float = 0.0, has_tokens: bool = False, has_both: bool = False
    ) -> MlpMixer:
        del dropout  # upstream's Mixers have none
        return MlpMixer(self._variant, classes, has_tokens, has_both)

    def stored_image_size(self, shapes: Mapping[str, Shape]) -> int | None:
        size, wanted = find_image_size(shapes), self.model.image_size
        if size is not None and size != wanted and shapes == self.expected_shapes(size):
            raise Fault(
                f"the checkpoint is of images of {size} pixels, but model.image_size is {wanted}: an MLP-Mixer cannot"
                " be resized, since its token mixing has a weight for each of"
                f" {self._variant.count_tokens(size)} tokens; set model.image_size to {size}"
            )
        return None


def open_network(model: Model, folder: Path) -> Network:
    """Returns the network of a section that names this architecture; nothing of it lies in the member's folder."""
    del folder
    return MixerNetwork(model)
