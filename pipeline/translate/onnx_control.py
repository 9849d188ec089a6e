"""Control flow as ONNX operators: While is Loop, Case is a chain of If. Graphs inside read the values around them."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper

from pipeline.translate import operations as ops
from pipeline.translate.graph import Graph, Node
from pipeline.translate.onnx_scope import Scope, element_type

Types = Sequence[Node]  # read for their types alone


def _value(name: str, node: Node) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type(node.dtype), list(node.shape))


def _write(scope: Scope, graph: Graph, arguments: Sequence[str]) -> list[str]:
    """Writes a graph's nodes after those of a scope, and returns the names of its results."""
    inner = scope.beside()
    inner.bind(graph, arguments)
    return inner.write(graph)


def _body(scope: Scope, hint: str, results: Sequence[str], types: Types, inputs: Sequence = ()) -> onnx.GraphProto:
    """Returns the nodes of a scope as a graph of these results."""
    names = [scope.add("Identity", result) for result in results]  # a result may be a value of the graph around it
    outputs = [_value(name, node) for name, node in zip(names, types, strict=True)]
    return helper.make_graph(scope.pruned(names), scope.shared.fresh(hint), list(inputs), outputs)


def _while(scope: Scope, node: Node) -> str:
    """Writes the condition twice, before the first step and at the end of each."""
    assert isinstance(node.operation, ops.While)
    operation, arguments, fresh = node.operation, scope.names(node), scope.shared.fresh
    count = len(arguments) - operation.constants
    constants = arguments[count:]
    inner = scope.inside()
    before = [fresh("state_0") for _ in range(count)]
    after = _write(inner, operation.body, [*before, *constants])
    (goes_on,) = _write(inner, operation.condition, [*after, *constants])
    states = operation.body.parameters[:count]
    inputs = [
        helper.make_tensor_value_info(fresh("step_0"), onnx.TensorProto.INT64, []),
        helper.make_tensor_value_info(fresh("goes_on_0"), onnx.TensorProto.BOOL, []),
        *map(_value, before, states),
    ]
    body = _body(inner, "body", [goes_on, *after], [operation.condition.outputs[0], *states], inputs)
    (starts,) = _write(scope, operation.condition, arguments)
    scope.set_results(node, scope.add_many("Loop", ["", starts, *arguments[:count]], count, body=body))
    return ""


def _case(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Case)
    index, *arguments = scope.names(node)
    scope.set_results(node, _choice(scope, node.operation.branches, 0, index, arguments))
    return ""


def _choice(scope: Scope, branches: Sequence[Graph], number: int, index: str, arguments: Sequence[str]) -> list[str]:
    """Writes the branches from a number on; the last one is taken for any index that no other one has."""
    if number == len(branches) - 1:
        return _write(scope, branches[number], arguments)
    types = branches[number].outputs
    chosen, others = scope.inside(), scope.inside()
    then_branch = _body(chosen, "then", _write(chosen, branches[number], arguments), types)
    else_branch = _body(others, "else", _choice(others, branches, number + 1, index, arguments), types)
    is_chosen = scope.add("Equal", index, scope.scalar(number, np.dtype(np.int32)))
    return scope.add_many("If", [is_chosen], len(types), then_branch=then_branch, else_branch=else_branch)


def _output(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Output)
    return scope.results(node.inputs[0])[node.operation.index]


TABLE: dict[type, Callable[[Scope, Node], str]] = {
    ops.While: _while,
    ops.Case: _case,
    ops.Output: _output,
}
