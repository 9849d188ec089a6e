"""Reads the StableHLO of an XlaCallModule node into a graph, see pipeline.translate.graph and .operations."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import chlo, mhlo, sdy, stablehlo

from pipeline.translate import (
    reading_indexing,
    reading_products,
    reading_reductions,
    reading_selections,
    reading_sorts,
    reading_values,
)
from pipeline.translate.building import BOOL, INT32, Builder, Extent
from pipeline.translate.elementwise import cast, unary
from pipeline.translate.graph import Graph, Node, Parameter, ordered
from pipeline.translate.operations import Call, Case, Output, Size, While
from pipeline.translate.reading_attributes import Source, Type, read_source, read_type
from pipeline.translate.reading_scopes import Region, Scope, count_steps, used
from pipeline.translate.reading_values import Rule
from pipeline.translate.refusal import Untranslatable

PLATFORMS = ("cpu", "cuda", "tpu")  # the order of our own modules

_RULES: Mapping[str, Rule] = {
    **reading_values.RULES,
    **reading_products.RULES,
    **reading_reductions.RULES,
    **reading_indexing.RULES,
    **reading_selections.RULES,
    **reading_sorts.RULES,
}
_RETURNS = ("func.return", "stablehlo.return")
_INLINED = 16  # operations of a function that is read into each place where it is called
_UNROLLED = 8  # steps of a loop that is read as so many copies of its body: threefry's have five
_ANNOTATIONS = ("Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "annotate_device_placement")


def read(module: bytes, platform: str = "cpu", platforms: Sequence[str] = PLATFORMS) -> Graph:
    """Reads a module.

    Args:
        module: the attribute `module` of an XlaCallModule node, a portable artifact of StableHLO.
        platform: whose computation is read, where the module has several; the first one if it is not among them.
        platforms: of the module, in order: the attribute `platforms` of the node, in any case.

    Returns:
        its function `main`. The parameters are the inputs of the node.

    Raises:
        Untranslatable: when it has an operation that is not translated, or is no module at all.
    """
    known = [each.lower() for each in platforms]
    with ir.Context() as context:
        for register in (
            stablehlo.register_dialect,
            chlo.register_dialect,
            mhlo.register_mhlo_dialect,
            sdy.register_dialect,
        ):
            register(context)
        try:
            parsed = stablehlo.deserialize_portable_artifact(context, module)
        except (ValueError, RuntimeError) as error:
            raise Untranslatable(f"the module cannot be read as StableHLO: {str(error)[:200]}") from error
        return _Reader(parsed, known.index(platform) if platform in known else 0).main()


# What is known of a function's argument where it is called: its value, or (argument, axis) whose size it is.
Binding = np.ndarray | tuple[int, int] | None


class _Reader:
    """Reads the functions of a module."""

    def __init__(self, module: Any, platform: int) -> None:
        self._functions = {
            each.name.value: each.operation for each in module.body.operations if each.operation.name == "func.func"
        }
        self._platform = platform
        self._graphs: dict[Any, Graph] = {}
        self._calls: dict[Graph, Call] = {}
        self._sizes: dict[Graph, list[tuple[Extent, ...]]] = {}  # of results, inside
        self._names: Counter[str] = Counter()
        self._times: Counter[str] = Counter()
        module.operation.walk(self._count)

    def _count(self, operation: Any) -> Any:
        if operation.name == "func.call":
            self._times[operation.attributes["callee"].value] += 1
        return ir.WalkResult.ADVANCE

    def main(self) -> Graph:
        """Reads the function that the module is for."""
        if "main" not in self._functions:
            raise Untranslatable("the module has no function main")
        function = self._functions["main"]
        bindings: list[Binding] = [None] * len(function.regions[0].blocks[0].arguments)
        if "arg_attrs" in function.attributes:
            for place, attributes in enumerate(function.attributes["arg_attrs"]):
                if "jax.global_constant" in attributes and attributes["jax.global_constant"].value == "_platform_index":
                    bindings[place] = np.array(self._platform, np.int32)
        return self._graph("main", bindings)

    def _graph(self, name: str, bindings: Sequence[Binding]) -> Graph:
        """Reads a function whose arguments are known in part."""
        key = (name, *(each if not isinstance(each, np.ndarray) else (each.dtype, each.tobytes()) for each in bindings))
        if key not in self._graphs:
            self._names[name] += 1
            plain = re.sub(r"\W", "_", name) + (f"_{self._names[name]}" if self._names[name] > 1 else "")
            block = self._functions[name].regions[0].blocks[0]
            scope = Scope(Builder())
            parameters: list[Node] = []
            for argument, binding in zip(block.arguments, bindings, strict=True):
                if binding is None:
                    parameters.append(scope.build.parameter(len(parameters), *read_type(argument.type, name)))
                    scope.values[argument] = parameters[-1]
                elif isinstance(binding, np.ndarray):
                    scope.values[argument] = scope.build.constant(binding)
            for argument, binding in zip(block.arguments, bindings, strict=True):
                if isinstance(binding, tuple):
                    sized = scope.values[block.arguments[binding[0]]]
                    scope.values[argument] = scope.build.scalar(scope.build.extents(sized)[binding[1]])
            outputs = self._block(scope, block)
            graph = Graph(plain, tuple(parameters), tuple(outputs))
            self._graphs[key] = graph
            self._sizes[graph] = [scope.build.extents(each) for each in outputs]
        return self._graphs[key]

    def _block(self, scope: Scope, block: Any) -> list[Node]:
        """Reads operations in order; returns what the block does."""
        for view in block.operations:
            operation = view.operation
            if operation.name in _RETURNS:
                return [scope.value(each) for each in operation.operands]
            if self._is_assertion(operation):
                continue
            source = read_source(operation)
            inputs = [scope.value(each) for each in operation.operands]
            outputs = self._visit(scope, source, inputs)
            _check(source, outputs)
            scope.values.update(zip(operation.results, outputs, strict=True))
        raise Untranslatable("the module has a block without a return")

    @staticmethod
    def _is_assertion(operation: Any) -> bool:
        """Whether an operation only checks shapes that the runtime was given."""
        name = "stablehlo.custom_call"
        return operation.name == name and operation.attributes["call_target_name"].value == "shape_assertion"

    def _visit(self, scope: Scope, source: Source, inputs: list[Node]) -> Sequence[Node]:
        if source.name in _RULES:
            return _RULES[source.name](scope.build, source, inputs)
        match source.name:
            case "func.call":
                return self._call(scope, source, inputs)
            case "stablehlo.composite":
                return self._composite(scope, source, inputs)
            case "stablehlo.custom_call":
                return self._custom_call(scope, source, inputs)
            case "stablehlo.case" | "stablehlo.if":
                return self._case(scope, source, inputs[0])
            case "stablehlo.while":
                return self._while(scope, source, inputs)
        raise source.refuse("runtimes have no plain operation for it")

    def _call(self, scope: Scope, source: Source, inputs: list[Node]) -> Sequence[Node]:
        name = (
            source.text("callee")
            if not str(source.attribute("callee")).startswith("@")
            else source.attribute("callee").value
        )
        if self._times[name] == 1 or self._count_operations(name) <= _INLINED:
            return self._inline(scope, name, inputs)
        bindings = [self._binding(scope.build, inputs, place) for place in range(len(inputs))]
        graph = self._graph(name, bindings)
        if graph not in self._calls:
            self._calls[graph] = Call(graph)
        arguments = [x for x, binding in zip(inputs, bindings, strict=True) if binding is None]
        call = scope.build.node(self._calls[graph], arguments, (), BOOL)
        return [
            scope.build.node(
                Output(index), [call], [_outside(scope.build, size, graph, arguments) for size in sizes], output.dtype
            )
            for index, (output, sizes) in enumerate(zip(graph.outputs, self._sizes[graph], strict=True))
        ]

    def _count_operations(self, name: str) -> int:
        """Returns how many operations a function and those that it calls have; many for one with regions."""
        count = 0
        for view in self._functions[name].regions[0].blocks[0].operations:
            operation = view.operation
            if operation.name == "func.call":
                count += self._count_operations(operation.attributes["callee"].value)
            count += 1 if not len(operation.regions) else _INLINED + 1
        return count

    def _inline(self, scope: Scope, name: str, inputs: list[Node]) -> list[Node]:
        block = self._functions[name].regions[0].blocks[0]
        return self._block(Scope(scope.build, None, dict(zip(block.arguments, inputs, strict=True))), block)

    @staticmethod
    def _binding(build: Builder, inputs: list[Node], place: int) -> Binding:
        """Returns what is known of an argument: its value, or that it is the size of another.

        Numbers that may be sizes or decisions are bound, others are not: each value makes another graph.
        """
        x = inputs[place]
        if x.value is not None and x.value.size <= 1 and x.dtype.kind in "ib":
            return x.value
        for other, y in enumerate(inputs):
            for axis, extent in enumerate(build.extents(y)):
                if extent is x and x.dtype == INT32:
                    return (other, axis)
        return None

    @staticmethod
    def _outputs(build: Builder, node: Node, types: Sequence[Type]) -> list[Node]:
        return [build.node(Output(index), [node], shape, dtype) for index, (shape, dtype) in enumerate(types)]

    def _composite(self, scope: Scope, source: Source, inputs: list[Node]) -> Sequence[Node]:
        name = source.text("name")
        if name in ("chlo.erf", "mhlo.erf"):
            return [unary(scope.build, "erf", inputs[0])]
        if name == "chlo.top_k":
            k = source.attribute("composite_attributes")["k"].value
            return reading_sorts.top_k(scope.build, inputs[0], k)
        return self._inline(scope, source.attribute("decomposition").value, inputs)

    def _custom_call(self, scope: Scope, source: Source, inputs: list[Node]) -> Sequence[Node]:
        target = source.text("call_target_name")
        if target in _ANNOTATIONS:
            return inputs
        if target in ("chlo.erf", "mhlo.erf"):
            return [unary(scope.build, "erf", inputs[0])]
        if target == "mhlo.topk" and source.attribute("mhlo.attributes")["largest"].value:
            k = source.attribute("mhlo.attributes")["k"].value
            return reading_sorts.top_k(scope.build, inputs[0], k)
        raise source.refuse(f"runtimes do not have the function {target!r}")

    def _case(self, scope: Scope, source: Source, index: Node) -> Sequence[Node]:
        regions = list(source.operation.regions)
        if source.name == "stablehlo.if":
            index = cast(scope.build, unary(scope.build, "not", index), INT32)
        if index.value is not None:
            place = int(index.value)
            region = regions[place if 0 <= place < len(regions) else -1]
            return self._block(Scope(scope.build, scope), region.blocks[0])
        read_ = [self._region(scope, region) for region in regions]
        captured = used(read_)
        branches = tuple(self._close(each, captured, "case_branch") for each in read_)
        node = scope.build.node(Case(branches), [index, *captured], (), BOOL)
        return self._outputs(scope.build, node, source.types)

    def _while(self, scope: Scope, source: Source, inputs: list[Node]) -> Sequence[Node]:
        """Reads a loop: its few steps one after the other, or else what no step changes as a value from around it."""
        regions = list(source.operation.regions)
        tried = self._region(scope, regions[1])
        steps = count_steps(self._region(scope, regions[0]), tried, inputs)
        if steps is not None and steps <= _UNROLLED:
            block = regions[1].blocks[0]
            state = inputs
            for _ in range(steps):
                state = self._block(Scope(scope.build, scope, dict(zip(block.arguments, state, strict=True))), block)
            return state
        steady = {
            place: inputs[place]
            for place, (before, after) in enumerate(zip(tried.parameters, tried.outputs, strict=True))
            if before is after
        }
        condition, body = (self._region(scope, region, steady) for region in regions)
        outputs = [each for place, each in enumerate(body.outputs) if place not in steady]
        body = Region(body.parameters, outputs, body.captured)
        captured = used([condition, body])
        operation = While(
            self._close(condition, captured, "while_condition"),
            self._close(body, captured, "while_body"),
            len(captured),
        )
        state = [x for place, x in enumerate(inputs) if place not in steady]
        node = scope.build.node(operation, [*state, *captured], (), BOOL)
        types = [type_ for place, type_ in enumerate(source.types) if place not in steady]
        changed = iter(self._outputs(scope.build, node, types))
        return [steady[place] if place in steady else next(changed) for place in range(len(inputs))]

    def _region(self, scope: Scope, region: Any, steady: Mapping[int, Node] | None = None) -> Region:
        """Reads a region, whose arguments `steady` are values from around it."""
        block = region.blocks[0]
        inner = Scope(Builder(), scope)
        parameters: list[Node] = []
        for place, argument in enumerate(block.arguments):
            if steady and place in steady:
                inner.values[argument] = inner.capture(steady[place])
            else:
                parameters.append(inner.build.parameter(len(parameters), *read_type(argument.type, "a region")))
                inner.values[argument] = parameters[-1]
        return Region(parameters, self._block(inner, block), inner.captured)

    def _close(self, region: Region, captured: Sequence[Node], name: str) -> Graph:
        """Returns a region as a graph, whose parameters are its own and then those captured by it or its siblings."""
        new = {node: node for node in region.parameters}
        parameters = list(region.parameters)
        for outside in captured:
            parameters.append(Node(Parameter(len(parameters)), (), outside.shape, outside.dtype))
            if outside in region.captured:
                new[region.captured[outside]] = parameters[-1]
        for node in ordered(region.outputs):
            if node not in new:
                new[node] = Node(node.operation, tuple(new[each] for each in node.inputs), node.shape, node.dtype)
        self._names[name] += 1
        return Graph(f"{name}_{self._names[name]}", tuple(parameters), tuple(new[node] for node in region.outputs))


def _check(source: Source, outputs: Sequence[Node]) -> None:
    """Finds errors of the reading: nodes that are not of the types that the operation's results have.

    Raises:
        RuntimeError: with the operation's name.
    """
    for node, (shape, dtype) in zip(outputs, source.types, strict=False):  # types of a call are not read
        sizes = list(zip(node.shape, shape, strict=False))
        is_alike = node.rank == len(shape) and all(x is None or y is None or x == y for x, y in sizes)
        if not is_alike or node.dtype != dtype:
            raise RuntimeError(
                f"{source.name} was read as {node.dtype}{list(node.shape)}, and its result is {dtype}{list(shape)}"
            )


def _outside(build: Builder, extent: Extent, graph: Graph, arguments: Sequence[Node]) -> Extent | None:
    """Returns a size inside a function as one where it is called; None where that is not known."""
    if isinstance(extent, int):
        return extent
    parameters = dict(zip(graph.parameters, arguments, strict=True))
    if extent in parameters:
        return build.extent(parameters[extent])
    if isinstance(extent.operation, Size) and extent.inputs[0] in parameters:
        return build.extents(parameters[extent.inputs[0]])[extent.operation.axis]
    return None
