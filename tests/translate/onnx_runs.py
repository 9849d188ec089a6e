"""Runs translated graphs in onnxruntime."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime

from pipeline.translate.graph import Graph, Node, Operation, Shape, constant, parameter
from pipeline.translate.onnx_models import Input, to_onnx

onnxruntime.set_default_logger_severity(4)  # an error is raised, too


def check(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model that ONNX's checker accepts, with all shapes inferred."""
    onnx.checker.check_model(model, full_check=True)
    return model


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(check(model).SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_graph(graph: Graph, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the results of a graph."""
    names = [f"x{index}" for index in range(len(graph.parameters))]
    model = to_onnx(graph, [Input(name) for name in names], [f"y{index}" for index in range(len(graph.outputs))])
    results: list[np.ndarray] = session(model).run(None, dict(zip(names, arguments, strict=True)))
    return results


def run(
    operation: Operation,
    arguments: Sequence[np.ndarray],
    dtype: np.dtype | type | None = None,
    shape: Shape | None = None,
    sizes: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Returns the result of one operation.

    Args:
        operation: whose inputs are all parameters, then the vectors of sizes.
        arguments: the values of the parameters.
        dtype: of the result; that of the first argument by default.
        shape: of the result; that of the first argument by default.
        sizes: its last inputs, constants.
    """
    parameters = tuple(parameter(index, each.shape, each.dtype) for index, each in enumerate(arguments))
    vectors = tuple(constant(each, np.int32) for each in sizes)
    kind = arguments[0].dtype if dtype is None else np.dtype(dtype)
    node = Node(operation, (*parameters, *vectors), arguments[0].shape if shape is None else shape, kind)
    (result,) = run_graph(Graph("main", parameters, (node,)), arguments)
    return result
