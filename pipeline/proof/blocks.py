"""Computes the outputs of each block inside a SavedModel, to show where it departs from the JAX model.

A SavedModel returns only its output. But its StableHLO holds each block as a call of a function with the block's
weights, so that a copy of the StableHLO can be changed to return each block's input and output. TensorFlow runs the
copy as it runs the published module.
"""

import math
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.saved_model.computation import header_version
from pipeline.saved_model.graph import attribute, find_xla_calls, saved_model_class

Outputs = dict[str, np.ndarray]
MlirValue = Any
Variable = Any  # of TensorFlow

INPUT = "input of "  # before the path of the first block


class UnknownStructure(ValueError):
    """The module's computation is not built of blocks as this project's conversions are."""


def _common_path(names: list[str]) -> str:
    """Returns the path that the names of parameters share, such as "block1/unit1" of "block1/unit1/gn1/scale"."""
    columns = zip(*(name.split("/") for name in names), strict=False)
    return "/".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))


def _forward_node(folder: Path, weights: int) -> Any:
    """Returns the XlaCallModule node of training=False: it takes the weights and images, and returns one tensor."""
    saved_model = saved_model_class().FromString((folder / "saved_model.pb").read_bytes())
    for node in find_xla_calls(saved_model):
        if len(node.input) == weights + 1 and len(attribute(node, "Sout").list.shape) == 1:
            return node
    raise UnknownStructure(f"none of its computations takes {weights} weights and a batch of images")


def _block_values(body: Any, names: list[str]) -> dict[str, MlirValue]:
    """Returns the MLIR values at the blocks' ends by path, and the first block's input, in order of computation.

    Args:
        body: the function that computes the forward pass; its arguments are the platform, the batch size, the weights
            in order of `names`, and the images.
        names: the names of the weights.
    """
    paths = dict(zip(list(body.arguments)[2:-1], names, strict=True))
    values: dict[str, MlirValue] = {}
    for operation in body.operations:
        if operation.operation.name != "func.call":
            continue
        operands = list(operation.operands)
        weights = [paths[operand] for operand in operands if operand in paths]
        if len(weights) < 2 or not (path := _common_path(weights)):
            continue
        if not values:
            values[f"{INPUT}{path}"] = operands[-1]
        values[path] = operation.results[0]
    if not values:
        raise UnknownStructure("its computation calls no function with the weights of a block")
    return values


def _shape(value: MlirValue) -> list[int]:
    """Returns the shape of an MLIR value as TensorFlow writes it, -1 for a dynamic dimension."""
    from jaxlib.mlir import ir

    kind = ir.RankedTensorType(value.type)
    return [-1 if kind.is_dynamic_dim(axis) else kind.get_dim_size(axis) for axis in range(kind.rank)]


def _replace_results(function: Any, values: list[MlirValue]) -> None:
    """Makes a function return the given values instead of its own."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import func

    last = list(function.entry_block.operations)[-1]
    with ir.InsertionPoint(last):
        func.ReturnOp(values)
    last.operation.erase()
    kind = function.type
    function.attributes["function_type"] = ir.TypeAttr.get(
        ir.FunctionType.get(kind.inputs, [value.type for value in values])
    )
    if "res_attrs" in function.attributes:
        del function.attributes["res_attrs"]


def _return_blocks(
    module: bytes, shapes: Mapping[str, tuple[int, ...]], version: str
) -> tuple[bytes, dict[str, list[int]]]:
    """Returns a copy of a StableHLO module that returns its blocks' outputs, and the shape of each by its path.

    Args:
        module: the portable artifact.
        shapes: the shapes of the weights by name, in order of the names.
        version: of StableHLO, for the copy.

    Raises:
        UnknownStructure: when its arguments are not those weights, or it has no blocks.
    """
    from jax._src.interpreters.mlir import make_ir_context
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import func, stablehlo

    with make_ir_context() as context, ir.Location.unknown(context):
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        functions = {function.name.value: function for function in parsed.body.operations}
        main = functions["main"]
        weights = [_shape(value) for value in list(main.arguments)[1:-1]]
        if weights != [list(shape) for shape in shapes.values()]:
            raise UnknownStructure("its computation does not take the checkpoint's arrays in order of their names")
        call = list(main.entry_block.operations)[-2]
        if call.operation.name != "func.call":
            raise UnknownStructure("its computation is not wrapped as jax.export does")
        inner = functions[ir.FlatSymbolRefAttr(call.attributes["callee"]).value]
        values = _block_values(inner.entry_block, list(shapes))
        _replace_results(inner, list(values.values()))
        with ir.InsertionPoint(call):
            results = func.CallOp(inner, list(call.operands)).results
        _replace_results(main, list(results))
        call.operation.erase()
        result_shapes = {path: _shape(value) for path, value in zip(values, results, strict=True)}
        return stablehlo.serialize_portable_artifact(parsed, version), result_shapes


def of_saved_model(folder: Path, variables: Mapping[str, Variable], inputs: np.ndarray) -> Outputs:
    """Returns the outputs of a SavedModel's blocks with training=False, by path in the checkpoint.

    Args:
        folder: the SavedModel.
        variables: the variables of the loaded module by name; their values may differ from the file's.
        inputs: float32 (n, size, size, 3) in [-1, 1].

    Raises:
        UnknownStructure: when it is not built as this project's conversions are.
    """
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.python import xla  # as jax2tf does

    ordered = dict(sorted(variables.items()))
    node = _forward_node(folder, len(ordered))
    version = header_version(attribute(node, "module").s)
    if version is None:
        raise UnknownStructure("its computation does not say its version of StableHLO")
    shapes = {name: tuple(variable.shape) for name, variable in ordered.items()}
    module, result_shapes = _return_blocks(attribute(node, "module").s, shapes, version)
    results = xla.call_module(
        [*ordered.values(), inputs],
        version=attribute(node, "version").i,
        module=module,
        Sout=[tf.TensorShape([None if size < 0 else size for size in shape]) for shape in result_shapes.values()],
        Tout=[tf.float32] * len(result_shapes),
        platforms=[platform.decode() for platform in attribute(node, "platforms").list.s],
    )
    return {path: result.numpy() for path, result in zip(result_shapes, results, strict=True)}


def differences(got: Outputs, expected: Outputs) -> dict[str, float]:
    """Returns the relative error of each block in order: its largest difference by the largest expected magnitude.

    Args:
        got: the outputs to check, by block.
        expected: the outputs that another implementation has for the same inputs.

    Raises:
        UnknownStructure: when the blocks differ in name, order or shape.
    """
    if list(got) != list(expected):
        names = ", ".join(sorted(got.keys() ^ expected.keys())[:5])
        raise UnknownStructure(f"its blocks are not the JAX model's: {names or 'their order differs'}")
    errors = {}
    for path, value in expected.items():
        if got[path].shape != value.shape:
            raise UnknownStructure(f"{path} returns {got[path].shape}, expected {value.shape}")
        difference = float(np.max(np.abs(got[path].astype(np.float64) - value)))
        scale = float(np.max(np.abs(value)))
        errors[path] = relative_error(difference, scale)
    return errors


def relative_error(difference: float, scale: float) -> float:
    """Returns difference / scale; where the scale is 0, infinity for any difference and 0 for none."""
    return difference / scale if scale else math.inf if difference else 0.0
