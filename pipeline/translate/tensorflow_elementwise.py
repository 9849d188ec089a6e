"""Elementwise operations in TensorFlow, with StableHLO's meaning where TensorFlow's differs.

What TensorFlow's kernels for the CPU lack for a type is computed in a type that holds all its values.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.translate.graph import Node
from pipeline.translate.operations import Bitcast, Cast, Compare, Elementwise
from pipeline.translate.refusal import Untranslatable

Tensor = Any  # tf.Tensor
_Function = Callable[..., Tensor]


def _cbrt(x: Tensor) -> Tensor:
    return tf.sign(x) * tf.pow(tf.abs(x), tf.constant(1 / 3, x.dtype))


def _negate(x: Tensor) -> Tensor:
    return tf.zeros((), x.dtype) - x if x.dtype.is_unsigned else tf.negative(x)


def _sign(x: Tensor) -> Tensor:
    if x.dtype.is_unsigned:
        return tf.cast(tf.not_equal(x, tf.zeros((), x.dtype)), x.dtype)
    return tf.sign(x)


def _round(x: Tensor) -> Tensor:
    """Rounds halves away from zero; x + 0.5 would round 0.49999997 up."""
    whole = tf.floor(tf.abs(x))
    half = tf.constant(0.5, x.dtype)
    return tf.sign(x) * (whole + tf.cast(tf.greater_equal(tf.abs(x) - whole, half), x.dtype))


def _not(x: Tensor) -> Tensor:
    return tf.logical_not(x) if x.dtype.is_bool else tf.bitwise.invert(x)


def _popcount(x: Tensor) -> Tensor:
    return tf.cast(tf.raw_ops.PopulationCount(x=x), x.dtype)


def _of_integers(of_floats: _Function, of_integers: _Function) -> _Function:
    """Returns a function of two tensors that is another one for integers."""

    def apply(x: Tensor, y: Tensor) -> Tensor:
        return of_integers(x, y) if x.dtype.is_integer else of_floats(x, y)

    return apply


def _of_booleans(others: _Function, of_booleans: _Function) -> _Function:
    """Returns a function of two tensors that is another one for booleans."""

    def apply(x: Tensor, y: Tensor) -> Tensor:
        return of_booleans(x, y) if x.dtype.is_bool else others(x, y)

    return apply


def _known(x: Tensor) -> np.ndarray | None:
    """Returns the value of a constant."""
    value: np.ndarray | None = tf.get_static_value(x)
    return value


def _is_harmless(divisor: Tensor) -> bool:
    """Whether a divisor is known to be neither 0 nor -1."""
    value = _known(divisor)
    return value is not None and bool(np.all((value != 0) & (value + 1 != 0)))


def _divide_integers(x: Tensor, y: Tensor) -> Tensor:
    """Divides, rounding to zero. By 0 it is -1, by -1 it wraps, as XLA has it; TensorFlow fails at both."""
    if _is_harmless(y):
        return tf.truncatediv(x, y)
    one = tf.ones((), y.dtype)
    is_zero, is_minus_one = tf.equal(y, _negate(one) + one), tf.equal(y, _negate(one))
    if y.dtype.is_unsigned:
        return tf.where(is_zero, _negate(one), tf.truncatediv(x, tf.where(is_zero, one, y)))
    quotient = tf.truncatediv(x, tf.where(is_zero | is_minus_one, one, y))
    return tf.where(is_zero, -one, tf.where(is_minus_one, tf.negative(x), quotient))


def _remainder_of_integers(x: Tensor, y: Tensor) -> Tensor:
    """Returns x - y * trunc(x / y). By 0 it is x."""
    if _is_harmless(y):
        return x - y * tf.truncatediv(x, y)
    return x - y * _divide_integers(x, y)


def _remainder(x: Tensor, y: Tensor) -> Tensor:
    """Returns the remainder of floats, with the sign of x. TruncateMod has no gradient, FloorMod has one."""
    size = tf.math.floormod(tf.abs(x), tf.abs(y))
    return tf.where(tf.less(x, tf.zeros((), x.dtype)), -size, size)


def _power_of_integers(x: Tensor, y: Tensor) -> Tensor:
    exponents = _known(y)
    if exponents is None or np.any(exponents < 0):
        raise Untranslatable("stablehlo.power of integers with an exponent that is computed or negative")
    return tf.pow(x, y)


def _with_sign(x: Tensor, is_signed: bool) -> Tensor:
    """Returns the bits of integers as signed or unsigned ones."""
    dtype = tf.as_dtype(f"{'' if is_signed else 'u'}int{8 * x.dtype.size}")
    return x if x.dtype == dtype else tf.bitcast(x, dtype)


def _shift(function: _Function, is_arithmetic: bool | None = None) -> _Function:
    """Returns a shift that shifts everything out by the width or more, where TensorFlow shifts by at most width - 1.

    Args:
        function: TensorFlow's, whose shift to the right is arithmetic for signed integers.
        is_arithmetic: whether this one is; None for one to the left.
    """

    def apply(x: Tensor, count: Tensor) -> Tensor:
        width, known = 8 * x.dtype.size, _known(count)
        bits = x if is_arithmetic is None else _with_sign(x, is_arithmetic)
        is_less = None
        if known is None or not np.all((known >= 0) & (known < width)):
            wide = tf.cast(_with_sign(count, is_signed=False), tf.uint64)
            is_less = tf.less(wide, tf.constant(width, tf.uint64))
            count = tf.where(is_less, count, tf.constant(width - 1, count.dtype))
        shifted = function(bits, count if count.dtype == bits.dtype else tf.cast(count, bits.dtype))
        if is_less is not None and not is_arithmetic:
            shifted = tf.where(is_less, shifted, tf.zeros((), shifted.dtype))
        return shifted if shifted.dtype == x.dtype else tf.bitcast(shifted, x.dtype)

    return apply


_KINDS: dict[str, _Function] = {
    "negate": _negate,
    "exp": tf.exp,
    "expm1": tf.math.expm1,
    "log": tf.math.log,
    "log1p": tf.math.log1p,
    "sqrt": tf.sqrt,
    "rsqrt": tf.math.rsqrt,
    "cbrt": _cbrt,
    "sin": tf.sin,
    "cos": tf.cos,
    "tan": tf.tan,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "erf": tf.math.erf,
    "abs": lambda x: x if x.dtype.is_unsigned else tf.abs(x),
    "sign": _sign,
    "floor": tf.floor,
    "ceil": tf.math.ceil,
    "round_even": tf.round,
    "round": _round,
    "is_finite": tf.math.is_finite,
    "not": _not,
    "popcount": _popcount,
    "add": _of_booleans(tf.add, tf.logical_or),
    "subtract": tf.subtract,
    "multiply": _of_booleans(tf.multiply, tf.logical_and),
    "divide": _of_integers(tf.divide, _divide_integers),
    "maximum": _of_booleans(tf.maximum, tf.logical_or),
    "minimum": _of_booleans(tf.minimum, tf.logical_and),
    "power": _of_integers(tf.pow, _power_of_integers),
    "remainder": _of_integers(_remainder, _remainder_of_integers),
    "atan2": tf.atan2,
    "and": _of_booleans(tf.bitwise.bitwise_and, tf.logical_and),
    "or": _of_booleans(tf.bitwise.bitwise_or, tf.logical_or),
    "xor": _of_booleans(tf.bitwise.bitwise_xor, tf.math.logical_xor),
    "shift_left": _shift(tf.bitwise.left_shift),
    "shift_right_logical": _shift(tf.bitwise.right_shift, is_arithmetic=False),
    "shift_right_arithmetic": _shift(tf.bitwise.right_shift, is_arithmetic=True),
}

_COMPARISONS: dict[str, _Function] = {
    "EQ": tf.equal,
    "NE": tf.not_equal,
    "LT": tf.less,
    "LE": tf.less_equal,
    "GT": tf.greater,
    "GE": tf.greater_equal,
}


def elementwise(node: Node, operation: Elementwise, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of an Elementwise.

    Raises:
        Untranslatable: when TensorFlow has no such operation.
    """
    if operation.kind not in _KINDS:
        raise Untranslatable(f"{operation.kind}, an elementwise operation that TensorFlow lacks")
    return _KINDS[operation.kind](*inputs)


def compare(node: Node, operation: Compare, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of a Compare."""
    if inputs[0].dtype.is_bool and operation.direction not in ("EQ", "NE"):
        inputs = [tf.cast(each, tf.int32) for each in inputs]
    return _COMPARISONS[operation.direction](*inputs)


def select(node: Node, operation: object, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of a Select."""
    return tf.where(*inputs)


def cast(node: Node, operation: Cast, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of a Cast.

    As in XLA, floats beyond the range of integers become the smallest or largest integer, and NaN 0.
    """
    (x,), target = inputs, tf.as_dtype(node.dtype)
    if target.is_bool and not x.dtype.is_bool:
        return tf.not_equal(x, tf.zeros((), x.dtype))
    if not (x.dtype.is_floating and target.is_integer):
        return tf.cast(x, target)
    wide = x if x.dtype.size >= 4 else tf.cast(x, tf.float32)
    low, high = float(target.min), math.ldexp(1.0, int(target.max).bit_length())  # high is the first one too large
    is_inside = tf.greater_equal(wide, tf.constant(low, wide.dtype)) & tf.less(wide, tf.constant(high, wide.dtype))
    inside = tf.cast(tf.where(is_inside, wide, tf.zeros((), wide.dtype)), target)
    is_high = tf.greater_equal(wide, tf.constant(high, wide.dtype))
    is_low = tf.less(wide, tf.constant(low, wide.dtype))
    outside = tf.where(is_low, tf.constant(target.min, target), inside)
    return tf.where(is_high, tf.constant(target.max, target), outside)


def bitcast(node: Node, operation: Bitcast, inputs: list[Tensor]) -> Tensor:
    """Returns the tensor of a Bitcast."""
    return tf.bitcast(inputs[0], tf.as_dtype(node.dtype))
