"""Chooses the output of a module that has the classes, and checks their number."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.accuracy.module_settings import ModuleSettings
from pipeline.base.fault import Fault, escape, nearest
from pipeline.saved_model.graph import Tensor

FLOATS = ("float32", "float16", "bfloat16", "float64")
USUAL_OUTPUTS = ("logits", "default", "probabilities", "predictions")  # the first counts where several would do
_IMAGENET_21K = (21_841, 21_843)  # classes: of the release of 2011, and as Google counts them


@dataclass(frozen=True)
class Background:
    """Whether the first output stands for none of the labels.

    Attributes:
        is_there: what was said; None where it was not.
        is_demanded: whether that was said for this very module.
    """

    is_there: bool | None
    is_demanded: bool


def count_classes(tensor: Tensor) -> int | None:
    """Returns how many numbers an output has for each image, None if that is not known; 0 for one of no classes."""
    if tensor.shape is None:
        return None
    if tensor.dtype not in FLOATS or not tensor.shape or any(size not in (None, 1) for size in tensor.shape[1:-1]):
        return 0
    return tensor.shape[-1]


def can_classify(outputs: Mapping[str, Tensor], classes: int) -> bool:
    """Whether one of the outputs may have the classes, with or without a background."""
    return not outputs or any(count_classes(tensor) in (None, classes, classes + 1) for tensor in outputs.values())


def choose_output(where: str, outputs: Mapping[str, Tensor], settings: ModuleSettings, classes: int) -> str | None:
    """Returns the name of the output to measure; None where the files do not tell the outputs.

    The only one of as many numbers as there are labels (or one more) is chosen, or the usual name among several.
    """
    setting = settings.setting("output")
    if settings.output in outputs or not outputs:
        return settings.output
    listing = "".join(f"\n  {escape(name)}: {tensor}" for name, tensor in outputs.items())
    if settings.output is not None and settings.is_demanded("output"):
        hint = nearest(settings.output, outputs)
        raise Fault(f"{where}: it has no output {settings.output!r}{hint}; pass {setting}= one of{listing}")
    if len(outputs) == 1:
        return next(iter(outputs))
    for fitting in _fitting_outputs(outputs, classes, settings.background):
        if len(fitting) == 1:
            return fitting[0]
        if usual := [name for name in USUAL_OUTPUTS if name in fitting]:
            return usual[0]
        if fitting:
            break
    raise Fault(f"{where}: it has several outputs; pass {setting}= the one of {classes:,} classes{listing}")


def _fitting_outputs(outputs: Mapping[str, Tensor], classes: int, background: bool | None) -> Iterable[list[str]]:
    """Yields groups of outputs, the likeliest first: as many numbers as labels, one more, an unknown number."""
    for wanted in (classes + 1, classes) if background else (classes, classes + 1):
        yield [name for name, tensor in outputs.items() if count_classes(tensor) == wanted]
    yield [name for name, tensor in outputs.items() if count_classes(tensor) is None]


def check_output(where: str, tensor: Tensor, labels: int, background: Background, prefix: str) -> None:
    """Raises Fault where an output cannot be one number for each class, as far as its type tells."""
    count = count_classes(tensor)
    if count == 0:
        raise Fault(
            f"{where}: its output is {tensor}, expected float32 (n, classes); pass {prefix}OUTPUT= another, if there is"
            " one"
        )
    if count is not None:
        check_classes(where, count, labels, background, prefix)


def check_classes(where: str, outputs: int, labels: int, background: Background, prefix: str = "") -> bool:
    """Returns whether the first output is to be left out.

    Args:
        where: the module.
        outputs: how many it has.
        labels: how many labels there are.
        background: what was said of it.
        prefix: of the settings of this module.

    Raises:
        Fault: when the numbers do not fit.
    """
    is_there = background.is_there
    if is_there and not background.is_demanded and outputs == labels:
        return False
    if outputs == labels + bool(is_there):
        return bool(is_there)
    expected = f"it returns {outputs:,} outputs for each image, expected {labels + bool(is_there):,}"
    expected += f" for {labels:,} labels"
    if outputs == labels + 1 and is_there is None:
        raise Fault(f"{where}: {expected}; pass {prefix}BACKGROUND=1 if the first output is none of the labels")
    if is_there and outputs == labels:
        raise Fault(f"{where}: {expected} and a background; leave out {prefix}BACKGROUND")
    if outputs in _IMAGENET_21K:
        hint = f"these are the classes of ImageNet-21k, which are not those of the {labels:,} labels;"
    elif outputs == 1:
        hint = f"one output does not tell which of the {labels:,} labels it is the probability of;"
    else:
        hint = "it has other classes, or these are features and no classes;"
    raise Fault(f"{where}: {expected}; {hint} pass LABELS= with the labels in the order of its outputs")
