"""The model: published parameter counts, and the same logits as timm."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import numpy as np
import pytest

from benchmarks import timm_outputs
from benchmarks.random_checkpoints import random_arrays
from pipeline.base import yaml_sections
from pipeline.base.fault import Fault
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.parameters import nest_parameters
from pipeline.model.section import Model
from pipeline.model.vit.network import VisionTransformer
from pipeline.model.vit.variants import HYBRIDS, variant
from tests.model.parameter_counts import COUNTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TIMM_OUTPUTS = json.loads((Path(__file__).parents[1] / "data/timm_outputs.json").read_text())
TIMM_LOGITS = json.loads((Path(__file__).parents[1] / "data/timm_logits.json").read_text())


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    shapes = open_network(model, ROOT).expected_shapes()
    assert shapes
    return shapes


@pytest.mark.parametrize("name", COUNTS)
def test_arrays_and_parameters_are_as_many_as_upstreams(name: str) -> None:
    shapes = shapes_of(COUNTS[name].model)
    counted = len(shapes), sum(math.prod(shape) for shape in shapes.values())
    assert counted == (COUNTS[name].arrays, COUNTS[name].parameters)


def test_any_patch_size_and_resolution_is_supported() -> None:
    assert shapes_of(Model("S/14", 224, 3))["embedding/kernel"] == (14, 14, 3, 384)
    position = "Transformer/posembed_input/pos_embedding"
    assert shapes_of(Model("B/16", 384, 1000))[position] == (1, 1 + 24 * 24, 768)
    assert shapes_of(Model("R26+S/32", 384, 1000))[position] == (1, 1 + 12 * 12, 384)
    assert shapes_of(Model("R50+B/16", 384, 1000))[position] == (1, 1 + 24 * 24, 768)


def test_only_what_a_pooling_needs_is_an_array() -> None:
    """big_vision names attention pooling; the class token and positions are arrays only where they are learned."""
    token, gap, pooled, fixed = (
        shapes_of(Model("Mini/8", 32, 3, options=options))
        for options in ({}, {"pooling": "gap"}, {"pooling": "map"}, {"positions": "sincos2d"})
    )
    position = "Transformer/posembed_input/pos_embedding"
    assert token.keys() - gap.keys() == {"cls"}
    assert (token[position], gap[position]) == ((1, 1 + 16, 64), (1, 16, 64))
    assert token.keys() - fixed.keys() == {position}
    attention, mlp = "MAPHead_0/MultiHeadDotProductAttention_0", "MAPHead_0/MlpBlock_0"
    assert {name: shape for name, shape in pooled.items() if name not in gap} == {
        "MAPHead_0/probe": (1, 1, 64),
        **{f"{attention}/{name}/kernel": (64, 4, 16) for name in ("query", "key", "value")},
        **{f"{attention}/{name}/bias": (4, 16) for name in ("query", "key", "value")},
        f"{attention}/out/kernel": (4, 16, 64),
        f"{attention}/out/bias": (64,),
        "MAPHead_0/LayerNorm_0/scale": (64,),
        "MAPHead_0/LayerNorm_0/bias": (64,),
        f"{mlp}/Dense_0/kernel": (64, 256),
        f"{mlp}/Dense_0/bias": (256,),
        f"{mlp}/Dense_1/kernel": (256, 64),
        f"{mlp}/Dense_1/bias": (64,),
    }


@pytest.mark.parametrize("name", ["Ti/16", "R+Ti/16", pytest.param("R26+S/32", marks=pytest.mark.long)])
def test_logits_equal_timms(name: str) -> None:
    """timm is another implementation, with another file format: tests/data/make_timm_logits.py."""
    model = Model(name, 224, 1000)
    arrays = npz.fit(random_arrays(model), open_network(model, ROOT), Path("random")).arrays
    images = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    apply = jax.jit(VisionTransformer(variant(name), 1000).apply)
    logits = np.asarray(apply({"params": nest_parameters(arrays)}, images))
    expected = np.array(TIMM_LOGITS[name])
    # timm adds weight standardisation's epsilon to the variance, upstream and we to the deviation: 1e-4 in the logits.
    np.testing.assert_allclose(logits[:, : expected.shape[1]], expected, atol=2e-4 * np.abs(logits).max())


def compile_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles with little optimisation: these models take longer to compile than to run."""
    compiled: Callable[..., Any] = jax.jit(function, compiler_options={"xla_backend_optimization_level": "0"})
    return compiled


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if name == "R50" else ()) for name in TIMM_OUTPUTS]
)
def test_tokens_features_and_logits_equal_timms(name: str) -> None:
    """benchmarks/timm_outputs.py has the models, and compares those of full size."""
    expected = {output: np.array(value) for output, value in TIMM_OUTPUTS[name].items()}
    with patch.dict(HYBRIDS, timm_outputs.SMALL_HYBRID):
        got = timm_outputs.select(timm_outputs.our_outputs(timm_outputs.SMALL[name].model, compile_quickly))
    tolerance = timm_outputs.HYBRID_TOLERANCE if name == "R50" else timm_outputs.TOLERANCE
    errors = timm_outputs.compare(got, expected)
    assert errors.keys() == {"tokens", "features", "logits"}
    assert max(errors.values()) <= tolerance, errors


@pytest.mark.long
def test_another_pooling_is_not_timms() -> None:
    """The comparison sees what it is for: a mean for attention, and pre_logits without tanh."""
    for name, place, wrong in (
        ("map", "pipeline.model.vit.network.VisionTransformer._pool", lambda _, tokens: tokens.mean(axis=1)),
        ("pre_logits", "flax.linen.tanh", lambda x: x),
    ):
        with patch(place, wrong):
            got = timm_outputs.select(timm_outputs.our_outputs(timm_outputs.SMALL[name].model, compile_quickly))
        expected = {output: np.array(value) for output, value in TIMM_OUTPUTS[name].items()}
        errors = timm_outputs.compare(got, expected)
        assert errors["tokens"] <= timm_outputs.TOLERANCE
        assert min(errors["features"], errors["logits"]) > 0.1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("S-16", "variant 'S-16' is unknown (did you mean 'S/16'?)"),
        (
            "XL/16",
            "expected <size>/<patch> with a size of Nano, Mini, Ti, S, B, L, H, or one of R+Nano/32, R+Ti/16,",
        ),
        ("R26+S/16", "variant 'R26+S/16' is unknown (did you mean 'R26+S/32'?)"),
        ("S/0", "variant 'S/0' is unknown"),
    ],
)
def test_unknown_variants_are_refused(name: str, words: str) -> None:
    with pytest.raises(Fault) as raised:
        variant(name)
    assert words in str(raised.value)


@pytest.mark.parametrize(("name", "size"), [("S/16", 225), ("R26+S/32", 240)])
def test_image_sizes_that_tokens_do_not_divide_are_refused(name: str, size: int) -> None:
    with pytest.raises(Fault, match=f"image_size {size} does not fit variant"):
        Model(name, size, 3)


@pytest.mark.parametrize("path", sorted(ROOT.glob("model_cards/*/vit_*.yaml")), ids=lambda path: path.stem)
def test_every_member_has_a_valid_model(path: Path) -> None:
    model = yaml_sections.load(path, "model", Model)
    shapes = shapes_of(model)
    assert shapes["head/bias"] == (model.classes,)
