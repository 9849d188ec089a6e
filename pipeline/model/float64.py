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
MANY = 8  # images, for which optimized code saves more than it takes to make
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

    return jax.jit(function) if is_small(arrays) else function


def is_small(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether a model is compiled as a whole."""
    return sum(value.size for value in arrays.values()) < COMPILED_WHOLE


@contextmanager
def compile_quickly(is_quick: bool = True) -> Iterator[None]:
    """Compiles in JAX without optimisation, which takes longer than it saves where every operation runs once.

    Args:
        is_quick: False for work whose operations run long or often: nothing is changed then.
    """
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", is_quick or before)
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
        blocks: the input and the output of each block by its path; {} unless they were asked for.
    """

    outputs: Mapping[Head, np.ndarray]
    tokens: np.ndarray | None
    blocks: Mapping[str, tuple[np.ndarray, np.ndarray]]


def compute_exact(
    network: "Network",
    arrays: Mapping[str, np.ndarray],
    inputs: np.ndarray,
    tokens_of: int = 1,
    has_blocks: bool = False,
) -> Exact:
    """Computes the JAX model in float64.

    Two reasons for float64: the outputs are more exact than any float32 result that is compared with them, and they are
    the same on every machine, where the last bits of float32 sums depend on the processor. A module's bytes depend on
    them.

    Args:
        network: the network.
        arrays: the checkpoint.
        inputs: float32 (n, size, size, 3) in [-1, 1].
        tokens_of: the number of images whose tokens, and blocks, are computed: the first ones.
        has_blocks: whether the blocks are returned, which are computed with the features in any case.
    """
    import jax

    from pipeline.model.network import select_weights

    def compute(weights: Mapping[str, np.ndarray], images: np.ndarray) -> tuple[Any, Any, Any]:
        # All in one function, so that small models are compiled once.
        traced = network.trace(weights, images, tokens_of)
        return traced.features, traced.tokens, traced.blocks if has_blocks else {}

    # A large model's blocks are compiled once and run for many images: optimized, in a third less time for L/16.
    with jax.enable_x64(True), compile_quickly(is_small(arrays) or len(inputs) < MANY):
        weights = select_weights(network, arrays, Head.FE)
        features, tokens, blocks = compile_small(compute, arrays)(weights, inputs.astype(np.float64))
        logits = network.head(arrays, features)
    return Exact(
        {Head.CLASSIFICATION: np.asarray(logits, np.float32), Head.FE: np.asarray(features, np.float32)},
        None if tokens is None else np.asarray(tokens, np.float32),
        {path: (np.asarray(x, np.float32), np.asarray(y, np.float32)) for path, (x, y) in blocks.items()},
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
