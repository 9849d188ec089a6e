"""Random programs of what is folded when StableHLO is read: shapes, free sizes and broadcasts mean what they meant.

The expected results are NumPy's; each program runs with free sizes of 1 and of more.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from pipeline.translate.patterns import recover
from pipeline.translate.reading import read
from pipeline.translate.tensorflow_functions import to_function
from tests.translate.modules import serialize

pytestmark = pytest.mark.slow

Array = Any
SHAPES = (("n, 1, 4", "n, 3, m", "1, m"), ("n, m", "m, n", "n, 1"), ("2, n, 3", "n, 1", "3"), ("n, 4", "m, 4", "4"))
SIZES = ({"n": 2, "m": 5}, {"n": 1, "m": 1}, {"n": 3, "m": 4})


def steps(ns: Any, a: Array, b: Array, axis: int, order: list[int]) -> list[Callable[[], Array]]:
    """Returns what a program may do next with two of its values; some steps fail for some shapes."""
    return [
        lambda: a + b,
        lambda: a * b - 0.5,
        lambda: ns.maximum(a, b),
        lambda: ns.where(a > b, a, b * 2),
        lambda: a.sum(axis, keepdims=True) / 3,
        lambda: a.sum(axis),
        lambda: a.max(axis, keepdims=True) - a,
        lambda: ns.transpose(a, order),
        lambda: ns.expand_dims(a, axis),
        lambda: a.reshape((-1, *a.shape[2:])),
        lambda: ns.concatenate([a, a * 2], axis),
        lambda: ns.broadcast_to(a[None], (3, *a.shape)),
        lambda: a[..., ::-1],
        lambda: ns.matmul(a, ns.swapaxes(a, -1, -2)),
        lambda: a[:1] * b,
    ]


class Program:
    """A random function of three arrays, which remembers the steps that were possible with free sizes."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._numbers = rng.integers(0, 1 << 30, (rng.integers(5, 13), 4)).tolist()
        self._possible: set[int] | None = None

    def trace(self, *arrays: Array) -> list[Array]:
        """Runs it on arrays with free sizes."""
        possible = set()
        values = list(arrays)
        for place in range(len(self._numbers)):
            try:
                value = self._step(jnp, values, place)
            except Exception:  # JAX has an exception of its own for each reason why free sizes do not fit
                continue
            if value.ndim <= 5:
                possible.add(place)
                values.append(value)
        self._possible = possible
        return values[-3:]

    def run(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Runs it in NumPy."""
        assert self._possible is not None
        values: list[Array] = list(arrays)
        for place in sorted(self._possible):
            values.append(self._step(np, values, place))
        return values[-3:]

    def _step(self, ns: Any, values: list[Array], place: int) -> Array:
        kind, first, second, number = self._numbers[place]
        a, b = values[first % len(values)], values[second % len(values)]
        order = np.random.default_rng(number).permutation(a.ndim).tolist()
        possible = steps(ns, a, b, number % max(1, a.ndim), order)
        return possible[kind % len(possible)]()


def arrays_of(shapes: tuple[str, ...], sizes: dict[str, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    parts = [[each.strip() for each in shape.split(",")] for shape in shapes]
    return [rng.standard_normal([sizes.get(each) or int(each) for each in part]).astype(np.float32) for part in parts]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(60))
def test_a_random_program_means_the_same(seed: int) -> None:
    shapes = SHAPES[seed % len(SHAPES)]
    program = Program(seed)
    module = serialize(program.trace, arrays_of(shapes, SIZES[0]), shapes)
    function = to_function(recover(read(module)))
    for sizes in SIZES:
        arrays = arrays_of(shapes, sizes)
        for result, expected in zip(function(*arrays), program.run(*arrays), strict=True):
            np.testing.assert_allclose(result.numpy(), expected, 1e-4, 1e-4)
