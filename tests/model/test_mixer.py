"""MLP-Mixers: published parameter counts, upstream's and timm's outputs, and what is refused."""

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.random_checkpoints import random_array, random_arrays
from benchmarks.upstream import UpstreamMixer
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.checkpoints import npz
from pipeline.model import float64
from pipeline.model.architecture import find_architecture
from pipeline.model.facts import describe_model
from pipeline.model.layouts import UnknownTensors, WrongLayout, find_layout, list_anchors
from pipeline.model.mixer.variants import variant
from pipeline.model.network import Network
from pipeline.model.networks import open_network
from pipeline.model.parameters import nest_parameters
from pipeline.model.section import Model
from tests.data.make_timm_logits import timm_mixer_state

pytestmark = pytest.mark.slow

mixer = functools.partial(Model, architecture="mixer")
MINI = mixer("Mini/8", 32, 5)
TIMM_LOGITS = json.loads((Path(__file__).parents[1] / "data/timm_mixer_logits.json").read_text())
# Of google-research/vision_transformer's modules with 1,000 classes at 224 pixels: arrays and parameters.
COUNTS = {"B/16": (150, 59_880_472), "B/32": (150, 60_293_428), "L/16": (294, 208_196_168)}


def network_of(model: Model) -> Network:
    return open_network(model, Path())


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    shapes = network_of(model).expected_shapes()
    assert shapes
    return shapes


def images_of(model: Model, count: int) -> np.ndarray:
    """Returns noise, float32 (n, size, size, 3) in [-1, 1]."""
    shape = (count, model.image_size, model.image_size, 3)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name: str) -> None:
    shapes = shapes_of(mixer(name, 224, 1000))
    assert (len(shapes), sum(math.prod(shape) for shape in shapes.values())) == COUNTS[name]


def test_any_patch_size_and_resolution_is_supported() -> None:
    assert shapes_of(mixer("S/14", 224, 3))["stem/kernel"] == (14, 14, 3, 512)
    assert shapes_of(mixer("B/16", 384, 3))["MixerBlock_11/token_mixing/Dense_1/kernel"] == (384, 24 * 24)


def differentiate(logits: Callable[[Any, jax.Array], jax.Array], arrays: Any) -> tuple[Any, np.ndarray]:
    """Returns the gradients of a loss by the arrays, by path, and the logits of three images."""

    def loss(arrays: Any, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs = logits(arrays, images)
        return jnp.sum(jnp.cos(jnp.arange(outputs.size)).reshape(outputs.shape) * outputs + outputs**2), outputs

    # These models take longer to compile than to run.
    compiled = jax.jit(jax.grad(loss, has_aux=True), compiler_options={"xla_backend_optimization_level": "0"})
    gradients, outputs = compiled(arrays, images_of(MINI, 3))
    return gradients, np.asarray(outputs)


def test_outputs_and_gradients_equal_upstreams() -> None:
    arrays, module = random_arrays(MINI), UpstreamMixer(variant(MINI.variant), MINI.classes)
    gradients, logits = differentiate(network_of(MINI).logits, arrays)
    expected_gradients, expected = differentiate(
        lambda arrays, images: module.apply({"params": nest_parameters(arrays)}, images), arrays
    )
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    atol = 1e-4 * max(np.abs(gradient).max() for gradient in expected_gradients.values())
    assert gradients.keys() == expected_gradients.keys() == shapes_of(MINI).keys()
    for path, gradient in expected_gradients.items():
        np.testing.assert_allclose(gradients[path], gradient, rtol=0, atol=atol, err_msg=path)


def test_features_are_the_mean_of_the_tokens_and_the_head_reads_them() -> None:
    network, arrays, images = network_of(MINI), random_arrays(MINI), images_of(MINI, 2)
    tokens = np.asarray(network.tokens(arrays, images))
    assert tokens.shape == (2, 16, 64)
    outputs = float64.compute_exact(network, arrays, images).outputs
    assert outputs[Head.FE].shape == (2, 64)
    np.testing.assert_allclose(tokens.mean(axis=1), outputs[Head.FE], atol=2e-6)
    logits = np.asarray(network.logits(arrays, images))
    np.testing.assert_allclose(logits, outputs[Head.CLASSIFICATION], rtol=0, atol=1e-5 * np.abs(logits).max())
    np.testing.assert_array_equal(network.features(arrays, images, jax.random.key(0)), network.features(arrays, images))


def test_logits_equal_timms() -> None:
    """timm is another implementation, with another file format: tests/data/make_timm_logits.py."""
    expected = np.array(TIMM_LOGITS["Mini/16"])
    model = mixer("Mini/16", 64, expected.shape[1])
    logits = np.asarray(network_of(model).logits(random_arrays(model), images_of(model, 2)))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def shapes_in_timm(**changes: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of timm's tensors of MINI, with changes; None removes one."""
    shapes = {name: value.shape for name, value in timm_mixer_state(random_arrays(MINI), 4).items()}
    changed = shapes | {name.replace("__", "."): shape for name, shape in changes.items() if shape is not None}
    return {name: shape for name, shape in changed.items() if changes.get(name.replace(".", "__"), ()) is not None}


@pytest.mark.parametrize("head", [True, False])
def test_timms_tensors_become_upstreams_arrays(head: bool) -> None:
    arrays = {name: value for name, value in random_arrays(MINI).items() if head or not name.startswith("head/")}
    state = timm_mixer_state(arrays, 4)
    layout = find_layout({name: value.shape for name, value in state.items()})
    assert layout is not None
    assert layout.program == "timm"
    imported: dict[str, np.ndarray] = {}
    for name, value in state.items():
        imported |= layout.tensors[name].arrays(value)
    assert imported.keys() == arrays.keys()
    for path, value in arrays.items():
        assert imported[path].flags.c_contiguous
        assert imported[path].tobytes() == value.tobytes(), path
        assert imported[path].shape == value.shape, path


def test_upstreams_and_big_visions_names_are_ours() -> None:
    assert find_layout(shapes_of(MINI)) is None
    assert {"stem/kernel", "stem.proj.weight"} <= set(list_anchors())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blocks__0__mlp_tokens__fc3__bias": (7,)}, "is another model than an MLP-Mixer Mini/8, which does not have"),
        ({"blocks__2__norm2__bias": None}, "lacks blocks.2.norm2.bias of an MLP-Mixer Mini/8"),
        (
            {"blocks__1__mlp_tokens__fc2__weight": (16, 33)},
            "has 'blocks.1.mlp_tokens.fc2.weight' in the shape (16, 33)",
        ),
        ({"blocks__0__mlp_tokens__fc1__weight": (32,)}, "has 'blocks.0.mlp_tokens.fc1.weight' in the shape (32,)"),
        ({"stem__proj__weight": (64, 3, 8)}, "embeds its patches by an array of the shape (64, 3, 8), expected 4 axes"),
        ({"stem__proj__weight": (65, 3, 8, 8)}, "its 4 blocks of width 65 are none of the sizes Mini, S, B, L, H"),
        ({"head__weight": (), "head__bias": ()}, "is another model than an MLP-Mixer Mini/8, which does not have"),
    ],
)
def test_a_file_of_timm_that_is_no_mixer_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongLayout) as raised:
        find_layout(shapes_in_timm(**changes))
    assert isinstance(raised.value, UnknownTensors)
    assert str(raised.value).startswith(f"has the layout of timm, but {words}")


def test_the_blocks_are_one_function_and_are_traced_in_order() -> None:
    network, arrays, images = network_of(MINI), random_arrays(MINI), images_of(MINI, 1)
    text = jax.jit(network.logits).lower(arrays, images).as_text()
    assert text.count("call @apply") == 4
    assert text.count("func.func private @apply") == 1
    features, tokens, blocks = network.trace(arrays, np.concatenate([images, images]), 1)
    assert len(features) == 2
    assert tokens is not None
    np.testing.assert_allclose(features[:1], np.mean(tokens, axis=1), atol=1e-6)
    assert list(blocks) == [f"MixerBlock_{layer}" for layer in range(4)]
    for (_, output), (following, _) in zip(list(blocks.values())[:-1], list(blocks.values())[1:], strict=True):
        np.testing.assert_array_equal(output, following)
        assert len(output) == 1


def test_cards_are_told_what_it_is() -> None:
    facts = describe_model(mixer("B/16", 224, 1000))
    words = {name: facts[name] for name in ("title", "family", "plural", "tag", "remark")}
    assert words == {
        "title": "MLP-Mixer B/16",
        "family": "MLP-Mixer",
        "plural": "MLP-Mixers",
        "tag": "mixer",
        "remark": "",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("B-16", 224, 3),
            "model.variant 'B-16' is unknown (did you mean 'B/16'?): expected <size>/<patch> with a size",
        ),
        (("Ti/16", 224, 3), "model.variant 'Ti/16' is unknown"),
        (("R50+B/16", 224, 3), "model.variant 'R50+B/16' is unknown"),
        (("B/16", 225, 3), "model.image_size 225 does not fit variant B/16: expected a multiple of 16"),
        (("B/16", 224, 3, None, 0.1), "model.dropout must be 0 for an MLP-Mixer, got 0.1: upstream's has no dropout"),
    ],
)
def test_sections_that_are_no_mixer_are_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(Fault) as raised:
        mixer(*arguments)
    assert str(raised.value).startswith(words)


def test_options_are_refused() -> None:
    with pytest.raises(Fault, match=r"^model\.options\.pooling is unknown: mixer has none$"):
        mixer("B/16", 224, 3, options={"pooling": "gap"})


def test_another_image_size_than_the_checkpoints_is_refused_with_the_reason() -> None:
    arrays = random_arrays(mixer("Mini/8", 40, 5))
    with pytest.raises(Fault) as raised:
        npz.fit(arrays, network_of(MINI), Path("a.npz"))
    assert str(raised.value) == (
        "a.npz: the checkpoint is of images of 40 pixels, but model.image_size is 32: an MLP-Mixer cannot be resized,"
        " since its token mixing has a weight for each of 25 tokens; set model.image_size to 40"
    )


def test_a_checkpoint_of_another_model_is_named() -> None:
    arrays = {path: random_array(path, shape, 0) for path, shape in shapes_of(mixer("Mini/8", 40, 7)).items()}
    with pytest.raises(Fault, match=r"its arrays look like Mini/8 with 40 pixels and 7 classes; correct"):
        npz.fit(arrays, network_of(MINI), Path("a.npz"))
    transformer = Model("Mini/8", 32, 5)
    with pytest.raises(Fault, match=r"look like the MLP-Mixer Mini/8 with 40 pixels and 7 classes \(architecture: m"):
        npz.fit(arrays, network_of(transformer), Path("a.npz"))
    with pytest.raises(Fault, match=r"look like the Vision Transformer Mini/8 with 32 pixels and 5 classes \(archit"):
        npz.fit(random_arrays(transformer), network_of(MINI), Path("a.npz"))
    without_head = {path: array.shape for path, array in arrays.items() if not path.startswith("head/")}
    guess = find_architecture(MINI).guess
    assert str(guess(without_head)) == "Mini/8 with 40 pixels and no head"
    assert guess({"stem/kernel": (8, 8, 3, 65)}) is None
    assert guess({"embedding/kernel": (8, 8, 3, 64)}) is None
