"""Products, convolutions and normalisations as ONNX operators, those that onnxruntime fuses and computes fastest."""

import math
from collections.abc import Callable

import numpy as np

from pipeline.translate import operations as ops
from pipeline.translate.graph import Node
from pipeline.translate.onnx_scope import LAST, Scope
from pipeline.translate.refusal import Untranslatable


def _swapped(scope: Scope, node: Node) -> str:
    """Returns the name of a matrix, or of a batch of them, with rows and columns exchanged."""
    if (value := node.value) is not None and node.rank == 2:
        name = getattr(node.operation, "name", "")
        return scope.shared.constant(np.ascontiguousarray(value.T), name)
    order = [*range(node.rank - 2), node.rank - 1, node.rank - 2]
    return scope.add("Transpose", scope.name(node), perm=order)


def _matmul(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.MatMul)
    left, right = node.inputs
    first = _swapped(scope, left) if node.operation.transpose_left else scope.name(left)
    return scope.add("MatMul", first, _swapped(scope, right) if node.operation.transpose_right else scope.name(right))


def _dense(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Dense)
    x, kernel, *bias = node.inputs
    matrix = _swapped(scope, kernel) if node.operation.transpose_right else scope.name(kernel)
    product = scope.add("MatMul", scope.name(x), matrix)
    return scope.add("Add", product, scope.name(bias[0])) if bias else product


def _einsum(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Einsum)
    return scope.add("Einsum", *scope.names(node), equation=node.operation.equation)


def _softmax(scope: Scope, node: Node) -> str:
    return scope.add("Softmax", scope.name(node.inputs[0]), axis=-1)


def _layer_norm(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.LayerNorm)
    return scope.add("LayerNormalization", *scope.names(node), axis=-1, epsilon=node.operation.epsilon)


# Channels first -------------------------------------------------------------------------------------------------------
def _cropped(scope: Scope, name: str, padding: tuple[tuple[int, int], ...]) -> tuple[str, list[int]]:
    """Returns the images without what negative padding crops, and the padding that is left, as ONNX has it."""
    crops = [(axis + 2, max(-low, 0), max(-high, 0)) for axis, (low, high) in enumerate(padding)]
    if parts := [crop for crop in crops if any(crop[1:])]:
        axes, starts, ends = zip(*((axis, low, -high if high else LAST) for axis, low, high in parts), strict=True)
        name = scope.add("Slice", name, *(scope.integers(*values) for values in (starts, ends, axes)))
    return name, [max(low, 0) for low, _ in padding] + [max(high, 0) for _, high in padding]


def _kernel(scope: Scope, node: Node, order: list[int]) -> str:
    """Returns the name of a kernel (*window, inputs, outputs) with its axes in another order."""
    if (value := node.value) is not None:
        return scope.shared.constant(np.ascontiguousarray(value.transpose(order)), getattr(node.operation, "name", ""))
    return scope.add("Transpose", scope.name(node), perm=order)


def _convolution(scope: Scope, node: Node) -> str:
    assert isinstance(node.operation, ops.Convolution)
    operation, (images, kernel) = node.operation, node.inputs
    if node.dtype.kind != "f":
        raise Untranslatable(f"ONNX: no operator for a convolution of {node.dtype}")
    if any(dilation != 1 for dilation in operation.dilations_of_input):
        return _transposed_convolution(scope, node)
    rank = node.rank
    name, pads = _cropped(scope, scope.first(images), operation.padding)
    weights = _kernel(scope, kernel, [rank - 1, rank - 2, *range(rank - 2)])
    return scope.add(
        "Conv",
        name,
        weights,
        strides=operation.strides,
        pads=pads,
        dilations=operation.dilations,
        group=operation.groups,
    )


def _transposed_convolution(scope: Scope, node: Node) -> str:
    """A convolution of images with zeros between their pixels is ONNX's ConvTranspose with the kernel reversed.

    ConvTranspose crops the result by its pads where a convolution pads the images by (window - 1) - pads; where that is
    not enough, the result is padded with zeros, which is what the kernel sees of zeros only.
    """
    assert isinstance(node.operation, ops.Convolution)
    operation, (images, kernel) = node.operation, node.inputs
    space = node.rank - 2
    window = [size for size in kernel.shape[:space] if size is not None]
    if operation.groups != 1 or len(window) < space:
        raise Untranslatable("ONNX: no operator for a transposed convolution with groups or a window of any size")
    reach = [(size - 1) * step for size, step in zip(window, operation.dilations, strict=True)]
    pads = [width - pair[side] for side in (0, 1) for width, pair in zip(reach, operation.padding, strict=True)]
    result = scope.add(
        "ConvTranspose",
        scope.first(images),
        _reversed_kernel(scope, kernel),
        strides=operation.dilations_of_input,
        pads=[max(pad, 0) for pad in pads],
        dilations=operation.dilations,
    )
    more = [max(-pad, 0) for pad in pads]
    if any(more):
        sizes = scope.integers(0, 0, *more[:space], 0, 0, *more[space:])
        result = scope.add("Pad", result, sizes, scope.scalar(0, node.dtype))
    if any(stride != 1 for stride in operation.strides):
        axes = range(2, node.rank)
        vectors = ([0] * space, [LAST] * space, axes, operation.strides)
        result = scope.add("Slice", result, *(scope.integers(*values) for values in vectors))
    return result


def _reversed_kernel(scope: Scope, node: Node) -> str:
    """Returns the name of a kernel (*window, inputs, outputs) as (inputs, outputs, *window), the window reversed."""
    space = node.rank - 2
    order = [space, space + 1, *range(space)]
    if (value := node.value) is not None:
        kernel = np.ascontiguousarray(np.flip(value, tuple(range(space))).transpose(order))
        return scope.shared.constant(kernel, getattr(node.operation, "name", ""))
    vectors = ([LAST] * space, [-LAST] * space, range(space), [-1] * space)
    reversed_name = scope.add("Slice", scope.name(node), *(scope.integers(*values) for values in vectors))
    return scope.add("Transpose", reversed_name, perm=order)


def _pool(scope: Scope, node: Node) -> str:
    """MaxPool of onnxruntime passes over NaN beside numbers; guarding it would cost what the pooling costs."""
    assert isinstance(node.operation, ops.Pool)
    operation = node.operation
    if node.dtype.kind != "f":
        raise Untranslatable(f"ONNX: no operator for pooling of {node.dtype}")
    name, pads = _cropped(scope, scope.first(node.inputs[0]), operation.padding)
    options = {"kernel_shape": operation.window, "strides": operation.strides, "pads": pads}
    if operation.kind == "maximum":
        return scope.add("MaxPool", name, **options)
    mean = scope.add("AveragePool", name, **options, count_include_pad=1)
    return scope.add("Mul", mean, scope.scalar(float(np.prod(operation.window)), node.dtype))


def _group_norm(scope: Scope, node: Node) -> str:
    """InstanceNormalization of the groups, then scale and bias by channel."""
    assert isinstance(node.operation, ops.GroupNorm)
    images, scale, bias = node.inputs
    groups, rank, channels = node.operation.groups, node.rank, node.shape[-1]
    assert channels is not None
    space = [-1 if size is None else size for size in node.shape[1:-1]]
    each = -1 if -1 in space else math.prod(space) * channels // groups
    grouped = scope.add("Reshape", scope.first(images), scope.integers(0, groups, each))
    ones, zeros = (scope.shared.constant(np.full(groups, value, node.dtype)) for value in (1, 0))
    normal = scope.add("InstanceNormalization", grouped, ones, zeros, epsilon=node.operation.epsilon)
    is_free = space.count(-1) > 1
    shape = scope.add("Shape", scope.first(images)) if is_free else scope.integers(0, channels, *space)
    normal = scope.add("Reshape", normal, shape)
    return scope.add("Add", scope.add("Mul", normal, _by_channel(scope, scale, rank)), _by_channel(scope, bias, rank))


def _by_channel(scope: Scope, node: Node, rank: int) -> str:
    """Returns the name of a vector, aligned with the channels of images that have them first."""
    shape = (-1, *(1,) * (rank - 2))
    if (value := node.value) is not None:
        return scope.shared.constant(value.reshape(shape), getattr(node.operation, "name", ""))
    return scope.add("Reshape", scope.name(node), scope.integers(*shape))


TABLE: dict[type, Callable[[Scope, Node], str]] = {
    ops.MatMul: _matmul,
    ops.Dense: _dense,
    ops.Einsum: _einsum,
    ops.Softmax: _softmax,
    ops.LayerNorm: _layer_norm,
}
FIRST_TABLE: dict[type, Callable[[Scope, Node], str]] = {
    ops.Convolution: _convolution,
    ops.Pool: _pool,
    ops.GroupNorm: _group_norm,
}
