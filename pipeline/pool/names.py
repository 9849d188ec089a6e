"""The grammar of the AugReg pool's file names, such as

    S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224

Before `--` stand the architecture and its pre-training, after it the fine-tuning; a checkpoint that was only
pre-trained has no second half. Sources: the names quoted in google-research/vision_transformer (README,
vit_jax_augreg.ipynb), timm's vision_transformer.py and the index's columns. No name of a checkpoint that was
pre-trained for 30 epochs, `i21k_30` in the index, is quoted there, so `i21k-30ep` and `i21k_30-30ep` are both read.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.base.fault import Fault, nearest

# The pool's architectures (vit_jax_augreg.ipynb lists the column `name`).
VARIANTS = ("Ti/16", "S/32", "S/16", "B/32", "B/16", "B/8", "L/16", "R+Ti/16", "R26+S/32", "R50+L/32")
PRETRAINING = ("i1k", "i21k", "i21k_30")
FINE_TUNING = ("imagenet2012", "cifar100", "kitti", "oxford_iiit_pet", "resisc45")
AUGMENTATIONS = ("none", "light0", "light1", "medium1", "medium2", "strong1", "strong2")
PRETRAINING_RESOLUTION = 224  # pixels, for all of them ("How to train your ViT?", section 3)
RESOLUTIONS = (224, 384)


@dataclass(frozen=True)
class FineTuning:
    """The second half of a name: data set, training steps as the name rounds them ("20k"), learning rate, pixels."""

    ds: str
    steps: str
    lr: float
    resolution: int


@dataclass(frozen=True)
class Recipe:
    """What a checkpoint's name says of it.

    Attributes:
        name: the file's name without `.npz`.
        variant: the architecture, such as "R26+S/32".
        ds: the data set of the pre-training as the index calls it, one of PRETRAINING.
        epochs: of the pre-training.
        lr, wd: its learning rate and weight decay.
        aug: its augmentation, one of AUGMENTATIONS.
        do, sd: its rates of dropout and stochastic depth, 0 to below 1.
        fine_tuning: None for a checkpoint that was only pre-trained.
    """

    name: str
    variant: str
    ds: str
    epochs: int
    lr: float
    aug: str
    wd: float
    do: float
    sd: float
    fine_tuning: FineTuning | None

    @property
    def resolution(self) -> int:
        """The side of the images it takes, in pixels."""
        return self.fine_tuning.resolution if self.fine_tuning else PRETRAINING_RESOLUTION


def token_of(variant: str) -> str:
    """Returns the part of a file name that names a variant: R26_S_32 for R26+S/32."""
    return re.sub(r"[+/]", "_", variant)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that has the most parts of `name` at their places, the first of several; None for none."""
    parts = name.split("-")
    return max(
        known, key=lambda other: sum(a == b for a, b in zip(parts, other.split("-"), strict=False)), default=None
    )


def stem_of(checkpoint: str) -> str:
    """Returns a checkpoint's bare name, whether it is given so, as a file or as an address in the bucket."""
    return checkpoint.rsplit("/", 1)[-1].removesuffix(".npz")


# A reader of one part of a name returns its value, or raises ValueError with the value it could not take.
Reader = Callable[[str], Any]


def _one_of(known: Iterable[str]) -> Reader:
    table = {value: value for value in known}

    def read(text: str) -> str:
        if text not in table:
            raise ValueError(nearest(text, table))
        return table[text]

    return read


def _variant(text: str) -> str:
    table = {token_of(variant): variant for variant in VARIANTS}
    if text not in table:
        raise ValueError(nearest(text, table))
    return table[text]


def _matching(pattern: str, convert: Callable[[str], Any]) -> Reader:
    def read(text: str) -> Any:
        match = re.fullmatch(pattern, text)
        if not match:
            raise ValueError("")
        return convert(match[1])

    return read


_NUMBER = _matching(r"(\d+(?:\.\d+)?)", float)
_RATE = _matching(r"(0(?:\.\d+)?)", float)

# Of each part: the field, the prefix in the name, what is expected after it, and its reader.
_PRETRAINING: tuple[tuple[str, str, str, Reader], ...] = (
    ("variant", "", "one of " + ", ".join(map(token_of, VARIANTS)), _variant),
    ("ds", "", "one of " + ", ".join(PRETRAINING), _one_of(PRETRAINING)),
    ("epochs", "", "<epochs>ep, such as 300ep", _matching(r"([1-9]\d*)ep", int)),
    ("lr", "lr_", "a learning rate, such as lr_0.001", _NUMBER),
    ("aug", "aug_", "one of " + ", ".join(f"aug_{level}" for level in AUGMENTATIONS), _one_of(AUGMENTATIONS)),
    ("wd", "wd_", "a weight decay, such as wd_0.03", _NUMBER),
    ("do", "do_", "a dropout rate from 0 to below 1, such as do_0.1", _RATE),
    ("sd", "sd_", "a rate of stochastic depth from 0 to below 1, such as sd_0.1", _RATE),
)
_FINE_TUNING: tuple[tuple[str, str, str, Reader], ...] = (
    ("ds", "", "one of " + ", ".join(FINE_TUNING), _one_of(FINE_TUNING)),
    ("steps", "steps_", "thousands of steps, such as steps_20k", _matching(r"(\d+k)", str)),
    ("lr", "lr_", "a learning rate, such as lr_0.03", _NUMBER),
    ("resolution", "res_", "res_224 or res_384", _matching(r"(224|384)", int)),
)


def _refuse(name: str, at: int, width: int, what: str) -> Fault:
    """Returns the fault of a part of a name, with a line that points at it."""
    return Fault(f"the checkpoint's name cannot be read: {what}\n  {name}\n  {' ' * at}{'^' * max(1, width)}")


def _half(name: str, text: str, start: int, half: str, grammar: tuple[tuple[str, str, str, Reader], ...]) -> dict:
    """Reads one half of a name, which starts at character `start`, into the fields of its grammar."""
    parts, values, at = text.split("-"), {}, start
    for number, (field, prefix, expected, read) in enumerate(grammar, start=1):
        if number > len(parts):
            raise _refuse(name, start + len(text), 1, f"its {half} ends before part {number}, expected {expected}")
        part = parts[number - 1]
        try:
            if not part.startswith(prefix):
                raise ValueError("")
            values[field] = read(part.removeprefix(prefix))
        except ValueError as hint:
            what = f"part {number} of its {half}: expected {expected}, got {part!r}{hint}"
            raise _refuse(name, at, len(part), what) from None
        at += len(part) + 1
    if len(parts) > len(grammar):
        rest = "-".join(parts[len(grammar) :])
        raise _refuse(name, at, len(rest), f"its {half} has {len(grammar)} parts, expected nothing after, got {rest!r}")
    return values


def parse(checkpoint: str) -> Recipe:
    """Reads a checkpoint's name, given bare, as a file's or as an address.

    Raises:
        Fault: for a name outside the grammar; it says which part, what was expected there and what stands there.
    """
    name = stem_of(checkpoint)
    first, separator, second = name.partition("--")
    values = _half(name, first, 0, "pre-training", _PRETRAINING)
    if values["ds"] == "i21k" and values["epochs"] == 30:
        values["ds"] = "i21k_30"
    later = _half(name, second, len(first) + 2, "fine-tuning", _FINE_TUNING) if separator else None
    return Recipe(name=name, **values, fine_tuning=FineTuning(**later) if later else None)
