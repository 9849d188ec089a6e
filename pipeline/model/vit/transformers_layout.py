"""transformers' names of the arrays of Vision Transformers, and of the image towers of SigLIP.

After the files that save_pretrained() of transformers 5.24 writes, which are those of version 4 (ViTModel,
ViTForImageClassification, SiglipVisionModel, SiglipForImageClassification, SiglipModel). A ViT's pooler is a layer with
tanh, upstream's pre_logits. SigLIP pools by attention; its classifier reads the mean of the tokens instead.
"""

import re
from collections.abc import Mapping

from pipeline.model.layouts import Shape, Tensor, check_shapes, convolution, dense, norm, same, unused
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

_VIT, _SIGLIP = "embeddings.patch_embeddings.projection.weight", "embeddings.patch_embedding.weight"
ANCHORS = (f"vit.{_VIT}", _VIT, f"vision_model.{_SIGLIP}", _SIGLIP)
# Beside the image tower in a file of both.
_TEXTS = re.compile(r"text_model\.|logit_(scale|bias)$")


def read(shapes: Mapping[str, Shape]) -> dict[str, Tensor] | None:
    """Reads the layout; see pipeline.model.layouts.Reader."""
    for prefix in ("vit.", ""):
        if prefix + _VIT in shapes and any(name.startswith(f"{prefix}encoder.layer.") for name in shapes):
            return _read_vit(shapes, prefix)
    for prefix in ("vision_model.", ""):
        is_clip = f"{prefix}embeddings.class_embedding" in shapes
        if prefix + _SIGLIP in shapes and f"{prefix}post_layernorm.weight" in shapes and not is_clip:
            return _read_siglip(shapes, prefix)
    return None


def _count_layers(shapes: Mapping[str, Shape], pattern: str) -> int:
    return len({match[1] for name in shapes if (match := re.match(pattern, name))})


def _read_vit(shapes: Mapping[str, Shape], prefix: str) -> dict[str, Tensor]:
    layers = _count_layers(shapes, re.escape(prefix) + r"encoder\.layer\.(\d+)\.")
    name = find_variant(shapes[prefix + _VIT], layers, None)
    vit, key = variant(name), f"{prefix}embeddings.position_embeddings"
    positions = shapes.get(key, ())
    zeros = count_zeros(key, positions, has_class_token=True)
    tensors = _patches(f"{prefix}embeddings.patch_embeddings.projection", vit)
    tensors |= same(f"{prefix}embeddings.cls_token", "cls", 1, 1, vit.width)
    tensors |= position(key, (1, positions[1], vit.width), zeros)
    for number in range(vit.layers):
        tensors |= _vit_block(f"{prefix}encoder.layer.{number}", number, vit)
    tensors |= norm(f"{prefix}layernorm", "Transformer/encoder_norm", vit.width)
    width, pooler = vit.width, shapes.get(f"{prefix}pooler.dense.weight")
    if pooler:
        width = pooler[0]
        tensors |= dense(f"{prefix}pooler.dense", "pre_logits", vit.width, width)
    return check_shapes(shapes, tensors | _head(shapes, width), f"a Vision Transformer {name}")


def _patches(theirs: str, vit: Variant) -> dict[str, Tensor]:
    kernel = convolution(theirs, "embedding", vit.patch, 3, vit.width)
    return kernel | same(f"{theirs}.bias", "embedding/bias", vit.width)


def _head(shapes: Mapping[str, Shape], width: int) -> dict[str, Tensor]:
    head = shapes.get("classifier.weight") or shapes.get("classifier.bias")
    return dense("classifier", "head", width, head[0]) if head else {}


def _vit_block(theirs: str, number: int, vit: Variant) -> dict[str, Tensor]:
    ours = block_path(number)
    attention = f"{ours}/MultiHeadDotProductAttention_1"
    tensors = norm(f"{theirs}.layernorm_before", f"{ours}/LayerNorm_0", vit.width)
    for name in ("query", "key", "value"):
        tensors |= split_heads(f"{theirs}.attention.attention.{name}", f"{attention}/{name}", vit)
    return {
        **tensors,
        **out_projection(f"{theirs}.attention.output.dense", attention, vit),
        **norm(f"{theirs}.layernorm_after", f"{ours}/LayerNorm_2", vit.width),
        **dense(f"{theirs}.intermediate.dense", f"{ours}/MlpBlock_3/Dense_0", vit.width, vit.mlp),
        **dense(f"{theirs}.output.dense", f"{ours}/MlpBlock_3/Dense_1", vit.mlp, vit.width),
    }


def _read_siglip(shapes: Mapping[str, Shape], prefix: str) -> dict[str, Tensor]:
    layers = _count_layers(shapes, re.escape(prefix) + r"encoder\.layers\.(\d+)\.")
    name = find_variant(shapes[prefix + _SIGLIP], layers, None)
    vit, key = variant(name), f"{prefix}embeddings.position_embedding.weight"
    count = (*shapes.get(key, ()), 0)[0]
    count_zeros(key, (1, count, vit.width), has_class_token=False)
    tensors = _patches(f"{prefix}embeddings.patch_embedding", vit)
    (whole,) = position(key, (1, count, vit.width), 0).values()
    tensors[key] = Tensor((count, vit.width), whole.names, whole.ours)
    for number in range(vit.layers):
        tensors |= _siglip_block(f"{prefix}encoder.layers.{number}", number, vit)
    tensors |= norm(f"{prefix}post_layernorm", "Transformer/encoder_norm", vit.width)
    head, classifier = _map_head(f"{prefix}head", vit), _head(shapes, vit.width)
    if classifier:
        head = {name: unused(name, tensor.shape)[name] for name, tensor in head.items() if name in shapes}
    texts = [name for name in shapes if _TEXTS.match(name)]
    rest = {name: unused(name, shapes[name])[name] for name in texts}
    return check_shapes(shapes, tensors | head | classifier | rest, f"an image tower {name} of SigLIP")


def _siglip_block(theirs: str, number: int, vit: Variant) -> dict[str, Tensor]:
    ours = block_path(number)
    attention = f"{ours}/MultiHeadDotProductAttention_1"
    tensors = norm(f"{theirs}.layer_norm1", f"{ours}/LayerNorm_0", vit.width)
    for letter, name in (("q", "query"), ("k", "key"), ("v", "value")):
        tensors |= split_heads(f"{theirs}.self_attn.{letter}_proj", f"{attention}/{name}", vit)
    return {
        **tensors,
        **out_projection(f"{theirs}.self_attn.out_proj", attention, vit),
        **norm(f"{theirs}.layer_norm2", f"{ours}/LayerNorm_2", vit.width),
        **dense(f"{theirs}.mlp.fc1", f"{ours}/MlpBlock_3/Dense_0", vit.width, vit.mlp),
        **dense(f"{theirs}.mlp.fc2", f"{ours}/MlpBlock_3/Dense_1", vit.mlp, vit.width),
    }


def _map_head(theirs: str, vit: Variant) -> dict[str, Tensor]:
    attention = "MAPHead_0/MultiHeadDotProductAttention_0"
    return {
        **map_head(f"{theirs}.probe", f"{theirs}.layernorm", f"{theirs}.mlp", vit),
        **joined(f"{theirs}.attention.in_proj_", attention, ("query", "key", "value"), vit),
        **out_projection(f"{theirs}.attention.out_proj", attention, vit),
    }
