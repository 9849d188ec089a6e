"""Elementwise operations as ONNX operators.

ONNX leaves open, or onnxruntime does in its own way, what StableHLO fixes: integer division by zero, shifts by at least
the width, the sign of NaN. What is not a constant is guarded against that here.

onnxruntime computes with float32, float64, int32 and int64 only. Other integers take a detour through int32 or int64,
which gives the same low bits; float16 is what the runtimes know how to compute.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.translate import operations as ops
from pipeline.translate.graph import Node
from pipeline.translate.onnx_scope import Scope
from pipeline.translate.refusal import Untranslatable

Names = Sequence[str]

_FLOATS = {
    "negate": "Neg",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "erf": "Erf",
    "abs": "Abs",
    "floor": "Floor",
    "ceil": "Ceil",
    "round_even": "Round",
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "power": "Pow",
}
_INTEGERS = {
    "negate": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "maximum": "Max",
    "minimum": "Min",
    "power": "Pow",
}
_BITS = {"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor", "not": "BitwiseNot"}
_BOOLEANS = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not", "maximum": "Or", "minimum": "And", "add": "Or"}
_COMPARISONS = {"EQ": "Equal", "LT": "Less", "LE": "LessOrEqual", "GT": "Greater", "GE": "GreaterOrEqual"}
# Whose low bits do not depend on the higher bits of the inputs.
_MODULAR = ("add", "subtract", "multiply", "negate")


def wide(dtype: np.dtype, is_modular: bool = False) -> np.dtype:
    """Returns the type that onnxruntime computes with in place of another: int32 or int64 for integers.

    Args:
        dtype: the type.
        is_modular: whether the high bits do not matter.

    Raises:
        Untranslatable: for uint64 where they do.
    """
    if dtype.kind not in "iu" or dtype in (np.int32, np.int64):
        return dtype
    if dtype == np.uint64 and not is_modular:
        raise Untranslatable("ONNX: no arithmetic with uint64")
    return np.dtype(np.int64 if dtype.itemsize >= 4 else np.int32)


def converted(scope: Scope, names: Names, source: np.dtype, target: np.dtype) -> list[str]:
    return list(names) if source == target else [scope.cast(name, target) for name in names]


def _unknown(kind: str, dtype: np.dtype) -> Untranslatable:
    return Untranslatable(f"ONNX: no operator for {kind} of {dtype}")


# Floats ---------------------------------------------------------------------------------------------------------------
def _expm1(scope: Scope, x: str, dtype: np.dtype) -> str:
    """tanh(x / 2) (exp(x) + 1), which keeps the digits of small x."""
    half = scope.add("Tanh", scope.add("Mul", x, scope.scalar(0.5, dtype)))
    return scope.add("Mul", half, scope.add("Add", scope.add("Exp", x), scope.scalar(1, dtype)))


def _log1p(scope: Scope, x: str, dtype: np.dtype) -> str:
    """log(u) x / (u - 1) with u = 1 + x, which keeps the digits of small x (Kahan); x where u is 1."""
    one = scope.scalar(1, dtype)
    u = scope.add("Add", x, one)
    log, rest = scope.add("Log", u), scope.add("Sub", u, one)
    is_small = scope.add("Less", scope.add("Abs", x), scope.scalar(0.5, dtype))
    is_nothing = scope.add("Equal", rest, scope.scalar(0, dtype))
    ratio = scope.add("Div", x, scope.add("Where", is_nothing, one, rest))
    exact = scope.add("Where", is_nothing, x, scope.add("Mul", log, ratio))
    return scope.add("Where", is_small, exact, log)


def _round(scope: Scope, x: str, dtype: np.dtype) -> str:
    """Halves away from zero."""
    size = scope.add("Abs", x)
    whole = scope.add("Floor", size)
    is_half = scope.add("GreaterOrEqual", scope.add("Sub", size, whole), scope.scalar(0.5, dtype))
    return scope.add("Mul", scope.add("Add", whole, scope.cast(is_half, dtype)), scope.add("Sign", x))


def _sign(scope: Scope, x: str, dtype: np.dtype) -> str:
    return scope.add("Where", scope.add("IsNaN", x), x, scope.add("Sign", x))


def _cbrt(scope: Scope, x: str, dtype: np.dtype) -> str:
    root = scope.add("Pow", scope.add("Abs", x), scope.scalar(1 / 3, dtype))
    return scope.add("Mul", root, scope.add("Sign", x))


def _is_finite(scope: Scope, x: str, dtype: np.dtype) -> str:
    return scope.add("Not", scope.add("Or", scope.add("IsNaN", x), scope.add("IsInf", x)))


_COMPOSED: dict[str, Callable[[Scope, str, np.dtype], str]] = {
    "rsqrt": lambda scope, x, dtype: scope.add("Reciprocal", scope.add("Sqrt", x)),
    "expm1": _expm1,
    "log1p": _log1p,
    "round": _round,
    "sign": _sign,
    "cbrt": _cbrt,
    "is_finite": _is_finite,
}


def _float(scope: Scope, node: Node, kind: str, names: Names) -> str:
    dtype = node.inputs[0].dtype
    if kind in _FLOATS:
        return scope.add(_FLOATS[kind], *names)
    if kind == "remainder":
        return scope.add("Mod", *names, fmod=1)
    if kind in _COMPOSED:
        return _COMPOSED[kind](scope, names[0], dtype)
    raise _unknown(kind, dtype)


# Integers -------------------------------------------------------------------------------------------------------------
def _integer(scope: Scope, node: Node, kind: str, names: Names) -> str:
    dtype = node.dtype
    if kind in _BITS:
        return scope.add(_BITS[kind], *names)
    if kind.startswith("shift"):
        return _shift(scope, node, kind, names)
    computed = wide(dtype, kind in _MODULAR)
    inputs = converted(scope, names, dtype, computed)
    if kind in _INTEGERS:
        result = scope.add(_INTEGERS[kind], *inputs)
    elif kind in ("divide", "remainder"):
        result = _divide(scope, node, kind, inputs, computed)
    else:
        raise _unknown(kind, dtype)
    return converted(scope, [result], computed, dtype)[0]


def _divide(scope: Scope, node: Node, kind: str, names: Names, dtype: np.dtype) -> str:
    """Rounds to zero. As in XLA, x / 0 is -1 and x % 0 is x; processors trap on 0, and on the least number by -1."""
    operator, options = ("Div", {}) if kind == "divide" else ("Mod", {"fmod": 1})
    x, divisor = names
    known = node.inputs[1].value
    if known is not None and known.all() and not (known == -1).any():
        return scope.add(operator, x, divisor, **options)
    one, zero = scope.scalar(1, dtype), scope.scalar(0, dtype)
    is_zero = scope.add("Equal", divisor, zero)
    is_minus = scope.add("Equal", divisor, scope.scalar(-1, dtype))
    safe = scope.add("Where", scope.add("Or", is_zero, is_minus), one, divisor)
    by_minus, by_zero = (scope.add("Neg", x), scope.scalar(-1, dtype)) if kind == "divide" else (zero, x)
    result = scope.add("Where", is_minus, by_minus, scope.add(operator, x, safe, **options))
    return scope.add("Where", is_zero, by_zero, result)


def _shift(scope: Scope, node: Node, kind: str, names: Names) -> str:
    """Shifts as unsigned numbers, for which alone ONNX has an operator."""
    dtype, width = node.dtype, node.dtype.itemsize * 8
    unsigned = np.dtype(f"uint{width}")
    if width == 16:  # onnxruntime has no kernel
        raise _unknown(kind, dtype)
    amount = converted(scope, names[1:], dtype, unsigned)[0]
    if kind == "shift_right_arithmetic":  # the highest bit is the sign, of unsigned numbers, too
        signed = np.dtype(f"int{width}")
        (bits,) = converted(scope, names[:1], dtype, signed)
        return converted(scope, [_shift_arithmetic(scope, bits, amount, signed, unsigned)], signed, dtype)[0]
    x = converted(scope, names[:1], dtype, unsigned)[0]
    shifted = _shift_bits(scope, node, x, amount, "LEFT" if kind == "shift_left" else "RIGHT", unsigned)
    return converted(scope, [shifted], unsigned, dtype)[0]


def _shift_bits(scope: Scope, node: Node, x: str, amount: str, direction: str, dtype: np.dtype) -> str:
    width, known = dtype.itemsize * 8, node.inputs[1].value
    if known is not None and (known >= 0).all() and (known < width).all():
        return scope.add("BitShift", x, amount, direction=direction)
    fits = scope.add("Less", scope.cast(amount, np.float32), scope.scalar(width, np.dtype(np.float32)))
    zero = scope.scalar(0, dtype)
    safe = _where(scope, fits, amount, zero, dtype)
    return _where(scope, fits, scope.add("BitShift", x, safe, direction=direction), zero, dtype)


def _shift_arithmetic(scope: Scope, x: str, amount: str, dtype: np.dtype, unsigned: np.dtype) -> str:
    """Of a negative number, shifts its complement, which is not negative; by at most one less than the width."""
    most = scope.scalar(dtype.itemsize * 8 - 1, unsigned)
    fits = scope.add("Less", scope.cast(amount, np.float32), scope.cast(most, np.float32))
    is_negative = scope.add("Less", scope.cast(x, wide(dtype)), scope.scalar(0, wide(dtype)))
    bits = scope.cast(_where(scope, is_negative, scope.add("BitwiseNot", x), x, dtype), unsigned)
    shifted = scope.add("BitShift", bits, _where(scope, fits, amount, most, unsigned), direction="RIGHT")
    result = scope.cast(shifted, dtype)
    return _where(scope, is_negative, scope.add("BitwiseNot", result), result, dtype)


# All types ------------------------------------------------------------------------------------------------------------
def elementwise(scope: Scope, node: Node, names: Names) -> str:
    assert isinstance(node.operation, ops.Elementwise)
    kind, dtype = node.operation.kind, node.inputs[0].dtype
    if dtype == np.bool_:
        if kind not in _BOOLEANS:
            raise _unknown(kind, dtype)
        return scope.add(_BOOLEANS[kind], *names)
    return (_integer if dtype.kind in "iu" else _float)(scope, node, kind, names)


def compare(scope: Scope, node: Node, names: Names) -> str:
    assert isinstance(node.operation, ops.Compare)
    dtype, direction = node.inputs[0].dtype, node.operation.direction
    if dtype == np.bool_ and direction not in ("EQ", "NE"):
        names, dtype = [scope.cast(name, np.int32) for name in names], np.dtype(np.int32)
    inputs = names if dtype == np.bool_ else converted(scope, names, dtype, wide(dtype))
    if direction == "NE":
        return scope.add("Not", scope.add("Equal", *inputs))
    return scope.add(_COMPARISONS[direction], *inputs)


def _where(scope: Scope, condition: str, yes: str, no: str, dtype: np.dtype) -> str:
    if dtype == np.bool_:
        other = scope.add("And", scope.add("Not", condition), no)
        return scope.add("Or", scope.add("And", condition, yes), other)
    computed = wide(dtype, is_modular=True)
    result = scope.add("Where", condition, *converted(scope, (yes, no), dtype, computed))
    return converted(scope, [result], computed, dtype)[0]


def select(scope: Scope, node: Node, names: Names) -> str:
    condition, yes, no = names
    return _where(scope, condition, yes, no, node.dtype)


def cast(scope: Scope, node: Node, names: Names) -> str:
    """As in XLA, floats beyond the range of integers become the smallest or largest integer, and NaN 0."""
    (x,), source, target = names, node.inputs[0].dtype, node.dtype
    if source == target:
        return x
    if source.kind != "f" or target.kind not in "iu":
        return scope.cast(x, target)
    if source.itemsize < 4:
        x, source = scope.cast(x, np.float32), np.dtype(np.float32)
    limits = np.iinfo(target)
    low, high = scope.scalar(float(limits.min), source), scope.scalar(math.ldexp(1.0, limits.max.bit_length()), source)
    is_high, is_low = scope.add("GreaterOrEqual", x, high), scope.add("Less", x, low)
    is_outside = scope.add("Or", scope.add("Or", is_high, is_low), scope.add("IsNaN", x))
    inside = scope.cast(scope.add("Where", is_outside, scope.scalar(0, source), x), target)
    result = _where(scope, is_low, scope.scalar(limits.min, target), inside, target)
    return _where(scope, is_high, scope.scalar(limits.max, target), result, target)


def bitcast(scope: Scope, node: Node, names: Names) -> str:
    """Between integers of one width, whose bits ONNX's Cast keeps."""
    if node.dtype.kind not in "iu" or node.inputs[0].dtype.kind not in "iu":
        raise Untranslatable(f"ONNX: no operator for the bits of {node.inputs[0].dtype} as {node.dtype}")
    return scope.cast(names[0], node.dtype)


def relu(scope: Scope, node: Node, names: Names) -> str:
    return scope.add("Relu", names[0])


def gelu(scope: Scope, node: Node, names: Names) -> str:
    assert isinstance(node.operation, ops.Gelu)
    return scope.add("Gelu", names[0], approximate="tanh" if node.operation.by_tanh else "none")


TABLE: dict[type, Callable[[Scope, Node, Names], str]] = {
    ops.Elementwise: elementwise,
    ops.Compare: compare,
    ops.Select: select,
    ops.Cast: cast,
    ops.Bitcast: bitcast,
    ops.Relu: relu,
    ops.Gelu: gelu,
}
