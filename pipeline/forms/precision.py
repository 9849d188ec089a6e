"""How files for other runtimes store their weights."""

from enum import StrEnum


class Precision(StrEnum):
    """The type of a file's weights; all files take and return float32."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"  # of products with weights; what they are multiplied with is quantized while the model runs
