"""Tells whose weights a file holds from the names of its arrays, for messages about files that do not fit.

Imports neither TensorFlow nor JAX.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from pipeline.base.fault import show_name
from pipeline.checkpoints.file_kinds import CONVERT

_OTHER = "it is another architecture than the variants of docs/members.md; choose a checkpoint of one of these"
_RENAME = "docs/members.md, 'Checkpoints of other programs', shows how to rename them"
_TIMM = "name timm's copy of it as a source, if there is one (hf://timm/<model>/model.safetensors)"
# The array that embeds the patches, in the AugReg layout and in timm's. What stands before it is a prefix.
_ANCHORS = ("embedding/kernel", "patch_embed.proj.weight")


@dataclass(frozen=True)
class Layout:
    """The names of another program's or architecture's arrays.

    Attributes:
        what: whose they are.
        pattern: matches part of one of their names, and no name in the AugReg layout.
        advice: what to do.
    """

    what: str
    pattern: str
    advice: str


# The first that matches counts: what tells an architecture comes before what tells a program.
LAYOUTS = (
    Layout("quantized weights", r"(^|[/._])(qweight|qzeros|zero_point|weight_scale|absmax|SCB)$", _OTHER),
    Layout("a LoRA adapter, not a whole model", r"lora_(A|B|up|down)\b", "merge it into its model first"),
    Layout("a ResNet of BiT", r"(^|/)root_block/", _OTHER),
    Layout("a tower for images and one for texts (LiT, SigLIP)", r"^(params/|opt/target/)?(img|txt)/", _OTHER),
    Layout("a CLIP or SigLIP of Hugging Face's transformers", r"(^|\.)(vision|text)_model\.", _OTHER),
    Layout("a CLIP of OpenAI or OpenCLIP", r"(^|\.)(visual\.|transformer\.resblocks\.)", _OTHER),
    Layout("a Segment Anything model", r"(^|\.)(image_encoder|mask_decoder)\.", _OTHER),
    Layout("a DeiT with distillation", r"(dist_token|distillation_token|head_dist\.)", _OTHER),
    Layout("a model with LayerScale (DINOv2, DeiT III, CaiT)", r"\.(ls1|layer_scale1?)\b|\.gamma_1$", _OTHER),
    Layout("a model with register tokens (DINOv2)", r"(^|\.)reg(ister)?_tokens?$", _OTHER),
    Layout("a BEiT, Swin or other model with relative positions", r"relative_position_(bias|index)|\.rel_pos_", _OTHER),
    Layout("an MAE with its decoder", r"(^|\.)decoder_(blocks|embed|pos_embed)", _OTHER),
    Layout("big_vision's attention pooling", r"(^|/)MAPHead_\d+/", _OTHER),
    Layout("big_vision's weights, stacked over the layers (scan)", r"(^|/)encoderblock/", _RENAME),
    Layout(
        "big_vision's weights",
        r"(^|/)encoderblock_\d+/(LayerNorm_1|MlpBlock_0|MultiHeadDotProductAttention_0)/",
        _RENAME,
    ),
    Layout(
        "a Vision Transformer with a pre_logits layer, as before its fine-tuning",
        r"(^|/)pre_logits/(kernel|bias)$",
        "no variant has that layer: choose the fine-tuned checkpoint, or one of the AugReg pool",
    ),
    Layout("weights of Hugging Face's transformers", r"(^|\.)embeddings\.patch_embeddings\.", _TIMM),
    Layout("a Vision Transformer of torchvision", r"(^|\.)encoder\.layers\.encoder_layer_\d+\.", _TIMM),
    Layout("variables of TensorFlow or Keras", r":0$", "name the JAX checkpoint that they were made from"),
    Layout("arrays without names, as np.savez(path, *arrays) writes them", r"^arr_\d+$", CONVERT),
    Layout("arrays whose path is joined by '.'", r"(^|\.)Transformer\.encoderblock_\d+\.", "join it by '/'"),
    Layout("arrays named by Python's or JAX's print of a path", r"^[(\[]'", "join the path's words by '/'"),
)
_TIMM_IN_NPZ = Layout(
    "weights under timm's names",
    r"(^|\.)blocks\.\d+\.(attn|mlp|norm1)\.",
    "save them with safetensors, and give the file a name that ends in .safetensors",
)
_OPTIMIZER = r"(^|[/.])(opt|optimizer|opt_state|exp_avg(_sq)?|mu|nu|momentum(_buffer)?|grad_ema)([/.]|$)"


def describe_arrays(names: Collection[str]) -> str | None:
    """Returns whose weights an .npz holds by its names, and what to do; None for nobody's and the AugReg layout's."""
    return _describe(names, (*LAYOUTS, _TIMM_IN_NPZ))


def describe_tensors(names: Collection[str]) -> str | None:
    """Returns the same for a safetensors file; None for timm's Vision Transformers, too."""
    return _describe(names, LAYOUTS)


def _describe(names: Collection[str], layouts: Collection[Layout]) -> str | None:
    for layout in layouts:
        if example := next((name for name in sorted(names) if re.search(layout.pattern, name)), None):
            return f"by its names, such as {show_name(example)!r}, it holds {layout.what}; {layout.advice}"
    if names and all(re.search(_OPTIMIZER, name) for name in names) and not _find_prefixes(names):
        return (
            f"by its names, such as {show_name(min(names))!r}, it holds only the state of an optimizer; name the"
            " parameters' file"
        )
    return _describe_prefix(names)


def _find_prefixes(names: Collection[str]) -> list[str]:
    """Returns what stands before the names of a whole model, such as "params/"; "" where nothing does."""
    return sorted({name.removesuffix(anchor) for name in names for anchor in _ANCHORS if name.endswith(anchor)})


def _describe_prefix(names: Collection[str]) -> str | None:
    """Returns below which prefix the arrays lie, and what to do; None if they lie below none."""
    prefixes = _find_prefixes(names)
    if not prefixes or "" in prefixes:
        return None
    below = " and ".join(repr(show_name(prefix)) for prefix in prefixes[:3])
    below += f" and {len(prefixes) - 3} more" if len(prefixes) > 3 else ""
    count = sum(name.startswith(tuple(prefixes)) for name in names)
    others = f" ({len(names) - count} others do not)" if count < len(names) else ""
    which = "remove it" if len(prefixes) == 1 else "keep those of one, and remove it"
    return f"its parameters lie below {below}{others}; {which}, see docs/members.md, 'Checkpoints of other programs'"
