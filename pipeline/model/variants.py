"""The architectures of the AugReg pool, and the section `model`, which names one of them.

Without JAX, so that commands that only name them start at once.

Sources: "An Image is Worth 16x16 Words" (https://arxiv.org/abs/2010.11929) and "How to train your ViT?"
(https://arxiv.org/abs/2106.10270).
"""

import re
from dataclasses import dataclass

from pipeline.base.fault import Fault, nearest


@dataclass(frozen=True)
class Variant:
    """One architecture.

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
# Words". Mini is this project's own, for small and quick members such as vit_demo.
SIZES: dict[str, tuple[int, int, int, int]] = {
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
    "R+Ti/16": Variant(8, *SIZES["Ti"], resnet=()),
    "R26+S/32": Variant(1, *SIZES["S"], resnet=(2, 2, 2, 2)),
    "R50+L/32": Variant(1, *SIZES["L"], resnet=(3, 4, 6, 3)),
}


def variant(name: str) -> Variant:
    """Returns the architecture called `name`: a hybrid of the table, or any `<size>/<patch>` such as "S/16" or "S/14".

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


def variant_for_size(name: str, image_size: int) -> Variant:
    """Returns the architecture called `name` for square images of that many pixels a side.

    Raises:
        Fault: for an unknown variant, or a size that its tokens do not divide; the message begins with the key of the
            section `model` that is wrong.
    """
    architecture = variant(name)
    if image_size <= 0 or image_size % architecture.stride:
        stride = architecture.stride
        raise Fault(f"image_size {image_size} does not fit variant {name}: expected a multiple of {stride}")
    return architecture


@dataclass(frozen=True)
class Model:
    """The section `model` of a member.

    Attributes:
        variant: a name that variant() knows.
        image_size: the side of the square input, in pixels.
        classes: the number of logits.
        labels: a label file, relative to the member's YAML file; None when the classes have no names.
        dropout: the rate the checkpoint was trained with, 0 to below 1; its modules apply it while training=True.
            AugReg's file names give it as do_<rate>.
    """

    variant: str
    image_size: int
    classes: int
    labels: str | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        try:
            variant_for_size(self.variant, self.image_size)
        except Fault as fault:
            raise Fault(f"model.{fault}") from None
        if self.classes < 1:
            raise Fault(f"model.classes must be 1 or more, got {self.classes}")
        if not 0 <= self.dropout < 1:
            raise Fault(f"model.dropout must lie in 0 to below 1, got {self.dropout!r}")

    @property
    def tolerance(self) -> float:
        """The largest relative error allowed between two float32 implementations, relative to the largest output.

        A hybrid's convolutions have longer sums, in other orders: for R50+L/32 float32 alone differs from float64 by
        2e-5 (benchmarks/precision.py).
        """
        return 5e-5 if self.variant in HYBRIDS else 1e-5

    @property
    def gradient_tolerance(self) -> float:
        """The largest relative error allowed between two float32 gradients, see pipeline.proof.gradients.compare().

        Measured with random weights: 8e-6 for S/16, 4e-3 for R26+S/32, 2e-2 for R50+L/32. In JAX alone the float32
        gradients of R50+L/32 differ from float64 by 1.6e-2: where a ReLU's input is zero except for rounding, its slope
        depends on the implementation. A wrong gradient differs by about its whole norm.
        """
        return 5e-2 if self.variant in HYBRIDS else 2e-4
