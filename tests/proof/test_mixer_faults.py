"""Ways in which an MLP-Mixer can be computed wrongly: each fails the parity, which names the place."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from flax import linen as nn

from benchmarks.random_checkpoints import random_arrays
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.checkpoints import npz
from pipeline.model import blocks, float64
from pipeline.model.layers import LayerNorm, MlpBlock
from pipeline.model.mixer import network as mixer
from pipeline.model.mixer.variants import SIZES
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.proof import checks, gradients, ladder
from pipeline.saved_model import export
from pipeline.saved_model.classes import Classes

pytestmark = pytest.mark.slow

MODEL = Model("Mini/8", 16, 3, architecture="mixer")  # of which small() leaves two blocks
INPUTS = np.random.default_rng(1).uniform(-1, 1, (16, 16, 16, 3)).astype(np.float32)


class ChannelsFirst(mixer.MixerBlock):
    """Mixes channels before tokens."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + MlpBlock(self.channels_mlp, name="channel_mixing")(LayerNorm(name="LayerNorm_0")(x))
        y = LayerNorm(name="LayerNorm_1")(x).swapaxes(1, 2)
        return x + MlpBlock(self.tokens_mlp, name="token_mixing")(y).swapaxes(1, 2)


def mean_first(name: str) -> Any:
    """Returns a LayerNorm; the last one reads the mean of the tokens, where it should read each of them."""
    layer = LayerNorm(name=name)
    return lambda x: layer(jnp.mean(x, axis=1, keepdims=True) if name == "pre_head_layer_norm" else x)


GELU = nn.gelu
FIRST, SECOND = "MixerBlock_0", "MixerBlock_1"
# By fault what is replaced, and where the error starts.
PLANTED: dict[str, tuple[Any, str, Any, str]] = {
    "token and channel mixing swapped": (mixer, "MixerBlock", ChannelsFirst, f"between input of {FIRST} and {FIRST}"),
    "erf GELU for tanh": (
        nn,
        "gelu",
        lambda x, approximate: GELU(x, approximate=False),
        f"between input of {FIRST} and {FIRST}",
    ),
    "LayerNorm epsilon 1e-5": (
        mixer,
        "LayerNorm",
        functools.partial(nn.LayerNorm, epsilon=1e-5),
        f"between input of {FIRST} and {FIRST}",
    ),
    "pooling before the LayerNorm": (mixer, "LayerNorm", mean_first, f"; all blocks match up to {SECOND}, the error"),
}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """What is compiled for each fault is compiled soon."""
    with patch.dict(SIZES, Mini=(64, 2, 32, 256)):
        yield


@pytest.fixture(scope="module")
def arrays(small: None) -> npz.Arrays:
    """Random weights with tokens as small as a trained model's: an epsilon is nothing beside larger ones."""
    arrays = npz.fit(random_arrays(MODEL, 3), open_network(MODEL, Path()), Path("random")).arrays
    return arrays | {name: arrays[name] / 30 for name in ("stem/kernel", "stem/bias")}


@pytest.fixture(scope="module")
def file(arrays: npz.Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path


@pytest.fixture(scope="module")
def expected(arrays: npz.Arrays) -> checks.Reference:
    return checks.compute_reference(open_network(MODEL, Path()), arrays, INPUTS)


def export_module(head: Head, file: Path, folder: Path) -> Path:
    blocks._apply.cache_clear()  # functions that were traced with other code
    folder.mkdir()
    export.export(MODEL, Path(), head, file, folder, Classes())
    blocks._apply.cache_clear()
    return folder


def judge_parity(folder: Path, expected: checks.Reference) -> ladder.Result:
    """Returns the result of the rung `parity` of a classifier on disk."""
    module = tf.saved_model.load(str(folder))
    outputs = module(INPUTS).numpy()
    compared = checks.compare(outputs, expected.outputs[Head.CLASSIFICATION], expected.tolerances.outputs, logits=True)
    return ladder.judge("parity", compared, checks.trace_blocks(module, folder, expected))


# The layers of the last two are the Vision Transformer's, whose faults test_planted_faults.py plants.
LONG = ("erf GELU for tanh", "LayerNorm epsilon 1e-5")


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=[pytest.mark.long] if fault in LONG else []) for fault in PLANTED]
)
def test_a_fault_fails_the_parity_and_is_traced_to_its_place(
    fault: str, file: Path, expected: checks.Reference, tmp_path: Path
) -> None:
    where, name, wrong, place = PLANTED[fault]
    with patch.object(where, name, wrong):
        folder = export_module(Head.CLASSIFICATION, file, tmp_path / "module")
    result = judge_parity(folder, expected)
    assert result.verdict is Verdict.FAIL
    assert place in result.reason


def test_without_a_fault_outputs_gradients_and_a_step_of_training_are_proven(
    file: Path, expected: checks.Reference, tmp_path: Path
) -> None:
    folder = export_module(Head.CLASSIFICATION, file, tmp_path / "module")
    assert judge_parity(folder, expected).verdict is Verdict.PASS
    (folder / "assets.extra").mkdir()
    outputs = expected.outputs[Head.CLASSIFICATION][:1]
    test = {
        "pixels": float64.selftest_pixels(MODEL),
        "outputs": outputs,
        "tolerance": np.array(expected.tolerances.outputs),
        "scale": np.array(float64.relative_scale(outputs)),
    }
    np.savez(folder / "assets.extra/selftest.npz", allow_pickle=False, **test)
    training = gradients.check_training(open_network(MODEL, Path()), Head.CLASSIFICATION, file, folder)
    assert training.gradients.verdict is Verdict.PASS
    assert training.gradients.variables == 30
    assert training.fine_tuning.verdict is Verdict.PASS
