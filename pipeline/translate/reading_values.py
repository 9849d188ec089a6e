"""Reads what StableHLO computes element by element, and what changes shapes only."""

import re
from collections.abc import Callable, Mapping, Sequence

import ml_dtypes
import numpy as np

from pipeline.translate.building import Builder, Extent, is_float, is_known
from pipeline.translate.elementwise import binary, calculate, cast, compare, elementwise, select, unary
from pipeline.translate.graph import Node
from pipeline.translate.operations import Bitcast, Concatenate, Elementwise, Pack, Pad, Range, Reshape, Select
from pipeline.translate.reading_attributes import Source, read_array
from pipeline.translate.shaping import broadcast, cut, reshape, reverse, transpose

Rule = Callable[[Builder, Source, Sequence[Node]], Sequence[Node]]

_UNARY = {
    "abs": "abs", "cbrt": "cbrt", "ceil": "ceil", "cosine": "cos", "exponential": "exp",
    "exponential_minus_one": "expm1", "floor": "floor", "is_finite": "is_finite", "log": "log",
    "log_plus_one": "log1p", "logistic": "sigmoid", "negate": "negate", "not": "not", "popcnt": "popcount",
    "round_nearest_afz": "round", "round_nearest_even": "round_even", "rsqrt": "rsqrt", "sign": "sign",
    "sine": "sin", "sqrt": "sqrt", "tan": "tan", "tanh": "tanh",
}  # fmt: skip
_BINARY = {
    "add": "add", "atan2": "atan2", "and": "and", "divide": "divide", "maximum": "maximum", "minimum": "minimum",
    "multiply": "multiply", "or": "or", "power": "power", "remainder": "remainder", "shift_left": "shift_left",
    "shift_right_arithmetic": "shift_right_arithmetic", "shift_right_logical": "shift_right_logical",
    "subtract": "subtract", "xor": "xor",
}  # fmt: skip


def _unary(kind: str) -> Rule:
    return lambda build, source, inputs: [unary(build, kind, *inputs)]


def _binary(kind: str) -> Rule:
    return lambda build, source, inputs: [elementwise(build, Elementwise(kind), inputs, inputs[0].dtype)]


def _constant(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    shape, dtype = source.types[0]
    attribute = source.attribute("value")
    sizes = known(shape)
    if attribute.is_splat and np.prod(sizes) > 1:
        return [broadcast(build, build.constant(read_array(attribute, sizes, dtype).reshape(-1)[0]), (), sizes)]
    return [build.constant(read_array(attribute, sizes, dtype))]


def _compare(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    direction = comparison(source)
    if source.has("compare_type") and "TOTALORDER" in str(source.attribute("compare_type")):
        raise source.refuse("it compares by the total order of floats")
    return [compare(build, direction, *inputs)]


def comparison(source: Source) -> str:
    """Returns the direction of a comparison, such as "LT"."""
    found = re.search(r"\b(EQ|NE|LT|LE|GT|GE)\b", str(source.attribute("comparison_direction")))
    if found is None:
        raise source.refuse("its direction is not known")
    return found[1]


def _select(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [elementwise(build, Select(), inputs, inputs[1].dtype)]


def _clamp(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    low, x, high = inputs
    return [binary(build, "minimum", binary(build, "maximum", x, low), high)]


def _convert(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [cast(build, inputs[0], source.types[0][1])]


def _reduce_precision(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    (x,) = inputs
    bits = (source.integer("exponent_bits"), source.integer("mantissa_bits"))
    known = {(8, 7): "bfloat16", (5, 10): "float16", (8, 23): "float32", (11, 52): "float64"}
    if bits not in known or not is_float(x.dtype):
        raise source.refuse(f"no type has {bits[0]} bits of exponent and {bits[1]} of mantissa")
    own = ml_dtypes.finfo(x.dtype)
    if bits[0] > own.nexp and bits[1] < own.nmant:
        raise source.refuse(f"{known[bits]} does not round the smallest numbers of {x.dtype} as XLA does")
    reduced = cast(build, cast(build, x, np.dtype(known[bits])), x.dtype)
    if bits[0] >= own.nexp:
        return [reduced]
    # XLA has no subnormal numbers of fewer bits of exponent: it rounds, and what is below the normal ones is 0.
    least = float(ml_dtypes.finfo(known[bits]).smallest_normal) * (1 - 2.0 ** -(bits[1] + 2))
    is_small = compare(build, "LT", unary(build, "abs", x), build.constant(least, x.dtype))
    return [select(build, is_small, binary(build, "multiply", x, build.constant(0, x.dtype)), reduced)]


def _bitcast(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    (x,), dtype = inputs, source.types[0][1]
    if x.dtype.itemsize != dtype.itemsize or np.bool_ in (x.dtype, dtype):
        raise source.refuse(f"{x.dtype} and {dtype} have other widths")
    return [x if x.dtype == dtype else build.node(Bitcast(), [x], build.extents(x), dtype)]


def _same(build: Builder, source: Source, inputs: Sequence[Node]) -> Sequence[Node]:
    return inputs


def _get_dimension_size(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [build.scalar(build.extents(inputs[0])[source.integer("dimension")])]


def _set_dimension_size(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    raise source.refuse("it changes the size of an array in place")


def _reshape(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [reshape(build, inputs[0], known(source.types[0][0]))]


def known(shape: Sequence[int | None]) -> list[int]:
    """Returns the shape of an operation whose result has one that is known."""
    return [size for size in shape if size is not None]


def _dynamic_reshape(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, sizes = inputs
    if (elements := build.elements(sizes)) is not None:
        return [reshape(build, x, elements)]
    return [build.node(Reshape(), inputs, source.types[0][0], x.dtype)]


def _broadcast_in_dim(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [broadcast(build, inputs[0], source.integers("broadcast_dimensions"), known(source.types[0][0]))]


def _dynamic_broadcast_in_dim(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, sizes = inputs
    elements = sizes_of(build, sizes)
    return [broadcast(build, x, source.integers("broadcast_dimensions"), elements)]


def sizes_of(build: Builder, vector: Node) -> Sequence[Extent]:
    """Returns the elements of a vector of sizes, whose number is known."""
    if (elements := build.elements(vector)) is not None:
        return elements
    parts = (cut(build, vector, [i], [i + 1]) for i in range(vector.shape[0] or 0))
    return [build.extent(reshape(build, part, ())) for part in parts]


def _transpose(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [transpose(build, inputs[0], source.integers("permutation"))]


def _concatenate(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    axis = source.integer("dimension")
    return [concatenate(build, inputs, axis)]


def concatenate(build: Builder, inputs: Sequence[Node], axis: int) -> Node:
    """Returns the inputs along an axis."""
    inputs = [x for x in inputs if x.shape[axis] != 0] or inputs[:1]
    if len(inputs) == 1:
        return inputs[0]
    found = [scalars for x in inputs if x.rank and (scalars := build.scalars(x)) is not None]
    if len(found) == len(inputs) and not all(x.value is not None for x in inputs):
        joined = [each for vector in found for each in vector]
        return build.node(Pack(), joined, (len(joined),), inputs[0].dtype)
    values = [x.value for x in inputs if x.value is not None and x.value.size < 1024]
    if len(values) == len(inputs):
        return build.constant(np.concatenate(values, axis))
    sizes: list[Extent | None] = list(build.extents(inputs[0]))
    total: Extent = 0
    for x in inputs:
        total = calculate(build, "add", total, build.extents(x)[axis])
    sizes[axis] = total
    return build.node(Concatenate(axis), inputs, sizes, inputs[0].dtype)


def _iota(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    shape, dtype = source.types[0]
    return [iota(build, known(shape), source.integer("iota_dimension"), dtype)]


def _dynamic_iota(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    sizes = sizes_of(build, inputs[0])
    return [iota(build, sizes, source.integer("iota_dimension"), source.types[0][1])]


def iota(build: Builder, sizes: Sequence[Extent], axis: int, dtype: np.dtype) -> Node:
    """Returns 0, 1, ... along an axis, the same along all others."""
    size = sizes[axis]
    if isinstance(size, int):
        line = build.constant(np.arange(size).astype(dtype))
    else:
        line = build.node(Range(), [build.scalar(size)], [size], dtype)
    return broadcast(build, line, [axis], sizes)


def _slice(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    starts, limits, strides = (source.integers(name) for name in ("start_indices", "limit_indices", "strides"))
    return [cut(build, inputs[0], starts, limits, strides)]


def _real_dynamic_slice(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    x, *rest = inputs
    starts, limits, strides = (sizes_of(build, each) for each in rest)
    if not is_known(strides):
        raise source.refuse("its strides are not known before it runs")
    return [cut(build, x, starts, limits, strides)]


def _pad(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    low, high, interior = (
        source.integers(name) for name in ("edge_padding_low", "edge_padding_high", "interior_padding")
    )
    return [pad(build, inputs[0], inputs[1], low, high, interior)]


def _dynamic_pad(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    low, high, interior = (sizes_of(build, each) for each in inputs[2:])
    if not is_known(interior):
        raise source.refuse("its interior padding is not known before it runs")
    return [pad(build, inputs[0], inputs[1], low, high, interior)]


def pad(
    build: Builder, x: Node, value: Node, low: Sequence[Extent], high: Sequence[Extent], interior: Sequence[int]
) -> Node:
    """Returns x with `interior` values between its elements, then padded, or cropped where low or high is negative."""
    for axis, count in enumerate(interior):
        if count and build.extents(x)[axis] not in (0, 1):
            x = _spread(build, x, value, axis, count)
    if any(_may_exceed(*sides) for sides in zip(low, high, strict=True)):
        return _cropped(build, _padded(build, x, value, low, high), low, high)
    return _padded(build, _cropped(build, x, low, high), value, low, high)


def _may_exceed(low: Extent, high: Extent) -> bool:
    """Whether more may be cropped at one side than there is before the other side is padded."""
    sides = ((low, high), (high, low))
    return any((isinstance(x, Node) or x < 0) and (isinstance(y, Node) or y > 0) for x, y in sides)


def _cropped(build: Builder, x: Node, low: Sequence[Extent], high: Sequence[Extent]) -> Node:
    """Returns x without as much at its sides as low and high are below 0."""
    starts = [calculate(build, "maximum", calculate(build, "subtract", 0, each), 0) for each in low]
    crops = [calculate(build, "minimum", each, 0) for each in high]
    limits = [calculate(build, "add", *each) for each in zip(build.extents(x), crops, strict=True)]
    return cut(build, x, starts, limits)


def _padded(build: Builder, x: Node, value: Node, low: Sequence[Extent], high: Sequence[Extent]) -> Node:
    """Returns x with as much more at its sides as low and high are above 0."""
    low, high = ([calculate(build, "maximum", each, 0) for each in side] for side in (low, high))
    if not any(low) and not any(high):
        return x
    sizes = [
        calculate(build, "add", calculate(build, "add", *each[:2]), each[2])
        for each in zip(build.extents(x), low, high, strict=True)
    ]
    return build.node(Pad(), [x, build.vector(low), build.vector(high), value], sizes, x.dtype)


def _spread(build: Builder, x: Node, value: Node, axis: int, count: int) -> Node:
    """Returns x with `count` values between its elements along an axis."""
    sizes = list(build.extents(x))
    zeros = [0] * (x.rank + 1)
    spread = reshape(build, x, [*sizes[: axis + 1], 1, *sizes[axis + 1 :]])
    spread = pad(build, spread, value, zeros, [*zeros[: axis + 1], count, *zeros[axis + 2 :]], zeros)
    sizes[axis] = calculate(build, "multiply", sizes[axis], count + 1)
    spread = reshape(build, spread, sizes)
    limit = calculate(build, "maximum", calculate(build, "subtract", sizes[axis], count), 0)
    return cut(build, spread, [0] * x.rank, [*sizes[:axis], limit, *sizes[axis + 1 :]])


def _reverse(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [reverse(build, inputs[0], source.integers("dimensions"))]


RULES: Mapping[str, Rule] = {
    **{f"stablehlo.{name}": _unary(kind) for name, kind in _UNARY.items()},
    **{f"stablehlo.{name}": _binary(kind) for name, kind in _BINARY.items()},
    "stablehlo.constant": _constant,
    "stablehlo.compare": _compare,
    "stablehlo.select": _select,
    "stablehlo.clamp": _clamp,
    "stablehlo.convert": _convert,
    "stablehlo.reduce_precision": _reduce_precision,
    "stablehlo.bitcast_convert": _bitcast,
    "stablehlo.optimization_barrier": _same,
    "stablehlo.get_dimension_size": _get_dimension_size,
    "stablehlo.set_dimension_size": _set_dimension_size,
    "stablehlo.reshape": _reshape,
    "stablehlo.dynamic_reshape": _dynamic_reshape,
    "stablehlo.broadcast_in_dim": _broadcast_in_dim,
    "stablehlo.dynamic_broadcast_in_dim": _dynamic_broadcast_in_dim,
    "stablehlo.transpose": _transpose,
    "stablehlo.concatenate": _concatenate,
    "stablehlo.iota": _iota,
    "stablehlo.dynamic_iota": _dynamic_iota,
    "stablehlo.slice": _slice,
    "stablehlo.real_dynamic_slice": _real_dynamic_slice,
    "stablehlo.pad": _pad,
    "stablehlo.dynamic_pad": _dynamic_pad,
    "stablehlo.reverse": _reverse,
}
