"""What the layouts of PyTorch's Vision Transformers share: heads, positions, and the variant of a file.

PyTorch's programs have attention's kernels as matrices of width times width; ours are (width, heads, depth), and
(heads, depth, width) after the attention.
"""

import math

from pipeline.model.layouts import TORCH_AXES, Shape, Tensor, UnknownTensors, dense, norm, same
from pipeline.model.vit.architecture import POSITION
from pipeline.model.vit.variants import HYBRIDS, SIZES, Variant, variant

_MAP = "MAPHead_0"


def block_path(number: int) -> str:
    """Returns the path of an encoder block."""
    return f"Transformer/encoderblock_{number}"


def find_variant(patches: Shape, layers: int, units: tuple[int, ...] | None) -> str:
    """Returns the name of the variant of a file.

    Tensors don't show the number of attention heads, which is that of the variant.

    Args:
        patches: the shape of the weight that embeds patches, (width, channels, patch, patch).
        layers: the number of encoder blocks.
        units: the number of residual units of each stage; None without a ResNet.

    Raises:
        UnknownTensors: for none of the known ones.
    """
    if len(patches) != 4 or 0 in patches:
        raise UnknownTensors(f"embeds its patches by an array of the shape {str(patches)[:60]}, expected 4 axes")
    plain = {f"{size}/{patches[-1]}": variant(f"{size}/{patches[-1]}") for size in SIZES}
    variants = plain if units is None else HYBRIDS
    for name, vit in variants.items():
        if (vit.width, vit.layers, vit.resnet) == (patches[0], layers, units):
            return name
    what = "" if units is None else f"after a ResNet whose stages have {str(units)[:60]} units "
    raise UnknownTensors(
        f"its {layers} encoder blocks of width {patches[0]} {what}are none of the variants {', '.join(variants)}, and"
        " the file does not tell its number of heads"
    )


def count_zeros(name: str, shape: Shape, has_class_token: bool) -> int:
    """Returns how many rows of zeros the position embedding of our layout has before those of a file's.

    Args:
        name: of the file's position embedding, for messages.
        shape: of it, (1, tokens, width).
        has_class_token: whether the model has a class token, which may have a position or not.

    Raises:
        UnknownTensors: when the other tokens are no square.
    """
    tokens = shape[1] if len(shape) == 3 else -1
    if len(shape) != 3:
        raise UnknownTensors(f"lacks {name} of 3 axes" if not shape else f"has {name!r} in the shape {str(shape)[:60]}")
    if has_class_token and _is_square(tokens - 1):
        return 0
    if _is_square(tokens):
        return int(has_class_token)
    tokens_of = "a class token and a square of patches" if has_class_token else "a square of patches"
    raise UnknownTensors(f"{name} has {tokens} tokens, expected {tokens_of}")


def _is_square(count: int) -> bool:
    return count > 0 and math.isqrt(count) ** 2 == count


def position(theirs: str, shape: Shape, zeros: int) -> dict[str, Tensor]:
    """Returns a position embedding (1, tokens, width); see count_zeros()."""
    return {theirs: Tensor(shape, (POSITION,), (1, shape[1] + zeros, shape[2]), zeros=zeros)}


def joined(theirs: str, ours: str, names: tuple[str, ...], vit: Variant) -> dict[str, Tensor]:
    """Returns a weight and a bias that have several layers of attention along their first axis.

    Args:
        theirs: what stands before "weight" and "bias".
        ours: the path of the attention.
        names: of its layers, such as ("query", "key", "value").
        vit: the variant.
    """
    width, depth = vit.width, vit.width // vit.heads
    kernels, biases = (tuple(f"{ours}/{name}/{kind}" for name in names) for kind in ("kernel", "bias"))
    rows = len(names) * width
    return {
        f"{theirs}weight": Tensor((rows, width), kernels, (width, vit.heads, depth), TORCH_AXES[2]),
        f"{theirs}bias": Tensor((rows,), biases, (vit.heads, depth)),
    }


def split_heads(theirs: str, ours: str, vit: Variant) -> dict[str, Tensor]:
    """Returns the weight and the bias of attention's query, key or value."""
    path, _, name = ours.rpartition("/")
    return joined(f"{theirs}.", path, (name,), vit)


def out_projection(theirs: str, ours: str, vit: Variant) -> dict[str, Tensor]:
    """Returns the weight and the bias of the layer after the attention whose path is `ours`."""
    width = vit.width
    shape = (vit.heads, width // vit.heads, width)
    kernel = Tensor((width, width), (f"{ours}/out/kernel",), shape, TORCH_AXES[2])
    return {f"{theirs}.weight": kernel} | same(f"{theirs}.bias", f"{ours}/out/bias", width)


def map_head(probe: str, scale: str, mlp: str, vit: Variant) -> dict[str, Tensor]:
    """Returns the tensors of attention pooling beside its attention.

    Args:
        probe: the name of the learned query, (1, 1, width).
        scale: of its LayerNorm.
        mlp: of its MLP, whose layers are fc1 and fc2.
        vit: the variant.
    """
    return {
        **same(probe, f"{_MAP}/probe", 1, 1, vit.width),
        **norm(scale, f"{_MAP}/LayerNorm_0", vit.width),
        **dense(f"{mlp}.fc1", f"{_MAP}/MlpBlock_0/Dense_0", vit.width, vit.mlp),
        **dense(f"{mlp}.fc2", f"{_MAP}/MlpBlock_0/Dense_1", vit.mlp, vit.width),
    }
