"""Calls equal blocks of a Flax network as one function, for all architectures.

The names of functions that JAX traces are part of the bytes of published modules.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
from flax import linen as nn

from pipeline.model.parameters import release_memory

BLOCKS = "blocks"  # the Flax collection of the inputs and outputs of blocks, which the proof compares
_rows: ContextVar[int | None] = ContextVar("rows", default=None)


@contextmanager
def keeping_rows(rows: int) -> Iterator[None]:
    """Keeps the inputs and outputs of blocks for the first `rows` images alone: in float64 those of all take 1 GB."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


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
    if parent.is_mutable_collection(BLOCKS):  # for callers with mutable=[BLOCKS]
        parent.sow(BLOCKS, name, (x[: _rows.get()], y[: _rows.get()]))
    return y
