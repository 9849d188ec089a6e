"""The forms of a LiteRT file."""

from enum import StrEnum


class Form(StrEnum):
    """How a file stores its weights; all forms take and return float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"  # weights only; CPUs compute in float32, GPUs in either
    INT8 = "int8"  # weights of dense layers and convolutions; activations are quantized while the model runs

    @property
    def file(self) -> str:
        """The file's name below a published version."""
        return "model.tflite" if self is Form.FLOAT32 else f"model_{self}.tflite"
