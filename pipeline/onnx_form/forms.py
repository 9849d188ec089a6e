"""The files of a module in ONNX, as transformers.js calls them."""

from pipeline.forms.precision import OF_FILES, Precision

CONFIGURATION, PREPROCESSOR = "config.json", "preprocessor_config.json"


def file_name(precision: Precision) -> str:
    """Returns the name of a model's file below the folder of all formats.

    In float16, softmax, normalizations and sums are float32 all the same.
    """
    suffix = {"float32": "", "float16": "_fp16", "int8": "_quantized"}[precision]
    return f"onnx/model{suffix}.onnx"


FILES = (*map(file_name, OF_FILES), CONFIGURATION, PREPROCESSOR)
