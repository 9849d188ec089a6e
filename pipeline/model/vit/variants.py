"""The variants of the Vision Transformer that google-research/vision_transformer publishes.

Without JAX, so that commands that only name them start at once.

Sources: "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929), "How to train your ViT?"
(https://arxiv.org/abs/2106.10270) and, for R50+B/16 and R26+B/32, vit_jax/configs/models.py of
https://github.com/google-research/vision_transformer.
"""

import re
from dataclasses import dataclass

from pipeline.base.fault import Fault, nearest


@dataclass(frozen=True)
class Variant:
    """One variant.

    Attributes:
        patch: the side of a patch, in pixels of the image or of the ResNet's output.
        width: the size of a token.
        layers: the number of encoder blocks.
        heads: the number of attention heads.
        mlp: the width of the MLP's hidden layer.
        resnet: the number of residual units in each stage; None without convolutions before the patches.
    """

    patch: int
    width: int
    layers: int
    heads: int
    mlp: int
    resnet: tuple[int, ...] | None = None

    @property
    def stride(self) -> int:
        """Pixels of the image's side per token: the patch, times 4 for the ResNet's root, times 2 per further stage."""
        return self.patch if self.resnet is None else self.patch * 4 * 2 ** max(0, len(self.resnet) - 1)


# width, layers, heads, mlp. Ti to L: table 2 of "How to train your ViT?"; H: table 1 of "An Image is Worth 16x16
# Words". Nano and Mini are this project's own: Mini for vit_demo, Nano for its tests.
SIZES: dict[str, tuple[int, int, int, int]] = {
    "Nano": (32, 2, 2, 64),
    "Mini": (64, 6, 4, 256),
    "Ti": (192, 12, 3, 768),
    "S": (384, 12, 6, 1536),
    "B": (768, 12, 12, 3072),
    "L": (1024, 24, 16, 4096),
    "H": (1280, 32, 16, 5120),
}

# The hybrids. Their names give the total stride, and the patch is this stride divided by the ResNet's. R+Ti/16 has only
# the root (stride 4) before patches of 8: a token for 32 pixels in spite of its name, as its parameter count shows.
HYBRIDS: dict[str, Variant] = {
    "R+Nano/32": Variant(8, *SIZES["Nano"], resnet=()),
    "R+Ti/16": Variant(8, *SIZES["Ti"], resnet=()),
    "R50+B/16": Variant(1, *SIZES["B"], resnet=(3, 4, 9)),
    "R26+B/32": Variant(1, *SIZES["B"], resnet=(2, 2, 2, 2)),
    "R26+S/32": Variant(1, *SIZES["S"], resnet=(2, 2, 2, 2)),
    "R50+L/32": Variant(1, *SIZES["L"], resnet=(3, 4, 6, 3)),
}


def variant(name: str) -> Variant:
    """Returns the variant called `name`: a hybrid of the table, or any `<size>/<patch>` such as "S/16" or "S/14".

    Raises:
        Fault: for a name that is neither; the message begins with "variant".
    """
    if name in HYBRIDS:
        return HYBRIDS[name]
    match = re.fullmatch(r"(\w+)/([1-9]\d*)", name)
    if not match or match[1] not in SIZES:
        examples = [*HYBRIDS, *(f"{size}/16" for size in SIZES)]
        raise Fault(
            f"variant {name!r} is unknown{nearest(name, examples)}: expected <size>/<patch> with a size of "
            f"{', '.join(SIZES)}, or one of {', '.join(HYBRIDS)}"
        )
    return Variant(int(match[2]), *SIZES[match[1]])
