"""The names of MLP-Mixers' arrays in other programs' files; see pipeline.model.layouts.

big_vision's names are upstream's (big_vision/models/mlp_mixer.py of https://github.com/google-research/big_vision), so
that its files are read as ours; the library transformers has no MLP-Mixer.
"""

import re
from collections.abc import Mapping

from pipeline.model.layouts import Shape, Tensor, UnknownTensors, check_shapes, convolution, dense, norm, same
from pipeline.model.mixer.architecture import STEM
from pipeline.model.mixer.variants import SIZES, Variant, variant

_STEM = "stem.proj.weight"
_TOKENS = "blocks.0.mlp_tokens.fc1.weight"


def read_timm(shapes: Mapping[str, Shape]) -> dict[str, Tensor] | None:
    """Reads the layout of timm 1.0.31 (timm/models/mlp_mixer.py); see pipeline.model.layouts.Reader."""
    if _STEM not in shapes or _TOKENS not in shapes:
        return None
    name = _name_variant(shapes)
    tokens = shapes[_TOKENS][-1] if len(shapes[_TOKENS]) == 2 else 0
    tensors = _timm_tensors(variant(name), tokens, shapes.get("head.weight") or shapes.get("head.bias"))
    return check_shapes(shapes, tensors, f"an MLP-Mixer {name}")


def _name_variant(shapes: Mapping[str, Shape]) -> str:
    """Returns the name of the variant of a file.

    Raises:
        UnknownTensors: for none of the known ones.
    """
    stem = shapes[_STEM]
    if len(stem) != 4 or 0 in stem:
        raise UnknownTensors(f"embeds its patches by an array of the shape {str(stem)[:60]}, expected 4 axes")
    layers = len({match[1] for name in shapes if (match := re.match(r"blocks\.(\d+)\.", name))})
    for size, numbers in SIZES.items():
        if numbers[:2] == (stem[0], layers):
            return f"{size}/{stem[-1]}"
    raise UnknownTensors(f"its {layers} blocks of width {stem[0]} are none of the sizes {', '.join(SIZES)}")


def _timm_tensors(mixer: Variant, tokens: int, head: Shape | None) -> dict[str, Tensor]:
    """Returns every tensor of timm's model, by timm's name.

    Args:
        mixer: the variant.
        tokens: the number of tokens of an image.
        head: the shape of its head, (classes, width); None for a model without one.
    """
    width = mixer.width
    tensors = convolution("stem.proj", "stem", mixer.patch, 3, width) | same("stem.proj.bias", "stem/bias", width)
    for layer in range(mixer.layers):
        theirs, ours = f"blocks.{layer}", f"MixerBlock_{layer}"
        tensors |= norm(f"{theirs}.norm1", f"{ours}/LayerNorm_0", width)
        tensors |= _mlp(f"{theirs}.mlp_tokens", f"{ours}/token_mixing", tokens, mixer.tokens_mlp)
        tensors |= norm(f"{theirs}.norm2", f"{ours}/LayerNorm_1", width)
        tensors |= _mlp(f"{theirs}.mlp_channels", f"{ours}/channel_mixing", width, mixer.channels_mlp)
    tensors |= norm("norm", "pre_head_layer_norm", width)
    return tensors | dense("head", "head", width, head[0]) if head else tensors


def _mlp(theirs: str, ours: str, size: int, hidden: int) -> dict[str, Tensor]:
    return dense(f"{theirs}.fc1", f"{ours}/Dense_0", size, hidden) | dense(
        f"{theirs}.fc2", f"{ours}/Dense_1", hidden, size
    )


ANCHORS = (STEM, _STEM)
LAYOUTS = {"timm": read_timm}
