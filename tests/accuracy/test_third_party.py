"""What a module returns: logits, or the probabilities that are made of them."""

import numpy as np
import pytest

from pipeline.accuracy.third_party import _brief, _invert_activation


def round_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Returns float32 numbers of which 16 bits are left."""
    return ((values.view(np.uint32) + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("is_rounded", [False, True])
def test_probabilities_of_a_softmax_are_recognised(is_rounded: bool) -> None:
    logits = np.random.default_rng(0).normal(0, 4, (32, 10)).astype(np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    if is_rounded:
        probabilities = round_to_bfloat16(probabilities)
        assert np.abs(probabilities.sum(axis=1) - 1).max() > 1e-3
    found = np.exp(_invert_activation(probabilities, "softmax"))
    np.testing.assert_allclose(found, probabilities, rtol=1e-5)


def test_logits_stay_as_they_are() -> None:
    logits = np.maximum(np.random.default_rng(0).normal(0, 4, (32, 10)), 0).astype(np.float32)
    assert _invert_activation(logits, "softmax") is logits


def test_a_traceback_is_left_out_of_an_error() -> None:
    trace = (
        'Traceback (most recent call last):\n\n  File "/a/script_ops.py", line 266, in __call__\n    raise ValueError\n'
    )
    node = 'Detected at node PyFunc defined at (most recent call last):\n  File "/a/b.py", line 1, in f\n'
    error = RuntimeError(
        f"Graph execution error:\n\n{node}\nValueError: no callback pyfunc_3\n{trace}\n\t [[{{{{node}}}}]]"
    )
    assert _brief(error) == "Graph execution error: ValueError: no callback pyfunc_3"
    assert _brief(TypeError("Expected:\n  * images")) == "Expected: * images"
