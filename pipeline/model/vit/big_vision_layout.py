"""The names that big_vision, and vision_transformer since it uses Flax linen, give a Vision Transformer's arrays.

Blocks have other names than in upstream's published files: MultiHeadDotProductAttention_0, LayerNorm_1 and MlpBlock_0
in place of MultiHeadDotProductAttention_1, LayerNorm_2 and MlpBlock_3. big_vision may stack all blocks along a first
axis (scan), and adds its positions, `pos_embedding`, before the class token, which has none. Fixed positions
(sincos2d) are no array. Sources: big_vision/models/vit.py of https://github.com/google-research/big_vision and
vit_jax/models_vit.py of https://github.com/google-research/vision_transformer.
"""

import re
from collections.abc import Mapping

from pipeline.model.layouts import Shape, Tensor, UnknownTensors, check_shapes
from pipeline.model.vit.architecture import POSITION
from pipeline.model.vit.torch_layout import block_path, count_zeros

_RENAMED = {
    "LayerNorm_0": "LayerNorm_0",
    "MultiHeadDotProductAttention_0": "MultiHeadDotProductAttention_1",
    "LayerNorm_1": "LayerNorm_2",
    "MlpBlock_0": "MlpBlock_3",
}
_BLOCK = re.compile(r"Transformer/encoderblock(?:_\d+)?/(LayerNorm_1|MultiHeadDotProductAttention_0|MlpBlock_0)/")
_STACKED = "Transformer/encoderblock/"
# Outside of the blocks, the same as in upstream's published files.
_KEPT = re.compile(
    r"(embedding|head|pre_logits|conv_root|gn_root|Transformer/encoder_norm)/(kernel|bias|scale)|cls|MAPHead_0/.+"
    rf"|block\d+/unit\d+/(conv|gn)\w+/(kernel|bias|scale)|{POSITION}"
)


def read(shapes: Mapping[str, Shape]) -> dict[str, Tensor] | None:
    """Reads the layout; see pipeline.model.layouts.Reader."""
    is_stacked = any(name.startswith(_STACKED) for name in shapes)
    if "embedding/kernel" not in shapes or not (is_stacked or any(_BLOCK.match(name) for name in shapes)):
        return None
    blocks = _stacked_blocks(shapes) if is_stacked else _blocks(shapes)
    tensors = {name: Tensor(shape, (name,), shape) for name, shape in shapes.items() if _KEPT.fullmatch(name)}
    if (positions := shapes.get("pos_embedding")) is not None:
        zeros = count_zeros("pos_embedding", positions, "cls" in shapes)
        whole = (1, positions[1] + zeros, positions[2])
        tensors["pos_embedding"] = Tensor((1, *positions[1:]), (POSITION,), whole, zeros=zeros)
        if POSITION in shapes:
            raise UnknownTensors(f"has both pos_embedding and {POSITION}")
    return check_shapes(shapes, tensors | blocks, "a Vision Transformer")


def _block_shapes(width: int, heads: int, mlp: int) -> dict[str, Shape]:
    """Returns the shape of each array of a block, by its path in it."""
    depth = width // heads if heads else 0
    shapes: dict[str, Shape] = {}
    for name in ("LayerNorm_0", "LayerNorm_1"):
        shapes |= {f"{name}/{kind}": (width,) for kind in ("scale", "bias")}
    for name in ("query", "key", "value"):
        path = f"MultiHeadDotProductAttention_0/{name}"
        shapes |= {f"{path}/kernel": (width, heads, depth), f"{path}/bias": (heads, depth)}
    path = "MultiHeadDotProductAttention_0/out"
    shapes |= {f"{path}/kernel": (heads, depth, width), f"{path}/bias": (width,)}
    shapes |= {"MlpBlock_0/Dense_0/kernel": (width, mlp), "MlpBlock_0/Dense_0/bias": (mlp,)}
    return shapes | {"MlpBlock_0/Dense_1/kernel": (mlp, width), "MlpBlock_0/Dense_1/bias": (width,)}


def _shapes_of_first(shapes: Mapping[str, Shape], path: str, axes: int) -> dict[str, Shape]:
    """Returns the shapes that all blocks must have, after those of one.

    Args:
        shapes: of the file's arrays.
        path: of the block.
        axes: the number of axes before those of the block's own arrays, 1 where blocks are stacked.
    """
    query = shapes.get(f"{path}MultiHeadDotProductAttention_0/query/kernel", ())[axes:]
    hidden = shapes.get(f"{path}MlpBlock_0/Dense_0/bias", ())[axes:]
    if len(query) != 3 or len(hidden) != 1:
        raise UnknownTensors(f"lacks the query or the MLP of {path.rstrip('/')}, or has them in other shapes")
    return _block_shapes(shapes["embedding/kernel"][-1], query[1], hidden[0])


def _our_name(name: str) -> str:
    """Returns the path of a block's array in ours."""
    first, rest = name.split("/", 1)
    return f"{_RENAMED[first]}/{rest}"


def _blocks(shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    layers = len({match[1] for name in shapes if (match := re.match(r"Transformer/encoderblock_(\d+)/", name))})
    block = _shapes_of_first(shapes, f"{block_path(0)}/", axes=0)
    return {
        f"{block_path(layer)}/{name}": Tensor(shape, (f"{block_path(layer)}/{_our_name(name)}",), shape)
        for layer in range(layers)
        for name, shape in block.items()
    }


def _stacked_blocks(shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    layers = (*shapes.get(f"{_STACKED}LayerNorm_0/scale", ()), 0)[0]
    if not 0 < layers <= 1_000:
        raise UnknownTensors(f"lacks {_STACKED}LayerNorm_0/scale of (layers, width)")
    return {
        f"{_STACKED}{name}": Tensor(
            (layers, *shape), tuple(f"{block_path(layer)}/{_our_name(name)}" for layer in range(layers)), shape
        )
        for name, shape in _shapes_of_first(shapes, _STACKED, axes=1).items()
    }
