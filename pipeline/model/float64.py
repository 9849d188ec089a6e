"""Computes the JAX model in float64: the reference for the self-test inside each module and for validate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from pipeline.base.heads import Head
from pipeline.model.parameters import nest_parameters, select_parameters
from pipeline.model.variants import Model, variant

COMPILED_WHOLE = 100_000_000  # the most parameters of a model that is compiled as a whole; 0.8 GB in float64
# Where all terms of a sum are smaller, some are too small for float32, and the sum has fewer digits.
SMALLEST = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)


def selftest_pixels(model: Model) -> np.ndarray:
    """Returns the self-test's image: uint8 noise (1, size, size, 3) from a fixed seed."""
    return np.random.default_rng(0).integers(0, 256, (1, model.image_size, model.image_size, 3), np.uint8)


@contextmanager
def _compile_quickly() -> Iterator[None]:
    """Compiles without optimisation, which takes longer than it saves: every operation runs once."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def compute_outputs(model: Model, arrays: Mapping[str, np.ndarray], inputs: np.ndarray) -> dict[Head, np.ndarray]:
    """Returns the Flax model's outputs by head, rounded from float64: float32 (n, classes) and (n, width).

    Two reasons for float64: the outputs are more exact than any float32 result that is compared with them, and they are
    the same on every machine, where the last bits of float32 sums depend on the processor. A module's bytes depend on
    them.

    Args:
        model: the section.
        arrays: the checkpoint.
        inputs: float32 (n, size, size, 3) in [-1, 1].
    """
    import jax
    from flax import linen as nn

    from pipeline.model.vit import VisionTransformer

    with jax.enable_x64(True), _compile_quickly():
        trunk = VisionTransformer(variant(model.variant), classes=None)
        parameters = {"params": nest_parameters(select_parameters(arrays, Head.FE))}
        # Compiled as a whole it needs all parameters in float64 at once; else those of one block.
        is_small = sum(value.size for value in arrays.values()) < COMPILED_WHOLE
        features = (jax.jit(trunk.apply) if is_small else trunk.apply)(parameters, inputs.astype(np.float64))
        head = {"params": {name: arrays[f"head/{name}"] for name in ("kernel", "bias")}}
        logits = nn.Dense(model.classes).apply(head, features)
    return {Head.CLASSIFICATION: np.asarray(logits, np.float32), Head.FE: np.asarray(features, np.float32)}


def least_scales(arrays: Mapping[str, np.ndarray], features: np.ndarray) -> dict[Head, float]:
    """Returns by head the least value that errors of outputs are relative to; mostly the largest output is larger.

    A logit is a sum of products and a bias. Its float32 error is relative to the size of these terms, the root of the
    sum of their squares, also where they cancel and the sum is about zero: the single logit of a model with one class,
    say. With many classes the largest logit is larger than that.

    Args:
        arrays: the checkpoint.
        features: (n, width), the outputs of the feature extractor.
    """
    kernel, bias = (arrays[f"head/{name}"].astype(np.float64) for name in ("kernel", "bias"))
    squares = features.astype(np.float64) ** 2 @ kernel**2 + bias**2
    return {Head.CLASSIFICATION: max(float(np.sqrt(squares.max())), SMALLEST), Head.FE: SMALLEST}


def relative_scale(outputs: np.ndarray, least: float = SMALLEST) -> float:
    """Returns what errors of outputs (n, k) are relative to: the largest output, or `least` if that is larger."""
    return max(float(np.max(np.abs(outputs))), least)
