"""How many arrays and parameters upstream's models have, with a head of 1,000 classes at 224 pixels unless said.

Counted in upstream's own modules, vit_jax/configs/models.py of https://github.com/google-research/vision_transformer,
and for AugReg's variants in published checkpoints. GroupNorm's arrays count in the shape that the model has, (C,).
"""

from dataclasses import dataclass, field

from pipeline.model.section import Model, Option


@dataclass(frozen=True)
class Count:
    """The arrays and parameters of a model."""

    variant: str
    arrays: int
    parameters: int
    classes: int = 1000
    options: dict[str, Option] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The section `model`."""
        return Model(self.variant, 224, self.classes, options=self.options)


GAP: dict[str, Option] = {"pooling": "gap"}
# By the name of upstream's configuration.
COUNTS = {
    "ViT-Ti_16": Count("Ti/16", 200, 5_717_416),
    "ViT-S_16": Count("S/16", 200, 22_050_664),
    "ViT-S_32": Count("S/32", 200, 22_878_952),
    "ViT-B_16": Count("B/16", 200, 86_567_656),
    "ViT-B_32": Count("B/32", 200, 88_224_232),
    "ViT-B_8": Count("B/8", 200, 86_576_872),
    "ViT-L_16": Count("L/16", 392, 304_326_632),
    "ViT-L_32": Count("L/32", 392, 306_535_400),
    "ViT-H_14": Count("H/14", 520, 632_045_800),
    "R+ViT-Ti_16": Count("R+Ti/16", 203, 6_337_704),
    "R50+ViT-B_16": Count("R50+B/16", 356, 98_659_112),
    "R26+ViT-B_32": Count("R26+B/32", 287, 101_383_976),
    "R26+ViT-S_32": Count("R26+S/32", 287, 36_431_912),
    "R50+ViT-L_32": Count("R50+L/32", 551, 328_994_856),
    "ViT-S_16-gap-norep": Count("S/16", 199, 22_049_896, options=GAP),
    "ViT-S_32-gap-norep": Count("S/32", 199, 22_878_184, options=GAP),
    "ViT-B_16-gap-norep": Count("B/16", 199, 86_566_120, options=GAP),
    "ViT-B_32-gap-norep": Count("B/32", 199, 88_222_696, options=GAP),
    "ViT-B_16 with pre_logits": Count("B/16", 202, 103_186_515, 21_843, {"pre_logits": 768}),
}
PARAMETERS = {count.variant: count.parameters for count in COUNTS.values() if not count.options}
