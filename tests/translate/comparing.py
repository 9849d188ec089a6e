"""Compares a JAX function with what it is translated to."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from pipeline.translate.patterns import recover
from pipeline.translate.reading import read
from pipeline.translate.tensorflow_functions import to_function
from tests.translate.modules import serialize


class Translated:
    """A JAX function and its translation to TensorFlow.

    Args:
        function: of arrays.
        arguments: arrays of the shapes and types that it takes.
        shapes: of the arguments with free sizes, see tests.translate.modules.serialize().
        tolerance: of floats, relative to 1 or to the value, whichever is larger.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Sequence[np.ndarray],
        shapes: Sequence[str | None] = (),
        tolerance: float = 1e-5,
    ) -> None:
        self._function = jax.jit(function)
        self._translated = to_function(recover(read(serialize(function, arguments, shapes))))
        self._tolerance = tolerance

    def compare(self, *arguments: np.ndarray) -> None:
        """Fails where shapes or types differ, integers are not equal, or floats are not near; NaN equals NaN."""
        import tensorflow as tf

        expected = [np.asarray(each) for each in jax.tree.leaves(self._function(*arguments))]
        results = [each.numpy() for each in self._translated(*map(tf.constant, arguments))]
        assert [(each.shape, each.dtype) for each in results] == [(each.shape, each.dtype) for each in expected]
        for place, (result, wanted) in enumerate(zip(results, expected, strict=True)):
            tolerance = 0 if wanted.dtype.kind in "iub" else self._tolerance
            np.testing.assert_allclose(
                result.astype(np.float64), wanted.astype(np.float64), tolerance, tolerance, err_msg=f"result {place}"
            )


def compare(
    function: Callable[..., Any],
    *arguments: np.ndarray,
    shapes: Sequence[str | None] = (),
    tolerance: float = 1e-5,
) -> None:
    """Compares a function with its translation once."""
    Translated(function, arguments, shapes, tolerance).compare(*arguments)
