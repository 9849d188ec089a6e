"""timm's names of the arrays of Vision Transformers and hybrids.

After VisionTransformer.load_pretrained of timm 1.0.31, which reads upstream's .npz without losing anything: it renames,
transposes, drops axes of length one, and stacks query, key and value.
"""

import re
from collections import Counter
from collections.abc import Mapping

from pipeline.model.layouts import Shape, Tensor, check_shapes, convolution, dense, norm, same
from pipeline.model.vit.torch_layout import (
    block_path,
    count_zeros,
    find_variant,
    joined,
    map_head,
    out_projection,
    position,
    split_heads,
)
from pipeline.model.vit.variants import Variant, variant

ANCHOR = "patch_embed.proj.weight"


def read(shapes: Mapping[str, Shape]) -> dict[str, Tensor] | None:
    """Reads the layout; see pipeline.model.layouts.Reader."""
    if ANCHOR not in shapes or not any(re.match(r"blocks\.\d+\.attn\.", name) for name in shapes):
        return None
    patches, layers = (
        shapes[ANCHOR],
        len({match[1] for name in shapes if (match := re.match(r"blocks\.(\d+)\.", name))}),
    )
    name = find_variant(patches, layers, _count_units(shapes))
    tensors = layout(
        name,
        shapes.get("pos_embed", ()),
        "cls_token" in shapes,
        shapes.get("head.weight") or shapes.get("head.bias"),
        has_map=any(key.startswith("attn_pool.") for key in shapes),
        pre_logits=shapes.get("pre_logits.fc.weight"),
    )
    return check_shapes(shapes, tensors, f"a Vision Transformer {name}")


def layout(
    name: str,
    positions: Shape,
    has_class_token: bool,
    head: Shape | None,
    has_map: bool = False,
    pre_logits: Shape | None = None,
) -> dict[str, Tensor]:
    """Returns every tensor of timm's model, by timm's name.

    Args:
        name: a variant of pipeline.model.vit.variants.
        positions: the shape of its position embedding, (1, tokens, width).
        has_class_token: whether it has a class token.
        head: the shape of its head, (classes, width); None for a model without one.
        has_map: whether it pools by attention.
        pre_logits: the shape of the layer before the head, (outputs, width); None without that layer.

    Raises:
        UnknownTensors: for positions that are no square.
    """
    vit = variant(name)
    zeros = count_zeros("pos_embed", positions, has_class_token)
    tensors, channels = ({}, 3) if vit.resnet is None else _resnet(vit.resnet)
    tensors |= convolution("patch_embed.proj", "embedding", vit.patch, channels, vit.width)
    tensors |= same("patch_embed.proj.bias", "embedding/bias", vit.width)
    if has_class_token:
        tensors |= same("cls_token", "cls", 1, 1, vit.width)
    tensors |= position("pos_embed", (1, positions[1], vit.width), zeros)
    for number in range(vit.layers):
        tensors |= _block(number, vit)
    tensors |= norm("norm", "Transformer/encoder_norm", vit.width)
    if has_map:
        tensors |= _map_head(vit)
    width = vit.width
    if pre_logits:
        width = pre_logits[0]
        tensors |= dense("pre_logits.fc", "pre_logits", vit.width, width)
    return tensors | dense("head", "head", width, head[0]) if head else tensors


def _count_units(shapes: Mapping[str, Shape]) -> tuple[int, ...] | None:
    """Returns the number of residual units of each stage, as in Variant.resnet; None without a ResNet."""
    if not any(name.startswith("patch_embed.backbone.") for name in shapes):
        return None
    matches = (re.match(r"patch_embed\.backbone\.stages\.(\d+)\.blocks\.(\d+)\.", name) for name in shapes)
    stages = Counter(stage for stage, _ in {(int(match[1]), int(match[2])) for match in matches if match})
    return tuple(count for _, count in sorted(stages.items()))


def _block(number: int, vit: Variant) -> dict[str, Tensor]:
    theirs, ours = f"blocks.{number}", block_path(number)
    attention = f"{ours}/MultiHeadDotProductAttention_1"
    return {
        **norm(f"{theirs}.norm1", f"{ours}/LayerNorm_0", vit.width),
        **joined(f"{theirs}.attn.qkv.", attention, ("query", "key", "value"), vit),
        **out_projection(f"{theirs}.attn.proj", attention, vit),
        **norm(f"{theirs}.norm2", f"{ours}/LayerNorm_2", vit.width),
        **dense(f"{theirs}.mlp.fc1", f"{ours}/MlpBlock_3/Dense_0", vit.width, vit.mlp),
        **dense(f"{theirs}.mlp.fc2", f"{ours}/MlpBlock_3/Dense_1", vit.mlp, vit.width),
    }


def _map_head(vit: Variant) -> dict[str, Tensor]:
    attention = "MAPHead_0/MultiHeadDotProductAttention_0"
    return {
        **map_head("attn_pool.latent", "attn_pool.norm", "attn_pool.mlp", vit),
        **split_heads("attn_pool.q", f"{attention}/query", vit),
        **joined("attn_pool.kv.", attention, ("key", "value"), vit),
        **out_projection("attn_pool.proj", attention, vit),
    }


def _residual_unit(theirs: str, ours: str, inputs: int, features: int, projected: bool) -> dict[str, Tensor]:
    wide = 4 * features
    layers = [
        ("conv1", "norm1", "conv1", "gn1", 1, inputs, features),
        ("conv2", "norm2", "conv2", "gn2", 3, features, features),
        ("conv3", "norm3", "conv3", "gn3", 1, features, wide),
    ]
    if projected:
        layers.append(("downsample.conv", "downsample.norm", "conv_proj", "gn_proj", 1, inputs, wide))
    tensors: dict[str, Tensor] = {}
    for kernel, scale, our_kernel, our_scale, size, channels, outputs in layers:
        tensors |= convolution(f"{theirs}.{kernel}", f"{ours}/{our_kernel}", size, channels, outputs)
        tensors |= norm(f"{theirs}.{scale}", f"{ours}/{our_scale}", outputs, axes=4)
    return tensors


def _resnet(units: tuple[int, ...]) -> tuple[dict[str, Tensor], int]:
    """Returns the tensors of the convolutions before the patches, and the number of their output channels.

    Args:
        units: the number of residual units of each stage. With stages timm calls the root `stem`; without, the root is
            the whole backbone.
    """
    backbone, channels = "patch_embed.backbone", 64
    root = f"{backbone}.stem" if units else backbone
    tensors = convolution(f"{root}.conv", "conv_root", 7, 3, channels) | norm(f"{root}.norm", "gn_root", channels, 4)
    for stage, count in enumerate(units):
        features = 64 * 2**stage
        for unit in range(count):
            theirs, ours = f"{backbone}.stages.{stage}.blocks.{unit}", f"block{stage + 1}/unit{unit + 1}"
            tensors |= _residual_unit(theirs, ours, channels, features, projected=unit == 0)
            channels = 4 * features
    return tensors, channels
