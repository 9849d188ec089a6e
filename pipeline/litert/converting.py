"""Converts a SavedModel of ordinary TensorFlow operations with TensorFlow's converter for LiteRT."""

import re
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, show_name
from pipeline.forms.precision import Precision

_LARGEST = 1 << 31  # bytes of a FlatBuffer

# "TF Select ops: Erfinv" and "Custom ops: Foo, Bar" in the errors of TFLiteConverter.
_FOREIGN = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def _explain(plain: Path, error: Exception) -> Fault:
    """Returns the fault of a module that the converter refuses."""
    if foreign := sorted({name for found in _FOREIGN.findall(str(error)) for name in found.split(", ")}):
        return Fault(f"{plain}: LiteRT has no operation {', '.join(foreign)}, so the module has no LiteRT files")
    first = str(error).strip().splitlines() or [type(error).__name__]
    return Fault(f"{plain}: LiteRT's converter fails ({show_name(first[0])}), so the module has no LiteRT files")


def _refuse(plain: Path) -> None:
    """Raises Fault for a module that is not tried."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    from pipeline.saved_model.graph import find_xla_calls

    saved: Any = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    if next(iter(find_xla_calls(saved)), None) is not None:
        raise Fault(
            f"{plain}: LiteRT has no operation XlaCallModule; convert its plain twin (python -m pipeline.plain)"
        )
    size = sum(file.stat().st_size for file in (plain / "variables").glob("variables.data*"))
    if size >= _LARGEST:
        raise Fault(f"{plain}: its weights have {size:,} bytes, and a LiteRT file at most {_LARGEST:,}")


def convert_to(plain: Path, precision: Precision) -> bytes:
    """Returns a LiteRT file without metadata.

    Args:
        plain: a SavedModel of ordinary TensorFlow operations, whose signature serving_default is converted.
        precision: of its weights.

    Raises:
        Fault: when the module has XlaCallModule, an operation that LiteRT lacks, or too large weights.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import ConverterError

    _refuse(plain)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(plain), signature_keys=["serving_default"])
    if precision is not Precision.FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision is Precision.FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    try:
        content: bytes = converter.convert()
    except ConverterError as error:
        raise _explain(plain, error) from error
    return content
