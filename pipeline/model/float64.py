"""What the JAX model computes in float64, for the golden self-test that travels inside a module and for validate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from pipeline.model.parameters import nest_parameters, select_parameters
from pipeline.model.variants import Model, variant
from pipeline.model.vit import VisionTransformer

COMPILED_WHOLE = 100_000_000  # parameters; 0.8 GB in float64


def pixels(model: Model) -> np.ndarray:
    """Returns the self-test's image: uint8 noise (1, size, size, 3) from a fixed seed."""
    return np.random.default_rng(0).integers(0, 256, (1, model.image_size, model.image_size, 3), np.uint8)


@contextmanager
def _quick_compilation() -> Iterator[None]:
    """Compiles without optimisation: every operation runs once, and compiling a hybrid's takes longer than that."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def outputs(model: Model, arrays: Mapping[str, np.ndarray], inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what the Flax model computes of the inputs, by head: float32 (n, classes) and (n, width).

    It is computed in float64 and rounded, for two reasons: it is closer to the truth than any float32 result that it
    will be compared with, and it is the same on every machine, where float32 sums differ in their last bits between
    processors. A module's bytes depend on it.

    Args:
        model: the section.
        arrays: the checkpoint.
        inputs: float32 (n, size, size, 3) in [-1, 1].
    """
    import jax
    from flax import linen as nn

    with jax.enable_x64(True), _quick_compilation():
        trunk = VisionTransformer(variant(model.variant), classes=None)
        parameters = {"params": nest_parameters(select_parameters(arrays, "fe"))}
        # Compiled as one function it holds all parameters in float64 at once; else only those of one block.
        small = sum(value.size for value in arrays.values()) < COMPILED_WHOLE
        features = (jax.jit(trunk.apply) if small else trunk.apply)(parameters, inputs.astype(np.float64))
        head = {"params": {name: arrays[f"head/{name}"] for name in ("kernel", "bias")}}
        logits = nn.Dense(model.classes).apply(head, features)
    return {"classification": np.asarray(logits, np.float32), "fe": np.asarray(features, np.float32)}
