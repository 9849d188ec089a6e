"""Writes the ONNX files of a module: float32, float16 and dynamic int8, for onnxruntime, OpenVINO and transformers.js.

Each model maps `pixel_values`, float32 (n, 3, size, size) in [-1, 1], to `logits` (n, classes) or `image_embeds`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from onnx import helper

from pipeline.base.fault import Fault
from pipeline.base.files import replacing_folder, write_text
from pipeline.forms.facts import Facts
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.onnx_form.configuration import (
    INPUT,
    as_text,
    check_labels,
    configuration,
    metadata,
    output_name,
    preprocessor_configuration,
)
from pipeline.onnx_form.forms import CONFIGURATION, PREPROCESSOR, file_name
from pipeline.onnx_form.module_graph import read_module
from pipeline.onnx_form.quantized import quantize
from pipeline.translate.folding import fold
from pipeline.translate.graph import Graph
from pipeline.translate.half_precision import to_half
from pipeline.translate.onnx_models import PRODUCER, Input, to_onnx

_LARGEST = (1 << 31) - 1  # bytes of a protobuf message


def write_files(
    source: Path,
    target: Path,
    facts: Facts,
    precisions: Sequence[Precision] = OF_FILES,
) -> None:
    """Writes a file for each precision, and those that transformers.js reads; the same module gives the same bytes.

    Args:
        source: the module, a SavedModel that pipeline.convert wrote.
        target: the folder, which is replaced when all files are complete: it gets onnx/, and two files beside that.
        facts: what the files say.
        precisions: which files to write.

    Raises:
        Fault: when the module is damaged, has an operation that is not translated, or is too large for ONNX; the folder
            stays as it is then.
        OSError: when a file cannot be read or written.
    """
    module = read_module(source)
    check_labels(facts.labels, module.graph.outputs[0].shape[-1], source)
    with replacing_folder(target) as folder:
        (folder / "onnx").mkdir()
        for precision, model in _models(fold(module.graph), facts, precisions):
            if (size := model.ByteSize()) > _LARGEST:
                raise Fault(f"{source}: {file_name(precision)} would have {size:,} bytes, at most {_LARGEST:,} fit")
            if precision in precisions:
                (folder / file_name(precision)).write_bytes(model.SerializeToString(deterministic=True))
        write_text(folder / CONFIGURATION, as_text(configuration(facts)))
        write_text(folder / PREPROCESSOR, as_text(preprocessor_configuration(facts)))


def _models(graph: Graph, facts: Facts, precisions: Sequence[Precision]) -> Iterator[tuple[Precision, onnx.ModelProto]]:
    """Yields the models, float32 in any case, one after another: those of a large module have gigabytes."""
    if Precision.FLOAT16 in precisions:
        yield Precision.FLOAT16, _translated(to_half(graph), facts, Precision.FLOAT16)
    single = _translated(graph, facts, Precision.FLOAT32)
    yield Precision.FLOAT32, single
    if Precision.INT8 not in precisions:
        return
    quantized = quantize(single)
    del single
    quantized.producer_name = PRODUCER
    quantized.producer_version = ""
    del quantized.metadata_props[:]
    helper.set_model_props(quantized, metadata(facts, Precision.INT8))
    yield Precision.INT8, quantized


def _translated(graph: Graph, facts: Facts, precision: Precision) -> onnx.ModelProto:
    images = Input(INPUT, is_first=True, sizes={0: "batch_size"})
    return to_onnx(graph, [images], [output_name(facts.head)], metadata(facts, precision))
