"""The scopes in which values of StableHLO are looked up: functions, and regions, which see what is around them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.translate.building import FOLDED, Builder, Extent, is_integer, is_repeated
from pipeline.translate.graph import Node, ordered
from pipeline.translate.operations import Compare, Elementwise, Pack, Size
from pipeline.translate.refusal import Untranslatable


@dataclass(frozen=True, eq=False)
class Scope:
    """Where values are looked up: a function, or a region in it.

    Attributes:
        build: makes its nodes.
        outer: the scope around a region.
        values: of this scope so far.
        captured: by the node outside, the parameter that stands for it inside.
    """

    build: Builder
    outer: "Scope | None" = None
    values: dict[Any, Node] = field(default_factory=dict)
    captured: dict[Node, Node] = field(default_factory=dict)

    def value(self, key: Any) -> Node:
        if key not in self.values:
            if self.outer is None:
                raise Untranslatable("the module uses a value that it does not define")
            self.values[key] = self.capture(self.outer.value(key))
        return self.values[key]

    def capture(self, node: Node) -> Node:
        """Returns what stands inside for a node outside."""
        if self.outer is None or self.outer.build is self.build:
            return node
        if node.value is not None:
            return self.build.constant(node.value) if node.value.size <= FOLDED else node
        if isinstance(node.operation, Pack) or is_repeated(node):
            sizes = [each if isinstance(each, int) else self.extent(each) for each in self.outer.build.extents(node)]
            return self.build.node(node.operation, [self.capture(each) for each in node.inputs], sizes, node.dtype)
        if node not in self.captured:
            inner = self.captured[node] = self.build.parameter(-1, node.shape, node.dtype)
            self.build.remember(inner, [self._size(node, axis) for axis in range(node.rank)])
        return self.captured[node]

    def extent(self, extent: Node) -> Extent:
        return self.build.extent(self.capture(extent))

    def _size(self, node: Node, axis: int) -> Extent | None:
        """Returns the size of a captured node inside; None where that is the node's own."""
        assert self.outer is not None
        extent = self.outer.build.extents(node)[axis]
        if isinstance(extent, int):
            return extent
        is_own = isinstance(extent.operation, Size) and extent.inputs == (node,)
        return None if is_own else self.extent(extent)


@dataclass(frozen=True, eq=False)
class Region:
    """A region that was read: its own parameters, its results, and by node outside the parameter of each captured."""

    parameters: list[Node]
    outputs: list[Node]
    captured: dict[Node, Node]


def used(regions: Sequence[Region]) -> list[Node]:
    """Returns the nodes outside that the results of regions need."""
    needed = {node for region in regions for node in ordered(region.outputs)}
    used: dict[Node, None] = {}
    for region in regions:
        used.update((outside, None) for outside, inside in region.captured.items() if inside in needed)
    return list(used)


def count_steps(condition: Region, body: Region, state: Sequence[Node]) -> int | None:
    """Returns how many steps a loop takes that counts up to a constant; None for another one."""
    test = condition.outputs[0]
    if test.operation != Compare("LT") or test.inputs[0] not in condition.parameters:
        return None
    place = condition.parameters.index(test.inputs[0])
    counted, start, limit = body.outputs[place], state[place].value, test.inputs[1].value
    if counted.operation != Elementwise("add") or body.parameters[place] not in counted.inputs:
        return None
    step = next((each.value for each in counted.inputs if each.value is not None), None)
    if start is None or limit is None or step is None or start.size != 1 or not is_integer(start.dtype) or step < 1:
        return None
    return max(0, -(-(int(limit) - int(start)) // int(step)))
