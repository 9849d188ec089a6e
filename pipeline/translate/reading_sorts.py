"""Reads sorts and the k largest values."""

from collections.abc import Mapping, Sequence

from pipeline.translate.building import INT32, Builder, is_float
from pipeline.translate.elementwise import cast
from pipeline.translate.graph import Node
from pipeline.translate.operations import Sort, TopK
from pipeline.translate.reading_attributes import Source
from pipeline.translate.reading_indexing import along_last_axis
from pipeline.translate.reading_reductions import is_iota
from pipeline.translate.reading_regions import Expression, read_region
from pipeline.translate.reading_values import Rule
from pipeline.translate.shaping import transpose


def _sort(build: Builder, source: Source, inputs: Sequence[Node]) -> list[Node]:
    axis = source.integer("dimension")
    keys = _keys(read_region(source.operation.regions[0])[0])
    if keys is None or any(is_float(inputs[key].dtype) and is_descending for key, is_descending in keys):
        raise source.refuse("it does not sort by the values of some arrays, the smallest first and NaN last")
    rank = inputs[0].rank
    last = [*(each for each in range(rank) if each != axis), axis]
    back = [last.index(each) for each in range(rank)]
    arrays = [transpose(build, x, last) for x in inputs]
    order = _order(build, arrays, keys)
    outputs = []
    for place, (x, array) in enumerate(zip(inputs, arrays, strict=True)):
        if len(keys) == 1 and place == keys[0][0]:
            node = build.node(Sort(keys[0][1], is_indices=False), [array], build.extents(array), array.dtype)
        elif is_iota(x, axis):
            node = cast(build, order, array.dtype)
        else:
            node = along_last_axis(build, array, order)
        outputs.append(transpose(build, node, back))
    return outputs


def _order(build: Builder, arrays: Sequence[Node], keys: Sequence[tuple[int, bool]]) -> Node:
    """Returns the places of the sorted elements: sorted by the last key first, since equal ones keep their order."""
    order = None
    for key, is_descending in reversed(keys):
        array = arrays[key] if order is None else along_last_axis(build, arrays[key], order)
        places = build.node(Sort(is_descending, is_indices=True), [array], build.extents(array), INT32)
        order = places if order is None else along_last_axis(build, order, places)
    assert order is not None
    return order


def _keys(result: Expression) -> list[tuple[int, bool]] | None:
    """Returns the arrays that a comparison of two elements compares in turn, and whether the largest comes first.

    Its arguments 2 i and 2 i + 1 are the elements of array i.
    """
    if not isinstance(result, tuple):
        return None
    if result[0] in ("LT", "LT_TOTAL"):
        left, right = (_argument(each) for each in result[1:])
        if left is None or right is None or left // 2 != right // 2 or left == right:
            return None
        return [(left // 2, left > right)]
    if result[0] != "stablehlo.or" or len(result) != 3:
        return None
    for first, rest in (result[1:], result[:0:-1]):
        if isinstance(rest, tuple) and rest[0] == "stablehlo.and" and (key := _keys(first)) is not None:
            for equal, others in (rest[1:], rest[:0:-1]):
                if _is_equal(equal, key[0][0]) and (more := _keys(others)) is not None:
                    return key + more
    return None


def _is_equal(expression: Expression, key: int) -> bool:
    if not isinstance(expression, tuple) or expression[0] not in ("EQ", "EQ_TOTAL"):
        return False
    return {_argument(each) for each in expression[1:]} == {2 * key, 2 * key + 1}


def _argument(expression: Expression) -> int | None:
    """Returns the argument that an expression is, once all zeros and all NaN are made the same."""
    if isinstance(expression, int):
        return expression
    if len(expression) != 4 or expression[0] != "stablehlo.select":
        return None
    _, condition, same, other = expression
    inner = _argument(other)
    is_zero = condition == ("EQ", *sorted([inner, ("constant", "0.0")], key=repr)) and same == ("constant", "0.0")
    is_nan = condition == ("NE", inner, inner) or condition == ("NE", other, other)
    return inner if is_zero or (is_nan and same == ("constant", "nan")) else None


def top_k(build: Builder, x: Node, k: int) -> list[Node]:
    """Returns the k largest values along the last axis, and their places; 0.0 and -0.0 are equal."""
    sizes = [*build.extents(x)[:-1], k]
    return [
        build.node(TopK(k, is_indices=False), [x], sizes, x.dtype),
        build.node(TopK(k, is_indices=True), [x], sizes, INT32),
    ]


RULES: Mapping[str, Rule] = {"stablehlo.sort": _sort}
