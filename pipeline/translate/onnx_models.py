"""Translates a graph into an ONNX model (https://onnx.ai/onnx/operators/), for onnxruntime, OpenVINO and browsers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import helper

from pipeline.translate import onnx_control, onnx_elementwise, onnx_layers, onnx_operations
from pipeline.translate.folding import fold
from pipeline.translate.graph import Graph, Node, Operation
from pipeline.translate.inlining import inlined
from pipeline.translate.onnx_scope import Emit, Scope, Shared, channels_first, element_type, used_names

OPSET = 20  # the first with Gelu, of January 2024
IR_VERSION = 9  # that of the same release, 1.15
PRODUCER = "vit-publisher"


@dataclass(frozen=True)
class Input:
    """A parameter of the model.

    Attributes:
        name: of the input.
        is_first: whether the model takes images with the channels first, (n, channels, *space).
        sizes: names of the dimensions of any size, by axis of the graph's parameter; others are called after the input.
    """

    name: str
    is_first: bool = False
    sizes: Mapping[int, str] = field(default_factory=dict)


def _elementwise(emit: Callable[[Scope, Node, Sequence[str]], str]) -> tuple[Emit, Emit]:
    """Returns the functions that write an elementwise node as it is, and channels first."""

    def last(scope: Scope, node: Node) -> str:
        return emit(scope, node, scope.names(node))

    def first(scope: Scope, node: Node) -> str:
        return emit(scope, node, [scope.first_operand(each, node.rank) for each in node.inputs])

    return last, first


_EITHER = {kind: _elementwise(emit) for kind, emit in onnx_elementwise.TABLE.items()}
_EMITTERS: dict[type[Operation], Emit] = {
    **{kind: last for kind, (last, _) in _EITHER.items()},
    **onnx_operations.TABLE,
    **onnx_layers.TABLE,
    **onnx_control.TABLE,
}
_FIRST: dict[type[Operation], Emit] = {
    **{kind: first for kind, (_, first) in _EITHER.items()},
    **onnx_layers.FIRST_TABLE,
}


def to_onnx(
    graph: Graph, inputs: Sequence[Input], outputs: Sequence[str], metadata: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """Translates a graph.

    Weights, the constants with names, become initializers of these names; what depends on constants only is computed.

    Args:
        graph: the graph; patterns that are recovered in it become single operators.
        inputs: of its parameters, in order.
        outputs: the names of its results, in order.
        metadata: what the model says of itself, by key.

    Returns:
        A model that is the same for the same arguments.

    Raises:
        Untranslatable: for an operation that ONNX, or onnxruntime, lacks.
    """
    folded = fold(inlined(graph))
    shared = Shared(_EMITTERS, _FIRST)
    for name in (*(each.name for each in inputs), *outputs):
        shared.fresh(name)
    scope = Scope(shared)
    for each, node in zip(inputs, folded.parameters, strict=True):
        scope.bind_one(node, each.name, each.is_first)
    for name, result in zip(outputs, scope.write(folded), strict=True):
        scope.nodes.append(helper.make_node("Identity", [result], [name], name=name))
    nodes = scope.pruned(outputs)
    used = used_names(nodes)
    sizes = _free_sizes(inputs, folded)
    given = [
        _described(each.name, node, sizes[each.name], each.is_first)
        for each, node in zip(inputs, folded.parameters, strict=True)
    ]
    common = _common(sizes)
    results = [_described(name, node, common) for name, node in zip(outputs, folded.outputs, strict=True)]
    weights = [tensor for name, tensor in shared.initializers.items() if name in used]
    body = helper.make_graph(nodes, graph.name, given, results, weights)
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name=PRODUCER
    )
    helper.set_model_props(model, dict(metadata or {}))
    return model


def _free_sizes(inputs: Sequence[Input], graph: Graph) -> dict[str, dict[int, str]]:
    """Returns names for the dimensions of any size of each input, by axis."""
    return {
        each.name: {
            axis: each.sizes.get(axis, f"{each.name}_{axis}") for axis, size in enumerate(node.shape) if size is None
        }
        for each, node in zip(inputs, graph.parameters, strict=True)
    }


def _common(sizes: Mapping[str, Mapping[int, str]]) -> dict[int, str]:
    """Returns the name of the outputs' first dimension: that of the inputs, where it is the only one of any size."""
    names = {name for each in sizes.values() for name in each.values()}
    return {0: names.pop()} if len(names) == 1 else {}


def _described(name: str, node: Node, sizes: Mapping[int, str], is_first: bool = False) -> onnx.ValueInfoProto:
    shape = [sizes.get(axis) if size is None else size for axis, size in enumerate(node.shape)]
    if is_first:
        shape = [shape[axis] for axis in channels_first(node.rank)]
    return helper.make_tensor_value_info(name, element_type(node.dtype), shape)
