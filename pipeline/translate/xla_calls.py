"""The XlaCallModule nodes of a meta graph: where they stand, and which saved gradient each has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.saved_model.graph import attribute, function_nodes

MARK = "_gradient_op_type"
_PASSED_ON = ("Identity", "IdentityN", "PreventGradient")


class _Program:
    """What an XlaCallModule node computes."""

    node: Any

    @property
    def module(self) -> bytes:
        """The serialized StableHLO."""
        module: bytes = attribute(self.node, "module").s
        return module

    @property
    def platforms(self) -> tuple[str, ...]:
        """Those of the module, in order."""
        return tuple(each.decode(errors="replace").lower() for each in attribute(self.node, "platforms").list.s)


@dataclass(frozen=True, eq=False)
class Gradient(_Program):
    """A function of the file that differentiates a call, as jax2tf writes it.

    Attributes:
        mark: its name in the registry of gradients, which the node after the call has.
        function: the name of the function.
        node: the XlaCallModule node in it.
        inputs: of its call; ("result", i) is the gradient of the forward call's result i, ("argument", i) its argument
            i, both by the node after the call.
        outputs: the argument of the forward call whose gradient each result of its call is; None for others.
    """

    mark: str
    function: str
    node: Any
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class XlaCall(_Program):
    """An XlaCallModule node.

    Attributes:
        function: the name of the function it stands in; "" for the graph itself.
        node: the node, to be changed in place.
        marked: the node after it that is marked with the name of a gradient; None without one.
        gradient: the saved gradient; None without one, or where it is of another form than jax2tf's.
        arguments: the number of each of its inputs among the arguments of `marked`; () without one.
    """

    function: str
    node: Any
    marked: Any = None
    gradient: Gradient | None = None
    arguments: tuple[int, ...] = ()

    @property
    def mark(self) -> str | None:
        """The name of the gradient that the node after the call is marked with."""
        return self.marked.attr[MARK].s.decode(errors="replace") if self.marked is not None else None

    @property
    def place(self) -> str:
        return f"node {self.node.name}" + (f" of function {self.function}" if self.function else "")


def split_reference(name: str) -> tuple[str, int]:
    """Returns the node and the number of the output that an input names: "a:output:1" in a function, "a:1" or "a"."""
    node, *rest = name.split(":")
    return node, int(rest[-1]) if rest else 0


def find_calls(meta_graph: Any) -> list[XlaCall]:
    """Returns the XlaCallModule nodes of a meta graph with their saved gradients."""
    functions = function_nodes(meta_graph.graph_def)
    registered = {
        each.registered_op_type: each.gradient_func for each in meta_graph.graph_def.library.registered_gradients
    }
    return [
        _with_gradient(meta_graph, functions, registered, name, node)
        for name, nodes in functions.items()
        for node in nodes
        if node.op == "XlaCallModule"
    ]


def _with_gradient(
    meta_graph: Any, functions: Mapping[str, Sequence[Any]], registered: Mapping[str, str], name: str, node: Any
) -> XlaCall:
    marked = next((each for each in functions[name] if MARK in each.attr and _follows(each, node)), None)
    if marked is None:
        return XlaCall(name, node)
    count = len(attribute(node, "Tout").list.type)
    places = {each: place for place, each in enumerate(marked.input)}
    if any(each not in places for each in node.input):
        return XlaCall(name, node, marked)
    mark = marked.attr[MARK].s.decode(errors="replace")
    function = registered.get(mark)
    gradient = None
    if function is not None and function in functions:
        gradient = _read_gradient(meta_graph, mark, function, marked, count)
    return XlaCall(name, node, marked, gradient, tuple(places[each] - count for each in node.input))


def _follows(node: Any, call: Any) -> bool:
    """Whether a node hands on all results of a call, in order, and then its arguments."""
    count = len(attribute(call, "Tout").list.type)
    results = [split_reference(each) for each in node.input[:count]]
    return node.op == "IdentityN" and results == [(call.name, place) for place in range(count)]


def _read_gradient(meta_graph: Any, mark: str, function: str, marked: Any, results: int) -> Gradient | None:
    """Returns a gradient function of jax2tf's form: one call of arguments of the forward call and gradients."""
    (definition,) = [each for each in meta_graph.graph_def.library.function if each.signature.name == function]
    nodes = {each.name: each for each in definition.node_def}
    calls = [each for each in nodes.values() if each.op == "XlaCallModule"]
    if len(calls) != 1 or function not in meta_graph.object_graph_def.concrete_functions:
        return None
    sources = _sources(meta_graph, definition, function, marked, results)
    inputs = [sources.get(_origin(each, nodes)[0]) for each in calls[0].input]
    if None in inputs:
        return None
    return Gradient(
        mark,
        function,
        calls[0],
        tuple(each for each in inputs if each is not None),
        tuple(_outputs(meta_graph, definition, function, nodes, calls[0], results)),
    )


def _origin(name: str, nodes: Mapping[str, Any]) -> tuple[str, int]:
    """Returns what a name stands for, behind the nodes that only hand on."""
    node, place = split_reference(name)
    while node in nodes and nodes[node].op in _PASSED_ON:
        node, place = split_reference(nodes[node].input[place])
    return node, place


def _sources(meta_graph: Any, definition: Any, function: str, marked: Any, results: int) -> dict[str, tuple[str, int]]:
    """Returns what the arguments of a gradient function are: see Gradient.inputs."""
    names = [each.name for each in definition.signature.input_arg]
    sources: dict[str, tuple[str, int]] = {
        name: ("result", place) for place, name in enumerate(names[: len(marked.input)]) if place < results
    }
    places = {split_reference(each): place - results for place, each in enumerate(marked.input)}
    captured = meta_graph.object_graph_def.concrete_functions[function].bound_inputs
    for name, identifier in zip(names[len(marked.input) :], captured, strict=False):
        tensor = meta_graph.object_graph_def.nodes[identifier].captured_tensor.name
        if (place := places.get(split_reference(tensor), -1)) >= 0:
            sources[name] = ("argument", place)
    return sources


def _outputs(
    meta_graph: Any, definition: Any, function: str, nodes: Mapping[str, Any], call: Any, results: int
) -> Iterator[int | None]:
    """Yields the argument whose gradient each result of a gradient function's call is."""
    returned = meta_graph.object_graph_def.concrete_functions[function].output_signature
    values = returned.list_value.values or returned.tuple_value.values
    kept = [place - results for place, value in enumerate(values) if value.WhichOneof("kind") != "none_value"]
    origins = [_origin(definition.ret[each.name], nodes) for each in definition.signature.output_arg]
    arguments = dict(zip(origins, kept, strict=False))
    for place in range(len(attribute(call, "Tout").list.type)):
        yield arguments.get((call.name, place))


def prevent_gradient(meta_graph: Any, call: XlaCall) -> None:
    """Makes it an error to differentiate the results of a call: all that read them read them through another node."""
    from tensorflow.core.framework.types_pb2 import DT_BFLOAT16, DT_DOUBLE, DT_FLOAT, DT_HALF

    graph, name = meta_graph.graph_def, call.node.name
    definition = next((each for each in graph.library.function if each.signature.name == call.function), None)
    nodes = graph.node if definition is None else definition.node_def
    through = {}
    for place, kind in enumerate(attribute(call.node, "Tout").list.type):
        if kind not in (DT_HALF, DT_BFLOAT16, DT_FLOAT, DT_DOUBLE):
            continue
        source = f"{name}:{place}" if definition is None else f"{name}:output:{place}"
        added = f"{name}/result_{place}"
        through[name, place] = f"{added}:0" if definition is None else f"{added}:output:0"
        for node in nodes:
            node.input[:] = [_redirected(each, through, (name, place)) for each in node.input]
        node = nodes.add(name=added, op="PreventGradient", input=[source], device=call.node.device)
        node.attr["T"].type = kind
        node.attr["message"].s = b"the model was saved without the gradient of this computation"
    if definition is not None:
        for key, value in definition.ret.items():
            definition.ret[key] = through.get(split_reference(value), value)


def _redirected(name: str, through: Mapping[tuple[str, int], str], result: tuple[str, int]) -> str:
    is_result = not name.startswith("^") and split_reference(name) == result
    return through[result] if is_result else name
