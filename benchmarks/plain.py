"""Converts one head the plain way, as the reference collection was made; `make bench` compares with it.

    python -m benchmarks.plain VARIANT CHECKPOINT HEAD OUT

np.load, jax2tf.convert with gradients, one tf.Variable per leaf, tf.saved_model.save. The model is upstream's own
(flax.linen's layers, every block traced), without dropout, image signatures, self-test or repair: the result loads
only in the newest TensorFlow, and only on a CPU.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from flax import linen as nn
from flax.traverse_util import unflatten_dict
from jax.experimental import jax2tf

from benchmarks import subjects
from benchmarks.upstream import UpstreamMixer, UpstreamTransformer
from pipeline.model.mixer.variants import variant as mixer_variant
from pipeline.model.vit.variants import variant as vit_variant


def read_arrays(checkpoint: Path, head: str) -> dict[str, np.ndarray]:
    """Returns a checkpoint's arrays for a head by path, with GroupNorm's (1, 1, 1, C) as (C,)."""
    with np.load(checkpoint, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {
        name: value.reshape(-1) if value.shape[:-1] == (1, 1, 1) and "/gn" in f"/{name}" else value
        for name, value in arrays.items()
        if head == "classification" or not name.startswith("head/")
    }


def upstream_model(variant: str, classes: int | None) -> nn.Module:
    """Returns upstream's own module of a variant, see benchmarks/subjects.py."""
    model = subjects.model_of(variant)
    if model.architecture == "mixer":
        return UpstreamMixer(mixer_variant(model.variant), classes)
    return UpstreamTransformer(vit_variant(model.variant), classes)


def make_module(model: nn.Module, arrays: dict[str, np.ndarray]) -> tf.Module:
    """Converts a model with its parameters, with gradients, for any number of 224x224 images."""
    variables = tf.nest.map_structure(tf.Variable, unflatten_dict(arrays, sep="/"))
    converted = jax2tf.convert(
        lambda parameters, images: model.apply({"params": parameters}, images),
        polymorphic_shapes=[None, "(n, 224, 224, 3)"],
        with_gradient=True,
    )
    module = tf.Module()
    module.variables_ = variables
    module.__call__ = tf.function(
        lambda images: converted(variables, images),
        autograph=False,
        input_signature=[tf.TensorSpec((None, 224, 224, 3), tf.float32)],
    )
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description="Converts one head of a checkpoint the plain way.")
    parser.add_argument("variant")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("head", choices=("classification", "fe"))
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    arrays = read_arrays(args.checkpoint, args.head)
    classes = arrays["head/bias"].size if args.head == "classification" else None
    module = make_module(upstream_model(args.variant, classes), arrays)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(module, str(args.out), options=options)


if __name__ == "__main__":
    main()
