"""The files of a module in LiteRT."""

from pipeline.forms.precision import Precision


def file_name(precision: Precision) -> str:
    """Returns the name of a file below the folder of all formats."""
    return "model.tflite" if precision is Precision.FLOAT32 else f"model_{precision}.tflite"
