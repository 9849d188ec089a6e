"""Finds the constant strings that reach an input of a node, through functions and their captured inputs.

What is not followed for certain counts as unknown: a stranger may have made the graph so that it looks harmless.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.saved_model.graph import CALLS, attribute, called_functions

_PASSING = ("Identity", "ExpandDims", "Reshape", "Pack")  # their strings are those of the first input, or of all
_STEPS = 100_000  # of all searches in a graph, at most; those for the few files of a model take some tens each


@dataclass(frozen=True)
class Origin:
    """Where the strings of a tensor come from.

    Attributes:
        strings: the constants that may reach it.
        is_own: whether the path of a file of the model may reach it, as the loader gives it.
        is_complete: whether nothing else can reach it: nothing that is computed, or that a caller gives.
    """

    strings: frozenset[str] = frozenset()
    is_own: bool = False
    is_complete: bool = True


@dataclass(frozen=True)
class _Step:
    """The origin of one tensor, and the tensors of functions that its strings come from."""

    origin: Origin = Origin()
    sources: tuple[tuple[str, str], ...] = ()


_UNKNOWN = _Step(Origin(is_complete=False))
_OWN = _Step(Origin(is_own=True))


class Origins:
    """Finds the origins of tensors among nodes that are run together.

    Args:
        meta_graph: the MetaGraphDef.
        functions: the nodes of all its functions, those of the graph itself under "".
        run: the nodes that are run, as (function, node).
        own: the nodes of the graph that the loader replaces by paths of the model's own files.
    """

    def __init__(
        self,
        meta_graph: Any,
        functions: Mapping[str, Sequence[Any]],
        run: Iterable[tuple[str, Any]],
        own: Collection[str],
    ) -> None:
        self._functions, self._own, self._steps = functions, own, _STEPS
        self._nodes = {name: {node.name: node for node in nodes} for name, nodes in functions.items()}
        self._arguments = {
            function.signature.name: [argument.name for argument in function.signature.input_arg]
            for function in meta_graph.graph_def.library.function
            if not any(argument.number_attr or argument.type_list_attr for argument in function.signature.input_arg)
        }
        self._objects = meta_graph.object_graph_def
        self._callers: dict[str, list[tuple[str, Any]]] = {}
        self._called_otherwise: set[str] = set()
        for function, node in run:
            called = attribute(node, "f").func.name if node.op in CALLS else node.op
            self._callers.setdefault(called, []).append((function, node))
            others = list(called_functions(node))
            others.remove(called)
            self._called_otherwise.update(others)

    def of(self, function: str, tensor: str) -> Origin:
        """Returns the origin of a tensor of a function."""
        strings: set[str] = set()
        is_own, is_complete = False, True
        seen, waiting = {(function, tensor)}, [(function, tensor)]
        while waiting and self._steps:
            self._steps -= 1
            step = self._step(*waiting.pop())
            strings |= step.origin.strings
            is_own, is_complete = is_own or step.origin.is_own, is_complete and step.origin.is_complete
            waiting += (source for source in step.sources if source not in seen)
            seen.update(step.sources)
        return Origin(frozenset(strings), is_own, is_complete and not waiting)

    def _step(self, function: str, tensor: str) -> _Step:
        name = tensor.partition(":")[0]
        if not function and name in self._own:
            return _OWN
        node = self._nodes[function].get(name)
        if node is None:
            return self._of_argument(function, name)
        if node.op == "Const":
            return _read_constant(attribute(node, "value").tensor)
        if node.op in _PASSING and node.op not in self._functions:
            inputs = [source for source in node.input if not source.startswith("^")]
            sources = tuple((function, source) for source in (inputs if node.op == "Pack" else inputs[:1]))
            return _Step(sources=sources) if sources else _UNKNOWN
        return _UNKNOWN

    def _of_argument(self, function: str, name: str) -> _Step:
        arguments = self._arguments.get(function, [])
        if name not in arguments or function in self._called_otherwise:
            return _UNKNOWN
        index = arguments.index(name)
        sources = list(self._given(function, index))
        if function not in self._objects.concrete_functions:
            return _Step(sources=tuple(sources)) if sources else _UNKNOWN
        captured = self._captured(function, index - len(arguments))
        return _Step(captured.origin, (*sources, *captured.sources))

    def _given(self, function: str, index: int) -> Iterator[tuple[str, str]]:
        """Yields what the callers of a function give for an argument."""
        for caller, node in self._callers.get(function, []):
            yield caller, node.input[index] if index < len(node.input) else ""

    def _captured(self, function: str, index: int) -> _Step:
        """Returns what an argument of a function holds if it is one of its captured inputs, the last ones.

        Args:
            function: its name, of an object that anybody may call with other arguments.
            index: of the argument, from the end: -1 for the last.
        """
        bound = self._objects.concrete_functions[function].bound_inputs
        if -index > len(bound) or not 0 <= bound[index] < len(self._objects.nodes):
            return _UNKNOWN
        captured = self._objects.nodes[bound[index]]
        if captured.HasField("asset"):
            return _OWN
        return _Step(sources=(("", captured.constant.operation),)) if captured.HasField("constant") else _UNKNOWN


def _read_constant(tensor: Any) -> _Step:
    """Returns the strings of a constant; TensorFlow reads tensor_content, which is packed, before string_val."""
    if tensor.tensor_content or not tensor.string_val:
        return _UNKNOWN
    return _Step(Origin(frozenset(value.decode(errors="replace") for value in tensor.string_val)))
