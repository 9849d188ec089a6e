"""Writes the ONNX files of a module: float32, float16 and dynamic int8, for onnxruntime, OpenVINO and transformers.js.

Each model maps `pixel_values`, float32 (n, 3, size, size) in [-1, 1], to `logits` (n, classes) or `image_embeds`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx
from onnx import helper

from pipeline.base.fault import Fault
from pipeline.base.files import replacing_folder, write_text
from pipeline.litert.quality import Bar, Examples, Quality, check, compare
from pipeline.onnx_form.configuration import (
    INPUT,
    Facts,
    as_text,
    check_labels,
    configuration,
    metadata,
    preprocessor_configuration,
)
from pipeline.onnx_form.forms import BARS, CONFIGURATION, PREPROCESSOR, Form
from pipeline.onnx_form.module_graph import read_module
from pipeline.onnx_form.quantized import quantize
from pipeline.onnx_form.running import run_files
from pipeline.translate.folding import fold
from pipeline.translate.graph import Graph
from pipeline.translate.half_precision import to_half
from pipeline.translate.onnx_models import PRODUCER, Input, to_onnx

_LARGEST = (1 << 31) - 1  # bytes of a protobuf message


def write_files(
    source: Path,
    target: Path,
    facts: Facts,
    examples: Examples,
    bars: Mapping[Form, Bar] = BARS,
    forms: Sequence[Form] = tuple(Form),
) -> dict[Form, Quality]:
    """Writes a file for each form, and those that transformers.js reads; the same module gives the same bytes.

    Args:
        source: the module, a SavedModel that pipeline.convert wrote.
        target: the folder, which is replaced when all files are complete.
        facts: what the files say.
        examples: what the quantized files are tried on.
        bars: what each quantized form must keep.
        forms: which files to write.

    Returns:
        What was measured of each quantized file.

    Raises:
        Fault: when the module is damaged, has an operation that is not translated, or is too large for ONNX, or when a
            quantized file is outside its bar; the folder stays as it is then.
        OSError: when a file cannot be read or written.
    """
    module = read_module(source)
    check_labels(facts.labels, module.graph.outputs[0].shape[-1], source)
    with replacing_folder(target) as folder:
        for form, model in _models(fold(module.graph), facts, forms):
            if model.ByteSize() > _LARGEST:
                raise Fault(f"{source}: {form.file} would have {model.ByteSize():,} bytes, at most {_LARGEST:,} fit")
            (folder / form.file).write_bytes(model.SerializeToString(deterministic=True))
        write_text(folder / CONFIGURATION, as_text(configuration(facts)))
        write_text(folder / PREPROCESSOR, as_text(preprocessor_configuration(facts)))
        qualities = _measure(folder, facts, examples, [form for form in forms if form is not Form.FLOAT32])
        for form, quality in qualities.items():
            check(f"{source}: {form.file}", quality, bars[form])
        if Form.FLOAT32 not in forms:  # the others were compared with it
            (folder / Form.FLOAT32.file).unlink()
    return qualities


def _models(graph: Graph, facts: Facts, forms: Sequence[Form]) -> Iterator[tuple[Form, onnx.ModelProto]]:
    """Yields the models, float32 in any case, one after another: those of a large module have gigabytes."""
    if Form.FLOAT16 in forms:
        yield Form.FLOAT16, _translated(to_half(graph), facts, Form.FLOAT16)
    single = _translated(graph, facts, Form.FLOAT32)
    yield Form.FLOAT32, single
    if Form.INT8 not in forms:
        return
    quantized = quantize(single)
    del single
    quantized.producer_name = PRODUCER
    quantized.producer_version = ""
    del quantized.metadata_props[:]
    helper.set_model_props(quantized, metadata(facts, Form.INT8))
    yield Form.INT8, quantized


def _translated(graph: Graph, facts: Facts, form: Form) -> onnx.ModelProto:
    images = Input(INPUT, is_first=True, sizes={0: "batch_size"})
    return to_onnx(graph, [images], [facts.output], metadata(facts, form))


def _measure(folder: Path, facts: Facts, examples: Examples, forms: Sequence[Form]) -> dict[Form, Quality]:
    """Compares the file of each form with that of float32."""
    if not forms:
        return {}
    files = {form: folder / form.file for form in (Form.FLOAT32, *forms)}
    runs = dict(zip(files, run_files(list(files.values()), examples.images, rounds=0), strict=True))
    sizes = {form: file.stat().st_size for form, file in files.items()}
    whole, expected = sizes[Form.FLOAT32], runs[Form.FLOAT32].outputs
    return {
        form: compare(facts.head, runs[form].outputs, expected, sizes[form] / whole, examples.labels) for form in forms
    }
