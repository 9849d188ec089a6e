"""The table of the AugReg pool's architectures, without JAX, so that stages that only name them start at once.

Sources: "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929) and "How to train your ViT?"
(https://arxiv.org/abs/2106.10270).
"""

import re
from dataclasses import dataclass

from pipeline.fault import Fault, nearest


@dataclass(frozen=True)
class Variant:
    """One architecture. `resnet` counts the residual units of each stage; None: no convolutions before the patches."""

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
# Words".
# Mini is our own, for members that must be small and quick, such as vit_demo.
SIZES: dict[str, tuple[int, int, int, int]] = {
    "Mini": (64, 6, 4, 256),
    "Ti": (192, 12, 3, 768),
    "S": (384, 12, 6, 1536),
    "B": (768, 12, 12, 3072),
    "L": (1024, 24, 16, 4096),
    "H": (1280, 32, 16, 5120),
}

# The hybrids. Their names give the total stride; the patch is what is left of it after the ResNet. R+Ti/16 has the
# root alone (stride 4) before patches of 8: a token for 32 pixels in spite of its name, as its parameter count shows.
HYBRIDS: dict[str, Variant] = {
    "R+Ti/16": Variant(8, *SIZES["Ti"], resnet=()),
    "R26+S/32": Variant(1, *SIZES["S"], resnet=(2, 2, 2, 2)),
    "R50+L/32": Variant(1, *SIZES["L"], resnet=(3, 4, 6, 3)),
}


def variant(name: str) -> Variant:
    """Returns the architecture called `name`: a hybrid of the table, or any `<size>/<patch>` such as "S/16" or "S/14".

    Raises:
        Fault: for a name that is neither.
    """
    if name in HYBRIDS:
        return HYBRIDS[name]
    match = re.fullmatch(r"(\w+)/([1-9]\d*)", name)
    if not match or match[1] not in SIZES:
        known = [*HYBRIDS, *(f"{size}/16" for size in SIZES)]
        raise Fault(
            f"unknown variant {name!r}{nearest(name, known)}: expected <size>/<patch> with a size of "
            f"{', '.join(SIZES)}, or one of {', '.join(HYBRIDS)}"
        )
    return Variant(int(match[2]), *SIZES[match[1]])
