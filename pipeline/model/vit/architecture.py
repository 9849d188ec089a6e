"""The Vision Transformer: what the rest of the pipeline must know of it; see pipeline.model.architecture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.model.architecture import Architecture, Guess, Shape, check_image_size, check_options, count_classes
from pipeline.model.section import Model, Option
from pipeline.model.vit.variants import HYBRIDS, SIZES, variant

POOLINGS = ("token", "gap", "map")
POSITIONS = ("learned", "sincos2d")
POSITION = "Transformer/posembed_input/pos_embedding"  # the array's path


@dataclass(frozen=True)
class Options:
    """What a Vision Transformer has beside its variant.

    Attributes:
        pooling: how tokens become features: `token`, the class token; `gap`, the mean of all tokens (upstream's
            -gap-norep); `map`, attention with a learned query (big_vision's MAPHead). Only `token` has a class token.
        pre_logits: the width of a dense layer with tanh before the head, as of upstream's pre-trained files; None
            without that layer.
        positions: `learned`, an array of the checkpoint, or `sincos2d`, big_vision's fixed sines and cosines.
    """

    pooling: str = "token"
    pre_logits: int | None = None
    positions: str = "learned"

    @property
    def has_class_token(self) -> bool:
        """Whether a class token stands before the patches."""
        return self.pooling == "token"


def options_of(model: Model) -> Options:
    """Returns the options of a section that was checked."""
    return Options(**dict(model.options))  # type: ignore[arg-type]  # check() has compared names and types


class VisionTransformers(Architecture):
    """The family; its files are those of google-research/vision_transformer and big_vision."""

    name = "vit"
    title = "Vision Transformer"
    plural = "Vision Transformers"
    tag = "vit"

    def check(self, model: Model) -> None:
        check_image_size(model, variant(model.variant).stride)
        check_options(model, {"pooling": POOLINGS, "pre_logits": int, "positions": POSITIONS})

    def describe(self, model: Model) -> str:
        options = options_of(model)
        words = {"gap": " with mean pooling", "map": " with attention pooling"}.get(options.pooling, "")
        return f"{self.title} {model.variant}{words}"

    def remark(self, model: Model) -> str:
        is_hybrid = variant(model.variant).resnet is not None
        return "a hybrid: a ResNet computes the tokens that the Transformer reads" if is_hybrid else ""

    def describe_features(self, model: Model) -> str:
        options = options_of(model)
        token = {"token": "the class token", "gap": "the mean of the tokens", "map": "an attention-weighted token"}
        layer = ", through a dense layer with tanh" if options.pre_logits else ""
        return f"{token[options.pooling]} after the last layer normalisation{layer}"

    def guess(self, shapes: Mapping[str, Shape]) -> Guess | None:
        kernel, position = shapes.get("embedding/kernel"), shapes.get(POSITION)
        if kernel is None or len(kernel) != 4:
            return None
        has_class_token, pre_logits = "cls" in shapes, shapes.get("pre_logits/bias")
        options: dict[str, Option] = {} if has_class_token else {"pooling": "map" if _has_map(shapes) else "gap"}
        if pre_logits:
            options["pre_logits"] = math.prod(pre_logits)
        if position is None:
            options["positions"] = "sincos2d"
        if (name := _name_variant(shapes, kernel)) is None:
            return None
        size = _image_size(position, variant(name).stride, has_class_token)
        return Guess(name, size, count_classes(shapes), options)


def _has_map(shapes: Mapping[str, Shape]) -> bool:
    return any(name.startswith("MAPHead_0/") for name in shapes)


def _name_variant(shapes: Mapping[str, Shape], kernel: Shape) -> str | None:
    """Returns the variant by patch, width, number of blocks and ResNet, or None where none has them."""
    patch, width = kernel[0], kernel[-1]
    layers = len({name.split("/")[1] for name in shapes if name.startswith("Transformer/encoderblock_")})
    if not any(name.startswith("conv_root/") for name in shapes):
        return next((f"{size}/{patch}" for size, numbers in SIZES.items() if numbers[:2] == (width, layers)), None)
    units = len({tuple(name.split("/")[:2]) for name in shapes if name.startswith("block")})
    return next(
        (
            name
            for name, hybrid in HYBRIDS.items()
            if (hybrid.patch, hybrid.width, hybrid.layers, sum(hybrid.resnet or ())) == (patch, width, layers, units)
        ),
        None,
    )


def _image_size(position: Shape | None, stride: int, has_class_token: bool) -> int | None:
    """Returns the image size of a position embedding (1, tokens, width); None where its tokens are no square."""
    if position is None or len(position) != 3:
        return None
    side = math.isqrt(max(0, position[1] - has_class_token))
    return stride * side if side and side**2 == position[1] - has_class_token else None


ARCHITECTURE = VisionTransformers()
