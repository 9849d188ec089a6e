"""Compares float32 logits with float64 ones, with GroupNorm's variance computed in one pass and in two.

    python -m benchmarks.precision [VARIANT ...]

pipeline/model/vit/network.py quotes the result. Random weights, noise as input.
"""

import functools
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import numpy as np
from flax import linen as nn

from benchmarks.random_checkpoints import random_arrays
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.parameters import nest_parameters
from pipeline.model.section import Model
from pipeline.model.vit import network as vit
from pipeline.model.vit.variants import variant


def logits(name: str, arrays: npz.Arrays, images: np.ndarray, norm: dict) -> np.ndarray:
    """Returns logits (n, 1000) in the precision of the arrays; `norm` are further arguments of GroupNorm."""
    group_norm = functools.partial(nn.GroupNorm, num_groups=32, epsilon=1e-6, **norm)
    with patch.object(vit, "GroupNorm", group_norm):
        model = vit.VisionTransformer(variant(name), 1000)
        return np.asarray(jax.jit(model.apply)({"params": nest_parameters(arrays)}, images))


def main() -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (4, 224, 224, 3)).astype(np.float32)
    for name in sys.argv[1:] or ["R26+S/32", "R50+L/32"]:
        model = Model(name, 224, 1000)
        arrays = npz.fit(random_arrays(model), open_network(model, Path()), Path("random")).arrays
        with jax.enable_x64(True):
            exact: dict[str, Any] = {"force_float32_reductions": False, "use_fast_variance": False}
            layer_norm = functools.partial(nn.LayerNorm, epsilon=1e-6, **exact)
            doubles = {path: value.astype(np.float64) for path, value in arrays.items()}
            with patch.object(vit, "LayerNorm", layer_norm):
                truth = logits(name, doubles, images.astype(np.float64), exact)
        assert truth.dtype == np.float64
        scale = np.abs(truth).max()
        for passes, fast in (("one pass", True), ("two passes", False)):
            got = logits(name, arrays, images, {"use_fast_variance": fast})
            print(f"{name}, {passes}: relative error {np.abs(got - truth).max() / scale:.1e}", flush=True)


if __name__ == "__main__":
    main()
