"""The formats that a member is published in, and what formats.json says: their files, and what was measured of each.

It is a file of its own beside report.json, whose digest a version's signed statement has: a format may be added to a
version that is published already.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from pipeline.base.fault import Fault, nearest
from pipeline.base.heads import Head
from pipeline.base.json_files import load_json
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.facts.report import Rung

SCHEMA = 1
# Of a member, in the folder of its outputs: what was measured, and the files, in a folder per head.
REPORT, FOLDER = "formats.json", "formats"


class FormatName(StrEnum):
    """A format, as YAML files, the index of a hub and the setting FORMATS call it."""

    XLA = "xla"  # the module itself, which every version has
    PLAIN = "plain"
    BFLOAT16 = "bfloat16"
    LITERT = "litert"
    LITERT_FLOAT16 = "litert-float16"
    LITERT_INT8 = "litert-int8"
    ONNX = "onnx"
    ONNX_FP16 = "onnx-fp16"
    ONNX_INT8 = "onnx-int8"


DEFAULT = (FormatName.XLA, FormatName.PLAIN, FormatName.LITERT, FormatName.LITERT_INT8, FormatName.ONNX)


@dataclass(frozen=True)
class FormatFile:
    """A file: its path below the folder of the module's version, its SHA-256 in hexadecimal and its bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class OnImages:
    """A format beside the published module, on the same images.

    Attributes:
        images: how many.
        of: what they are, in words that follow "images of".
        cosine: the smallest, over the images, between the outputs of both.
        same_class: the share of the images to which both give the same class; None for features and a single class.
        top1: the share that this format classifies right; None for features, and where the classes are not known.
        module_top1: likewise of the published module.
    """

    images: int
    of: str
    cosine: float
    same_class: float | None = None
    top1: float | None = None
    module_top1: float | None = None


@dataclass(frozen=True)
class Speed:
    """What was measured on the publisher's machine, which the next one measures otherwise.

    Attributes:
        threads: how many the runtime used.
        load_seconds: to open the file.
        first_seconds: the first call, with one image.
        images_per_second: by the size of the batches, as text.
    """

    threads: int
    load_seconds: float
    first_seconds: float
    images_per_second: dict[str, float]


@dataclass(frozen=True)
class FormatReport:
    """What was measured of a module in one format.

    Attributes:
        name: the format.
        precision: of its weights: float32, float16 or int8; bfloat16 where only its products are.
        runtime: where it was proven, such as "LiteRT".
        version: of the runtime.
        files: the one to load first; none where the format is left out.
        ladder: every check.
        on_images: beside the published module; None where that has one class, or there were no images.
        speed: None where the format is left out.
        left_out: why there are no files, a clause; "" where there are.
    """

    name: FormatName
    precision: str
    runtime: str
    version: str
    files: tuple[FormatFile, ...]
    ladder: tuple[Rung, ...]
    on_images: OnImages | None = None
    speed: Speed | None = None
    left_out: str = ""

    @property
    def size(self) -> int:
        """The bytes of the file to load; 0 where the format is left out."""
        return self.files[0].size if self.files else 0

    @property
    def max_rel(self) -> float | None:
        """The largest relative error against the JAX model in float64; None where a cosine was measured instead."""
        return next((rung.value for rung in self.ladder if rung.rung == "parity"), None)


@dataclass(frozen=True)
class Formats:
    """What formats.json says.

    Attributes:
        member: whose it is.
        modules: the formats of each module, in the order of FormatName.
        contents: pipeline.saved_model.files.folder_digest() of the SavedModel that they were made from, by head.
        keys: what each format was made from and measured with, a digest: an equal one needs not be made again.
        pages: further files in the folder of a module, which "Try it" shows.
        schema: of this file.
    """

    member: str
    modules: dict[Head, tuple[FormatReport, ...]]
    contents: dict[Head, str]
    keys: dict[Head, dict[FormatName, str]]
    pages: dict[Head, tuple[FormatFile, ...]] = field(default_factory=dict)
    schema: int = SCHEMA

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    def published(self, head: Head) -> tuple[FormatReport, ...]:
        """The formats of a module that have files."""
        return tuple(report for report in self.modules.get(head, ()) if report.files)

    def refuse_other_model(self, head: Head, content: str, where: Path) -> None:
        """Raises a Fault that names the file where a module's formats were made from another SavedModel.

        Args:
            head: which of the member's modules.
            content: the digest of the SavedModel that was validated.
            where: the path of formats.json, which begins the message.
        """
        if (made_from := self.contents.get(head)) != content:
            raise Fault(
                f"{where}: the formats of {head} were made from another model than was validated: content {made_from}"
                f" there, {content} in report.json; run make formats again"
            )


def formats_text(formats: Formats) -> str:
    """Returns the content of formats.json."""
    return json.dumps(asdict(formats), indent=2, sort_keys=True) + "\n"


def load_formats(path: Path) -> Formats:
    """Reads a formats.json.

    Raises:
        Fault: when there is none, or it is none that this program wrote.
    """
    repair = "delete it and run make formats"
    try:
        content = load_json(path, repair, nan=True)
    except FileNotFoundError:
        raise Fault(f"{path}: no such file; run make formats first") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise Fault(f"{path}: expected a report of formats of schema {SCHEMA}; {repair}")
    try:
        return parse_json(Formats, json.dumps(content))
    except ValueError as error:
        raise Fault(f"{path}: not a report of make formats: {error}; {repair}") from None


def split_names(words: str) -> list[str]:
    """Returns the names in a text with commas or blanks between them."""
    return words.replace(",", " ").split()


def parse_names(names: Iterable[str], where: str) -> tuple[FormatName, ...]:
    """Returns formats in the order of FormatName, each once.

    Args:
        names: what somebody wrote.
        where: the first words of messages, such as "formats".

    Raises:
        Fault: for an unknown name.
    """
    known: Mapping[str, FormatName] = {name.value: name for name in FormatName}
    given = list(names)
    for name in given:
        if name not in known:
            raise Fault(f"{where}: unknown format {name!r}{nearest(name, known)}; expected some of {', '.join(known)}")
    return tuple(name for name in FormatName if name in given)


def check_names(names: Iterable[str], where: str = "formats") -> tuple[FormatName, ...]:
    """Returns the formats that a YAML file names, in the order of FormatName.

    Raises:
        Fault: for an unknown name, and without the module itself.
    """
    formats = parse_names(names, where)
    if FormatName.XLA not in formats:
        raise Fault(f"{where}: {FormatName.XLA} is missing, the module itself, which every version has; add it")
    return formats
