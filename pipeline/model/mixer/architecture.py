"""The MLP-Mixer: what the rest of the pipeline must know of it; see pipeline.model.architecture."""

import math
from collections.abc import Mapping

from pipeline.base.fault import Fault
from pipeline.model.architecture import Architecture, Guess, Shape, check_image_size, check_options, count_classes
from pipeline.model.mixer.variants import SIZES, variant
from pipeline.model.section import Model

STEM = "stem/kernel"  # the path of the array that embeds patches, (patch, patch, 3, width)
TOKENS = "MixerBlock_0/token_mixing/Dense_0/kernel"  # the path of an array (tokens, hidden)


class Mixers(Architecture):
    """The family; its files are those of google-research/vision_transformer and big_vision."""

    name = "mixer"
    title = "MLP-Mixer"
    plural = "MLP-Mixers"
    tag = "mixer"

    def check(self, model: Model) -> None:
        check_image_size(model, variant(model.variant).patch)
        if model.dropout:
            raise Fault(
                f"dropout must be 0 for an MLP-Mixer, got {model.dropout!r}: upstream's has no dropout"
                " (vit_jax/models_mixer.py)"
            )
        check_options(model, {})

    def describe_features(self, model: Model) -> str:
        del model
        return "the mean of the tokens after the last layer normalisation"

    def guess(self, shapes: Mapping[str, Shape]) -> Guess | None:
        stem = shapes.get(STEM)
        if stem is None or len(stem) != 4:
            return None
        layers = len({name.split("/")[0] for name in shapes if name.startswith("MixerBlock_")})
        patch, width = stem[0], stem[-1]
        size = next((size for size, numbers in SIZES.items() if numbers[:2] == (width, layers)), None)
        if size is None:
            return None
        return Guess(f"{size}/{patch}", find_image_size(shapes), count_classes(shapes), {})


def find_image_size(shapes: Mapping[str, Shape]) -> int | None:
    """Returns the image size of a checkpoint by its arrays' shapes; None where they do not tell it.

    The MLP that mixes tokens has a weight for each token of an image.
    """
    stem, tokens = shapes.get(STEM, ()), shapes.get(TOKENS, ())
    if len(stem) != 4 or len(tokens) != 2:
        return None
    side = math.isqrt(tokens[0])
    return side * stem[0] or None if side**2 == tokens[0] else None


ARCHITECTURE = Mixers()
