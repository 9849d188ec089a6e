"""What stands in saved_model.pb beside the computations: signatures, variables, gradients; read without TensorFlow."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.base.fault import Fault

_NAMES = {"float": "float32", "double": "float64", "half": "float16"}
_SIZES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("float32", "int32", "uint32"), 4),
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    "complex128": 16,
}


@dataclass(frozen=True)
class Tensor:
    """The type of a signature's input or output; None stands for what only a call decides."""

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """What a signature takes and returns, by name."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclass(frozen=True)
class Variables:
    """Numbers from the object graph; bytes are those of the types that have a fixed size."""

    count: int
    bytes: int
    trainable: int


def saved_model_class() -> Any:
    """Returns the protobuf class SavedModel without running tensorflow/__init__.py, which takes eight seconds.

    A stand-in holds the package's place meanwhile. What was imported through it is forgotten again, so that a later
    `import tensorflow` starts from nothing; protobuf's pool has one class per message, so both get the same.
    """
    spec = None if "tensorflow" in sys.modules else find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        return SavedModel
    stand_in = ModuleType("tensorflow")
    stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = stand_in
    try:
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
            del sys.modules[name]
    return SavedModel


def parse(content: bytes, path: Path) -> Any:
    """Returns the parsed content of saved_model.pb, or raises Fault; `path` is the model's, for the message."""
    from google.protobuf.message import DecodeError

    try:
        parsed = saved_model_class().FromString(content)
    except DecodeError:
        parsed = None
    if parsed is None or not parsed.meta_graphs:
        raise Fault(
            f"{path}: its saved_model.pb ({len(content):,} bytes) is cut short, damaged or no SavedModel at all;"
            " fetch or convert it again"
        )
    return parsed


# The graph ------------------------------------------------------------------------------------------------------------
def function_nodes(graph: Any) -> dict[str, Sequence[Any]]:
    """Returns the nodes of each function of a GraphDef, and under "" those of the graph itself."""
    return {"": graph.node} | {function.signature.name: function.node_def for function in graph.library.function}


def find_xla_calls(saved_model: Any) -> Iterator[Any]:
    """Yields the XlaCallModule nodes of a SavedModel, which hold its StableHLO; a caller may change them in place."""
    for meta_graph in saved_model.meta_graphs:
        for nodes in function_nodes(meta_graph.graph_def).values():
            yield from (node for node in nodes if node.op == "XlaCallModule")


def _called(node: Any) -> Iterator[str]:
    """Yields the names of the functions that a node may call."""
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)


def _forward(meta_graph: Any) -> list[Any]:
    """Returns the nodes that a call can reach, gradient functions aside: those of the forward pass."""
    functions = function_nodes(meta_graph.graph_def)
    gradients = {gradient.gradient_func for gradient in meta_graph.graph_def.library.registered_gradients}
    waiting, seen = ["", *meta_graph.object_graph_def.concrete_functions], set(gradients)
    nodes: list[Any] = []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        nodes += functions[name]
        waiting += [called for node in functions[name] for called in _called(node)]
    return nodes


def gradients(meta_graph: Any) -> bool | None:
    """Returns whether the gradients of the XlaCallModule nodes in the forward pass are saved; None without such nodes.

    TensorFlow cannot derive an XlaCallModule node; jax2tf marks the node after it with the name of a gradient, and
    SaveOptions(experimental_custom_gradients=True) saves the function of that name.
    """
    nodes = _forward(meta_graph)
    if not any(node.op == "XlaCallModule" for node in nodes):
        return None
    if any(node.op == "PreventGradient" for node in nodes):  # what with_gradient=False leaves; it raises when asked
        return False
    # As TensorFlow's loader does: of calls the mark means nothing.
    calls = ("PartitionedCall", "StatefulPartitionedCall")
    marks = {
        node.attr["_gradient_op_type"].s for node in nodes if "_gradient_op_type" in node.attr and node.op not in calls
    }
    saved = {gradient.registered_op_type.encode() for gradient in meta_graph.graph_def.library.registered_gradients}
    return bool(marks) and marks <= saved


def _dtype(number: int, meta_graph: Any) -> str:
    enum = meta_graph.DESCRIPTOR.file.pool.FindEnumTypeByName("tensorflow.DataType")
    value = enum.values_by_number.get(number)
    name = value.name.removeprefix("DT_").removesuffix("_REF").lower() if value else f"unknown type {number}"
    return _NAMES.get(name, name)


def _tensors(infos: Any, meta_graph: Any) -> dict[str, Tensor]:
    found = {}
    for name, info in sorted(infos.items()):
        shape = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
        found[name] = Tensor(_dtype(info.dtype, meta_graph), None if info.tensor_shape.unknown_rank else shape)
    return found


def signatures(meta_graph: Any) -> dict[str, Signature]:
    """Returns the signatures by name, without those that TensorFlow itself adds."""
    return {
        name: Signature(_tensors(signature.inputs, meta_graph), _tensors(signature.outputs, meta_graph))
        for name, signature in sorted(meta_graph.signature_def.items())
        if not name.startswith("__saved_model_")
    }


def variables(meta_graph: Any) -> Variables | None:
    """Returns the numbers of the object graph, or None without one."""
    if not meta_graph.object_graph_def.nodes:
        return None
    declared = [node.variable for node in meta_graph.object_graph_def.nodes if node.HasField("variable")]
    total = 0
    for variable in declared:
        count = math.prod(max(dim.size, 0) for dim in variable.shape.dim)
        total += count * _SIZES.get(_dtype(variable.dtype, meta_graph), 0)
    return Variables(len(declared), total, sum(variable.trainable for variable in declared))
