"""saved_models: the plain twin of a SavedModel computes what its source does, and its gradients are the source's."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from pipeline.base.fault import Fault
from pipeline.base.verdict import Verdict
from pipeline.proof import c_api
from pipeline.saved_model.graph import find_empty_attributes, find_xla_calls, parse
from pipeline.saved_model.selftest import read_expected, relative_errors, session_errors, without_gradient
from pipeline.translate import gradients
from pipeline.translate.plain_graphs import Differentiation
from pipeline.translate.refusal import Untranslatable
from pipeline.translate.saved_models import write_plain
from pipeline.translate.tensorflow_functions import to_function
from tests.conftest import assert_refused, once, run_stage
from tests.saved_model.models import edit
from tests.translate.twins import differentiate, save

pytestmark = pytest.mark.slow

X = np.array([[1, -2, 3], [0.5, 4, -1]], np.float32)
WEIGHTS = {"w": np.arange(6, dtype=np.float32).reshape(3, 2) / 7}
GRADIENTS = list(Differentiation)


# The identity, whose gradient is clipped.
clipped = jax.custom_vjp(lambda x: x)
clipped.defvjp(lambda x: (x, None), lambda _, gradient: (jnp.clip(gradient, -0.1, 0.1),))


clipped_high = jax.custom_vjp(lambda x: x)
clipped_high.defvjp(lambda x: (x, None), lambda _, gradient: (jnp.clip(gradient, -100, 100),))


def halted(x: jax.Array) -> jax.Array:
    """Has the value of x ** 2 and half of its gradient."""
    return x * jax.lax.stop_gradient(x)


def dense(weights: Any, x: jax.Array) -> jax.Array:
    return jax.nn.softmax(x @ weights["w"])


def stopped(weights: Any, x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ weights["w"]) * jax.lax.stop_gradient(x.sum(1, keepdims=True))


def branched(weights: Any, x: jax.Array) -> jax.Array:
    return jax.lax.cond(x[0, 0] > 100, jax.lax.stop_gradient, lambda y: y * 2, x @ weights["w"])


def read_graph(folder: Path) -> Any:
    return parse((folder / "saved_model.pb").read_bytes(), folder)


def operations(folder: Path) -> set[str]:
    library = read_graph(folder).meta_graphs[0].graph_def.library
    return {node.op for function in library.function for node in function.node_def}


@pytest.fixture(scope="session")
def sources(published: Path) -> Path:
    """The folder of the SavedModels of `mini`."""
    return published / "artifacts/mini"


@pytest.fixture(scope="session")
def twins(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plain twin of the feature extractor of `mini`. Tests must not change it."""

    def build(folder: Path) -> None:
        twin = write_plain(sources / "fe", folder / "fe")
        assert twin.patterns.keys() >= {"dense layer", "LayerNorm", "softmax", "GELU"}

    return once(tmp_path_factory, "twins", build)


# The modules of this project ------------------------------------------------------------------------------------------
def check_twin(folder: Path) -> None:
    expected = read_expected(folder / "assets.extra/selftest.npz")
    module = tf.saved_model.load(str(folder))
    errors = relative_errors(module, expected) | session_errors(folder, expected)
    assert max(errors.values()) <= expected.tolerance, errors
    assert not without_gradient(module, expected.pixels, training=False)
    assert not without_gradient(module, expected.pixels, training=True)
    assert module(np.zeros((5, 16, 16, 3), np.float32)).shape[0] == 5


def test_a_twin_passes_the_selftest(twins: Path) -> None:
    check_twin(twins / "fe")


@pytest.mark.long
def test_a_twin_with_dropout_passes_the_selftest(dropping: Path, tmp_path: Path) -> None:
    twin = write_plain(dropping / "classification", tmp_path / "twin")
    assert twin.gradients == {Differentiation.DERIVED: 2}
    check_twin(tmp_path / "twin")


def test_the_cpp_loader_takes_a_twin(twins: Path) -> None:
    with c_api.start(twins / "fe") as wait:
        assert wait().verdict is Verdict.PASS


def test_a_twin_has_the_objects_and_variables_of_its_source(sources: Path, twins: Path) -> None:
    source, twin = (tf.saved_model.load(str(folder / "fe")) for folder in (sources, twins))
    assert [each.name for each in source.variables] == [each.name for each in twin.variables]
    assert len(source.trainable_variables) == len(twin.trainable_variables) > 0
    assert source.signatures.keys() == twin.signatures.keys()
    for name in source.signatures:
        assert source.signatures[name].structured_outputs == twin.signatures[name].structured_outputs
    files, copies = (
        {path.relative_to(folder / "fe"): path for path in (folder / "fe").rglob("*") if path.is_file()}
        for folder in (sources, twins)
    )
    assert files.keys() == copies.keys()
    changed = [str(name) for name in files if files[name].read_bytes() != copies[name].read_bytes()]
    assert changed == ["saved_model.pb"]


def test_a_twin_has_ordinary_operations(twins: Path) -> None:
    saved_model = read_graph(twins / "fe")
    assert not list(find_xla_calls(saved_model))
    assert not list(find_empty_attributes(saved_model))
    assert not saved_model.meta_graphs[0].graph_def.library.registered_gradients
    assert {"MatMul", "BiasAdd", "Softmax"} <= operations(twins / "fe")


def test_a_twin_has_the_same_bytes_each_time(sources: Path, twins: Path, tmp_path: Path) -> None:
    """TensorFlow numbers functions anew in each process; this one has written others before."""
    write_plain(sources / "fe", tmp_path / "fe")
    assert (tmp_path / "fe/saved_model.pb").read_bytes() == (twins / "fe/saved_model.pb").read_bytes()


def test_what_has_no_gradient_gets_none(twins: Path) -> None:
    """The tokens of a feature extractor are saved without."""
    module, images = tf.saved_model.load(str(twins / "fe")), tf.zeros((1, 16, 16, 3))

    def differentiate_tokens() -> None:
        with tf.GradientTape() as tape:
            tokens = module.tokens(images)
        tape.gradient(tokens, module.trainable_variables)

    with pytest.raises(LookupError, match="saved without the gradient"):
        differentiate_tokens()


# Gradients ------------------------------------------------------------------------------------------------------------
def plant(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a model whose last values pass a function."""
    return lambda weights, x: function(x @ weights["w"]) ** 2


@pytest.mark.parametrize(
    ("function", "how"),
    [
        (dense, Differentiation.DERIVED),
        (stopped, Differentiation.SAVED),
        (plant(clipped), Differentiation.SAVED),
        (plant(jax.nn.relu), Differentiation.DERIVED),
        (branched, Differentiation.SAVED),
        (plant(clipped_high), Differentiation.SAVED),
        (plant(lambda y: jnp.where(y > 10, halted(y), y * y)), Differentiation.SAVED),
        (plant(lambda y: jnp.where(y > 1e6, halted(y), y * y)), Differentiation.SAVED),
        (plant(lambda y: jnp.where(y > 0, y, 0.1 * y)), Differentiation.DERIVED),
    ],
    ids=["dense", "stop_gradient", "custom_vjp", "relu", "cond", "clip", "where", "rare", "leaky"],
)
def test_gradients_are_those_of_the_source(function: Any, how: Differentiation, tmp_path: Path) -> None:
    save(tmp_path / "source", function, WEIGHTS)
    twin = write_plain(tmp_path / "source", tmp_path / "twin")
    assert twin.gradients.keys() == {how}
    expected = jax.grad(lambda x, weights: (function(weights, x) ** 2).sum(), (0, 1))(X, WEIGHTS)
    by_input, by_weights = differentiate(tmp_path / "twin", X)
    for got, wanted in ((by_input, expected[0]), (by_weights, expected[1]["w"])):
        largest = float(np.abs(wanted).max())  # a 0 may be a sum of values of that size, which rounds as they do
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6 * max(largest, 1.0))
    module = tf.saved_model.load(str(tmp_path / "twin"))
    np.testing.assert_allclose(module.f(X), function(WEIGHTS, X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "how"),
    [
        (dense, Differentiation.DERIVED),
        (stopped, Differentiation.SAVED),
        (plant(clipped), Differentiation.SAVED),
        (plant(jax.nn.relu), Differentiation.DERIVED),
    ],
    ids=["dense", "stop_gradient", "custom_vjp", "relu"],
)
def test_gradients_of_large_networks_are_compared_in_float32(
    function: Any, how: Differentiation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "_WIDEST", 0)
    monkeypatch.setattr(gradients, "widened", None)  # which makes them float64
    save(tmp_path / "source", function, WEIGHTS)
    assert write_plain(tmp_path / "source", tmp_path / "twin").gradients.keys() == {how}


def test_a_gradient_that_has_no_function_is_computed_by_xla(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, as the forward call that it is compared with."""
    refused: list[object] = []

    def refuse_first(graph: Any) -> Any:
        if not refused:
            refused.append(graph)
            raise Untranslatable("of a test")
        return to_function(graph)

    monkeypatch.setattr(gradients, "to_function", refuse_first)
    save(tmp_path / "source", dense, WEIGHTS)
    assert write_plain(tmp_path / "source", tmp_path / "twin").gradients.keys() == {Differentiation.DERIVED}
    assert refused


@pytest.mark.parametrize("is_first", [False, True])
def test_a_gradient_holds_for_both_values_of_a_flag(is_first: bool, tmp_path: Path) -> None:
    def function(weights: Any, x: jax.Array) -> jax.Array:
        y = x @ weights["w"]
        return jnp.where(weights["flag"] == is_first, halted(y), y * y)

    save(tmp_path / "source", function, WEIGHTS | {"flag": np.array(0, np.int32)})
    assert write_plain(tmp_path / "source", tmp_path / "twin").gradients.keys() == {Differentiation.SAVED}


@pytest.mark.parametrize("has_gradient", [False, True])
def test_no_gradient_is_pretended(has_gradient: bool, tmp_path: Path) -> None:
    """Of x * stop_gradient(x) TensorFlow would derive another one."""
    save(tmp_path / "source", stopped, WEIGHTS, has_gradient=has_gradient, saves_gradient=False)
    twin = write_plain(tmp_path / "source", tmp_path / "twin")
    assert twin.gradients.keys() == {Differentiation.NONE}
    with pytest.raises(LookupError, match="Gradient explicitly disabled"):
        differentiate(tmp_path / "twin", X)


# What is refused ------------------------------------------------------------------------------------------------------
def test_an_operation_without_an_equal_is_refused(tmp_path: Path) -> None:
    def function(weights: Any, x: jax.Array) -> jax.Array:
        return jax.lax.linalg.cholesky(x[:, :, None] * x[:, None, :] + jnp.eye(3)) @ weights["w"]

    save(tmp_path / "source", function, WEIGHTS)
    with pytest.raises(
        Untranslatable, match=r"source: node XlaCallModule of function \S+: stablehlo\.custom_call"
    ) as error:
        write_plain(tmp_path / "source", tmp_path / "twin")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_other_models_are_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="it has no XlaCallModule nodes; expected a SavedModel that jax2tf wrote"):
        write_plain(models / "tensorflow", tmp_path / "twin")
    with pytest.raises(Fault, match=r"no saved_model\.pb or saved_model\.pbtxt in it"):
        write_plain(tmp_path, tmp_path / "twin")
    with pytest.raises(Fault, match="it is the source, too"):
        write_plain(models / "ours", models / "ours")
    broken = Path(shutil.copytree(models / "ours", tmp_path / "broken"))

    def damage(saved_model: Any) -> None:
        for node in find_xla_calls(saved_model):
            node.attr["module"].s = b"damaged"

    edit(broken, damage)
    with pytest.raises(Untranslatable, match="cannot be read as StableHLO"):
        write_plain(broken, tmp_path / "twin")
    assert not (tmp_path / "twin").exists()


def test_a_call_without_all_its_inputs_is_refused(models: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(models / "plain", broken)

    def damage(saved_model: Any) -> None:
        for node in find_xla_calls(saved_model):
            del node.input[-1]
            del node.attr["Tin"].list.type[-1]

    edit(broken, damage)
    with pytest.raises(Untranslatable, match=r"XlaCallModule with \d inputs, and its module takes \d"):
        write_plain(broken, tmp_path / "twin")
    assert not (tmp_path / "twin").exists()


def test_the_command(models: Path, tmp_path: Path) -> None:
    done = run_stage("plain", models / "plain", tmp_path / "twin")
    assert done.returncode == 0, done.stderr
    assert "plain: calls translated: 2; recovered: 2 dense layer, 2 softmax" in done.stderr
    assert "plain: gradients of the calls: 2 derived by TensorFlow" in done.stderr
    assert "Softmax" in operations(tmp_path / "twin")
    assert_refused(run_stage("plain", tmp_path / "none", tmp_path / "x"), "plain: ", "no such file or folder")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    assert_refused(run_stage("plain", models / "plain", tmp_path / "full"), "full: the folder is not empty;")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    before = (tmp_path / "twin/saved_model.pb").read_bytes()
    assert_refused(run_stage("plain", models / "ours", tmp_path / "twin"), "twin: the folder is not empty;")
    assert (tmp_path / "twin/saved_model.pb").read_bytes() == before
