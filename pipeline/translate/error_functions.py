"""Recognizes erfc(x), which JAX writes as three approximations by polynomials, one for each range of x.

The polynomials are those of S. Moshier's Cephes library, https://www.netlib.org/cephes/, as XLA has them for float32.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.translate.building import BOOL
from pipeline.translate.graph import Node, Operation, constant
from pipeline.translate.matching import is_number
from pipeline.translate.operations import Compare, Elementwise, Select

# Coefficients, the highest power first: of x * P(x^2) below 1, and of P(1 / x^2) below 2 and from there on.
_SMALL = (7.853861353153693e-5, -8.010193625184903e-4, 5.188327685732524e-3, -2.685381193529856e-2,
          1.128358514861418e-1, -3.761262582423300e-1, 1.128379165726710)  # fmt: skip
_MIDDLE = (2.326819970068386e-2, -1.387039388740657e-1, 3.687424674597105e-1, -5.824733027278666e-1,
           6.210004621745983e-1, -4.944515323274145e-1, 3.404879937665872e-1, -2.741127028184656e-1,
           5.638259427386472e-1)  # fmt: skip
_LARGE = (-1.047766399936249e1, 1.297719955372516e1, -7.495518717768503, 2.921019019210786, -1.015265279202700,
          4.218463358204948e-1, -2.820767439740514e-1, 5.641895067754075e-1)  # fmt: skip
_LEAST_EXPONENT = -88.72283905206835  # exp() of less is not a normal float32


def complementary(x: Node) -> Node:
    """Returns erfc(x) as JAX writes it for float32."""
    square, magnitude = _apply("multiply", x, x), _apply("abs", x)
    small = _apply("subtract", 1, _apply("multiply", x, _polynomial(square, _SMALL)))
    exponent, inverse = _apply("negate", square), _apply("divide", 1, square)
    parts = [_polynomial(inverse, coefficients) for coefficients in (_MIDDLE, _LARGE)]
    scale = _apply("multiply", _apply("exp", exponent), _apply("divide", 1, magnitude))
    tail = _apply("multiply", scale, _select(_less(magnitude, 2), *parts))
    tail = _select(_less(exponent, _LEAST_EXPONENT), 0, tail)
    large = _select(_less(x, 0), _apply("subtract", 2, tail), tail)
    return _select(_less(magnitude, 1), small, large)


def complementary_argument(node: Node) -> Node | None:
    """Returns the x of erfc(x); None where a node is something else."""
    if not isinstance(node.operation, Select) or node.dtype != np.float32:
        return None
    magnitude = node.inputs[0].inputs[0] if node.inputs[0].inputs else node
    if magnitude.operation != Elementwise("abs"):
        return None
    x = magnitude.inputs[0]
    return x if _is_same(node, complementary(x), set()) else None


def _is_same(node: Node, expected: Node, seen: set[tuple[Node, Node]]) -> bool:
    """Whether two nodes compute the same of the same nodes."""
    if node is expected or (node, expected) in seen:
        return True
    if expected.value is not None:
        return is_number(node, float(expected.value))
    if node.operation != expected.operation or len(node.inputs) != len(expected.inputs):
        return False
    is_same = all(_is_same(*pair, seen) for pair in zip(node.inputs, expected.inputs, strict=True))
    if is_same:
        seen.add((node, expected))
    return is_same


def _node(operation: Operation, inputs: Sequence[Node | float], dtype: np.dtype) -> Node:
    nodes = tuple(each if isinstance(each, Node) else constant(each, np.float32) for each in inputs)
    return Node(operation, nodes, max((each.shape for each in nodes), key=len), dtype)


def _apply(kind: str, *inputs: Node | float) -> Node:
    return _node(Elementwise(kind), inputs, np.dtype(np.float32))


def _less(x: Node, limit: float) -> Node:
    return _node(Compare("LT"), (x, limit), BOOL)


def _select(condition: Node, x: Node | float, y: Node | float) -> Node:
    return _node(Select(), (condition, x, y), np.dtype(np.float32))


def _polynomial(x: Node, coefficients: Sequence[float]) -> Node:
    first, *rest = coefficients
    result: Node | float = first
    for coefficient in rest:
        result = _apply("add", _apply("multiply", result, x), coefficient)
    assert isinstance(result, Node)
    return result
