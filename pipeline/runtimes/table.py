"""The formats that a module is written in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault, nearest
from pipeline.forms.precision import Precision
from pipeline.forms.quality import BARS
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


# The smallest cosine between the outputs of a format and the exact ones; float32 must keep the module's own tolerance.
COSINES: Mapping[Precision, float] = {precision: bar.cosine for precision, bar in BARS.items()}


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

    name: str
    path: str
    runtime: Runtime
    precision: Precision = Precision.FLOAT32
    beside: tuple[str, ...] = ()

    @property
    def least_cosine(self) -> float | None:
        """The smallest cosine to the exact outputs; None where the module's own tolerance must be kept."""
        return COSINES.get(self.precision)


_CONFIGURATION = (f"onnx/{onnx.CONFIGURATION}", f"onnx/{onnx.PREPROCESSOR}")


def _litert(name: str, precision: Precision) -> Format:
    return Format(name, litert.file_name(precision), Runtime.LITERT, precision)


def _onnx(name: str, precision: Precision) -> Format:
    return Format(name, f"onnx/{onnx.file_name(precision)}", Runtime.ONNX, precision, _CONFIGURATION)


_TABLE = (
    Format("plain", "plain", Runtime.TENSORFLOW),
    _litert("litert", Precision.FLOAT32),
    _litert("litert-float16", Precision.FLOAT16),
    _litert("litert-int8", Precision.INT8),
    _onnx("onnx", Precision.FLOAT32),
    _onnx("onnx-fp16", Precision.FLOAT16),
    _onnx("onnx-int8", Precision.INT8),
)
FORMATS: Mapping[str, Format] = {each.name: each for each in _TABLE}
DEFAULT = ("plain", "litert", "litert-int8", "onnx")


def select_formats(words: Iterable[str]) -> tuple[Format, ...]:
    """Returns formats in the order of the table, each once.

    Args:
        words: names, also several in a word with commas between; none for DEFAULT.

    Raises:
        Fault: for an unknown name.
    """
    names = [name for word in words for name in word.replace(",", " ").split()] or DEFAULT
    for name in names:
        if name not in FORMATS:
            raise Fault(f"unknown format {name!r}{nearest(name, FORMATS)}; expected {', '.join(FORMATS)}")
    return tuple(each for each in _TABLE if each.name in names)


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
