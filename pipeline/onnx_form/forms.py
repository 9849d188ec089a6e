"""The files of a module in ONNX, as transformers.js calls them."""

from pipeline.forms.precision import Precision

CONFIGURATION, PREPROCESSOR = "config.json", "preprocessor_config.json"


def file_name(precision: Precision) -> str:
    """Returns the name of a model's file.

    In float16, softmax, normalizations and sums are float32 all the same.
    """
    return {"float32": "model.onnx", "float16": "model_fp16.onnx", "int8": "model_quantized.onnx"}[precision]


FILES = (*map(file_name, Precision), CONFIGURATION, PREPROCESSOR)
