"""Rewrites the XlaCallModule nodes of a meta graph into calls of functions of ordinary TensorFlow operations.

Gradients are those that TensorFlow derives, where they are proven to be the file's own (pipeline.translate.gradients).
Elsewhere the file's own are translated, too. Where it has none, differentiating the twin fails, as it does with the
source.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.translate.function_library import make_call, to_library
from pipeline.translate.gradients import is_derived
from pipeline.translate.graph import Graph, Operation, ordered
from pipeline.translate.half_precision import HalfType, to_half
from pipeline.translate.operations import Dense, Gelu, GroupNorm, LayerNorm, Relu, Softmax, inner_graphs
from pipeline.translate.patterns import recover
from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from pipeline.translate.tensorflow_functions import ConcreteFunction, to_function
from pipeline.translate.xla_calls import MARK, XlaCall, find_calls, prevent_gradient

_PREFIX = "plain"
_PATTERNS: dict[type[Operation], str] = {
    Dense: "dense layer",
    LayerNorm: "LayerNorm",
    GroupNorm: "GroupNorm",
    Softmax: "softmax",
    Gelu: "GELU",
    Relu: "ReLU",
}
_Module = tuple[bytes, tuple[str, ...]]  # a serialized module and its platforms


class Differentiation(StrEnum):
    """Where the gradient of a call comes from."""

    DERIVED = "derived by TensorFlow"
    SAVED = "translated from the file's own"
    NONE = "none, as in the source"


@dataclass(frozen=True, eq=False)
class _Translated:
    """A module as a graph and as functions.

    Attributes:
        graph: with its patterns recovered, in the types of the file.
        function: of TensorFlow.
        definitions: for a library of functions; the first one is the module's.
    """

    graph: Graph
    function: ConcreteFunction
    definitions: list[Any]


class Rewriter:
    """Rewrites the meta graphs of a file, and translates each module once.

    Attributes:
        patterns: how often each was recovered, by its name for people.
        gradients: how many calls have which gradient.
    """

    def __init__(self, name: str, status: Callable[[str], None], half: HalfType | None = None) -> None:
        """Takes the file's name for messages, what is told of the work, and the type to compute in; None: as it is."""
        self.patterns: Counter[str] = Counter()
        self.gradients: Counter[Differentiation] = Counter()
        self._name, self._status, self._half = name, status, half
        self._translated: dict[_Module, _Translated] = {}
        self._derived: dict[tuple[_Module, _Module], bool] = {}

    def rewrite(self, meta_graph: Any) -> None:
        """Translates all calls of a meta graph in place.

        Raises:
            Untranslatable: when an operation has no equal in TensorFlow.
        """
        saved = {
            each.registered_op_type: each.gradient_func for each in meta_graph.graph_def.library.registered_gradients
        }
        calls = find_calls(meta_graph)
        forward = [each for each in calls if each.function not in saved.values()]
        kept, dropped, used = set[str](), set[str](), set[_Module]()
        for call in forward:
            used.add(_module_of(call))
            for pattern in _find_patterns(self._translate(call).graph):
                self.patterns[pattern] += 1
            how = self._decide(call, saved)
            self.gradients[how] += 1
            (kept if how is Differentiation.SAVED else dropped).update(_gradients_of(call, saved))
            self._replace(meta_graph, call, how)
        for call in calls:
            if call not in forward and call.function not in dropped - kept:
                used.add(_module_of(call))
                self._translate(call)
                self._replace(meta_graph, call, Differentiation.NONE)
        _remove_gradients(meta_graph, dropped - kept)
        self._add_functions(meta_graph, used)

    def _translate(self, call: XlaCall) -> _Translated:
        module = _module_of(call)
        if module not in self._translated:
            self._status(f"translating {call.place}")
            try:
                graph = recover(read(call.module, platforms=call.platforms))
                function = to_function(graph if self._half is None else to_half(graph, self._half))
            except Untranslatable as error:
                raise Untranslatable(f"{self._name}: {call.place}: {error}") from error
            prefix = f"{_PREFIX}_{len(self._translated)}"
            self._translated[module] = _Translated(graph, function, to_library(function, prefix))
        translated = self._translated[module]
        expected, given = len(translated.graph.parameters), sum(not each.startswith("^") for each in call.node.input)
        if given != expected:
            raise Untranslatable(
                f"{self._name}: {call.place}: XlaCallModule with {given} inputs, and its module takes {expected}"
            )
        return translated

    def _decide(self, call: XlaCall, saved: dict[str, str]) -> Differentiation:
        """Returns where the gradient of a call is to come from."""
        if not _gradients_of(call, saved):
            return Differentiation.NONE
        if call.gradient is None:
            return Differentiation.SAVED
        module, gradient = _module_of(call), (call.gradient.module, call.gradient.platforms)
        if (module, gradient) not in self._derived:
            self._status(f"comparing gradients of {call.place}")
            self._derived[module, gradient] = is_derived(self._translate(call).graph, call)
        return Differentiation.DERIVED if self._derived[module, gradient] else Differentiation.SAVED

    def _replace(self, meta_graph: Any, call: XlaCall, how: Differentiation) -> None:
        if how is not Differentiation.SAVED and call.marked is not None:
            del call.marked.attr[MARK]
        if how is Differentiation.NONE:
            prevent_gradient(meta_graph, call)
        make_call(call.node, self._translate(call).definitions[0].signature.name)

    def _add_functions(self, meta_graph: Any, used: Collection[_Module]) -> None:
        library = meta_graph.graph_def.library
        for module, translated in self._translated.items():
            if module in used:
                library.function.extend(translated.definitions)
        from tensorflow.python.framework.meta_graph import stripped_op_list_for_graph

        meta_graph.meta_info_def.stripped_op_list.CopyFrom(stripped_op_list_for_graph(meta_graph.graph_def))


def _module_of(call: XlaCall) -> _Module:
    return call.module, call.platforms


def _gradients_of(call: XlaCall, saved: dict[str, str]) -> set[str]:
    """Returns the function of the file that differentiates a call."""
    return {saved[call.mark]} if call.mark in saved else set()


def _find_patterns(graph: Graph) -> Iterator[str]:
    """Yields the recovered patterns of a graph, those of a graph that it calls with each call."""
    for node in ordered(graph.outputs):
        if type(node.operation) in _PATTERNS:
            yield _PATTERNS[type(node.operation)]
        for inner in inner_graphs(node.operation):
            yield from _find_patterns(inner)


def _remove_gradients(meta_graph: Any, names: Collection[str]) -> None:
    """Removes gradient functions, and that they are gradients."""
    library, info = meta_graph.graph_def.library, meta_graph.meta_info_def
    functions = [each for each in library.function if each.signature.name not in names]
    registered = [each for each in library.registered_gradients if each.gradient_func not in names]
    del library.function[:], library.registered_gradients[:]
    library.function.extend(functions)
    library.registered_gradients.extend(registered)
    for name in names:
        meta_graph.object_graph_def.concrete_functions.pop(name, None)
        info.function_aliases.pop(name, None)
