"""The formats that a module is written in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault
from pipeline.facts.formats import DEFAULT, FormatName, parse_names, split_names
from pipeline.forms.precision import Precision
from pipeline.litert import forms as litert
from pipeline.onnx_form import forms as onnx

EXTRA = "runtimes"  # of pyproject.toml


class Runtime(StrEnum):
    """What loads and runs a format."""

    TENSORFLOW = "TensorFlow"
    LITERT = "LiteRT"
    ONNX = "onnxruntime"

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that write and run it, by the names that pip knows."""
        more = {Runtime.LITERT: ("ai-edge-litert", "flatbuffers"), Runtime.ONNX: ("onnx", "onnxruntime")}
        return ("tensorflow", "jaxlib", *more.get(self, ()))


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: what people call it.
        path: its file, or its folder, below the folder of all formats.
        runtime: what it is proven in.
        precision: of the weights.
        beside: further files that belong to it.
    """

    name: FormatName
    path: str
    runtime: Runtime
    precision: Precision = Precision.FLOAT32
    beside: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether it is a SavedModel, which is published as a .tar.gz."""
        return self.runtime is Runtime.TENSORFLOW

    @property
    def published(self) -> str:
        """Its file below the folder of the version in a hub."""
        return f"{self.path}.tar.gz" if self.is_folder else self.path


def _litert(name: FormatName, precision: Precision) -> Format:
    return Format(name, litert.file_name(precision), Runtime.LITERT, precision)


def _onnx(name: FormatName, precision: Precision) -> Format:
    return Format(name, onnx.file_name(precision), Runtime.ONNX, precision, (onnx.CONFIGURATION, onnx.PREPROCESSOR))


_TABLE = (
    Format(FormatName.PLAIN, "plain", Runtime.TENSORFLOW),
    Format(FormatName.BFLOAT16, "bfloat16", Runtime.TENSORFLOW, Precision.BFLOAT16),
    _litert(FormatName.LITERT, Precision.FLOAT32),
    _litert(FormatName.LITERT_FLOAT16, Precision.FLOAT16),
    _litert(FormatName.LITERT_INT8, Precision.INT8),
    _onnx(FormatName.ONNX, Precision.FLOAT32),
    _onnx(FormatName.ONNX_FP16, Precision.FLOAT16),
    _onnx(FormatName.ONNX_INT8, Precision.INT8),
)
# All but the module itself, from which the others are made.
FORMATS: Mapping[FormatName, Format] = {each.name: each for each in _TABLE}


def select_formats(words: Iterable[str]) -> tuple[Format, ...]:
    """Returns the formats that somebody asked for, without the module itself, in the order of the table.

    Args:
        words: names, also several in a word with commas between; none for DEFAULT.

    Raises:
        Fault: for an unknown name.
    """
    names = [name for word in words for name in split_names(word)] or DEFAULT
    return of_names(parse_names(names, "FORMATS"))


def of_names(names: Iterable[FormatName]) -> tuple[Format, ...]:
    """Returns formats by their names, without the module itself."""
    return tuple(FORMATS[name] for name in names if name in FORMATS)


def require_packages(formats: Sequence[Format]) -> None:
    """Refuses formats whose packages are not installed.

    Raises:
        Fault: names the packages and the command that installs them.
    """
    for each in formats:
        if missing := [name for name in each.runtime.packages if find_spec(name.replace("-", "_")) is None]:
            verb = "is" if len(missing) == 1 else "are"
            raise Fault(
                f"the format {each.name} needs {', '.join(missing)}, which {verb} not installed; run:"
                f" {install_line(EXTRA)}"
            )
