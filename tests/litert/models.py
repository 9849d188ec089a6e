"""Small LiteRT files, made without TensorFlow."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def mean_model(output: str = "logits", batch: int = -1, size: int = 2) -> bytes:
    """Returns what TFLiteConverter writes for the mean of each channel: inputs (n, size, size, 3) to (n, 3)."""
    tensors = [
        _tensor(b"serving_default_inputs:0", (batch, size, size, 3), 1),
        _tensor(b"a/constant/of/TensorFlow", (2,), 2, schema.TensorType.INT32),
        _tensor(b"StatefulPartitionedCall:0", (batch, 3), 3),
    ]
    axes = np.frombuffer(np.array([1, 2], np.int32).tobytes(), np.uint8)
    operator = schema.OperatorT(
        opcodeIndex=0,
        inputs=[0, 1],
        outputs=[2],
        builtinOptionsType=schema.BuiltinOptions.ReducerOptions,
        builtinOptions=schema.ReducerOptionsT(keepDims=False),
    )
    graph = schema.SubGraphT(tensors=tensors, inputs=[0], outputs=[2], operators=[operator], name=b"main")
    mean = schema.BuiltinOperator.MEAN
    signature = schema.SignatureDefT(
        inputs=[schema.TensorMapT(b"inputs", 0)],
        outputs=[schema.TensorMapT(output.encode(), 2)],
        signatureKey=b"serving_default",
    )
    model = schema.ModelT(
        version=3,
        operatorCodes=[schema.OperatorCodeT(deprecatedBuiltinCode=mean, builtinCode=mean, version=1)],
        subgraphs=[graph],
        buffers=[schema.BufferT(data) for data in (None, None, axes, None, np.full(16, 49, np.uint8))],
        metadata=[schema.MetadataT(b"min_runtime_version", 4)],
        signatureDefs=[signature],
    )
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(name: bytes, shape: tuple[int, ...], buffer: int, kind: int = schema.TensorType.FLOAT32) -> schema.TensorT:
    """Returns a tensor; a free first axis is -1 in the signature of its shape."""
    return schema.TensorT(
        shape=[abs(length) for length in shape],
        shapeSignature=list(shape),
        type=kind,
        buffer=buffer,
        name=name,
        hasRank=True,
    )
