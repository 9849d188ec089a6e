"""The values of elementwise operations on constants, where NumPy's are exactly what every runtime computes."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.translate.building import is_integer
from pipeline.translate.graph import Operation
from pipeline.translate.operations import Cast, Compare, Elementwise, Select

_EXACT: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "negate": np.negative, "abs": np.abs, "floor": np.floor, "sqrt": np.sqrt, "ceil": np.ceil,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert, "is_finite": np.isfinite,
}  # fmt: skip
_COMPARE: dict[str, Callable[..., np.ndarray]] = {
    "EQ": np.equal, "NE": np.not_equal, "LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal,
}  # fmt: skip


def compute(operation: Operation, values: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray | None:
    """Returns the value of an elementwise operation; None where it is left to the runtime."""
    with np.errstate(all="ignore"):
        match operation:
            case Elementwise(kind):
                result = _elementwise(kind, values)
            case Compare(direction):
                result = _COMPARE[direction](*values)
            case Select():
                result = np.where(*values)
            case Cast():
                result = _cast(values[0], dtype)
            case _:
                result = None
    return None if result is None else np.asarray(result).astype(dtype)


def _elementwise(kind: str, values: Sequence[np.ndarray]) -> np.ndarray | None:
    if kind in _EXACT:
        return _EXACT[kind](*values)
    if not is_integer(values[0].dtype):
        return np.divide(*values) if kind == "divide" else None
    if kind in ("divide", "remainder") and np.all(values[1]):
        remainder = np.fmod(*values)
        return remainder if kind == "remainder" else (values[0] - remainder) // values[1]
    return _shift(kind, *values) if kind.startswith("shift") else None


def _shift(kind: str, x: np.ndarray, by: np.ndarray) -> np.ndarray | None:
    bits = x.dtype.itemsize * 8
    if not np.all((by >= 0) & (by < bits)):
        return None
    if kind == "shift_left":
        return np.left_shift(x, by)
    kinds = {"shift_right_logical": "u", "shift_right_arithmetic": "i"}
    other = np.dtype(f"{kinds[kind]}{x.dtype.itemsize}")
    return np.right_shift(x.astype(other), by.astype(other))


def _cast(value: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    """Floats out of the range of integers are left to the runtime."""
    if is_integer(dtype) and not is_integer(value.dtype) and value.dtype != np.bool_:
        limits = np.iinfo(dtype)
        if not np.all((value >= float(limits.min)) & (value < float(limits.max))):
            return None
    return value.astype(dtype)
