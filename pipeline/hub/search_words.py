"""The names under which people look for a variant: upstream's, timm's and transformers', and words for sizes.

Names of timm are those of its vision_transformer.py, vision_transformer_hybrid.py and mlp_mixer.py
(https://github.com/huggingface/pytorch-image-models).
"""

import re

# The sizes of upstream's and big_vision's tables, by the words of timm.
SIZES = {
    "Ti": "tiny", "S": "small", "M": "medium", "B": "base", "L": "large", "H": "huge", "g": "giant", "G": "gigantic",
}  # fmt: skip
_VARIANT = re.compile(r"(?:(?P<resnet>R\d*)\+)?(?P<size>[A-Za-z]\w*?)/(?P<patch>\d{1,3})", re.ASCII)


def list_names(architecture: str | None, variant: str | None, image_size: int | None) -> tuple[str, ...]:
    """Returns other names of a variant, none for one that is not of the Vision Transformer or the MLP-Mixer.

    Args:
        architecture: TensorFlow Hub's tag, such as "vit"; None where an older index does not say.
        variant: such as "S/16" or "R26+S/32".
        image_size: the input's side, pixels.
    """
    match = _VARIANT.fullmatch(variant or "")
    if not match:
        return ()
    resnet, size, patch = match.group("resnet", "size", "patch")
    word = SIZES.get(size, size.lower())
    is_mixer = "mixer" in (architecture or "")
    family = "Mixer" if is_mixer else "ViT"
    names = [word]
    if resnet:  # and no "ViT-S/32", which is another network than R26+S/32
        names += [f"{resnet}{size}{patch}", f"{family}-{resnet}-{size}{patch}", f"{family}-{resnet}+{size}/{patch}"]
    else:
        names += [f"{family}-{word}/{patch}", f"{size}{patch}", f"{family}-{size}/{patch}", f"{family}-{size}{patch}"]
    if size in SIZES:
        names.append(_timm_name(is_mixer, resnet, size, patch, image_size or 224))
    return tuple(names)


def _timm_name(is_mixer: bool, resnet: str | None, size: str, patch: str, image_size: int) -> str:
    """Returns timm's name without its tag: vit_small_patch16_224, vit_small_r26_s32_224, mixer_b16_224."""
    word = SIZES[size]
    if is_mixer:
        return f"mixer_{size.lower()}{patch}_{image_size}"
    if resnet == "R":  # only the root of a ResNet, of stride 4, and patches of 8 (pipeline/model/vit/variants.py)
        return f"vit_{word}_r_s16_p8_{image_size}"
    if resnet:
        return f"vit_{word}_{resnet.lower()}_s{patch}_{image_size}"
    return f"vit_{word}_patch{patch}_{image_size}"
