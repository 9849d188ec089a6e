"""How files for other runtimes store their weights."""

from enum import StrEnum


class Precision(StrEnum):
    """The type of a file's weights, and of BFLOAT16 that of its products; all files take and return float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"  # of TensorFlow's twin alone, whose weights are stored in float32
    INT8 = "int8"  # of products with weights; what they are multiplied with is quantized while the model runs


OF_FILES = (Precision.FLOAT32, Precision.FLOAT16, Precision.INT8)  # that LiteRT and ONNX have
