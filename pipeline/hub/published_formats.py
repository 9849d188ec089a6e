"""What the index says of the further formats of a version: their files in the hub, and what was measured of each."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.base.fault import show_name
from pipeline.facts.formats import FormatName, FormatReport
from pipeline.hub.values import Entry, count, line, required, share

LITERT = frozenset({FormatName.LITERT, FormatName.LITERT_FLOAT16, FormatName.LITERT_INT8})
_KINDS = {"plain": "plain TensorFlow", "bfloat16": "plain TensorFlow", "litert": "LiteRT", "onnx": "ONNX"}
_LONGEST = 200  # characters of a text
# Below the folder of a version, laid out as the programs that read them expect it.
_FILE = re.compile(
    r"(plain|bfloat16)\.tar\.gz|model(_float16|_int8)?\.tflite|onnx/model(_fp16|_quantized)?\.onnx|(preprocessor_)?config\.json"
)


def is_format_file(path: str) -> bool:
    """Whether a path below the folder of a version is that of a format's file."""
    return bool(_FILE.fullmatch(path))


@dataclass(frozen=True)
class PublishedFormat:
    """A format of a version, beside the SavedModel. A value is None where it was not measured.

    Attributes:
        name: of the format.
        files: the paths of its files in the hub, the one to load first.
        precision: of its weights: float32, float16 or int8.
        runtime: where it was proven, such as "LiteRT".
        max_rel: the largest relative error against the JAX model in float64.
        images: on how many it was compared with the SavedModel.
        of: what they are, in words that follow "images of".
        cosine: the smallest, over the images, between the outputs of both.
        same_class: the share of the images to which both give the same class, 0 to 1.
        top1: the share that this format classifies right, 0 to 1.
        images_per_second: one image at a time, on the publisher's machine.
    """

    name: FormatName
    files: tuple[str, ...]
    precision: str
    runtime: str
    max_rel: float | None = None
    images: int | None = None
    of: str | None = None
    cosine: float | None = None
    same_class: float | None = None
    top1: float | None = None
    images_per_second: float | None = None

    @property
    def file(self) -> str:
        """The path in the hub of the file to load."""
        return self.files[0]

    @property
    def title(self) -> str:
        """What pages call the format, such as "LiteRT, int8"."""
        kind = _KINDS.get(self.name.value.partition("-")[0], self.name.value)
        return kind if self.precision == "float32" else f"{kind}, {self.precision}"

    def to_json(self) -> Entry:
        """Returns what index.json says of the format, without what was not measured."""
        entry = {
            "files": list(self.files),
            "precision": self.precision,
            "runtime": self.runtime,
            "max_rel": self.max_rel,
            "images": self.images,
            "of": self.of,
            "cosine": self.cosine,
            "same_class": self.same_class,
            "top1": self.top1,
            "images_per_second": self.images_per_second,
        }
        return {key: value for key, value in entry.items() if value is not None}


def published_format(handle: str, report: FormatReport) -> PublishedFormat:
    """Returns what the index is to say of a format that has files; every figure is the report's."""
    images, speed = report.on_images, report.speed
    return PublishedFormat(
        name=report.name,
        files=tuple(f"{handle}/{file.path}" for file in report.files),
        precision=report.precision,
        runtime=report.runtime,
        max_rel=report.max_rel,
        images=images.images if images else None,
        of=images.of if images else None,
        cosine=images.cosine if images else None,
        same_class=images.same_class if images else None,
        top1=images.top1 if images else None,
        images_per_second=speed.images_per_second.get("1") if speed else None,
    )


def in_order(formats: Iterable[PublishedFormat]) -> tuple[PublishedFormat, ...]:
    """Returns formats in the order of FormatName."""
    order = list(FormatName)
    return tuple(sorted(formats, key=lambda published: order.index(published.name)))


def formats_to_json(formats: Iterable[PublishedFormat]) -> Entry | None:
    """Returns what index.json says of the formats of a version by name; None where there are none."""
    return {published.name.value: published.to_json() for published in formats} or None


def read_formats(handle: str, entry: Entry) -> tuple[PublishedFormat, ...]:
    """Reads the formats of a module's entry, none where it does not say; those of newer programs are ignored.

    Raises:
        KeyError, TypeError, ValueError: when they lack what publish writes, or have other types.
    """
    named = required({"formats": {}} | entry, "formats", dict)
    known = {name.value: name for name in FormatName}
    return in_order(_read_format(handle, known[name], named) for name in named if name in known)


def _read_format(handle: str, name: FormatName, named: Entry) -> PublishedFormat:
    if name is FormatName.XLA:
        raise ValueError(f"formats has {name}, which is the module itself")
    entry = required(named, name, dict)
    return PublishedFormat(
        name=name,
        files=_read_paths(handle, name, entry),
        precision=line(entry, "precision", _LONGEST),
        runtime=line(entry, "runtime", _LONGEST),
        max_rel=_amount(entry, "max_rel"),
        images=count(entry, "images") if entry.get("images") is not None else None,
        of=line(entry, "of", _LONGEST) if entry.get("of") is not None else None,
        cosine=_cosine(entry),
        same_class=_share(entry, "same_class"),
        top1=_share(entry, "top1"),
        images_per_second=_amount(entry, "images_per_second"),
    )


def _read_paths(handle: str, name: FormatName, entry: Entry) -> tuple[str, ...]:
    paths: list[Any] = required(entry, "files", list)
    if not paths:
        raise ValueError(f"the format {name} has no files")
    for path in paths:
        if type(path) is not str or not path.startswith(f"{handle}/"):
            raise ValueError(f"a file of the format {name} is {show_name(repr(path))}, expected one below {handle}/")
    return tuple(paths)


def _amount(entry: Entry, key: str) -> float | None:
    """Returns a number of at least 0; None where there is none."""
    if entry.get(key) is None:
        return None
    value = required(entry, key, float)
    if not value >= 0:  # not NaN either
        raise ValueError(f"{key} is {value}, expected 0 or more")
    return value


def _share(entry: Entry, key: str) -> float | None:
    return share(entry[key], key) if entry.get(key) is not None else None


def _cosine(entry: Entry) -> float | None:
    """Returns a cosine; None where there is none. Rounding may give one that is a little beyond 1."""
    if entry.get("cosine") is None:
        return None
    value = required(entry, "cosine", float)
    if not -1.001 <= value <= 1.001:
        raise ValueError(f"cosine is {value}, expected -1 to 1")
    return value
