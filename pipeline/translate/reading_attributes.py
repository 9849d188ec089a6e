"""Types and attributes of StableHLO as jaxlib's MLIR gives them, in Python's and NumPy's terms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from jaxlib.mlir import ir

from pipeline.translate.graph import Shape
from pipeline.translate.refusal import Untranslatable

_TYPES: dict[str, np.dtype] = {
    "f32": np.dtype(np.float32), "f64": np.dtype(np.float64), "f16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16), "i1": np.dtype(np.bool_),
    "i8": np.dtype(np.int8), "i16": np.dtype(np.int16), "i32": np.dtype(np.int32), "i64": np.dtype(np.int64),
    "ui8": np.dtype(np.uint8), "ui16": np.dtype(np.uint16), "ui32": np.dtype(np.uint32), "ui64": np.dtype(np.uint64),
}  # fmt: skip

Type = tuple[Shape, np.dtype]


@dataclass(frozen=True, eq=False)
class Source:
    """An operation of StableHLO.

    Attributes:
        operation: MLIR's object.
        name: such as "stablehlo.add".
        types: of its results.
    """

    operation: Any
    name: str
    types: tuple[Type, ...]

    def has(self, attribute: str) -> bool:
        """Whether it has an attribute."""
        return attribute in self.operation.attributes

    def attribute(self, name: str) -> Any:
        """Returns an attribute that it must have, as MLIR's object."""
        return self.operation.attributes[name]

    def text(self, attribute: str) -> str:
        """Returns an attribute that is a text or the name of a function."""
        return str(self.operation.attributes[attribute].value)

    def integer(self, attribute: str, default: int | None = None) -> int:
        """Returns an attribute that is an integer; without the attribute, the default where there is one."""
        if default is not None and not self.has(attribute):
            return default
        return int(self.operation.attributes[attribute].value)

    def integers(self, attribute: str, default: Sequence[int] | None = None) -> list[int]:
        """Returns an attribute that is a list of integers, or a matrix of them row by row."""
        if default is not None and not self.has(attribute):
            return list(default)
        return [int(each) for each in np.array(self.operation.attributes[attribute]).reshape(-1)]

    def refuse(self, reason: str) -> Untranslatable:
        """Returns the exception that says why this operation is not translated."""
        return Untranslatable(f"{self.name} cannot be translated: {reason}")


def read_source(operation: Any) -> Source:
    """Returns an operation with the types of its results; those of a call are the function's own."""
    name = operation.name
    if name == "func.call":
        return Source(operation, name, ())
    return Source(operation, name, tuple(read_type(each.type, name) for each in operation.results))


def read_type(type_: Any, name: str) -> Type:
    """Returns shape and type of a tensor.

    Args:
        type_: MLIR's object.
        name: of the operation, for the message.

    Raises:
        Untranslatable: when it is no tensor of a type that all runtimes have, such as one of complex numbers.
    """
    if not isinstance(type_, ir.RankedTensorType) or str(type_.element_type) not in _TYPES:
        raise Untranslatable(f"{name} cannot be translated: it has a value of the type {type_}")
    shape = tuple(None if type_.is_dynamic_dim(axis) else type_.get_dim_size(axis) for axis in range(type_.rank))
    return shape, _TYPES[str(type_.element_type)]


def read_array(attribute: Any, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Returns the value of a constant."""
    if dtype.name != "bfloat16":
        return np.array(attribute, dtype, order="C").reshape(shape)
    if attribute.is_splat:
        return np.full(shape, _bfloat16(str(attribute.get_splat_value()).partition(" ")[0]), dtype)
    text = re.sub(r" : tensor<[^>]*>$", "", str(attribute)).removeprefix("dense<").removesuffix(">")
    if text.startswith('"0x'):
        return np.frombuffer(bytes.fromhex(text[3:-1]), dtype).reshape(shape)
    return np.array([_bfloat16(each) for each in re.findall(r"[^\[\], ]+", text)], dtype).reshape(shape)


def _bfloat16(text: str) -> Any:
    if text.startswith("0x"):  # NaN or infinity
        return np.array(int(text, 16), np.uint16).view(ml_dtypes.bfloat16)[()]
    return ml_dtypes.bfloat16(float(text))
