"""Reads the gradient of a maximum over windows, which adds each window's value to where its maximum is."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.translate.building import INT32, Builder, Extent
from pipeline.translate.elementwise import binary, calculate, compare, select
from pipeline.translate.graph import Node
from pipeline.translate.reading_attributes import Source
from pipeline.translate.reading_reductions import neutral
from pipeline.translate.reading_regions import read_region, reducer
from pipeline.translate.reading_values import Rule, pad
from pipeline.translate.shaping import cut


def _select_and_scatter(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, values, init = inputs
    is_first_maximum = read_region(source.operation.regions[0]) == [("LE", 1, 0)]
    if not is_first_maximum or reducer(source.operation.regions[1]) != "add":
        raise source.refuse("it does not add to the first maximum of each window")
    ones, zeros = [1] * x.rank, [0] * x.rank
    window, strides = source.integers("window_dimensions", ones), source.integers("window_strides", ones)
    flat = source.integers("padding", [0] * (2 * x.rank))
    low, high = flat[::2], flat[1::2]
    least = build.constant(neutral("maximum", x.dtype))
    padded = pad(build, x, least, low, high, zeros)
    offsets = list(itertools.product(*map(range, window)))
    place = _places(build, padded, values, offsets, strides)
    zero = build.constant(np.zeros((), values.dtype))
    total = None
    for number, offset in enumerate(offsets):
        is_here = compare(build, "EQ", place, build.constant(number, INT32))
        part = select(build, is_here, values, zero)
        part = _spread(build, part, zero, padded, offset, strides)
        total = part if total is None else binary(build, "add", total, part)
    assert total is not None
    starts = [max(0, each) for each in low]
    limits = [calculate(build, "add", *each) for each in zip(starts, build.extents(x), strict=True)]
    return [binary(build, "add", cut(build, total, starts, limits), init)]


def _places(build: Builder, x: Node, like: Node, offsets: Sequence[Sequence[int]], strides: Sequence[int]) -> Node:
    """Returns for each window the number of the offset of its first maximum."""
    best = place = None
    for number, offset in enumerate(offsets):
        sizes = zip(offset, build.extents(like), strides, strict=True)
        limits = [_limit(build, *each) for each in sizes]
        part = cut(build, x, list(offset), limits, strides)
        if best is None or place is None:
            best, place = part, build.constant(0, INT32)
            continue
        is_better = compare(build, "GT", part, best)
        place = select(build, is_better, build.constant(number, INT32), place)
        best = select(build, is_better, part, best)
    assert place is not None
    return place


def _limit(build: Builder, start: int, size: Extent, stride: int) -> Extent:
    """Returns where a slice of a size ends."""
    last = calculate(build, "multiply", calculate(build, "subtract", size, 1), stride)
    return calculate(build, "add", last, start + 1)


def _spread(build: Builder, x: Node, zero: Node, like: Node, offset: Sequence[int], strides: Sequence[int]) -> Node:
    """Returns the values of windows at one of their places, in an array as large as `like`."""
    spread = pad(build, x, zero, list(offset), [0] * x.rank, [stride - 1 for stride in strides])
    sizes = zip(build.extents(like), build.extents(spread), strict=True)
    return pad(build, spread, zero, [0] * x.rank, [calculate(build, "subtract", *each) for each in sizes], [0] * x.rank)


RULES: Mapping[str, Rule] = {"stablehlo.select_and_scatter": _select_and_scatter}
