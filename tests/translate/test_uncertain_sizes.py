"""Sizes that are not known to be equal are not taken for equal, and arrays may be cropped by more than they have."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from pipeline.translate import reading
from pipeline.translate.operations import Softmax
from pipeline.translate.patterns import recover
from pipeline.translate.reading import read
from tests.translate.comparing import Translated, compare
from tests.translate.modules import serialize

pytestmark = pytest.mark.slow

Array = Any


def test_two_free_sizes_are_not_taken_for_equal() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

    def summed(x: Array) -> Array:
        turned = jnp.sum(x, -1).reshape(x.shape[1], x.shape[0], 1)
        return turned, jax.nn.softmax(x), x.reshape(x.shape[1], x.shape[0], 4).sum(-1, keepdims=True)

    translated = Translated(summed, [x], ["a, b, 4"])
    for shape in ((2, 3, 4), (3, 2, 4), (1, 5, 4)):
        translated.compare(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))


@pytest.mark.parametrize(
    ("size", "padding"), [(2, (-3, 5, 0)), (4, (5, -6, 0)), (4, (3, -5, 0)), (4, (-8, 9, 1)), (0, (4, -2, 0))]
)
def test_more_is_cropped_than_an_axis_has(size: int, padding: tuple[int, int, int]) -> None:
    compare(lambda x: lax.pad(x, 7.0, [padding, (-1, 2, 0)]), np.ones((size, 3), np.float32))


def test_one_free_size_is_enough_for_a_pattern() -> None:
    graph = recover(read(serialize(jax.nn.softmax, [np.ones((2, 4), np.float32)], ["n, 4"])))
    assert isinstance(graph.outputs[0].operation, Softmax)


def test_a_rule_that_makes_another_shape_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reading._RULES, "stablehlo.transpose", lambda build, source, inputs: inputs)
    with pytest.raises(RuntimeError, match=r"stablehlo.transpose was read as float32\[2, 3\], .* float32\[3, 2\]"):
        read(serialize(jnp.transpose, [np.ones((2, 3), np.float32)]))
