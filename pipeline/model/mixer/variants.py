"""The variants of the MLP-Mixer.

Without JAX, so that commands that only name them start at once.

Source: table 1 of "MLP-Mixer: An all-MLP Architecture for Vision" (https://arxiv.org/abs/2105.01601).
google-research/vision_transformer publishes B/16, B/32 and L/16 of them (vit_jax/configs/models.py).
"""

import re
from dataclasses import dataclass

from pipeline.base.fault import Fault, nearest


@dataclass(frozen=True)
class Variant:
    """One variant.

    Attributes:
        patch: the side of a patch, in pixels.
        width: the size of a token.
        layers: the number of blocks.
        tokens_mlp: the width of the hidden layer of the MLP that mixes tokens.
        channels_mlp: the width of the hidden layer of the MLP that mixes channels.
    """

    patch: int
    width: int
    layers: int
    tokens_mlp: int
    channels_mlp: int

    def count_tokens(self, image_size: int) -> int:
        """Returns the number of tokens of an image of image_size by image_size pixels."""
        return (image_size // self.patch) ** 2


# width, layers, tokens_mlp, channels_mlp. Mini is this project's own, for small and quick members.
SIZES: dict[str, tuple[int, int, int, int]] = {
    "Mini": (64, 4, 32, 256),
    "S": (512, 8, 256, 2048),
    "B": (768, 12, 384, 3072),
    "L": (1024, 24, 512, 4096),
    "H": (1280, 32, 640, 5120),
}


def variant(name: str) -> Variant:
    """Returns the variant called `name`, any `<size>/<patch>` such as "B/16" or "H/14".

    Raises:
        Fault: for another name; the message begins with "variant".
    """
    match = re.fullmatch(r"(\w+)/([1-9]\d*)", name)
    if not match or match[1] not in SIZES:
        meant = nearest(name, [f"{size}/16" for size in SIZES])
        raise Fault(f"variant {name!r} is unknown{meant}: expected <size>/<patch> with a size of {', '.join(SIZES)}")
    return Variant(int(match[2]), *SIZES[match[1]])
