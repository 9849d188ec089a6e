"""Recognizes GELU, ReLU and dense layers with a bias."""

import math
from collections.abc import Mapping
from dataclasses import replace

from pipeline.translate.error_functions import complementary_argument
from pipeline.translate.graph import Node
from pipeline.translate.matching import factors, is_kind, is_number, number, orders, reshaped
from pipeline.translate.operations import Dense, Elementwise, Gelu, Relu, Reshape


def gelu(node: Node) -> Node | None:
    """Matches x * 0.5 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3))) and x * 0.5 * (1 + erf(x / sqrt(2))).

    The latter may also be x * 0.5 * erfc(-x / sqrt(2)).
    """
    product = node.inputs[0] if is_kind(node, "divide") else node
    for part in factors(product):
        found = _argument(part)
        if found is not None and found[0].shape == node.shape and _is_half(node, found[0], part):
            return replace(node, operation=Gelu(found[1]), inputs=(found[0],))
    return None


def _argument(part: Node) -> tuple[Node, bool] | None:
    """Returns the x of the factor of GELU that is no number and not x, and whether it is a tanh."""
    if (argument := complementary_argument(part)) is not None:
        x = _negative_erf_argument(argument)
        return None if x is None else (x, False)
    matches = {"tanh": _tanh_argument, "erf": _erf_argument}
    for one, inside in orders(part) if is_kind(part, "add") else []:
        if is_number(one, 1) and isinstance(inside.operation, Elementwise) and inside.operation.kind in matches:
            x = matches[inside.operation.kind](inside.inputs[0])
            return None if x is None else (x, inside.operation.kind == "tanh")
    return None


def _is_half(node: Node, x: Node, part: Node) -> bool:
    """Whether a node is half of the product of x and a part."""
    scale = 1.0
    if is_kind(node, "divide"):
        divisor = number(node.inputs[1])
        if not divisor:
            return False
        node, scale = node.inputs[0], 1 / divisor
    others = []
    for factor in factors(node, (x,)):
        value = number(factor)
        scale *= 1 if value is None else value
        others += [factor] if value is None else []
    return abs(scale - 0.5) < 1e-6 and others in ([x, part], [part, x])


def _tanh_argument(node: Node) -> Node | None:
    """Returns the x of sqrt(2 / pi) * (x + 0.044715 * x ** 3)."""
    if not is_kind(node, "multiply"):
        return None
    for scale, total in orders(node):
        if not is_number(scale, math.sqrt(2 / math.pi)) or not is_kind(total, "add"):
            continue
        for x, cubic in orders(total):
            if _is_cubic(cubic, x):
                return x
    return None


def _is_cubic(node: Node, x: Node) -> bool:
    """Whether a node is 0.044715 * x ** 3."""
    for scale, cube in orders(node) if is_kind(node, "multiply") else []:
        if is_number(scale, 0.044715):
            is_power = is_kind(cube, "power") and cube.inputs[0] is x and is_number(cube.inputs[1], 3)
            return is_power or factors(cube, (x,)) == [x, x, x]
    return False


def _erf_argument(node: Node) -> Node | None:
    """Returns the x of x / sqrt(2)."""
    if is_kind(node, "divide"):
        return node.inputs[0] if is_number(node.inputs[1], math.sqrt(2)) else None
    for scale, x in orders(node) if is_kind(node, "multiply") else []:
        if is_number(scale, math.sqrt(0.5)):
            return x
    return None


def _negative_erf_argument(node: Node) -> Node | None:
    """Returns the x of -x / sqrt(2)."""
    if is_kind(node, "negate"):
        return _erf_argument(node.inputs[0])
    for scale, x in orders(node) if is_kind(node, "multiply") else []:
        if is_number(scale, math.sqrt(0.5)) and is_kind(x, "negate"):
            return x.inputs[0]
    return None


def relu(node: Node) -> Node | None:
    """Matches maximum(x, 0)."""
    for zero, x in orders(node):
        if is_number(zero, 0) and x.shape == node.shape:
            return replace(node, operation=Relu(), inputs=(x,))
    return None


def dense(node: Node, uses: Mapping[Node, int]) -> Node | None:
    """Matches a Dense and a bias, also where the Dense's last axis has been split in several before.

    Args:
        node: a sum.
        uses: how often each node is used; a Dense that is used elsewhere too would be computed twice.
    """
    for product, bias in orders(node):
        inner = product.inputs[0] if isinstance(product.operation, Reshape) else product
        if not isinstance(inner.operation, Dense) or len(inner.inputs) != 2 or uses[product] > 1 or uses[inner] > 1:
            continue
        outer, width = inner.shape[:-1], inner.shape[-1]
        split = product.shape[len(outer) :]
        is_whole = product.shape[: len(outer)] == outer and (1,) * (bias.rank - len(split)) + split == bias.shape
        if width is None or node.shape != product.shape or not is_whole:
            continue
        with_bias = replace(inner, inputs=(*inner.inputs, reshaped(bias, (width,))))
        return with_bias if inner is product else replace(product, inputs=(with_bias, *product.inputs[1:]))
    return None
