"""The figures of a module that `evaluate` measured, in words, and the warning of an accuracy at chance."""

from dataclasses import dataclass

from pipeline.accuracy.interface import Interface
from pipeline.accuracy.label_order import PROVEN
from pipeline.accuracy.statistics import percent
from pipeline.base.fault import escape
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Figures, Interval, LabelOrder


@dataclass(frozen=True, kw_only=True)
class ModuleFigures(Figures):
    """The figures of a module, and what they were measured on: an entry of --report's `modules`.

    Attributes:
        module, content_sha256: its name, and the digest of its files.
        tags, signature, input, output: what was called: the meta graph's tags, the signature's name, and the names of
            its input and its output; output is null where the module's files do not tell.
        input_type, layout_of_pixels: such as "float32 (?, 224, 224, 3)", and "NHWC", "NCHW" or "" for image files.
        image_size, range, activation: of its input in pixels, of the pixels, and of the probabilities; size and range
            are null for image files.
        layout, split, training_images, protocol, manifest_sha256, damaged: of the images, as in
            facts.accuracy.Measured; protocol is null for image files, which the module prepares itself.
        images_per_second: from file to logits; None where too few were timed.
        forward_images_per_second: of the model alone.
        label_order: whether the labels are in the order of the outputs.
        at_chance: whether the accuracy is that of guessing, see is_at_chance().
    """

    module: str
    content_sha256: str
    tags: tuple[str, ...]
    signature: str
    input: str
    input_type: str
    layout_of_pixels: str
    output: str | None
    image_size: int | None
    range: str | None
    activation: str
    layout: str
    split: str | None
    training_images: int | None
    protocol: str | None
    manifest_sha256: str
    damaged: dict[str, str]
    images_per_second: float | None
    forward_images_per_second: float
    label_order: LabelOrder
    at_chance: bool


def describe(figures: ModuleFigures) -> str:
    """Returns the figures of a module for people, a line each."""
    protocol = "prepared by the module itself" if figures.protocol is None else f"protocol {figures.protocol}"
    output = figures.output or "output"
    lines = [
        ("signature", f"{figures.signature}: {figures.input} {figures.input_type} -> {output}"),
        ("images", f"{figures.images:,} of {figures.classes:,} classes ({figures.layout}, split"
         f" {figures.split or 'not known'}), {protocol}, {len(figures.damaged)} damaged"),
        ("top-1", _with_interval(figures.top1, figures.top1_interval)),
    ]  # fmt: skip
    if figures.top5 is not None and figures.top5_interval is not None:
        lines.append(("top-5", _with_interval(figures.top5, figures.top5_interval)))
    if restricted := figures.restricted:
        lines.append((f"top-1 among {restricted.classes:<5}", f"{percent(restricted.top1)}, the classes of the images"))
    if real := figures.real:
        lines.append(("ReaL", f"{percent(real.top1)} on {real.images:,} images"))
    if figures.not_numbers:
        lines.append(("NaN or infinite", f"outputs for {figures.not_numbers:,} images, which count as wrong"))
    rate = "unknown" if figures.images_per_second is None else f"{figures.images_per_second:.1f}"
    lines += [
        ("calibration error", f"{percent(figures.calibration.ece)}, {figures.activation} of the logits"),
        ("label order", f"{figures.label_order.verdict}: {figures.label_order.reason}"),
        ("images/s", f"{rate} from files, {figures.forward_images_per_second:.1f} forward pass only"),
    ]
    return "\n".join([figures.module, *(escape(f"  {label:<17} {value}") for label, value in lines)])


def _with_interval(share: float, interval: Interval) -> str:
    return f"{percent(share)} (95 % interval {' to '.join(map(percent, interval))})"


def is_at_chance(order: LabelOrder, images: int) -> bool:
    """Whether an accuracy is that of guessing, over enough images to say so.

    Two tests, at the level PROVEN each: the hits are not above chance (then the order is not measured), and a
    classifier halfway between chance and perfect would hardly have so few. For 1,000 classes that takes 10 images
    without a hit.

    Args:
        order: the outcome of the check of the label order.
        images: how many there were.
    """
    from scipy.stats import binom

    halfway = (1 + order.chance / images) / 2
    return order.verdict is Verdict.NOT_MEASURED and bool(binom.cdf(order.hits, images, halfway) < PROVEN)


def warn_of_chance(figures: ModuleFigures, interface: Interface, prefix: str) -> str:
    """Returns a warning that names the usual causes of an accuracy at chance.

    Args:
        figures: of the module.
        interface: how it was called.
        prefix: of the settings of this module.
    """
    order = figures.label_order
    causes = [
        "other labels, or labels in another order than the outputs (LABELS=)",
        "images of other classes or with wrong labels",
    ]
    if interface.background.is_there and interface.background.is_demanded:
        causes.append("a background that is not the first output")
    if not interface.input.is_encoded:
        layout = f", or in another layout than {interface.input.layout} ({prefix}LAYOUT=)"
        causes.append(f"a module that takes the channels as BGR{layout if interface.input.has_open_layout else ''}")
    if interface.pixels and interface.input.tensor.dtype.startswith(("float", "bfloat")):
        causes.insert(0, f"another range of pixels than {interface.pixels.name} ({prefix}RANGE=)")
    if figures.not_numbers:
        causes.insert(0, f"NaN or infinite outputs, which {figures.not_numbers:,} images gave")
    return (
        f"warning: {figures.module}: the accuracy is at chance: {order.hits:,} of {figures.images:,} images are right,"
        f" {order.chance:,.1f} expected from guessing. The usual causes: {'; '.join(causes)}; a module that was not"
        " trained"
    )
