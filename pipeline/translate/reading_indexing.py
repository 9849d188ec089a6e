"""Reads slices, gathers and scatters at places that are computed."""

from collections.abc import Mapping, Sequence

from jaxlib.mlir.dialects import stablehlo

from pipeline.translate.building import Builder, Extent, is_known
from pipeline.translate.elementwise import calculate
from pipeline.translate.graph import Node
from pipeline.translate.operations import DynamicSlice, DynamicUpdateSlice
from pipeline.translate.reading_attributes import Source
from pipeline.translate.reading_values import Rule, sizes_of
from pipeline.translate.shaping import cut, reshape


def dynamic_slice(build: Builder, x: Node, starts: Sequence[Extent], sizes: Sequence[Extent]) -> Node:
    """Returns the part of x that has these sizes, from starts, which are clamped."""
    extents = build.extents(x)
    starts = [
        0 if size is extent or size == extent else start
        for start, size, extent in zip(starts, sizes, extents, strict=True)
    ]
    if is_known(starts) and all(isinstance(e, int) or s == 0 for e, s in zip(extents, starts, strict=True)):
        room = [
            calculate(build, "subtract", *each) if isinstance(each[0], int) else 0
            for each in zip(extents, sizes, strict=True)
        ]
        starts = [
            calculate(build, "maximum", calculate(build, "minimum", *each), 0)
            for each in zip(starts, room, strict=True)
        ]
        limits = [calculate(build, "add", *each) for each in zip(starts, sizes, strict=True)]
        return cut(build, x, starts, limits)
    return build.node(DynamicSlice(), [x, build.vector(starts), build.vector(sizes)], sizes, x.dtype)


def _dynamic_slice(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, *starts = inputs
    return [dynamic_slice(build, x, [build.extent(each) for each in starts], source.integers("slice_sizes"))]


def _dynamic_update_slice(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, update, *starts = inputs
    vector = build.vector([build.extent(each) for each in starts])
    return [build.node(DynamicUpdateSlice(), [x, update, vector], build.extents(x), x.dtype)]


def _gather(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [gather(build, source, inputs[0], inputs[1], source.integers("slice_sizes"))]


def _dynamic_gather(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [gather(build, source, inputs[0], inputs[1], sizes_of(build, inputs[2]))]


def gather(build: Builder, source: Source, x: Node, indices: Node, sizes: Sequence[Extent]) -> Node:
    numbers = stablehlo.GatherDimensionNumbers(source.attribute("dimension_numbers"))
    starts, collapsed = list(numbers.start_index_map), list(numbers.collapsed_slice_dims)
    if list(numbers.operand_batching_dims):
        raise source.refuse("it gathers in a batch")
    if indices.rank == 1 and numbers.index_vector_dim == 0:
        places = [build.extent(reshape(build, cut(build, indices, [i], [i + 1]), ())) for i in range(len(starts))]
        at = [places[starts.index(axis)] if axis in starts else 0 for axis in range(x.rank)]
        part = dynamic_slice(build, x, at, sizes)
        return reshape(build, part, [size for axis, size in enumerate(sizes) if axis not in collapsed])
    raise source.refuse("it is of a general kind")


RULES: Mapping[str, Rule] = {
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.dynamic_update_slice": _dynamic_update_slice,
    "stablehlo.gather": _gather,
    "stablehlo.dynamic_gather": _dynamic_gather,
}
