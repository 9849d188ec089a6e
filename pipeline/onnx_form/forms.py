"""The files of a module in ONNX, as transformers.js calls them."""

from collections.abc import Mapping
from enum import StrEnum

from pipeline.litert.quality import Bar

CONFIGURATION, PREPROCESSOR = "config.json", "preprocessor_config.json"


class Form(StrEnum):
    """How a file stores its weights and computes; all forms take and return float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"  # but softmax, normalizations and sums, which are float32
    INT8 = "int8"  # products with weights; activations are rounded while the model runs

    @property
    def file(self) -> str:
        """The file's name."""
        return {"float32": "model.onnx", "float16": "model_fp16.onnx", "int8": "model_quantized.onnx"}[self]


FILES = (*(form.file for form in Form), CONFIGURATION, PREPROCESSOR)

BARS: Mapping[Form, Bar] = {
    Form.FLOAT16: Bar(size=0.53, top1=0.003, same_class=0.995, cosine=0.9999),
    Form.INT8: Bar(size=0.34, top1=0.003, same_class=0.995, cosine=0.99),
}
