"""Chooses how to call a module: which meta graph, signature, input and output, from its files, without TensorFlow.

What the files tell counts; settings say what they leave open, and are refused where they contradict them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.accuracy.module_settings import ModuleSettings
from pipeline.accuracy.outputs import FLOATS, Background, can_classify, check_output, choose_output
from pipeline.accuracy.pixels import BYTES, IMAGENET, SIGNED, Pixels
from pipeline.base.fault import Fault, escape, list_names, nearest
from pipeline.saved_model.callables import CALL, read_call
from pipeline.saved_model.graph import Signature, Tensor, read_signatures

USUAL_SIGNATURES = ("serving_default", "default")
ENCODED = "string"  # the type of an input that takes image files
_INTEGERS = ("uint8", "int32", "int64", "uint16", "int16", "uint32", "uint64")


@dataclass(frozen=True)
class ImageInput:
    """The input of a signature.

    Attributes:
        name: the argument's.
        tensor: its type.
        layout: "NHWC" or "NCHW"; "" for image files.
        size: the side in pixels; None where any will do, and for image files.
    """

    name: str
    tensor: Tensor
    layout: str = ""
    size: int | None = None

    @property
    def is_encoded(self) -> bool:
        """Whether it takes image files, as bytes."""
        return self.tensor.dtype == ENCODED

    @property
    def has_open_layout(self) -> bool:
        """Whether the shape of the images allows both layouts."""
        return not self.is_encoded and len(_possible_layouts(self.tensor)) > 1

    @property
    def batch(self) -> int | None:
        """How many images a call takes; None for any number, 0 for one image without a dimension for the batch."""
        if self.tensor.shape is None:
            return None
        if len(self.tensor.shape) == (0 if self.is_encoded else 3):
            return 0
        return self.tensor.shape[0]


@dataclass(frozen=True)
class Interface:
    """How to call a module.

    Attributes:
        tags: of its meta graph.
        signature: the signature's name, or CALL for the model itself.
        input: its input; the size is known, but for image files.
        output: the output's name; None where the files do not tell the outputs.
        pixels: their range; None for image files.
        background: whether the first output stands for none of the labels.
    """

    tags: tuple[str, ...]
    signature: str
    input: ImageInput
    output: str | None
    pixels: Pixels | None
    background: Background


class _Unsuitable(Exception):
    """A signature that does not classify images; the text says why."""


# Meta graphs and signatures -------------------------------------------------------------------------------------------
def choose_meta_graph(where: str, saved_model: Any, settings: ModuleSettings) -> Any:
    """Returns the meta graph of the tags that were given, or the one for serving.

    Raises:
        Fault: when there is none of these tags, or the choice is not clear.
    """
    by_tags: dict[tuple[str, ...], Any] = {}
    for meta in saved_model.meta_graphs:  # TensorFlow loads the first of equal tags, which it compares as sets
        by_tags.setdefault(tuple(sorted(set(meta.meta_info_def.tags))), meta)
    wanted = settings.tags
    if wanted in by_tags:
        return by_tags[wanted]
    shown = "; ".join(",".join(tags) or "no tags" for tags in by_tags)
    setting = settings.setting("tags")
    if wanted is not None and settings.is_demanded("tags"):
        raise Fault(f"{where}: no meta graph with the tags {','.join(wanted)}; pass {setting}= one of: {shown}")
    for tags in (("serve",), ()):
        if tags in by_tags:
            return by_tags[tags]
    if len(by_tags) > 1:
        raise Fault(f"{where}: it holds {len(by_tags)} meta graphs; pass {setting}= one of: {shown}")
    return next(iter(by_tags.values()))


def read_all_signatures(meta_graph: Any) -> dict[str, Signature]:
    """Returns the signatures by name, and the call of the model itself as CALL where it has one."""
    call = read_call(meta_graph)
    return read_signatures(meta_graph) | ({CALL: call} if call else {})


def _choose_signature(
    where: str, signatures: Mapping[str, Signature], settings: ModuleSettings, classes: int
) -> tuple[str, ImageInput]:
    """Returns the signature to call: the named one, or the clear choice among those that take images."""
    if not signatures:
        raise Fault(f"{where}: it has no signatures and cannot be called; pass signatures= to tf.saved_model.save")
    suitable: dict[str, ImageInput] = {}
    reasons: dict[str, str] = {}
    for name, signature in signatures.items():
        try:
            suitable[name] = _read_input(signature, settings)
        except _Unsuitable as reason:
            reasons[name] = str(reason)
    wanted = settings.signature
    if wanted in suitable:
        return wanted, suitable[wanted]
    setting, listing = settings.setting("signature"), _list_signatures(signatures)
    if wanted is not None and settings.is_demanded("signature"):
        if wanted in reasons:
            raise Fault(f"{where}: {setting}={wanted}: {reasons[wanted]}{listing}")
        raise Fault(f"{where}: it has no signature {wanted!r}{nearest(wanted, signatures)}{listing}")
    if not suitable:
        first = next((name for name in USUAL_SIGNATURES if name in reasons), next(iter(reasons)))
        raise Fault(f"{where}: {_title(first)} {reasons[first]}{listing}")
    if chosen := _clear_choice({name: signatures[name] for name in suitable}, classes):
        return chosen, suitable[chosen]
    raise Fault(
        f"{where}: several signatures take images; pass {setting}= one of {escape(', '.join(suitable))}{listing}"
    )


def _clear_choice(suitable: Mapping[str, Signature], classes: int) -> str | None:
    """Returns the signature of a usual name, else the only one, else the model itself; None where there are several.

    Those that return the classes, as far as their types tell, come before those that return something else.
    """
    for names in ([name for name in suitable if can_classify(suitable[name].outputs, classes)], list(suitable)):
        if usual := [name for name in USUAL_SIGNATURES if name in names]:
            return usual[0]
        named = [name for name in names if name != CALL]
        if len(named) == 1:
            return named[0]
        if names:
            return None if named else CALL
    return None


def _title(signature: str) -> str:
    return "calling it" if signature == CALL else f"its signature {signature}"


def _list_signatures(signatures: Mapping[str, Signature]) -> str:
    """Returns all signatures, a line each, to be put after a sentence."""
    lines = [f"{name}: {describe_signature(signature)}" for name, signature in list(signatures.items())[:20]]
    return "".join(f"\n  {escape(line)}" for line in lines)


def describe_signature(signature: Signature) -> str:
    """Returns a signature for people: "images float32 (?, 224, 224, 3) -> logits float32 (?, 1000)"."""
    return " -> ".join(
        ", ".join(f"{name} {tensor}" for name, tensor in tensors.items()) or "nothing"
        for tensors in (signature.inputs, signature.outputs)
    )


# Inputs ---------------------------------------------------------------------------------------------------------------
def _read_input(signature: Signature, settings: ModuleSettings) -> ImageInput:
    """Returns a signature's input; raises _Unsuitable where it takes no batch of square RGB images."""
    if len(signature.inputs) != 1:
        raise _Unsuitable(f"takes {len(signature.inputs)} inputs, expected one, of images")
    ((name, tensor),) = signature.inputs.items()
    shape = tensor.shape
    if tensor.dtype == ENCODED:
        if shape is not None and len(shape) > 1:
            raise _Unsuitable(f"takes {tensor}, expected one string for each image")
        return ImageInput(name, tensor)
    if tensor.dtype not in (*FLOATS, *_INTEGERS):
        raise _Unsuitable(f"takes {tensor}, expected numbers of one of the types {list_names(FLOATS)}, uint8, int32")
    if shape is not None and len(shape) not in (3, 4):
        raise _Unsuitable(f"takes {tensor}, expected images: (n, side, side, 3) or (n, 3, side, side)")
    sides = (None, None, None) if shape is None else shape[-3:]
    layout = _find_layout(tensor, sides, settings)
    height, width = sides[:2] if layout == "NHWC" else sides[1:]
    if height and width and height != width:
        raise _Unsuitable(f"takes {tensor}, images of {height} by {width} pixels; only square ones can be measured")
    return ImageInput(name, tensor, layout, height or width)


def _possible_layouts(tensor: Tensor) -> list[str]:
    """Returns the layouts that the shape of an image, or of a batch of images, allows."""
    channels, _, channels_last = (None, None, None) if tensor.shape is None else tensor.shape[-3:]
    return [layout for layout, count in (("NHWC", channels_last), ("NCHW", channels)) if count in (None, 3)]


def _find_layout(tensor: Tensor, sides: Sequence[int | None], settings: ModuleSettings) -> str:
    """Returns where the channels are: what was said if the shape allows it, else what the shape says."""
    possible = _possible_layouts(tensor)
    if not possible:
        raise _Unsuitable(f"takes {tensor}, expected images of 3 channels: (n, side, side, 3) or (n, 3, side, side)")
    if settings.layout in possible:
        return str(settings.layout)
    if settings.layout and settings.is_demanded("layout"):
        raise _Unsuitable(f"takes {tensor}, which {settings.setting('layout')}={settings.layout} contradicts")
    sure = [name for name in possible if sides[2 if name == "NHWC" else 0] == 3]
    return (sure or possible)[0]


def _check_size(where: str, source: ImageInput, settings: ModuleSettings) -> int:
    """Returns the side of the input in pixels."""
    setting = settings.setting("size")
    if source.size is None:
        if settings.size is None:
            raise Fault(f"{where}: it takes images of any size; pass {setting}=<pixels>, the size to measure it with")
        return settings.size
    if settings.is_demanded("size") and settings.size != source.size:
        raise Fault(
            f"{where}: it takes images of {source.size} pixels, got {setting}={settings.size}; leave out {setting}"
        )
    return source.size


def _check_pixels(where: str, source: ImageInput, settings: ModuleSettings, is_own: bool) -> Pixels:
    """Returns the range of the pixels: that of whole numbers, that of this project's modules, or what was given."""
    setting = settings.setting("range")
    implied = BYTES if source.tensor.dtype in _INTEGERS else SIGNED if is_own else None
    if implied is None:
        if settings.range is None:
            usual = ", ".join(f"{setting}={name}" for name in ("-1,1", "0,1", "0,255"))
            raise Fault(
                f"{where}: it does not state the range of its pixels; pass {usual}, or {setting}={IMAGENET} for the"
                " mean and the standard deviation of torchvision's models"
            )
        return settings.range
    if settings.is_demanded("range") and settings.range != implied:
        why = "is of this project" if is_own and implied is SIGNED else f"takes {source.tensor.dtype}"
        got = settings.range.name if settings.range else ""
        raise Fault(
            f"{where}: it {why}, so that its pixels are from {implied.name}, got {setting}={got}; leave out {setting}"
        )
    return implied


def _refuse_for_files(where: str, settings: ModuleSettings) -> None:
    """Refuses what makes no sense for a module that takes image files and prepares the images itself."""
    if given := [name for name in ("size", "layout", "range", "protocol") if settings.is_demanded(name)]:
        names = ", ".join(f"{settings.setting(name)}=" for name in given)
        raise Fault(f"{where}: it takes image files and prepares the images itself; leave out {names}")


# All of it ------------------------------------------------------------------------------------------------------------
def choose_interface(where: str, meta_graph: Any, settings: ModuleSettings, classes: int, is_own: bool) -> Interface:
    """Returns how to call a module.

    Args:
        where: its name, for messages.
        meta_graph: the one to call, see choose_meta_graph().
        settings: what was said of it.
        classes: how many labels there are.
        is_own: whether this project made it.

    Raises:
        Fault: when the files leave something open that was not said, or contradict what was.
    """
    signatures = read_all_signatures(meta_graph)
    name, source = _choose_signature(where, signatures, settings, classes)
    outputs = signatures[name].outputs
    pixels = None
    if source.is_encoded:
        _refuse_for_files(where, settings)
    else:
        pixels = _check_pixels(where, source, settings, is_own)
        source = ImageInput(source.name, source.tensor, source.layout, _check_size(where, source, settings))
    interface = Interface(
        tags=tuple(sorted(set(meta_graph.meta_info_def.tags))),
        signature=name,
        input=source,
        output=choose_output(where, outputs, settings, classes),
        pixels=pixels,
        background=Background(settings.background, settings.is_demanded("background")),
    )
    if interface.output in outputs:
        check_output(where, outputs[str(interface.output)], classes, interface.background, settings.prefix)
    return interface
