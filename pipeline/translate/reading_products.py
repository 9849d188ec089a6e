"""Reads products of matrices and convolutions."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxlib.mlir.dialects import stablehlo

from pipeline.translate.building import Builder, Extent, is_known
from pipeline.translate.elementwise import cast, product
from pipeline.translate.graph import Node
from pipeline.translate.operations import Convolution, Dense, MatMul
from pipeline.translate.reading_attributes import Source
from pipeline.translate.reading_values import Rule, sizes_of
from pipeline.translate.shaping import reshape, reverse, transpose


def _dot_general(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    numbers = stablehlo.DotDimensionNumbers(source.attribute("dot_dimension_numbers"))
    left = (list(numbers.lhs_batching_dimensions), list(numbers.lhs_contracting_dimensions))
    right = (list(numbers.rhs_batching_dimensions), list(numbers.rhs_contracting_dimensions))
    return [dot(build, inputs, left, right, source.types[0][1])]


def _dot(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    return [dot(build, inputs, ([], [inputs[0].rank - 1]), ([], [0]), source.types[0][1])]


Axes = tuple[list[int], list[int]]  # of an operand: those of the batch, and those that are summed over


def dot(build: Builder, inputs: Sequence[Node], left: Axes, right: Axes, dtype: np.dtype) -> Node:
    """Returns the product of two arrays: axes of the batch, then free ones of the left and of the right one."""
    accumulated = np.result_type(dtype, *(x.dtype for x in inputs))
    x, y = (cast(build, each, accumulated) for each in inputs)
    batch = [build.extents(x)[axis] for axis in left[0]]
    free_left = [build.extents(x)[axis] for axis in _free(x, left)]
    free_right = [build.extents(y)[axis] for axis in _free(y, right)]
    if not batch and None in y.shape and None not in x.shape:  # the weights are on the left
        node = _dense(build, y, x, right[1], left[1])
        node = reshape(build, node, [*free_right, *free_left])
        node = transpose(build, node, [*range(len(free_right), node.rank), *range(len(free_right))])
    elif not batch:
        node = _dense(build, x, y, left[1], right[1])
    else:
        x, transpose_left = _matrices(build, x, left, is_left=True)
        y, transpose_right = _matrices(build, y, right, is_left=False)
        rows, columns = product(build, free_left), product(build, free_right)
        if transpose_left and transpose_right:
            node = build.node(MatMul(), [y, x], [*batch, columns, rows], accumulated)
            node = transpose(build, node, [*range(len(batch)), len(batch) + 1, len(batch)])
        else:
            node = build.node(MatMul(transpose_left, transpose_right), [x, y], [*batch, rows, columns], accumulated)
    return cast(build, reshape(build, node, [*batch, *free_left, *free_right]), dtype)


def _free(x: Node, axes: Axes) -> list[int]:
    return [axis for axis in range(x.rank) if axis not in axes[0] + axes[1]]


def _dense(build: Builder, x: Node, y: Node, summed_left: list[int], summed_right: list[int]) -> Node:
    """Returns the product without axes of a batch: (..., k) with (k, n)."""
    free_left, free_right = _free(x, ([], summed_left)), _free(y, ([], summed_right))
    outer = [build.extents(x)[axis] for axis in free_left]
    k = product(build, [build.extents(x)[axis] for axis in summed_left])
    n = product(build, [build.extents(y)[axis] for axis in free_right])
    x = reshape(build, transpose(build, x, free_left + summed_left), [*outer, k])
    is_transposed = summed_right == list(range(y.rank - len(summed_right), y.rank)) and bool(free_right)
    order = free_right + summed_right if is_transposed else summed_right + free_right
    y = reshape(build, transpose(build, y, order), [n, k] if is_transposed else [k, n])
    return build.node(Dense(is_transposed), [x, y], [*outer, n], x.dtype)


def _matrices(build: Builder, x: Node, axes: Axes, is_left: bool) -> tuple[Node, bool]:
    """Returns an operand as matrices, and whether they are to be transposed.

    That is chosen so that the last axis stays the last: then a transpose of x is often none at all.
    """
    batch, summed = axes
    free = _free(x, axes)
    is_summed_last = x.rank - 1 in summed
    order = [*batch, *free, *summed] if is_summed_last else [*batch, *summed, *free]
    rows, columns = (free, summed) if is_summed_last else (summed, free)
    extents = build.extents(x)
    sizes = [extents[axis] for axis in batch]
    sizes += [product(build, [extents[axis] for axis in group]) for group in (rows, columns)]
    return reshape(build, transpose(build, x, order), sizes), is_summed_last != is_left


def _convolution(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    space = len(stablehlo.ConvDimensionNumbers(source.attribute("dimension_numbers")).input_spatial_dimensions)
    padding = source.integers("padding", [0] * (2 * space))
    return [_convolve(build, source, inputs, padding)]


def _dynamic_conv(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    space = inputs[0].rank - 2
    padding = sizes_of(build, reshape(build, inputs[2], [2 * space]))
    if not is_known(padding):
        raise source.refuse("its padding is not known before it runs")
    return [_convolve(build, source, inputs[:2], padding)]


def _convolve(build: Builder, source: Source, inputs: Sequence[Node], padding: Sequence[int]) -> Node:
    numbers = stablehlo.ConvDimensionNumbers(source.attribute("dimension_numbers"))
    space = len(numbers.input_spatial_dimensions)
    if not 1 <= space <= 3 or source.integer("batch_group_count", 1) != 1:
        raise source.refuse(f"it has {space} axes of space, or groups of the batch")
    dtype = source.types[0][1]
    accumulated = np.result_type(dtype, *(x.dtype for x in inputs))
    images, kernel = (cast(build, x, accumulated) for x in inputs)
    window = list(numbers.kernel_spatial_dimensions)
    if source.has("window_reversal"):
        flags = source.integers("window_reversal")
        kernel = reverse(build, kernel, [axis for axis, flag in zip(window, flags, strict=True) if flag])
    images = transpose(
        build,
        images,
        [numbers.input_batch_dimension, *numbers.input_spatial_dimensions, numbers.input_feature_dimension],
    )
    kernel = transpose(
        build, kernel, [*window, numbers.kernel_input_feature_dimension, numbers.kernel_output_feature_dimension]
    )
    ones = [1] * space
    operation = Convolution(
        strides=tuple(source.integers("window_strides", ones)),
        padding=tuple(zip(padding[::2], padding[1::2], strict=True)),
        dilations=tuple(source.integers("rhs_dilation", ones)),
        dilations_of_input=tuple(source.integers("lhs_dilation", ones)),
        groups=source.integer("feature_group_count", 1),
    )
    sizes = [build.extents(images)[0], *_convolved(build, images, kernel, operation), build.extents(kernel)[-1]]
    node = build.node(operation, [images, kernel], sizes, accumulated)
    order = [numbers.output_batch_dimension, *numbers.output_spatial_dimensions, numbers.output_feature_dimension]
    return cast(build, transpose(build, node, [order.index(axis) for axis in range(space + 2)]), dtype)


def _convolved(build: Builder, images: Node, kernel: Node, operation: Convolution) -> list[Extent | None]:
    """Returns the sizes of the axes of space of a convolution; None where they are known only when it runs."""
    sizes: list[Extent | None] = []
    for axis, (low, high) in enumerate(operation.padding):
        size, window = images.shape[axis + 1], kernel.shape[axis]
        if size is None or window is None:
            sizes.append(None)
            continue
        dilated = max(0, (size - 1) * operation.dilations_of_input[axis] + 1) + low + high
        covered = (window - 1) * operation.dilations[axis] + 1
        sizes.append(max(0, (dilated - covered) // operation.strides[axis] + 1))
    return sizes


RULES: Mapping[str, Rule] = {
    "stablehlo.dot_general": _dot_general,
    "stablehlo.dot": _dot,
    "stablehlo.convolution": _convolution,
    "stablehlo.dynamic_conv": _dynamic_conv,
}
