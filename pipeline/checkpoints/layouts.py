"""Tells whose weights a file holds from the names of its arrays, for messages about files that do not fit.

Imports neither TensorFlow nor JAX.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from pipeline.base.fault import show_name
from pipeline.checkpoints.file_kinds import CONVERT

_OTHER = "it is another architecture than the variants of docs/members.md; choose a checkpoint of one of these"
_TIMM = "name timm's copy of it as a source, if there is one (hf://timm/<model>/model.safetensors)"


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
    Layout("a CLIP of Hugging Face's transformers", r"(^|\.)embeddings\.class_embedding$", _OTHER),
    Layout("a CLIP of OpenAI or OpenCLIP", r"(^|\.)(visual\.|transformer\.resblocks\.)", _OTHER),
    Layout("a Segment Anything model", r"(^|\.)(image_encoder|mask_decoder)\.", _OTHER),
    Layout("a DeiT with distillation", r"(dist_token|distillation_token|head_dist\.)", _OTHER),
    Layout("a model with LayerScale (DINOv2, DeiT III, CaiT)", r"\.(ls1|layer_scale1?)\b|\.gamma_1$", _OTHER),
    Layout("a model with register tokens (DINOv2)", r"(^|\.)reg(ister)?_tokens?$", _OTHER),
    Layout("a BEiT, Swin or other model with relative positions", r"relative_position_(bias|index)|\.rel_pos_", _OTHER),
    Layout("an MAE with its decoder", r"(^|\.)decoder_(blocks|embed|pos_embed)", _OTHER),
    Layout("a Vision Transformer of torchvision", r"(^|\.)encoder\.layers\.encoder_layer_\d+\.", _TIMM),
    Layout("variables of TensorFlow or Keras", r":0$", "name the JAX checkpoint that they were made from"),
    Layout("arrays without names, as np.savez(path, *arrays) writes them", r"^arr_\d+$", CONVERT),
    Layout("arrays whose path is joined by '.'", r"(^|\.)Transformer\.encoderblock_\d+\.", "join it by '/'"),
    Layout("arrays named by Python's or JAX's print of a path", r"^[(\[]'", "join the path's words by '/'"),
)


def describe_names(names: Collection[str]) -> str | None:
    """Returns whose weights a file holds by its names, and what to do; None for those that are read or unknown."""
    for layout in LAYOUTS:
        if example := next((name for name in sorted(names) if re.search(layout.pattern, name)), None):
            return f"by its names, such as {show_name(example)!r}, it holds {layout.what}; {layout.advice}"
    return None
