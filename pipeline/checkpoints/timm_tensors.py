"""What timm's Vision Transformers hold, and what upstream's checkpoints have in each tensor's place.

Read off VisionTransformer.load_pretrained of timm 1.0.31, which reads an AugReg .npz without losing anything: it
renames, transposes, drops axes of length one, and stacks query, key and value.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.model.variants import Variant, variant

Shape = tuple[int, ...]

# PyTorch has the outputs before the inputs, and these before a convolution's window; vectors and tokens are alike.
_AXES = {1: (0,), 2: (1, 0), 3: (0, 1, 2), 4: (2, 3, 1, 0)}


@dataclass(frozen=True)
class Tensor:
    """A tensor as timm has it, and what upstream has in its place.

    Attributes:
        shape: in timm.
        names: upstream's arrays, by path. timm stacks several along the first axis, in this order.
        upstream: the shape of each of them, which may split or add axes after the transposition.
    """

    shape: Shape
    names: tuple[str, ...]
    upstream: Shape

    def arrays(self, value: np.ndarray) -> dict[str, np.ndarray]:
        """Takes timm's value apart into upstream's arrays, each in C order."""
        parts = np.split(value, len(self.names))
        return {
            name: np.ascontiguousarray(part.transpose(_AXES[part.ndim])).reshape(self.upstream)
            for name, part in zip(self.names, parts, strict=True)
        }


def _same(name: str, *shape: int) -> Tensor:
    return Tensor(shape, (name,), shape)


def _dense(timm: str, upstream: str, inputs: int, outputs: int) -> dict[str, Tensor]:
    return {
        f"{timm}.weight": Tensor((outputs, inputs), (f"{upstream}/kernel",), (inputs, outputs)),
        f"{timm}.bias": _same(f"{upstream}/bias", outputs),
    }


def _convolution(timm: str, upstream: str, size: int, inputs: int, outputs: int) -> dict[str, Tensor]:
    shape = (size, size, inputs, outputs)
    return {f"{timm}.weight": Tensor((outputs, inputs, size, size), (f"{upstream}/kernel",), shape)}


def _norm(timm: str, upstream: str, channels: int, axes: int = 1) -> dict[str, Tensor]:
    """A LayerNorm, or with four axes a GroupNorm: upstream stores its scale and bias as (1, 1, 1, channels)."""
    shape = (1,) * (axes - 1) + (channels,)
    return {
        f"{timm}.weight": Tensor((channels,), (f"{upstream}/scale",), shape),
        f"{timm}.bias": Tensor((channels,), (f"{upstream}/bias",), shape),
    }


def _attention(timm: str, upstream: str, width: int, heads: int) -> dict[str, Tensor]:
    depth = width // heads
    stacked = [f"{upstream}/{name}" for name in ("query", "key", "value")]
    kernels, biases = (tuple(f"{name}/{kind}" for name in stacked) for kind in ("kernel", "bias"))
    return {
        f"{timm}.qkv.weight": Tensor((3 * width, width), kernels, (width, heads, depth)),
        f"{timm}.qkv.bias": Tensor((3 * width,), biases, (heads, depth)),
        f"{timm}.proj.weight": Tensor((width, width), (f"{upstream}/out/kernel",), (heads, depth, width)),
        f"{timm}.proj.bias": _same(f"{upstream}/out/bias", width),
    }


def _block(number: int, one: Variant) -> dict[str, Tensor]:
    timm, upstream = f"blocks.{number}", f"Transformer/encoderblock_{number}"
    return {
        **_norm(f"{timm}.norm1", f"{upstream}/LayerNorm_0", one.width),
        **_attention(f"{timm}.attn", f"{upstream}/MultiHeadDotProductAttention_1", one.width, one.heads),
        **_norm(f"{timm}.norm2", f"{upstream}/LayerNorm_2", one.width),
        **_dense(f"{timm}.mlp.fc1", f"{upstream}/MlpBlock_3/Dense_0", one.width, one.mlp),
        **_dense(f"{timm}.mlp.fc2", f"{upstream}/MlpBlock_3/Dense_1", one.mlp, one.width),
    }


def _residual_unit(timm: str, upstream: str, inputs: int, features: int, projected: bool) -> dict[str, Tensor]:
    wide = 4 * features
    layers = [
        ("conv1", "norm1", "conv1", "gn1", 1, inputs, features),
        ("conv2", "norm2", "conv2", "gn2", 3, features, features),
        ("conv3", "norm3", "conv3", "gn3", 1, features, wide),
    ]
    if projected:
        layers.append(("downsample.conv", "downsample.norm", "conv_proj", "gn_proj", 1, inputs, wide))
    tensors: dict[str, Tensor] = {}
    for convolution, norm, kernel, scale, size, channels, outputs in layers:
        tensors |= _convolution(f"{timm}.{convolution}", f"{upstream}/{kernel}", size, channels, outputs)
        tensors |= _norm(f"{timm}.{norm}", f"{upstream}/{scale}", outputs, axes=4)
    return tensors


def _resnet(units: tuple[int, ...]) -> tuple[dict[str, Tensor], int]:
    """Returns the convolutions before the patches, and how many channels they end in.

    With stages timm calls the root `stem`; a root alone is the whole backbone.
    """
    backbone, channels = "patch_embed.backbone", 64
    root = f"{backbone}.stem" if units else backbone
    tensors = _convolution(f"{root}.conv", "conv_root", 7, 3, channels) | _norm(f"{root}.norm", "gn_root", channels, 4)
    for stage, count in enumerate(units):
        features = 64 * 2**stage
        for unit in range(count):
            timm, upstream = f"{backbone}.stages.{stage}.blocks.{unit}", f"block{stage + 1}/unit{unit + 1}"
            tensors |= _residual_unit(timm, upstream, channels, features, projected=unit == 0)
            channels = 4 * features
    return tensors, channels


def layout(name: str, tokens: int, classes: int | None) -> dict[str, Tensor]:
    """Returns every tensor of timm's model by its name there.

    Args:
        name: a variant that pipeline.model.variants knows.
        tokens: how many, the class token included.
        classes: the number of logits; None for a model without a head.
    """
    one = variant(name)
    tensors, channels = ({}, 3) if one.resnet is None else _resnet(one.resnet)
    tensors |= _convolution("patch_embed.proj", "embedding", one.patch, channels, one.width)
    tensors["patch_embed.proj.bias"] = _same("embedding/bias", one.width)
    tensors["cls_token"] = _same("cls", 1, 1, one.width)
    tensors["pos_embed"] = _same("Transformer/posembed_input/pos_embedding", 1, tokens, one.width)
    for number in range(one.layers):
        tensors |= _block(number, one)
    tensors |= _norm("norm", "Transformer/encoder_norm", one.width)
    return tensors if classes is None else tensors | _dense("head", "head", one.width, classes)
