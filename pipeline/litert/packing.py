"""Puts metadata and associated files into a LiteRT file, and leaves out what no runtime reads.

The schema is tensorflow/lite/schema/schema.fbs (tensorflow/tensorflow).
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from pipeline.base.fault import Fault
from pipeline.litert.metadata import BUFFER_NAME

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # of weights, as the schema says (force_align); the Python code that TensorFlow generates ignores it
_SIGNATURE = "serving_default"


def add_metadata(model: bytes, output: str, metadata: bytes, files: Mapping[str, bytes]) -> bytes:
    """Returns a LiteRT file with metadata, and a zip archive of files behind it.

    Args:
        model: what TFLiteConverter wrote, with one signature, serving_default: inputs, and one output.
        output: the name that the output must have.
        metadata: the FlatBuffer.
        files: by name.

    Raises:
        Fault: when the signature is another, or takes a fixed batch.
    """
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    _check_signature(parsed, output)
    _shorten(parsed)
    parsed.metadata.append(schema.MetadataT(BUFFER_NAME, len(parsed.buffers)))
    parsed.buffers.append(schema.BufferT(np.frombuffer(metadata, np.uint8)))
    return _append_files(_pack(parsed, schema), files)


def _check_signature(model: Any, output: str) -> None:
    """Raises Fault unless the model takes `inputs` of any batch size and returns the output, under their names."""
    names = {
        (signature.signatureKey.decode(), *(_names(each) for each in (signature.inputs, signature.outputs)))
        for signature in model.signatureDefs or ()
    }
    if names != {(_SIGNATURE, ("inputs",), (output,))}:
        raise Fault(f"the LiteRT file has the signatures {sorted(names)}, expected {_SIGNATURE}: inputs to {output}")
    (graph,) = model.subgraphs[:1]
    shape = graph.tensors[graph.inputs[0]].shapeSignature
    if shape is None or shape[0] != -1:
        raise Fault("the LiteRT file takes a fixed number of images; expected a free first axis of the input")


def _names(tensors: Sequence[Any]) -> tuple[str, ...]:
    return tuple(each.name.decode() for each in tensors)


def _shorten(model: Any) -> None:
    """Gives tensors inside the model short names and one empty buffer, which saves 1 to 2 percent of a small file.

    TFLiteConverter names tensors after TensorFlow's nodes, and gives each a buffer, which is empty but for constants.
    Buffer 0 is always empty.
    """
    buffers, place = [model.buffers[0]], {0: 0}
    for index, buffer in enumerate(model.buffers):
        if buffer.data is not None and len(buffer.data):
            place[index] = len(buffers)
            buffers.append(buffer)
    for graph in model.subgraphs:
        public = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            tensor.buffer = place.get(tensor.buffer, 0)
            if index not in public:
                tensor.name = str(index)
    for entry in model.metadata:
        entry.buffer = place[entry.buffer]
    model.buffers = buffers


def _pack(model: Any, schema: Any) -> bytes:
    """Returns the model's bytes, with aligned buffers."""

    class Aligned(schema.BufferT):
        def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 (the generated code calls it)
            data = _write_aligned(builder, self.data) if self.data is not None else None
            schema.BufferStart(builder)
            if data is not None:
                schema.BufferAddData(builder, data)
            return int(schema.BufferEnd(builder))

    model.buffers = [Aligned(buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _write_aligned(builder: flatbuffers.Builder, data: np.ndarray) -> int:
    builder.StartVector(1, len(data), _ALIGNMENT)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data.tobytes()
    builder.vectorNumElems = len(data)
    return int(builder.EndVector())


def _append_files(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """Returns the model with a zip archive behind it, whose offsets count from the model's start.

    The entries are stored as they are: MediaPipe refuses compressed ones
    (mediapipe/tasks/cc/metadata/utils/zip_utils.cc).
    """
    stream = io.BytesIO(model)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)  # of 1980-01-01
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()
