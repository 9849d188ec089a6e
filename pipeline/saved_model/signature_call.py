"""Finds the XlaCallModule node behind a signature, and what it reads: arguments of the signature and variables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.fault import Fault
from pipeline.saved_model.graph import CALLS, attribute

_PASSED_ON = ("Identity", "IdentityN", "EnsureShape", "ReadVariableOp", "PreventGradient", "StopGradient")
_DEPTH = 50  # calls inside calls, at most; this project's modules have two


@dataclass(frozen=True)
class ArgumentSource:
    """An argument of the signature, by its place in its function."""

    index: int


@dataclass(frozen=True)
class VariableSource:
    """A variable, by its number in the object graph."""

    number: int


Source = ArgumentSource | VariableSource


@dataclass(frozen=True)
class _Result:
    """A result of an XlaCallModule node."""

    node: Any
    inputs: tuple["Source | _Result", ...]
    index: int


@dataclass(frozen=True)
class SignatureCall:
    """A signature that only calls one XlaCallModule node.

    Attributes:
        node: the NodeDef.
        inputs: where each of its inputs comes from.
        results: the number of the node's result by the name of the signature's output.
        arguments: the names of the signature's inputs, in the order of ArgumentSource.
    """

    node: Any
    inputs: tuple[Source, ...]
    results: dict[str, int]
    arguments: tuple[str, ...]


def find_call(meta_graph: Any, signature: str, where: object) -> SignatureCall:
    """Returns the XlaCallModule node that computes a signature.

    Args:
        meta_graph: of a saved_model.pb of TensorFlow 2.
        signature: its name.
        where: the model's path, for messages.

    Raises:
        Fault: without such a signature, or when it computes anything else.
    """
    graph = _Graph(meta_graph, f"{where}: the signature {signature}")
    objects = meta_graph.object_graph_def
    number = _child(objects, _child(objects, 0 if objects.nodes else None, "signatures"), signature)
    if number is None:
        raise Fault(f"{where}: no signature {signature}; expected a SavedModel that this pipeline wrote")
    name = objects.nodes[number].bare_concrete_function.concrete_function_name
    captured = [VariableSource(each) for each in objects.concrete_functions[name].bound_inputs]
    function = graph.functions[name]
    count = len(function.signature.input_arg) - len(captured)
    sources: list[Source | _Result] = [*map(ArgumentSource, range(count)), *captured]
    results = [graph.result(function, sources, output.name, 0) for output in function.signature.output_arg]
    first = results[0] if results else None
    if not isinstance(first, _Result) or any(
        not isinstance(each, _Result) or each.node is not first.node for each in results
    ):
        raise graph.fault("returns what it was given")
    inputs = []
    for source in first.inputs:
        if isinstance(source, _Result):
            raise graph.fault(f"computes the inputs of {first.node.name}")
        inputs.append(source)
    outputs = _names(meta_graph.signature_def[signature].outputs)
    indices = [each.index for each in results if isinstance(each, _Result)]
    arguments = _names(meta_graph.signature_def[signature].inputs)
    return SignatureCall(first.node, tuple(inputs), dict(zip(outputs, indices, strict=True)), arguments)


def _names(tensors: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of a signature's inputs or outputs; functions have them in this order."""
    return tuple(sorted(tensors))


def _child(objects: Any, number: int | None, name: str) -> int | None:
    if number is None:
        return None
    return next((child.node_id for child in objects.nodes[number].children if child.local_name == name), None)


class _Graph:
    """The functions of a meta graph."""

    def __init__(self, meta_graph: Any, subject: str) -> None:
        self.functions = {each.signature.name: each for each in meta_graph.graph_def.library.function}
        self._nodes: dict[str, dict[str, Any]] = {}
        self._subject = subject

    def fault(self, problem: str) -> Fault:
        return Fault(f"{self._subject} {problem}; expected one XlaCallModule of its arguments and variables alone")

    def result(self, function: Any, sources: Sequence[Source | _Result], output: str, depth: int) -> Source | _Result:
        """Returns where a result of a function comes from.

        Args:
            function: the FunctionDef.
            sources: of its arguments.
            output: the name of the result.
            depth: the number of calls around this one.
        """
        if depth > _DEPTH:
            raise self.fault("calls functions without an end")
        return self._source(function, sources, function.ret[output], depth)

    def _source(self, function: Any, sources: Sequence[Source | _Result], tensor: str, depth: int) -> Source | _Result:
        arguments = {each.name: source for each, source in zip(function.signature.input_arg, sources, strict=True)}
        nodes = self._nodes.setdefault(function.signature.name, {node.name: node for node in function.node_def})
        while tensor not in arguments:
            name, _, place = tensor.partition(":")
            if name not in nodes:
                raise self.fault(f"reads {tensor}, which is nowhere")
            node, index = nodes[name], int(place.rpartition(":")[2] or 0)
            inputs = [each for each in node.input if not each.startswith("^")]
            if node.op in _PASSED_ON:
                tensor = inputs[index if node.op == "IdentityN" else 0]
                continue
            if node.op not in (*CALLS, "XlaCallModule"):
                raise self.fault(f"computes {node.op} ({name})")
            given = tuple(self._source(function, sources, each, depth) for each in inputs)
            if node.op == "XlaCallModule":
                return _Result(node, given, index)
            callee = self.functions[attribute(node, "f").func.name]
            return self.result(callee, given, callee.signature.output_arg[index].name, depth + 1)
        return arguments[tensor]
