"""Parses the names of the AugReg pool's files, such as

    S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224

The first half, before `--`, names the architecture and its pre-training; the second half its fine-tuning. A checkpoint
that was only pre-trained has no second half. Sources of the grammar: names in google-research/vision_transformer
(README, vit_jax_augreg.ipynb), timm's vision_transformer.py and the index's columns. None of them has a name of a
checkpoint that was pre-trained for 30 epochs (`i21k_30` in the index), so both `i21k-30ep` and `i21k_30-30ep` are
accepted.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.base.fault import Fault, nearest

# The pool's architectures (vit_jax_augreg.ipynb lists the column `name`).
VARIANTS = ("Ti/16", "S/32", "S/16", "B/32", "B/16", "B/8", "L/16", "R+Ti/16", "R26+S/32", "R50+L/32")
PRETRAINING = ("i1k", "i21k", "i21k_30")
FINE_TUNING = ("imagenet2012", "cifar100", "kitti", "oxford_iiit_pet", "resisc45")
AUGMENTATIONS = ("none", "light0", "light1", "medium1", "medium2", "strong1", "strong2")
PRETRAINING_RESOLUTION = 224  # pixels, of every pre-training ("How to train your ViT?", section 3)
RESOLUTIONS = (224, 384)


@dataclass(frozen=True)
class FineTuning:
    """The second half of a name.

    Attributes:
        ds: the data set, one of FINE_TUNING.
        steps: training steps in thousands, rounded down, such as "20k".
        lr: the learning rate.
        resolution: image size in pixels, one of RESOLUTIONS.
    """

    ds: str
    steps: str
    lr: float
    resolution: int


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint was trained, as its name says. Fields have the names of the index's columns.

    Attributes:
        name: the file's name without `.npz`.
        variant: the architecture, such as "R26+S/32".
        ds: the data set of the pre-training, one of PRETRAINING.
        epochs: of the pre-training.
        lr, wd: learning rate and weight decay.
        aug: augmentation, one of AUGMENTATIONS.
        do, sd: rates of dropout and stochastic depth, at least 0 and below 1.
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
        """The image size in pixels."""
        return self.fine_tuning.resolution if self.fine_tuning else PRETRAINING_RESOLUTION


def variant_token(variant: str) -> str:
    """Returns the spelling of a variant in file names: R26_S_32 for R26+S/32."""
    return re.sub(r"[+/]", "_", variant)


def closest_name(name: str, candidates: Iterable[str]) -> str | None:
    """Returns the candidate that shares the most parts with `name`, the first of several; None without candidates."""
    parts = name.split("-")

    def shared_parts(candidate: str) -> int:
        return sum(a == b for a, b in zip(parts, candidate.split("-"), strict=False))

    return max(candidates, key=shared_parts, default=None)


# Reads what follows the prefix of a part; raises ValueError with a hint, which may be empty, on any other text.
Reader = Callable[[str], Any]


def _choice(values: Mapping[str, str]) -> Reader:
    """Returns a reader of one of several words, each with its value."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(nearest(text, values))
        return values[text]

    return read


def _match(pattern: str, convert: Callable[[str], Any]) -> Reader:
    """Returns a reader of texts that match a pattern; converts its first group."""

    def read(text: str) -> Any:
        match = re.fullmatch(pattern, text)
        if not match:
            raise ValueError("")
        return convert(match[1])

    return read


@dataclass(frozen=True)
class _Part:
    """A part of a name: the field that it sets, its prefix, what is expected there in words, and its reader."""

    field: str
    prefix: str
    expected: str
    reader: Reader

    def read(self, text: str) -> Any:
        if not text.startswith(self.prefix):
            raise ValueError("")
        return self.reader(text.removeprefix(self.prefix))


def _choice_part(field: str, prefix: str, values: Mapping[str, str]) -> _Part:
    expected = "one of " + ", ".join(prefix + value for value in values)
    return _Part(field, prefix, expected, _choice(values))


_NUMBER = _match(r"(\d+(?:\.\d+)?)", float)
_RATE = _match(r"(0(?:\.\d+)?)", float)

# The parts of each half, in order.
_HALVES = {
    "pre-training": (
        _choice_part("variant", "", {variant_token(variant): variant for variant in VARIANTS}),
        _choice_part("ds", "", {ds: ds for ds in PRETRAINING}),
        _Part("epochs", "", "<epochs>ep, such as 300ep", _match(r"([1-9]\d*)ep", int)),
        _Part("lr", "lr_", "a learning rate, such as lr_0.001", _NUMBER),
        _choice_part("aug", "aug_", {level: level for level in AUGMENTATIONS}),
        _Part("wd", "wd_", "a weight decay, such as wd_0.03", _NUMBER),
        _Part("do", "do_", "a dropout rate from 0 to below 1, such as do_0.1", _RATE),
        _Part("sd", "sd_", "a rate of stochastic depth from 0 to below 1, such as sd_0.1", _RATE),
    ),
    "fine-tuning": (
        _choice_part("ds", "", {ds: ds for ds in FINE_TUNING}),
        _Part("steps", "steps_", "thousands of steps, such as steps_20k", _match(r"(\d+k)", str)),
        _Part("lr", "lr_", "a learning rate, such as lr_0.03", _NUMBER),
        _Part("resolution", "res_", "res_224 or res_384", _match(r"(224|384)", int)),
    ),
}


def _error_at(name: str, offset: int, width: int, message: str) -> Fault:
    """Returns a fault with a line that points at `width` characters of the name."""
    return Fault(f"cannot parse the checkpoint's name: {message}\n  {name}\n  {' ' * offset}{'^' * max(1, width)}")


def _parse_half(half: str, name: str, start: int, end: int) -> dict[str, Any]:
    """Parses name[start:end] into the fields of a half, one of _HALVES."""
    grammar, texts = _HALVES[half], name[start:end].split("-")
    values: dict[str, Any] = {}
    offset = start
    for number, (part, text) in enumerate(zip(grammar, texts, strict=False), start=1):
        try:
            values[part.field] = part.read(text)
        except ValueError as hint:
            message = f"part {number} of its {half}: expected {part.expected}, got {text!r}{hint}"
            raise _error_at(name, offset, len(text), message) from None
        offset += len(text) + 1
    if len(texts) < len(grammar):
        expected = grammar[len(texts)].expected
        raise _error_at(name, end, 1, f"its {half} ends before part {len(texts) + 1}, expected {expected}")
    if len(texts) > len(grammar):
        rest = name[offset:end]
        message = f"its {half} has {len(grammar)} parts, expected nothing after, got {rest!r}"
        raise _error_at(name, offset, len(rest), message)
    return values


def parse(checkpoint: str) -> Recipe:
    """Parses a checkpoint's name, which may come with a folder or address before it and `.npz` after it.

    Raises:
        Fault: for a name outside the grammar; says which part, what was expected and what stands there.
    """
    name = checkpoint.rsplit("/", 1)[-1].removesuffix(".npz")
    first, separator, _ = name.partition("--")
    values = _parse_half("pre-training", name, 0, len(first))
    if values["ds"] == "i21k" and values["epochs"] == 30:
        values["ds"] = "i21k_30"
    fine_tuning = None
    if separator:
        fine_tuning = FineTuning(**_parse_half("fine-tuning", name, len(first) + len(separator), len(name)))
    return Recipe(name=name, **values, fine_tuning=fine_tuning)
