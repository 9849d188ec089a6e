"""The names of Vision Transformers' arrays in other programs' files; see pipeline.model.layouts."""

from pipeline.model.vit import big_vision_layout, timm_layout, transformers_layout

ANCHORS = ("embedding/kernel", timm_layout.ANCHOR, *transformers_layout.ANCHORS)
LAYOUTS = {
    "timm": timm_layout.read,
    "transformers": transformers_layout.read,
    "big_vision": big_vision_layout.read,
}
