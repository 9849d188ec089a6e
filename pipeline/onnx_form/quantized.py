"""Dynamic int8: weights of products as int8, activations rounded to uint8 when the model runs."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keeps the advice to prepare the model from the root logger: to_onnx() writes what that preparation would make."""
    logger = logging.getLogger()
    ignore = lambda record: "pre-processing before quantization" not in record.getMessage()  # noqa: E731
    logger.addFilter(ignore)
    try:
        yield
    finally:
        logger.removeFilter(ignore)


def quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model whose products with weights are computed in int8.

    Each column of a matrix has a scale of its own. Weights have seven bits: with eight, processors without VNNI
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html) add up to more than int16 holds and
    answer something else. The scale of activations is that of the whole batch of a call.

    Args:
        model: in float32; its convolutions stay so.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _without_advice():
        source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(target)
