"""Functions of JAX as ONNX models, in onnxruntime."""

import jax
import numpy as np
import pytest

from pipeline.translate.patterns import recover
from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from tests.translate.modules import serialize
from tests.translate.onnx_runs import run_graph
from tests.translate.strangers import STRANGERS, Stranger

pytestmark = pytest.mark.slow

# What TensorFlow can and ONNX cannot.
REFUSED = {"in_bfloat16": "no type for values of bfloat16", "random_mask": "the bits of uint32 as float32"}


def translated(stranger: Stranger) -> list[np.ndarray]:
    graph = recover(read(serialize(stranger.function, stranger.arguments, stranger.shapes)))
    return run_graph(graph, stranger.arguments)


@pytest.mark.parametrize("stranger", [each for each in STRANGERS if not each.refused], ids=lambda each: each.name)
def test_functions(stranger: Stranger) -> None:
    if stranger.name in REFUSED:
        with pytest.raises(Untranslatable, match=f"^ONNX: .*{REFUSED[stranger.name]}"):
            translated(stranger)
        return
    expected = jax.tree.leaves(stranger.function(*map(jax.numpy.asarray, stranger.arguments)))
    for got, result in zip(translated(stranger), map(np.asarray, expected), strict=True):
        assert (got.shape, got.dtype) == (result.shape, result.dtype)
        error = np.abs(got.astype(np.float64) - result) / np.maximum(1, np.abs(result))
        assert error.max(initial=0) <= stranger.tolerance
