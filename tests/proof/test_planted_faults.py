"""Ways in which a published module can be wrong, and the rung of the ladder that each of them fails."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from flax import linen as nn

from benchmarks.random_checkpoints import random_arrays
from pipeline.base import png
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.checkpoints import npz
from pipeline.facts.checks import LoaderCheck, TrainingChecks
from pipeline.facts.report import Report
from pipeline.model import blocks, float64
from pipeline.model.layers import average_tokens
from pipeline.model.networks import open_network
from pipeline.model.preprocessing import preprocess
from pipeline.model.section import Model
from pipeline.model.vit import attention
from pipeline.model.vit import network as vit
from pipeline.model.vit.variants import SIZES
from pipeline.proof import c_api, checks, gradients, ladder
from pipeline.proof.checklist import Checklist
from pipeline.saved_model import build, export, selftest, signatures
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.graph import find_xla_calls
from tests.reports import REPORT, with_checks
from tests.saved_model.models import edit

pytestmark = pytest.mark.slow

MODEL = Model("Mini/8", 16, 3)  # of which small() leaves two blocks
ONE_CLASS = Model("Mini/8", 16, 1)
POOLED = Model("Mini/8", 16, 3, options={"pooling": "gap", "pre_logits": 24})
MAPPED = Model("Mini/8", 16, 3, options={"pooling": "map"})
CLASSES = Classes("sigmoid", ("one", "two", "three"))
INPUTS = np.random.default_rng(1).uniform(-1, 1, (16, 16, 16, 3)).astype(np.float32)


class SwappedAttention(attention.Attention):
    """Asks with the keys and answers with the queries."""

    @nn.compact
    def __call__(self, queries: jax.Array, tokens: jax.Array) -> jax.Array:
        shape = (tokens.shape[-1], self.heads, tokens.shape[-1] // self.heads)
        query = attention.Projection(shape, 1, name="key")(queries) * shape[-1] ** -0.5
        key, value = (attention.Projection(shape, 1, name=name)(tokens) for name in ("query", "value"))
        weights = nn.softmax(jnp.einsum("nqhd,nkhd->nhqk", query, key))
        y = jnp.einsum("nhqk,nkhd->nqhd", weights, value)
        return attention.Projection((self.heads, shape[-1], shape[0]), 2, name="out")(y)


class OfBGR(vit.VisionTransformer):
    def __call__(self, images: jax.Array) -> Any:
        return super().__call__(images[..., ::-1])


class OfUnitRange(vit.VisionTransformer):
    def __call__(self, images: jax.Array) -> Any:
        return super().__call__(images * 2 - 1)


def without_trainable_variables(*arguments: Any) -> Any:
    built = BUILD(*arguments)
    built.module.trainable_variables = []
    return built


def tokens_before_the_norm(network: vit.VitNetwork, weights: Any, images: Any) -> Any:
    def skip(function: Any, inputs: Any, settings: Any, context: Any) -> Any:
        return inputs[0] if context.module.name == "encoder_norm" else function(*inputs, **settings)

    with nn.intercept_methods(skip):
        return TOKENS(network, weights, images)


BUILD, DECODE, CLASSIFY, TOKENS = build.build, signatures.decode, signatures.classify, vit.VitNetwork.tokens
GELU = nn.gelu
PLANTED: dict[str, tuple[Any, str, Any]] = {
    "erf GELU for tanh": (nn, "gelu", lambda x, approximate: GELU(x, approximate=False)),
    "LayerNorm epsilon 1e-5": (vit, "LayerNorm", functools.partial(nn.LayerNorm, epsilon=1e-5)),
    "query and key swapped": (vit, "Attention", SwappedAttention),
    "[0, 1] for [-1, 1]": (vit, "VisionTransformer", OfUnitRange),
    "BGR": (vit, "VisionTransformer", OfBGR),
    "BGR in the signature": (signatures, "preprocess", lambda pixels, size: preprocess(pixels[..., ::-1], size)),
    "[0, 1] in the signature": (signatures, "preprocess", lambda pixels, size: preprocess(pixels, size) / 2 + 0.5),
    "antialias in the signature": (
        signatures,
        "preprocess",
        lambda pixels, size: (tf.image.resize(pixels, (size, size), antialias=True) - 127.5) / 127.5,
    ),
    "the first token for the mean": (vit, "average_tokens", lambda tokens: tokens[:, 0]),
    "the mean for attention pooling": (vit.VisionTransformer, "_pool", lambda _, tokens: average_tokens(tokens)),
    "no tanh after pre_logits": (nn, "tanh", lambda x: x),
    "BGR in serving_jpeg": (signatures, "decode", lambda encoded: DECODE(encoded)[..., ::-1]),
    "softmax for sigmoid": (
        signatures,
        "classify",
        lambda logits, classes: CLASSIFY(logits, replace(classes, activation="softmax")),
    ),
    "tokens before the LayerNorm": (vit.VitNetwork, "tokens", tokens_before_the_norm),
    "a frozen module": (build, "build", without_trainable_variables),
}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """What is compiled for each fault is compiled soon."""
    width, _, heads, mlp = SIZES["Mini"]
    with patch.dict(SIZES, Mini=(width, 2, heads, mlp)):
        yield


def like_trained(model: Model) -> npz.Arrays:
    """Returns random weights with tokens as small as a trained model's: an epsilon is nothing beside larger ones."""
    arrays = npz.fit(random_arrays(model, 3), open_network(model, Path()), Path("random")).arrays
    tokens = ("embedding/kernel", "embedding/bias", "cls", "Transformer/posembed_input/pos_embedding")
    return {name: value / 30 if name in tokens else value for name, value in arrays.items()}


def write(arrays: npz.Arrays, folder: Path) -> Path:
    np.savez(folder / "checkpoint.npz", allow_pickle=False, **arrays)
    return folder / "checkpoint.npz"


@pytest.fixture(scope="module")
def arrays(small: None) -> npz.Arrays:
    return like_trained(MODEL)


@pytest.fixture(scope="module")
def file(arrays: npz.Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(arrays, tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def expected(arrays: npz.Arrays) -> checks.Reference:
    return checks.compute_reference(open_network(MODEL, Path()), arrays, INPUTS)


@pytest.fixture
def exported(file: Path, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Exports a head with a fault, as an author would who does not know of it: the self-test is what that gives."""

    def run(fault: str, head: Head, model: Model = MODEL, file: Path = file) -> Path:
        where, name, wrong = PLANTED[fault] if fault else (vit, "Attention", attention.Attention)
        folder = tmp_path / head
        folder.mkdir()
        with patch.object(where, name, wrong):
            export.export(model, Path(), head, file, folder, Classes() if model.classes == 1 else CLASSES)
        pixels = float64.selftest_pixels(model)
        outputs = tf.saved_model.load(str(folder))(selftest.scaled(pixels)).numpy()
        (folder / "assets.extra").mkdir()
        scale = np.array(float64.relative_scale(outputs, 1.0))
        test = {
            "pixels": pixels,
            "outputs": outputs,
            "tolerance": np.array(open_network(MODEL, Path()).tolerances.outputs),
            "scale": scale,
            "encoded": np.frombuffer(png.encode(pixels[0]), np.uint8),
        }
        np.savez(folder / "assets.extra/selftest.npz", allow_pickle=False, **test)
        return folder

    blocks._apply.cache_clear()  # functions that were traced without the fault
    yield run
    blocks._apply.cache_clear()


def failing(head: Head, **changes: Any) -> dict[str, str]:
    """Returns the reasons of the rungs that fail where one module has these checks, by rung."""
    return reasons(with_checks(REPORT, head, **changes))


def failing_training(head: Head, training: TrainingChecks) -> dict[str, str]:
    return failing(head, gradients=training.gradients, fine_tuning=training.fine_tuning)


def reasons(report: Report) -> dict[str, str]:
    return {rung.rung: rung.reason for rung in ladder.rungs(report) if rung.verdict is Verdict.FAIL}


def check(folder: Path, expected: checks.Reference, head: Head) -> dict[str, str]:
    """Returns the reasons of the rungs that a module on disk fails."""
    blocks._apply.cache_clear()
    before = REPORT.modules[head]
    classes = Classes() if expected.outputs[Head.CLASSIFICATION].shape[1] == 1 else CLASSES

    def in_c_api() -> LoaderCheck:  # in this process: one for each fault would take a second
        return c_api.check(folder)

    module = checks.check_module(folder, head, before.needs, expected, classes, in_c_api, Checklist("validate a"))
    report = replace(module.report, gradients=before.gradients, fine_tuning=before.fine_tuning)
    return reasons(replace(REPORT, modules=REPORT.modules | {head: report}))


def test_without_a_fault_nothing_fails_and_each_rung_is_a_line(
    exported: Callable[..., Path], expected: checks.Reference, capsys: pytest.CaptureFixture[str]
) -> None:
    module = exported("", Head.CLASSIFICATION)
    capsys.readouterr()
    assert check(module, expected, Head.CLASSIFICATION) == {}
    lines = re.findall(r"^validate a: +\d+\.\d s  pass  classification (\w+) ", capsys.readouterr().err, re.MULTILINE)
    assert sorted(lines) == sorted(ladder.RUNGS.keys() - {"gradients", "fine_tuning", "tokens"})


@pytest.mark.parametrize(
    ("fault", "where"),
    [
        pytest.param(
            "erf GELU for tanh",
            "the error starts between input of Transformer/encoderblock_0 and Transformer/encoderblock_0",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "LayerNorm epsilon 1e-5",
            "the error starts between input of Transformer/encoderblock_0 and",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "query and key swapped",
            "the error starts between input of Transformer/encoderblock_0 and",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "[0, 1] for [-1, 1]",
            "the error starts before or in input of Transformer/encoderblock_0",
            marks=pytest.mark.long,
        ),
        ("BGR", "the error starts before or in input of Transformer/encoderblock_0"),
    ],
)
def test_another_computation_fails_the_parity_and_is_traced_to_its_block(
    fault: str, where: str, exported: Callable[..., Path], expected: checks.Reference
) -> None:
    failures = check(exported(fault, Head.CLASSIFICATION), expected, Head.CLASSIFICATION)
    assert list(failures) == ["parity"]
    assert failures["parity"].startswith("classification: TensorFlow and JAX differ: relative error ")
    assert where in failures["parity"]


AFTER_ALL_BLOCKS = "; all blocks match up to Transformer/encoderblock_1, the error starts after it"


@pytest.mark.parametrize(
    ("fault", "model", "where"),
    [
        pytest.param("the first token for the mean", POOLED, AFTER_ALL_BLOCKS, marks=pytest.mark.long),
        pytest.param("no tanh after pre_logits", POOLED, AFTER_ALL_BLOCKS, marks=pytest.mark.long),
        pytest.param(
            "the mean for attention pooling", MAPPED, "its blocks are not the JAX model's: MAP", marks=pytest.mark.long
        ),
    ],
)
def test_another_pooling_fails_the_parity(
    fault: str, model: Model, where: str, exported: Callable[..., Path], tmp_path: Path
) -> None:
    arrays = like_trained(model)
    reference = checks.compute_reference(open_network(model, Path()), arrays, INPUTS)
    failures = check(
        exported(fault, Head.CLASSIFICATION, model, write(arrays, tmp_path)), reference, Head.CLASSIFICATION
    )
    assert list(failures) == ["parity"]
    assert where in failures["parity"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("BGR in the signature", marks=pytest.mark.long),
        pytest.param("[0, 1] in the signature", marks=pytest.mark.long),
        "antialias in the signature",
    ],
)
def test_another_preprocessing_fails_the_signature(
    fault: str, exported: Callable[..., Path], expected: checks.Reference
) -> None:
    failures = check(exported(fault, Head.FE), expected, Head.FE)
    # The self-test's images have the model's size, so it does not see how they are resized.
    loaders = [] if "antialias" in fault else ["selftest", "session", "c_api"]
    assert list(failures) == [*loaders, "preprocessing", "encoded"]
    assert "serving_images does not prepare images as the protocol resize does" in failures["preprocessing"]


@pytest.mark.parametrize(
    ("fault", "head", "failing", "reason"),
    [
        (
            "BGR in serving_jpeg",
            Head.FE,
            ["selftest", "session", "c_api", "encoded"],
            "fe: the signature serving_jpeg does not read images as Pillow does, or prepares them otherwise: relative",
        ),
        ("tokens before the LayerNorm", Head.FE, ["tokens"], "fe: the tokens of TensorFlow and JAX differ: relative"),
        (
            "softmax for sigmoid",
            Head.CLASSIFICATION,
            ["classes"],
            "classification: serving_classify: probabilities differ by ",
        ),
    ],
)
def test_each_new_way_to_call_a_module_has_a_rung(
    fault: str, head: Head, failing: list[str], reason: str, exported: Callable[..., Path], expected: checks.Reference
) -> None:
    failures = check(exported(fault, head), expected, head)
    assert list(failures) == failing
    assert failures[failing[-1]].startswith(reason)


def insert_attributes(saved_model: Any) -> None:
    """Reads an attribute that no node has, which inserts it."""
    for node in find_xla_calls(saved_model):
        assert not node.attr["has_token_input_output"].b


@pytest.mark.long  # as tests/proof/test_loaders.py on a smaller module
def test_a_module_that_only_tensorflow_2_loads_fails_the_other_loaders(
    exported: Callable[..., Path], expected: checks.Reference
) -> None:
    folder = exported("", Head.FE)
    edit(folder, insert_attributes)
    failures = check(folder, expected, Head.FE)
    assert list(failures) == ["session", "c_api"]
    for reason in failures.values():
        assert "Failed to bind all placeholders in <Unknown AttrValue type>" in reason


@pytest.mark.long  # as tests/proof/test_checks.py on a smaller module
def test_a_frozen_module_fails_the_gradients(exported: Callable[..., Path], file: Path) -> None:
    module = exported("a frozen module", Head.CLASSIFICATION)
    training = gradients.check_training(open_network(MODEL, Path()), Head.CLASSIFICATION, file, module)
    assert failing_training(Head.CLASSIFICATION, training) == {
        "gradients": "classification: expected a gradient for each of the checkpoint's 40 arrays, got other variables",
        "fine_tuning": "classification: no trainable variables",
    }


@pytest.fixture(scope="module")
def one_class(small: None) -> npz.Arrays:
    """A model of one class whose logit is about zero: its terms cancel."""
    arrays = like_trained(ONE_CLASS)
    logits = float64.compute_exact(open_network(ONE_CLASS, Path()), arrays, INPUTS).outputs[Head.CLASSIFICATION]
    return arrays | {"head/bias": arrays["head/bias"] - logits.mean(axis=0)}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("", marks=pytest.mark.long),
        pytest.param("LayerNorm epsilon 1e-5", marks=pytest.mark.long),
        pytest.param("query and key swapped", marks=pytest.mark.long),
    ],
)
def test_a_single_logit_of_about_zero_is_proven_as_strictly(
    fault: str, exported: Callable[..., Path], one_class: npz.Arrays, tmp_path: Path
) -> None:
    file = write(one_class, tmp_path)
    module = exported(fault, Head.CLASSIFICATION, ONE_CLASS, file)
    reference = checks.compute_reference(open_network(ONE_CLASS, Path()), one_class, INPUTS)
    assert list(check(module, reference, Head.CLASSIFICATION)) == (["parity"] if fault else [])
    if not fault:
        names = set(tf.saved_model.load(str(module)).signatures)
        assert names == {"serving_default", "serving_images", "serving_jpeg"}  # its softmax is always 1
        training = gradients.check_training(open_network(ONE_CLASS, Path()), Head.CLASSIFICATION, file, module)
        assert failing_training(Head.CLASSIFICATION, training) == {}


def test_the_loss_of_a_confident_model_has_a_slope(arrays: npz.Arrays) -> None:
    """The gradient of a class with probability 1 is 0, and that of 0.9999 has three digits: nothing to compare."""
    confident = arrays | {"head/bias": np.array([20, 0, 0], np.float32)}
    found, labels = gradients.differentiate_reference(
        open_network(MODEL, Path()), Head.CLASSIFICATION, confident, INPUTS[:1]
    )
    assert labels.tolist() == [1]
    assert np.linalg.norm(found["head/bias"]) > 1


def test_logits_that_are_the_same_for_every_image_are_refused(arrays: npz.Arrays) -> None:
    blind = arrays | {"embedding/kernel": np.zeros_like(arrays["embedding/kernel"])}
    with pytest.raises(Fault, match="the JAX model returns the same logits for every image, so nothing"):
        checks.compute_reference(open_network(MODEL, Path()), blind, INPUTS)


def changed_by_a_thousandth(arrays: npz.Arrays) -> npz.Arrays:
    value = arrays["Transformer/encoderblock_1/MlpBlock_3/Dense_0/kernel"].copy()
    value[3, 5] += 1e-3
    return arrays | {"Transformer/encoderblock_1/MlpBlock_3/Dense_0/kernel": value}


def with_attention_heads_swapped(arrays: npz.Arrays) -> npz.Arrays:
    name = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/value/kernel"
    return arrays | {name: arrays[name][:, ::-1]}


def with_query_and_key_swapped(arrays: npz.Arrays) -> npz.Arrays:
    query, key = (
        f"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/{name}/kernel" for name in ("query", "key")
    )
    return arrays | {query: arrays[key], key: arrays[query]}


def with_the_head_of_another(arrays: npz.Arrays) -> npz.Arrays:
    return arrays | {name: value for name, value in of_another_augmentation(arrays).items() if name.startswith("head/")}


def of_another_augmentation(arrays: npz.Arrays) -> npz.Arrays:
    """As upstream published the weights of medium augmentation under the name of light augmentation."""
    return npz.fit(random_arrays(MODEL, 4), open_network(MODEL, Path()), Path("random")).arrays


@pytest.mark.parametrize(
    ("change", "variables"),
    [
        (changed_by_a_thousandth, "1 variables differ from the checkpoint: Transformer/encoderblock_1/MlpBlock_3"),
        (with_attention_heads_swapped, "1 variables differ from the checkpoint: Transformer/encoderblock_0/MultiHead"),
        (with_query_and_key_swapped, "2 variables differ from the checkpoint: Transformer/encoderblock_0/MultiHead"),
        (with_the_head_of_another, "2 variables differ from the checkpoint: head/bias, head/kernel"),
        (of_another_augmentation, "40 variables differ from the checkpoint: Transformer/encoder_norm/bias"),
    ],
)
def test_other_weights_fail_bit_by_bit(
    change: Callable[[npz.Arrays], npz.Arrays], variables: str, arrays: npz.Arrays, expected: checks.Reference
) -> None:
    module = [tf.Variable(value, name=name) for name, value in change(arrays).items()]
    weights = checks.compare_weights(module, expected.weights[Head.CLASSIFICATION])
    reason = failing(Head.CLASSIFICATION, weights=weights)["weights"]
    assert reason.startswith(f"classification: {variables}")


def test_an_extractor_of_another_checkpoint_does_not_belong_to_the_classifier(
    expected: checks.Reference, arrays: npz.Arrays
) -> None:
    logits = expected.outputs[Head.CLASSIFICATION]
    heads = checks.compare_heads(expected.outputs[Head.FE], logits, expected)
    assert heads.verdict is Verdict.PASS
    other = checks.compute_reference(open_network(MODEL, Path()), of_another_augmentation(arrays), INPUTS)
    heads = checks.compare_heads(other.outputs[Head.FE], logits, expected)
    (reason,) = reasons(replace(REPORT, features=heads)).values()
    assert reason.startswith("extractor and classifier do not belong together: extractor + head differs from the class")
