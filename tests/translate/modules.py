"""StableHLO modules of JAX functions, as an XlaCallModule node holds them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import export
from jax._src.interpreters.mlir import make_ir_context
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo


def serialize(
    function: Callable[..., Any],
    arguments: Sequence[np.ndarray],
    shapes: Sequence[str | None] = (),
    platforms: Sequence[str] = ("cpu",),
) -> bytes:
    """Returns the module of a function.

    Args:
        function: of arrays.
        arguments: arrays of the shapes and types that it takes.
        shapes: of those arguments that have free sizes, such as "n, 28, 28, 3"; None for the others.
        platforms: that the module is for.
    """
    scope = export.SymbolicScope()
    specs = []
    for place, argument in enumerate(arguments):
        text = shapes[place] if place < len(shapes) else None
        shape = argument.shape if text is None else export.symbolic_shape(text, scope=scope)
        specs.append(jax.ShapeDtypeStruct(shape, argument.dtype))
    module: bytes = export.export(jax.jit(function), platforms=platforms)(*specs).mlir_module_serialized
    return module


def assemble(text: str) -> bytes:
    """Returns the module whose function main has this body, in MLIR's notation.

    Args:
        text: from the arguments on, such as "(%x: tensor<3xf32>) -> tensor<3xf32> { return %x : tensor<3xf32> }".
    """
    with make_ir_context():  # JAX's own, which has the dialect of functions
        parsed = ir.Module.parse(f"func.func public @main{text}")
        module: bytes = stablehlo.serialize_portable_artifact(parsed, stablehlo.get_current_version())
        return module
