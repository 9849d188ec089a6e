"""Computes the JAX model in float64: the reference for the self-test inside each module and for validate."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.base.heads import Head
from pipeline.model.section import Model

if TYPE_CHECKING:
    from pipeline.model.network import Network

COMPILED_WHOLE = 100_000_000  # models of fewer parameters are compiled as a whole; 0.8 GB in float64
# Where all terms of a sum are smaller, some are too small for float32, and the sum has fewer digits.
SMALLEST = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)


def selftest_pixels(model: Model) -> np.ndarray:
    """Returns the self-test's image: uint8 noise (1, size, size, 3) from a fixed seed."""
    return np.random.default_rng(0).integers(0, 256, (1, model.image_size, model.image_size, 3), np.uint8)


def compile_small(function: Callable[..., Any], arrays: Mapping[str, np.ndarray]) -> Callable[..., Any]:
    """Compiles a JAX function of a model as a whole if the model is small; a large one runs block by block.

    As a whole it needs all parameters at once, else those of one block.

    Args:
        function: what to compile.
        arrays: the model's.
    """
    import jax

    return jax.jit(function) if sum(value.size for value in arrays.values()) < COMPILED_WHOLE else function


@contextmanager
def compile_quickly() -> Iterator[None]:
    """Compiles in JAX without optimisation, which takes longer than it saves where every operation runs once."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


@dataclass(frozen=True)
class Exact:
    """What the JAX model returns, rounded from float64: float32.

    Attributes:
        outputs: by head, logits (n, classes) and features (n, width).
        tokens: after the last LayerNorm, (n, tokens, width); None of a network without.
    """

    outputs: Mapping[Head, np.ndarray]
    tokens: np.ndarray | None


def compute_exact(
    network: "Network", arrays: Mapping[str, np.ndarray], inputs: np.ndarray, tokens_of: int = 1
) -> Exact:
    """Computes the JAX model in float64.

    Two reasons for float64: the outputs are more exact than any float32 result that is compared with them, and they are
    the same on every machine, where the last bits of float32 sums depend on the processor. A module's bytes depend on
    them.

    Args:
        network: the network.
        arrays: the checkpoint.
        inputs: float32 (n, size, size, 3) in [-1, 1].
        tokens_of: the number of images whose tokens are computed: the first ones.
    """
    import jax

    from pipeline.model.network import select_weights

    def compute(weights: Mapping[str, np.ndarray], images: np.ndarray) -> tuple["jax.Array", "jax.Array | None"]:
        # Both in one function, so that small models are compiled once.
        if not network.has_tokens:
            return network.features(weights, images), None
        if network.averages_tokens:
            tokens = network.tokens(weights, images)
            return tokens.mean(axis=1), tokens[:tokens_of]
        return network.features(weights, images), network.tokens(weights, images[:tokens_of])

    with jax.enable_x64(True), compile_quickly():
        weights = select_weights(network, arrays, Head.FE)
        features, tokens = compile_small(compute, arrays)(weights, inputs.astype(np.float64))
        logits = network.head(arrays, features)
    return Exact(
        {Head.CLASSIFICATION: np.asarray(logits, np.float32), Head.FE: np.asarray(features, np.float32)},
        None if tokens is None else np.asarray(tokens, np.float32),
    )


def least_scales(network: "Network", arrays: Mapping[str, np.ndarray], features: np.ndarray) -> dict[Head, float]:
    """Returns by head the least value that errors of outputs are relative to; mostly the largest output is larger.

    That of logits is the size of their terms (Network.head_scales). With many classes the largest logit is larger.

    Args:
        network: the network.
        arrays: the checkpoint.
        features: (n, width), the outputs of the feature extractor.
    """
    import jax

    head = {name: value.astype(np.float64) for name, value in arrays.items() if network.is_head(name)}
    with jax.enable_x64(True):
        scales = network.head_scales(head, features.astype(np.float64))
    return {Head.CLASSIFICATION: max(float(scales.max()), SMALLEST), Head.FE: SMALLEST}


def relative_scale(outputs: np.ndarray, least: float = SMALLEST) -> float:
    """Returns what errors of outputs (n, k) are relative to: the largest output, or `least` if that is larger."""
    return max(float(np.max(np.abs(outputs))), least)
