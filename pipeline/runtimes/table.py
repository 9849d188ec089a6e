"""The formats that a module is written in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault, nearest

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


class Precision(StrEnum):
    """How a format stores its weights; all take and return float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


# The smallest cosine between the outputs of a format and the exact ones; float32 must keep the module's own tolerance.
COSINES: Mapping[Precision, float] = {Precision.FLOAT16: 0.9999, Precision.INT8: 0.99}


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


_CONFIGURATION = ("onnx/config.json", "onnx/preprocessor_config.json")
_TABLE = (
    Format("plain", "plain", Runtime.TENSORFLOW),
    Format("litert", "model.tflite", Runtime.LITERT),
    Format("litert-float16", "model_float16.tflite", Runtime.LITERT, Precision.FLOAT16),
    Format("litert-int8", "model_int8.tflite", Runtime.LITERT, Precision.INT8),
    Format("onnx", "onnx/model.onnx", Runtime.ONNX, beside=_CONFIGURATION),
    Format("onnx-fp16", "onnx/model_fp16.onnx", Runtime.ONNX, Precision.FLOAT16, _CONFIGURATION),
    Format("onnx-int8", "onnx/model_quantized.onnx", Runtime.ONNX, Precision.INT8, _CONFIGURATION),
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
