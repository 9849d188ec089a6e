"""The model's outputs and gradients equal those of upstream's code, and dropout follows its key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from benchmarks.random_checkpoints import random_array, random_arrays
from benchmarks.upstream import UpstreamTransformer
from pipeline.model.networks import open_network
from pipeline.model.parameters import nest_parameters
from pipeline.model.section import Model
from pipeline.model.vit.architecture import Options
from pipeline.model.vit.network import VisionTransformer
from pipeline.model.vit.variants import Variant
from pipeline.model.vit.variants import variant as vit_variant

pytestmark = pytest.mark.slow

CLASSES = 5
SIZE = 32  # pixels
VARIANTS = {
    "plain": Variant(patch=8, width=64, layers=3, heads=4, mlp=128),
    # Every kind of residual unit: with a projection, with a stride, and two alike.
    "hybrid": Variant(patch=1, width=64, layers=1, heads=4, mlp=128, resnet=(3, 1)),
    "pooled": Variant(patch=8, width=64, layers=1, heads=4, mlp=128),
}
PLAIN = Options()
OPTIONS = {"pooled": Options(pooling="map", pre_logits=24, positions="sincos2d")}


def parameters_of(variant: Variant, options: Options = PLAIN) -> dict[str, Any]:
    """Returns random parameters: float32, scaled so that activations stay of the order of one."""
    images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    module = VisionTransformer(variant, CLASSES, options=options)
    tree = jax.eval_shape(module.init, jax.random.key(0), images)["params"]
    paths = {"/".join(key.key for key in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    return nest_parameters({path: random_array(path, leaf.shape, 0) for path, leaf in paths.items()})


def images_of(count: int) -> np.ndarray:
    """Returns noise, float32 (n, SIZE, SIZE, 3) in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, (count, SIZE, SIZE, 3)).astype(np.float32)


def compiled(function: Callable) -> Callable:
    """Returns the function compiled with little optimisation: these models take longer to compile than to run."""
    wrapped: Callable = jax.jit(function, compiler_options={"xla_backend_optimization_level": "0"})
    return wrapped


def by_path(tree: Any) -> dict[str, np.ndarray]:
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize("name", ["plain", "pooled", pytest.param("hybrid", marks=pytest.mark.long)])
def test_outputs_and_gradients_equal_upstreams(name: str) -> None:
    variant, options, images = VARIANTS[name], OPTIONS.get(name, PLAIN), images_of(3)
    parameters = parameters_of(variant, options)
    direction = np.random.default_rng(1).standard_normal((3, CLASSES)).astype(np.float32)

    def differentiate(model: nn.Module) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Returns the gradients by parameter, that by the images, and the logits."""

        def loss(parameters: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
            logits: jax.Array = model.apply({"params": parameters}, images)
            return jnp.sum(direction * logits + logits**2), logits

        gradients, logits = compiled(jax.grad(loss, argnums=(0, 1), has_aux=True))(parameters, images)
        return by_path(gradients[0]), np.asarray(gradients[1]), np.asarray(logits)

    ours, by_images, logits = differentiate(VisionTransformer(variant, CLASSES, options=options))
    theirs, expected_by_images, expected = differentiate(UpstreamTransformer(variant, CLASSES, options))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # Relative to the largest of all: some gradients are zero except for rounding, such as that of the keys' bias.
    atol = 1e-4 * max(np.abs(gradient).max() for gradient in theirs.values())
    assert ours.keys() == theirs.keys() == by_path(parameters).keys()
    for path, gradient in theirs.items():
        np.testing.assert_allclose(ours[path], gradient, rtol=0, atol=atol, err_msg=path)
    np.testing.assert_allclose(by_images, expected_by_images, rtol=0, atol=1e-4 * np.abs(expected_by_images).max())


def test_features_equal_upstreams() -> None:
    variant, images = VARIANTS["plain"], images_of(1)
    parameters = {"params": {name: value for name, value in parameters_of(variant).items() if name != "head"}}
    ours, theirs = (
        np.asarray(compiled(model(variant, None).apply)(parameters, images))
        for model in (VisionTransformer, UpstreamTransformer)
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_tokens_equal_upstreams_and_the_first_is_the_feature() -> None:
    model = Model("Mini/8", SIZE, CLASSES)
    network = open_network(model, Path())
    arrays = random_arrays(model)
    encoder = UpstreamTransformer(vit_variant(model.variant), None, has_tokens=True)
    expected = np.asarray(compiled(encoder.apply)({"params": nest_parameters(arrays)}, images_of(2)))
    tokens = np.asarray(compiled(network.tokens)(arrays, images_of(2)))
    assert tokens.dtype == np.float32
    assert tokens.shape == (2, 1 + (SIZE // 8) ** 2, 64)
    np.testing.assert_allclose(tokens, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    features = np.asarray(compiled(network.features)(arrays, images_of(2)))
    np.testing.assert_allclose(tokens[:, 0], features, rtol=0, atol=1e-5 * np.abs(features).max())


def test_dropout_follows_its_key() -> None:
    variant, images = VARIANTS["plain"], images_of(1)
    parameters = {"params": parameters_of(variant)}
    model = VisionTransformer(variant, CLASSES, dropout=0.01)

    def forward(keys: jax.Array) -> jax.Array:
        """Maps n keys to logits (n, 1, CLASSES)."""
        return jax.vmap(lambda key: model.apply(parameters, images, rngs={"dropout": key}))(keys)

    keys = jax.random.split(jax.random.key(0), 256)
    logits = np.asarray(compiled(forward)(keys.at[1].set(keys[0])))
    np.testing.assert_array_equal(logits[0], logits[1])
    assert len(np.unique(logits, axis=0)) == 255
    # Dropout scales up the units that it keeps, so the mean over many keys is close to inference. Only close, and only
    # at a low rate, since the network is not linear.
    inference = np.asarray(VisionTransformer(variant, CLASSES).apply(parameters, images))
    single = np.abs(logits - inference).mean()
    assert np.abs(logits.mean(0) - inference).mean() < 0.25 * single


def test_dropout_of_zero_ignores_its_key() -> None:
    variant, images = VARIANTS["plain"], images_of(1)
    forward = compiled(VisionTransformer(variant, CLASSES, dropout=0.0).apply)
    parameters = {"params": parameters_of(variant)}
    without = forward(parameters, images)
    np.testing.assert_array_equal(forward(parameters, images, rngs={"dropout": jax.random.key(0)}), without)
