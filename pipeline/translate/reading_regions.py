"""Reads the small functions that operations such as reduce and sort have as regions."""

from typing import Any, cast

from pipeline.translate.reading_attributes import Source, read_array, read_source
from pipeline.translate.reading_values import comparison

# ("stablehlo.add", 0, 1): the sum of the arguments 0 and 1. Constants are ("constant", "1.0").
Expression = int | tuple[Any, ...]

_COMMUTATIVE = {f"stablehlo.{name}" for name in ("add", "multiply", "maximum", "minimum", "and", "or", "xor")}
REDUCERS = {"add": "add", "multiply": "multiply", "maximum": "maximum", "minimum": "minimum", "and": "and", "or": "or"}


def read_region(region: Any) -> list[Expression]:
    """Returns the results of a region without regions inside, as expressions of its arguments."""
    block = region.blocks[0]
    values: dict[Any, Expression] = dict(zip(block.arguments, range(len(block.arguments)), strict=True))
    for view in block.operations:
        operation = view.operation
        inputs = [values[each] if each in values else _outside(each) for each in operation.operands]
        if operation.name == "stablehlo.return":
            return inputs
        for number, result in enumerate(operation.results):
            values[result] = _expression(read_source(operation), inputs, number)
    raise ValueError("a region without a return")


def _outside(value: Any) -> Expression:
    """Returns a value from around the region: a constant, or what is equal to nothing but itself."""
    owner = value.owner
    if getattr(owner, "name", "") == "stablehlo.constant":
        return _expression(read_source(owner.operation if hasattr(owner, "operation") else owner), [], 0)
    return ("outside", value)


def _expression(source: Source, inputs: list[Expression], number: int) -> Expression:
    if source.name == "stablehlo.constant":
        shape, dtype = source.types[0]
        value = read_array(source.attribute("value"), cast(tuple[int, ...], shape), dtype)
        return ("constant", str(value.item() if value.size == 1 else value.tolist()))
    if source.name == "stablehlo.compare":
        direction, is_total = comparison(source), "TOTALORDER" in str(source.operation.attributes)
        if direction in ("GT", "GE"):
            direction, inputs = {"GT": "LT", "GE": "LE"}[direction], inputs[::-1]
        if direction in ("EQ", "NE"):
            inputs = sorted(inputs, key=repr)
        return (direction + "_TOTAL" if is_total else direction, *inputs)
    if source.name in _COMMUTATIVE:
        inputs = sorted(inputs, key=repr)
    return (source.name, *inputs, number) if number else (source.name, *inputs)


def reducer(region: Any) -> str | None:
    """Returns the kind of a region that adds its two arguments, or the like; None for another region."""
    results = read_region(region)
    for kind in REDUCERS:
        if results == [(f"stablehlo.{kind}", 0, 1)]:
            return kind
    return None
