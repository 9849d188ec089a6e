"""Compares a hybrid's float32 outputs in JAX with float64 ones, with GroupNorm's variance in one pass and in two.

    python -m benchmarks.precision [VARIANT ...]

pipeline/model/vit/network.py and resnet.py quote the result. Random weights, noise as input; an error is divided by the
largest output.
"""

import argparse
import functools
from pathlib import Path
from unittest.mock import patch

import jax
import numpy as np
from flax import linen as nn

from benchmarks.random_checkpoints import random_arrays
from pipeline.base.heads import Head
from pipeline.checkpoints import npz
from pipeline.model.float64 import compute_exact
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.model.vit import resnet

IMAGES = 4
HYBRIDS = ("R26+S/32", "R50+L/32")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares hybrids in float32 with float64.")
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"default: {' and '.join(HYBRIDS)}")
    args = parser.parse_args()
    images = np.random.default_rng(0).uniform(-1, 1, (IMAGES, 224, 224, 3)).astype(np.float32)
    print("| variant | variance | compiled | logits | features | tokens |\n|---|---|---|---|---|---|")
    for name in args.variants or HYBRIDS:
        network = open_network(Model(name, 224, 1000), Path())
        arrays = npz.fit(random_arrays(network.model), network, Path("random")).arrays
        exact = compute_exact(network, arrays, images, tokens_of=IMAGES)
        truths = (exact.outputs[Head.CLASSIFICATION], exact.outputs[Head.FE], exact.tokens)
        functions = (network.logits, network.features, network.tokens)
        for passes, is_fast in (("one pass", True), ("two passes", False)):
            norm = functools.partial(nn.GroupNorm, num_groups=32, epsilon=1e-6, use_fast_variance=is_fast)
            with patch.object(resnet, "GroupNorm", norm):
                for compiled in ("as a whole", "by operation"):
                    jax.clear_caches()  # functions that were traced with another GroupNorm
                    errors = []
                    for function, truth in zip(functions, truths, strict=True):
                        assert truth is not None
                        called = jax.jit(function) if compiled == "as a whole" else function
                        got = np.asarray(called(arrays, images), np.float64)
                        errors.append(f"{np.abs(got - truth).max() / np.abs(truth).max():.1e}")
                    print(f"| {name} | {passes} | {compiled} | {' | '.join(errors)} |", flush=True)


if __name__ == "__main__":
    main()
