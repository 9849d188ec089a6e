"""Reads signatures, variables, gradients and nodes of a SavedModel, without starting TensorFlow.

What reads attributes must not insert them, see attribute().
"""

import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from pipeline.base.fault import Fault, show_name

CALLS = ("PartitionedCall", "StatefulPartitionedCall")  # the operations that call the function of their attribute f
_NAMES = {"float": "float32", "double": "float64", "half": "float16"}
_SIZES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("float32", "int32", "uint32"), 4),
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    "complex128": 16,
}


# A text is parsed in Python, 1 MB a second; that of a ViT of this project has 2 MB.
_TEXT = 8_000_000  # bytes of a saved_model.pbtxt, at most
_META_GRAPHS = 1_000  # at most; models have one, or a few for training and other devices
_DIMENSIONS = 254  # of a tensor, at most: TensorFlow's own limit
_LARGEST = 2**63 - 1  # bytes of a tensor, at most

_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
_ASSETS, _LOCAL_VARIABLES = "saved_model_assets", "local_variables"


@dataclass(frozen=True)
class Tensor:
    """The type of a signature's input or output; None for a dimension or rank that depends on the call."""

    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        """Returns it for people: "float32 (?, 224, 224, 3)"."""
        if self.shape is None:
            return f"{self.dtype} of any shape"
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.dtype} ({sizes}{',' if len(self.shape) == 1 else ''})"


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a signature, by name."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclass(frozen=True)
class Variables:
    """The number of variables, their size in bytes (types without a fixed size count 0), and how many are trainable."""

    count: int
    bytes: int
    trainable: int


def saved_model_class() -> Any:
    """Returns the protobuf class SavedModel, see message_class()."""
    return message_class("saved_model", "SavedModel")


@cache
def message_class(module: str, name: str) -> Any:
    """Returns a class of tensorflow.core.protobuf without running tensorflow/__init__.py, which takes eight seconds.

    An empty module takes the place of the package during the import. It and all that was imported through it are then
    removed from sys.modules, so that a later `import tensorflow` is complete. Both imports give the same class, since
    protobuf's pool has one class per message.
    """
    spec = None if "tensorflow" in sys.modules else find_spec("tensorflow")
    full_name = f"tensorflow.core.protobuf.{module}_pb2"
    if spec is None or spec.submodule_search_locations is None:
        return getattr(import_module(full_name), name)
    placeholder = ModuleType("tensorflow")
    placeholder.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = placeholder
    try:
        return getattr(import_module(full_name), name)
    finally:
        for imported in [one for one in sys.modules if one.partition(".")[0] == "tensorflow"]:
            del sys.modules[imported]


def parse(content: bytes, path: object, name: str = "saved_model.pb") -> Any:
    """Parses a saved_model.pb, or a saved_model.pbtxt, which has the same in protobuf's text form.

    Args:
        content: the file.
        path: the model's, for the message.
        name: the file's.

    Raises:
        Fault: when it is damaged, or not a SavedModel.
    """
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    if name.endswith(".pbtxt") and len(content) > _TEXT:
        todo = "load it in TensorFlow and save it again, which writes a saved_model.pb"
        raise Fault(f"{path}: its {name} has {len(content):,} bytes, at most {_TEXT:,} are read; {todo}")
    try:
        if name.endswith(".pbtxt"):
            parsed = text_format.Parse(content.decode(), saved_model_class()())
        else:
            parsed = saved_model_class().FromString(content)
        for meta_graph in parsed.meta_graphs[:_META_GRAPHS]:
            read_assets(meta_graph)  # messages inside of the message
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        if "alloc failed" in str(error):  # how protobuf says so
            raise MemoryError from None
        parsed = None
    if parsed is None or not parsed.meta_graphs:
        raise Fault(
            f"{path}: its {name} ({len(content):,} bytes) is cut short, damaged or not a SavedModel; get it again"
        )
    _refuse_crowds(parsed, f"{path}: its {name}")
    return parsed


def _refuse_crowds(saved_model: Any, where: str) -> None:
    """Raises Fault for what no program writes: very many meta graphs, or two functions of one name."""
    if len(saved_model.meta_graphs) > _META_GRAPHS:
        raise Fault(f"{where} has {len(saved_model.meta_graphs):,} meta graphs, expected one or a few; get it again")
    for meta_graph in saved_model.meta_graphs:
        names: set[str] = set()
        for function in meta_graph.graph_def.library.function:
            if (name := function.signature.name) in names:
                raise Fault(f"{where} has two functions called {show_name(name)}, expected one; get it again")
            names.add(name)


def function_nodes(graph: Any) -> dict[str, Sequence[Any]]:
    """Returns the nodes of each function of a GraphDef by its name, and of the graph itself under ""."""
    return {"": graph.node} | {function.signature.name: function.node_def for function in graph.library.function}


def find_xla_calls(saved_model: Any) -> Iterator[Any]:
    """Yields the XlaCallModule nodes of a SavedModel, which hold its StableHLO; a caller may change them in place."""
    for meta_graph in saved_model.meta_graphs:
        for nodes in function_nodes(meta_graph.graph_def).values():
            yield from (node for node in nodes if node.op == "XlaCallModule")


def attribute(node: Any, name: str) -> Any:
    """Returns an attribute of a NodeDef, an AttrValue without a value if the node lacks it.

    `node.attr[name]` would insert that one, and TensorFlow's C++ loader refuses it: see find_empty_attributes().
    """
    return node.attr[name] if name in node.attr else type(node)().attr[name]  # the new node is thrown away


@dataclass(frozen=True)
class EmptyAttribute:
    """An attribute without a value.

    Attributes:
        text: "<attribute> of node <node> in function <function>", say.
        is_refused: whether TensorFlow's C++ loader refuses the model because of it.
    """

    text: str
    is_refused: bool


def find_empty_attributes(saved_model: Any) -> Iterator[EmptyAttribute]:
    """Yields the attributes without a value.

    Such an attribute comes from reading a key that a protobuf map lacks. TensorFlow's Python loader ignores it. The C++
    loader, which is that of TensorFlow Serving, the C, Go and Java APIs, tf.compat.v1 and TFLite's converter, refuses a
    model with one ("Failed to bind all placeholders in <Unknown AttrValue type>"), but for the private attributes of
    the graph's own nodes, those of functions and their arguments, and functions that the graph does not call.
    """
    for meta_graph in saved_model.meta_graphs:
        graph = meta_graph.graph_def
        functions = function_nodes(graph)
        called = reachable_functions(functions, [""], ())
        for function, nodes in functions.items():
            place = f" in function {function}" if function else ""
            for node in nodes:
                for name in _empty_names(node.attr):
                    is_private = not function and name.startswith("_")
                    yield EmptyAttribute(f"{name} of node {node.name}{place}", function in called and not is_private)
        for function in graph.library.function:
            for attributes in (function.attr, *(argument.attr for argument in function.arg_attr.values())):
                for name in _empty_names(attributes):
                    yield EmptyAttribute(f"{name} of function {function.signature.name}", False)


def _empty_names(attributes: Any) -> Iterator[str]:
    """Yields the names of attributes without a value, and of those of the functions that the attributes name."""
    for name, value in sorted(attributes.items()):
        if value.WhichOneof("value") is None:
            yield name
        for function in [value.func, *value.list.func]:
            yield from (f"{name}.{function.name}.{inner}" for inner in _empty_names(function.attr))


def has_saved_gradients(meta_graph: Any) -> bool | None:
    """Whether the gradients of the XlaCallModule nodes in the forward pass are saved; None without such nodes.

    TensorFlow cannot differentiate an XlaCallModule node. jax2tf marks the node after it with the name of a gradient,
    and SaveOptions(experimental_custom_gradients=True) saves the function of that name.
    """
    nodes = _forward_nodes(meta_graph)
    if not any(node.op == "XlaCallModule" for node in nodes):
        return None
    if any(node.op == "PreventGradient" for node in nodes):  # from with_gradient=False; differentiating it raises
        return False
    # TensorFlow's loader also ignores the mark on calls.
    marks = {
        node.attr["_gradient_op_type"].s for node in nodes if "_gradient_op_type" in node.attr and node.op not in CALLS
    }
    saved = {gradient.registered_op_type.encode() for gradient in meta_graph.graph_def.library.registered_gradients}
    return bool(marks) and marks <= saved


def _forward_nodes(meta_graph: Any) -> list[Any]:
    """Returns the nodes of the forward pass: those that a call can reach without gradient functions."""
    functions = function_nodes(meta_graph.graph_def)
    gradients = {gradient.gradient_func for gradient in meta_graph.graph_def.library.registered_gradients}
    reached = reachable_functions(functions, ["", *meta_graph.object_graph_def.concrete_functions], gradients)
    return [node for name in reached for node in functions[name]]


def reachable_functions(
    functions: Mapping[str, Sequence[Any]], roots: Iterable[str], excluded: Collection[str]
) -> list[str]:
    """Returns the functions that the roots call, directly or not, and the roots, without the excluded ones.

    Args:
        functions: the nodes of each function, as function_nodes() returns them.
        roots: names of functions.
        excluded: names of functions that are not followed.
    """
    seen = set(excluded)
    waiting = list(roots)
    reached = []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        reached.append(name)
        waiting += [called for node in functions[name] for called in called_functions(node)]
    return reached


def called_functions(node: Any) -> Iterator[str]:
    """Yields the names of the functions that a node may call, with those that it hands on to them."""
    yield node.op
    waiting = list(node.attr.values())
    while waiting:
        value = waiting.pop()
        for function in (value.func, *value.list.func):
            yield function.name
            waiting += function.attr.values()


def function_names(node: Any) -> list[str]:
    """Returns the names of the functions of a node of the object graph."""
    if node.HasField("bare_concrete_function"):
        return [node.bare_concrete_function.concrete_function_name]
    return list(node.function.concrete_functions)


def read_signatures(meta_graph: Any) -> dict[str, Signature]:
    """Returns the signatures by name, without those that TensorFlow itself adds."""
    return {
        name: Signature(_read_tensors(signature.inputs, meta_graph), _read_tensors(signature.outputs, meta_graph))
        for name, signature in sorted(meta_graph.signature_def.items())
        if not name.startswith("__saved_model_")
    }


def _read_tensors(infos: Any, meta_graph: Any) -> dict[str, Tensor]:
    return {name: read_tensor(info.dtype, info.tensor_shape, meta_graph) for name, info in sorted(infos.items())}


def read_tensor(dtype: int, shape: Any, meta_graph: Any) -> Tensor:
    """Returns a tensor's type from its tensorflow.DataType and its TensorShapeProto."""
    if shape.unknown_rank or len(shape.dim) > _DIMENSIONS:
        return Tensor(_dtype_name(dtype, meta_graph), None)
    return Tensor(_dtype_name(dtype, meta_graph), tuple(None if dim.size < 0 else dim.size for dim in shape.dim))


def read_assets(meta_graph: Any) -> dict[str, str]:
    """Returns the files below assets/ that a meta graph reads, by the names of the nodes that stand for their paths."""
    assets = list(meta_graph.asset_file_def)
    if (
        not assets and _ASSETS in meta_graph.collection_def
    ):  # of TensorFlow 1; TensorFlow, too, reads but one of the two
        for packed in meta_graph.collection_def[_ASSETS].any_list.value:
            assets.append(type(meta_graph)().asset_file_def.add())
            assets[-1].ParseFromString(packed.value)
    return {asset.tensor_info.name.partition(":")[0]: asset.filename for asset in assets}


def read_local_initializers(meta_graph: Any) -> list[str]:
    """Returns the names of the nodes that initialize the local variables of TensorFlow 1."""
    from google.protobuf import message_factory
    from google.protobuf.message import DecodeError

    if _LOCAL_VARIABLES not in meta_graph.collection_def:
        return []
    pool = meta_graph.DESCRIPTOR.file.pool
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.VariableDef"))
    names = []
    for packed in meta_graph.collection_def[_LOCAL_VARIABLES].bytes_list.value:
        with suppress(DecodeError):  # TensorFlow cannot load a model with such a variable
            names.append(message.FromString(packed).initializer_name)
    return names


def read_variables(meta_graph: Any) -> Variables:
    """Counts the variables of the object graph, or of the graph itself without an object graph (TensorFlow 1)."""
    if not meta_graph.object_graph_def.nodes:
        return _read_graph_variables(meta_graph)
    variables = [node.variable for node in meta_graph.object_graph_def.nodes if node.HasField("variable")]
    size = sum(_tensor_size(variable.dtype, variable.shape, meta_graph) for variable in variables)
    return Variables(len(variables), size, sum(variable.trainable for variable in variables))


def _read_graph_variables(meta_graph: Any) -> Variables:
    nodes = [node for node in meta_graph.graph_def.node if node.op in _VARIABLES]
    size = sum(
        _tensor_size(attribute(node, "dtype").type, attribute(node, "shape").shape, meta_graph) for node in nodes
    )
    collections = meta_graph.collection_def
    name = "trainable_variables"
    trainable = len(collections[name].bytes_list.value) if name in collections else 0
    return Variables(len(nodes), size, trainable)


def _tensor_size(dtype: int, shape: Any, meta_graph: Any) -> int:
    count = math.prod(max(dim.size, 0) for dim in shape.dim[:_DIMENSIONS])
    return min(count * _SIZES.get(_dtype_name(dtype, meta_graph), 0), _LARGEST)


def _dtype_name(number: int, meta_graph: Any) -> str:
    """Returns NumPy's name of a tensorflow.DataType."""
    enum = meta_graph.DESCRIPTOR.file.pool.FindEnumTypeByName("tensorflow.DataType")
    value = enum.values_by_number.get(number)
    name = value.name.removeprefix("DT_").removesuffix("_REF").lower() if value else f"unknown type {number}"
    return _NAMES.get(name, name)
