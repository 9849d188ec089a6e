"""Layers of Flax, Haiku and Equinox are recognized as what they are, and compute the same."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pipeline.translate.graph import Constant, Parameter, ordered
from pipeline.translate.operations import Dense, Gelu, GroupNorm, LayerNorm, Pack, Reshape, Size, Softmax
from pipeline.translate.patterns import recover
from pipeline.translate.reading import read
from tests.translate.comparing import compare
from tests.translate.modules import serialize

pytestmark = pytest.mark.slow

Array = Any
Layer = tuple[Callable[..., Any], Sequence[np.ndarray]]  # a function of x and weights, and the weights
TOKENS = np.random.default_rng(0).standard_normal((2, 5, 8)).astype(np.float32)
IMAGES = np.random.default_rng(1).standard_normal((2, 4, 3, 8)).astype(np.float32) + 0.5


def weights(tree: Any) -> tuple[list[np.ndarray], Callable[[Sequence[Any]], Any]]:
    """Returns the arrays of a tree, none of them all zeros or ones, and what makes a tree of them again."""
    leaves, structure = jax.tree.flatten(tree)
    rng = np.random.default_rng(2)
    arrays = [np.asarray(leaf) + rng.uniform(0.1, 0.3, leaf.shape).astype(np.float32) for leaf in leaves]
    return arrays, lambda leaves: jax.tree.unflatten(structure, leaves)


def of_flax(name: str, x: np.ndarray, *arguments: Any, **options: Any) -> Layer:
    import flax.linen as nn

    module = getattr(nn, name)(*arguments, **options)
    arrays, tree = weights(module.init(jax.random.key(0), x))
    return lambda x, *leaves: module.apply(tree(leaves), x), arrays


def of_haiku(name: str, x: np.ndarray, *arguments: Any) -> Layer:
    import haiku as hk

    transformed: Any = hk.without_apply_rng(hk.transform(lambda x: getattr(hk, name)(*arguments)(x)))
    arrays, tree = weights(transformed.init(jax.random.key(0), x))
    return lambda x, *leaves: transformed.apply(tree(leaves), x), arrays


def of_equinox(name: str, *arguments: Any, **options: Any) -> Layer:
    import equinox as eqx

    module = getattr(eqx.nn, name)(*arguments, **options)
    dynamic, static = eqx.partition(module, eqx.is_array)
    arrays, tree = weights(dynamic)
    return lambda x, *leaves: jax.vmap(jax.vmap(eqx.combine(tree(leaves), static)))(x), arrays


def of_function(function: Callable[[Array], Array]) -> Layer:
    return function, []


def exact_gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)


def gelu_by_erf(x: Array) -> Array:
    return x * (jax.lax.erf(x / np.sqrt(2)) + 1) / 2


def gelu_in_words(x: Array) -> Array:
    return 0.5 * x * (1 + jnp.tanh(0.7978845608 * (x + 0.044715 * x**3)))


CASES: dict[str, tuple[Callable[[], Layer], np.ndarray, type]] = {
    "flax LayerNorm": (lambda: of_flax("LayerNorm", TOKENS), TOKENS, LayerNorm),
    "flax LayerNorm, two passes": (lambda: of_flax("LayerNorm", TOKENS, use_fast_variance=False), TOKENS, LayerNorm),
    "flax GroupNorm": (lambda: of_flax("GroupNorm", IMAGES, 2), IMAGES, GroupNorm),
    "flax GroupNorm, two passes": (lambda: of_flax("GroupNorm", IMAGES, 2, use_fast_variance=False), IMAGES, GroupNorm),
    "flax GroupNorm of one group": (lambda: of_flax("GroupNorm", IMAGES, 1), IMAGES, GroupNorm),
    "flax GroupNorm of single channels": (lambda: of_flax("GroupNorm", IMAGES, 8), IMAGES, GroupNorm),
    "flax Dense": (lambda: of_flax("Dense", TOKENS, 3), TOKENS, Dense),
    "flax DenseGeneral": (lambda: of_flax("DenseGeneral", TOKENS, (2, 3)), TOKENS, Dense),
    "haiku LayerNorm": (lambda: of_haiku("LayerNorm", TOKENS, -1, True, True), TOKENS, LayerNorm),
    "haiku Linear": (lambda: of_haiku("Linear", TOKENS, 3), TOKENS, Dense),
    "equinox LayerNorm": (lambda: of_equinox("LayerNorm", 8), TOKENS, LayerNorm),
    "equinox Linear": (lambda: of_equinox("Linear", 8, 3, key=jax.random.key(0)), TOKENS, Dense),
    "softmax": (lambda: (jax.nn.softmax, []), TOKENS, Softmax),
    "GELU": (lambda: (jax.nn.gelu, []), TOKENS, Gelu),
    "exact GELU": (lambda: (exact_gelu, []), TOKENS, Gelu),
    "GELU by erf": (lambda: (gelu_by_erf, []), TOKENS, Gelu),
    "GELU in words": (lambda: (gelu_in_words, []), TOKENS, Gelu),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_one_operation(name: str) -> None:
    layer, x, expected = CASES[name]
    function, arrays = layer()
    shapes = [f"n, {', '.join(map(str, x.shape[1:]))}"]
    graph = recover(read(serialize(function, [x, *arrays], shapes)))
    kinds = [type(each.operation) for each in ordered(graph.outputs)]
    assert [kind for kind in kinds if kind not in (Constant, Parameter, Pack, Reshape, Size)] == [expected]
    compare(function, x, *arrays, shapes=shapes, tolerance=3e-5)
