"""Calls equal blocks of a Flax network as one function, for all architectures.

The names of functions that JAX traces are part of the bytes of published modules.
"""

import functools
from collections.abc import Callable

import jax
from flax import linen as nn

from pipeline.model.parameters import release_memory

BLOCKS = "blocks"  # the Flax collection of the inputs and outputs of blocks, which the proof compares


@functools.cache
def _apply(module: nn.Module) -> Callable[..., jax.Array]:
    return jax.jit(module.apply)


def call_shared(parent: nn.Module, module: nn.Module, name: str, x: jax.Array) -> jax.Array:
    """Calls a module as the submodule `name`; equal modules share one function of their weights.

    The function is traced, differentiated and lowered once for all of them, where nn.jit traces and differentiates each
    module: for L/16 this makes tracing the gradient 12 times as fast. StableHLO has the function once, too.
    """
    if parent.is_initializing():
        return module.clone(parent=parent, name=name)(x)
    rngs = {"dropout": parent.make_rng("dropout")} if parent.has_rng("dropout") else None
    weights = parent.variables["params"][name]
    # Outside of a trace each call waits for its result: queued calls would need all their weights at once.
    y = jax.block_until_ready(_apply(module)({"params": weights}, x, rngs=rngs))
    release_memory(jax.tree.leaves(weights))
    parent.sow(BLOCKS, name, (x, y))  # kept only for callers with mutable=[BLOCKS]
    return y
