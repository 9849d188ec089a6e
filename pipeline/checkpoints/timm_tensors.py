"""The tensors of timm's Vision Transformers, and the arrays of upstream's checkpoints that they stand for.

After VisionTransformer.load_pretrained of timm 1.0.31, which reads an AugReg .npz without losing anything: it renames,
transposes, drops axes of length one, and stacks query, key and value.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.model.vit.variants import Variant, variant

Shape = tuple[int, ...]

# By number of axes: PyTorch has outputs before inputs, and a convolution's window last; the others are the same.
_AXES = {1: (0,), 2: (1, 0), 3: (0, 1, 2), 4: (2, 3, 1, 0)}


@dataclass(frozen=True)
class Tensor:
    """A tensor of timm, and upstream's arrays that it stands for.

    Attributes:
        shape: of the tensor.
        names: the paths of upstream's arrays. timm stacks several along the first axis, in this order.
        upstream: the shape of each array, which may split or add axes after the transposition.
    """

    shape: Shape
    names: tuple[str, ...]
    upstream: Shape

    def arrays(self, value: np.ndarray) -> dict[str, np.ndarray]:
        """Splits the tensor's value into upstream's arrays, by path, each in C order."""
        parts = np.split(value, len(self.names))
        return {
            name: np.ascontiguousarray(part.transpose(_AXES[part.ndim])).reshape(self.upstream)
            for name, part in zip(self.names, parts, strict=True)
        }


def _unchanged(name: str, *shape: int) -> Tensor:
    return Tensor(shape, (name,), shape)


def _dense(timm: str, upstream: str, inputs: int, outputs: int) -> dict[str, Tensor]:
    return {
        f"{timm}.weight": Tensor((outputs, inputs), (f"{upstream}/kernel",), (inputs, outputs)),
        f"{timm}.bias": _unchanged(f"{upstream}/bias", outputs),
    }


def _convolution(timm: str, upstream: str, size: int, inputs: int, outputs: int) -> dict[str, Tensor]:
    shape = (size, size, inputs, outputs)
    return {f"{timm}.weight": Tensor((outputs, inputs, size, size), (f"{upstream}/kernel",), shape)}


def _norm(timm: str, upstream: str, channels: int, axes: int = 1) -> dict[str, Tensor]:
    """A LayerNorm; with `axes=4` a GroupNorm, whose scale and bias upstream stores as (1, 1, 1, channels)."""
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
        f"{timm}.proj.bias": _unchanged(f"{upstream}/out/bias", width),
    }


def _block(number: int, vit: Variant) -> dict[str, Tensor]:
    timm, upstream = f"blocks.{number}", f"Transformer/encoderblock_{number}"
    return {
        **_norm(f"{timm}.norm1", f"{upstream}/LayerNorm_0", vit.width),
        **_attention(f"{timm}.attn", f"{upstream}/MultiHeadDotProductAttention_1", vit.width, vit.heads),
        **_norm(f"{timm}.norm2", f"{upstream}/LayerNorm_2", vit.width),
        **_dense(f"{timm}.mlp.fc1", f"{upstream}/MlpBlock_3/Dense_0", vit.width, vit.mlp),
        **_dense(f"{timm}.mlp.fc2", f"{upstream}/MlpBlock_3/Dense_1", vit.mlp, vit.width),
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
    """Returns the tensors of the convolutions before the patches, and the number of their output channels.

    Args:
        units: the number of residual units of each stage. With stages timm calls the root `stem`; without, the root is
            the whole backbsize.
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
    """Returns every tensor of timm's model, by timm's name.

    Args:
        name: a variant of pipeline.model.vit.variants.
        tokens: the number of tokens, with the class token.
        classes: the number of logits; None for a model without a head.
    """
    vit = variant(name)
    tensors, channels = ({}, 3) if vit.resnet is None else _resnet(vit.resnet)
    tensors |= _convolution("patch_embed.proj", "embedding", vit.patch, channels, vit.width)
    tensors["patch_embed.proj.bias"] = _unchanged("embedding/bias", vit.width)
    tensors["cls_token"] = _unchanged("cls", 1, 1, vit.width)
    tensors["pos_embed"] = _unchanged("Transformer/posembed_input/pos_embedding", 1, tokens, vit.width)
    for number in range(vit.layers):
        tensors |= _block(number, vit)
    tensors |= _norm("norm", "Transformer/encoder_norm", vit.width)
    return tensors if classes is None else tensors | _dense("head", "head", vit.width, classes)
