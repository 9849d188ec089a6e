"""Operations of a translated graph in NumPy, with the meaning that pipeline.translate.operations gives them.

Only those that constants go through on their way to where they are used: shapes, arithmetic, products, sums.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.translate import operations as ops
from pipeline.translate.arithmetic import compute
from pipeline.translate.building import is_integer
from pipeline.translate.graph import Node, Operation

Arrays = Sequence[np.ndarray]

# Beside those of pipeline.translate.arithmetic, which are exact: their last bits may differ from those of a runtime.
_MORE: dict[str, Callable[..., np.ndarray]] = {
    "power": np.power, "remainder": np.fmod, "atan2": np.arctan2, "exp": np.exp, "expm1": np.expm1, "log": np.log,
    "log1p": np.log1p, "rsqrt": lambda x: 1 / np.sqrt(x), "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "tanh": np.tanh, "sign": np.sign, "round_even": np.rint,
}  # fmt: skip
# Of integers, to the runtime.
_LEFT = ("divide", "remainder", "shift_left", "shift_right_logical", "shift_right_arithmetic")
_REDUCTIONS: dict[str, np.ufunc] = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "and": np.logical_and,
    "or": np.logical_or,
}


def _sizes(array: np.ndarray) -> tuple[int, ...]:
    return tuple(int(size) for size in array)


def _elementwise(node: Node, inputs: Arrays) -> np.ndarray | None:
    operation = node.operation
    if isinstance(operation, ops.Elementwise) and is_integer(node.dtype) and operation.kind in _LEFT:
        return None
    if (exact := compute(operation, inputs, node.dtype)) is not None:
        return exact
    if isinstance(operation, ops.Cast):  # from floats, some of which are beyond the range of integers
        return _saturated(inputs[0].astype(np.float64), node.dtype)
    more = _MORE.get(operation.kind) if isinstance(operation, ops.Elementwise) else None
    return None if more is None or is_integer(node.dtype) else more(*inputs)


def _saturated(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns floats as integers: those beyond their range become the smallest or largest, and NaN 0."""
    limits = np.iinfo(dtype)
    is_high, is_low = values >= math.ldexp(1.0, limits.max.bit_length()), values < limits.min
    inside = np.where(is_high | is_low | np.isnan(values), 0, values).astype(dtype)
    return np.where(is_high, dtype.type(limits.max), np.where(is_low, dtype.type(limits.min), inside))


def _transpose(node: Node, inputs: Arrays) -> np.ndarray:
    assert isinstance(node.operation, ops.Transpose)
    return inputs[0].transpose(node.operation.permutation)


def _concatenate(node: Node, inputs: Arrays) -> np.ndarray:
    assert isinstance(node.operation, ops.Concatenate)
    return np.concatenate(inputs, node.operation.axis)


def _slice(node: Node, inputs: Arrays) -> np.ndarray:
    assert isinstance(node.operation, ops.Slice)
    values, starts, limits = inputs
    return values[tuple(map(slice, _sizes(starts), _sizes(limits), node.operation.strides))]


def _pad(node: Node, inputs: Arrays) -> np.ndarray:
    values, low, high, fill = inputs
    return np.pad(values, list(zip(_sizes(low), _sizes(high), strict=True)), constant_values=fill)


def _reverse(node: Node, inputs: Arrays) -> np.ndarray:
    assert isinstance(node.operation, ops.Reverse)
    return np.flip(inputs[0], node.operation.axes)


def _take(node: Node, inputs: Arrays) -> np.ndarray | None:
    assert isinstance(node.operation, ops.Take)
    if inputs[0].shape[node.operation.axis] == 0:
        return None
    return np.take(inputs[0], inputs[1], node.operation.axis, mode="clip")


def _matmul(node: Node, inputs: Arrays) -> np.ndarray:
    assert isinstance(node.operation, ops.MatMul)
    left = inputs[0].swapaxes(-1, -2) if node.operation.transpose_left else inputs[0]
    right = inputs[1].swapaxes(-1, -2) if node.operation.transpose_right else inputs[1]
    return np.matmul(left, right)


def _dense(node: Node, inputs: Arrays) -> np.ndarray:
    assert isinstance(node.operation, ops.Dense)
    product = np.matmul(inputs[0], inputs[1].T if node.operation.transpose_right else inputs[1])
    return product + inputs[2] if len(inputs) == 3 else product


def _reduce(node: Node, inputs: Arrays) -> np.ndarray | None:
    """Sums floats in float64: NumPy adds along leading axes one by one, which would lose digits of large kernels."""
    assert isinstance(node.operation, ops.Reduce)
    kind, values = node.operation.kind, inputs[0]
    if kind in ("and", "or") and values.dtype != np.bool_:
        return None
    is_float = not is_integer(values.dtype) and values.dtype != np.bool_
    if values.size == 0 and kind in ("maximum", "minimum"):
        if not is_float:
            return None
        edge = -np.inf if kind == "maximum" else np.inf
        return np.full(np.sum(values, node.operation.axes, keepdims=node.operation.keeps_axes).shape, edge)
    wide = values.astype(np.float64) if is_float else values
    result: np.ndarray = _REDUCTIONS[kind].reduce(wide, axis=node.operation.axes, keepdims=node.operation.keeps_axes)
    return result


_TABLE: dict[type[Operation], Callable[[Node, Arrays], np.ndarray | None]] = {
    ops.Elementwise: _elementwise,
    ops.Compare: _elementwise,
    ops.Select: _elementwise,
    ops.Cast: _elementwise,
    ops.Bitcast: lambda node, inputs: inputs[0].view(node.dtype),
    ops.Pack: lambda node, inputs: np.stack(inputs) if inputs else np.zeros(0, node.dtype),
    ops.Reshape: lambda node, inputs: inputs[0].reshape(_sizes(inputs[1])),
    ops.Broadcast: lambda node, inputs: np.broadcast_to(inputs[0], _sizes(inputs[1])),
    ops.Transpose: _transpose,
    ops.Concatenate: _concatenate,
    ops.Range: lambda node, inputs: np.arange(int(inputs[0])),
    ops.Slice: _slice,
    ops.Pad: _pad,
    ops.Reverse: _reverse,
    ops.Take: _take,
    ops.MatMul: _matmul,
    ops.Dense: _dense,
    ops.Reduce: _reduce,
}


def evaluate(node: Node, inputs: Arrays) -> np.ndarray | None:
    """Returns the value of a node for the values of its inputs; None for operations that are not computed here.

    Args:
        node: the node; nothing of its own inputs is read.
        inputs: their values.
    """
    evaluator = _TABLE.get(type(node.operation))
    if evaluator is None:
        return None
    with np.errstate(all="ignore"):  # infinities and NaN are results like others
        result = evaluator(node, inputs)
        return None if result is None else np.asarray(result).astype(node.dtype, copy=False)
