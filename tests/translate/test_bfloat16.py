"""bfloat16 twins: near their source, gradients too, with float32 variables; and what keeps float32's digits in them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from pipeline import plain
from pipeline.base.fault import Fault
from pipeline.base.verdict import Verdict
from pipeline.proof import c_api
from pipeline.saved_model.graph import parse
from pipeline.saved_model.selftest import read_expected, relative_errors, scaled, session_errors, without_gradient
from pipeline.translate.bfloat16 import SELFTEST, limits_of, write_bfloat16
from pipeline.translate.half_precision import BFLOAT16, FLOAT16, HalfType, to_half
from pipeline.translate.inlining import inlined
from pipeline.translate.patterns import recover
from pipeline.translate.plain_graphs import Differentiation
from pipeline.translate.reading import read
from pipeline.translate.tensorflow_functions import to_function
from tests.conftest import once
from tests.translate.modules import serialize
from tests.translate.twins import differentiate, save

pytestmark = pytest.mark.slow

TOLERANCE = limits_of(1e-5).outputs
RANDOM = np.random.default_rng(0)
WEIGHTS = {"w": RANDOM.standard_normal((3, 16)).astype(np.float32), "v": np.ones((16, 2), np.float32)}
X = RANDOM.standard_normal((4, 3)).astype(np.float32)
KINDS = pytest.mark.parametrize("kind", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])


def lowered(function: Callable[..., Any], *arguments: np.ndarray, kind: HalfType = BFLOAT16) -> Callable[..., Any]:
    """Returns a JAX function in 16 bits, in TensorFlow; its first argument is of any number of rows."""
    shape = ", ".join(["n", *map(str, arguments[0].shape[1:])])
    graph = recover(read(serialize(function, arguments, [shape])))
    translated = to_function(to_half(inlined(graph) if kind.has_weights_inside else graph, kind))
    return lambda *given: [each.numpy() for each in translated(*map(tf.constant, given))]


# Graphs ---------------------------------------------------------------------------------------------------------------
@KINDS
@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: jax.nn.gelu(x @ w.T @ w + w[0]) @ w.T,
        lambda x, w: jax.nn.softmax((x @ x.T) / 2) @ jnp.tanh(x * w[1]),
        lambda x, w: jax.nn.standardize(jax.nn.relu(x @ w.T @ w), axis=-1) * w[0],
        lambda x, w: (x[:, :, None] * w[0] + w[1]).sum(1) @ jnp.abs(w.T),
        lambda x, w: jnp.where(x > 0, jax.nn.silu(x), jnp.exp(x)).mean(0) @ w.T,
    ],
    ids=["gelu", "attention", "normalization", "broadcast", "select"],
)
def test_a_function_is_near(function: Callable[..., Any], kind: HalfType) -> None:
    x, w = RANDOM.standard_normal((7, 6)).astype(np.float32), RANDOM.standard_normal((6, 6)).astype(np.float32)
    (got,) = lowered(function, x, w, kind=kind)(x, w)
    expected = np.asarray(function(x, w))
    assert got.dtype == np.float32
    assert 0 < np.abs(got - expected).max() <= {FLOAT16: 4e-3, BFLOAT16: 3e-2}[kind] * np.abs(expected).max()


def test_the_same_key_drops_the_same_values() -> None:
    def drop(x: Any, key: Any) -> Any:
        return jnp.where(jax.random.bernoulli(key, 0.9, x.shape), x / 0.9, 0) * 2

    x, key = np.ones((500, 9), np.float32), np.array([3, 5], np.uint32)
    (got,) = lowered(drop, x, key)(x, key)
    np.testing.assert_array_equal(got == 0, np.asarray(drop(x, key)) == 0)
    assert 0 < (got == 0).sum() < got.size / 4


def test_a_loop_until_a_float_is_small_ends() -> None:
    def root(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda y: jnp.abs(y * y - x).max() > 1e-4, lambda y: (y + x / y) / 2, x)

    x = np.array([2, 3, 5], np.float32)
    (got,) = lowered(root, x)(x)
    np.testing.assert_allclose(got, np.sqrt(x), rtol=1e-4)


def test_large_counts_are_not_rounded() -> None:
    ids = np.array([[257, 1001, 12345]], np.int32)
    (got,) = lowered(lambda ids: jnp.sign(ids.astype(jnp.float32) - ids[:, ::-1]), ids)(ids)
    np.testing.assert_array_equal(got, [[-1, 0, 1]])
    assert np.float32(257).astype(BFLOAT16.dtype) == 256
    (got,) = lowered(lambda ids: jnp.floor(ids.astype(jnp.float32)), ids)(ids)
    np.testing.assert_array_equal(got, ids)


@pytest.mark.parametrize(("tolerance", "outputs"), [(1e-5, 0.03), (5e-5, 0.15), (1e-3, 0.15)])
def test_limits_follow_the_tolerance_of_the_module(tolerance: float, outputs: float) -> None:
    assert limits_of(tolerance).outputs == outputs
    assert limits_of(tolerance).gradients < 2  # as of a gradient of the other sign


# SavedModels ----------------------------------------------------------------------------------------------------------
def model(weights: Any, x: Any) -> jax.Array:
    return jax.nn.relu(x @ weights["w"]) @ weights["v"]


def types_of(folder: Path, operation: str) -> set[int]:
    library = parse((folder / "saved_model.pb").read_bytes(), folder).meta_graphs[0].graph_def.library
    return {node.attr["T"].type for each in library.function for node in each.node_def if node.op == operation}


def cosine(got: np.ndarray, expected: np.ndarray) -> float:
    return float((got * expected).sum() / (np.linalg.norm(got) * np.linalg.norm(expected)))


def test_a_twin_computes_in_bfloat16_with_the_variables_of_its_source(tmp_path: Path) -> None:
    save(tmp_path / "source", model, WEIGHTS)
    twin = write_bfloat16(tmp_path / "source", tmp_path / "twin")
    assert twin.gradients.keys() == {Differentiation.DERIVED}
    assert types_of(tmp_path / "twin", "MatMul") == {tf.float32.as_datatype_enum, tf.bfloat16.as_datatype_enum}
    loaded = tf.saved_model.load(str(tmp_path / "twin"))
    np.testing.assert_allclose(loaded.f(X), model(WEIGHTS, X), rtol=2e-2, atol=2e-2)
    assert loaded.f(X[:1]).dtype == tf.float32
    for name, variable in loaded.weights.items():
        assert variable.dtype == tf.float32
        np.testing.assert_array_equal(variable, WEIGHTS[name])
    for name in ("variables.index", "variables.data-00000-of-00001"):
        source, copy = (tmp_path / folder / "variables" / name for folder in ("source", "twin"))
        assert source.samefile(copy)


def test_a_twin_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    save(tmp_path / "source", model, WEIGHTS)
    files = []
    for name in ("first", "second"):
        write_bfloat16(tmp_path / "source", tmp_path / name)
        files.append((tmp_path / name / "saved_model.pb").read_bytes())
    assert files[0] == files[1]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "source", model, WEIGHTS)
    assert plain.main(["--bfloat16", str(tmp_path / "source"), str(tmp_path / "twin")]) == str(tmp_path / "twin")
    assert "gradients of the calls: 1 derived by TensorFlow" in capsys.readouterr().err
    assert tf.bfloat16.as_datatype_enum in types_of(tmp_path / "twin", "MatMul")


def stopped(weights: Any, x: Any) -> jax.Array:
    return jnp.tanh(x @ weights["w"] / 4) @ weights["v"] * jax.lax.stop_gradient(x.sum(1, keepdims=True))


@pytest.mark.parametrize(
    ("function", "how"), [(model, Differentiation.DERIVED), (stopped, Differentiation.SAVED)], ids=["derived", "saved"]
)
def test_gradients_are_near_those_of_the_source(
    function: Callable[..., Any], how: Differentiation, tmp_path: Path
) -> None:
    save(tmp_path / "source", function, WEIGHTS)
    assert write_bfloat16(tmp_path / "source", tmp_path / "twin").gradients.keys() == {how}
    expected = jax.grad(lambda x, weights: (function(weights, x) ** 2).sum(), (0, 1))(X, WEIGHTS)
    got = differentiate(tmp_path / "twin", X)
    wanted = [expected[0], *(expected[1][name] for name in WEIGHTS)]
    assert [each.dtype for each in got] == [np.float32] * 3
    assert min(map(cosine, got, map(np.asarray, wanted))) > 0.9995


def test_the_gradient_of_a_bias_loses_no_image(tmp_path: Path) -> None:
    """A sum of ones in bfloat16 ends at 256, that of TensorFlow's BiasAddGrad at 512."""

    def function(weights: Any, x: jax.Array) -> jax.Array:
        return (x @ weights["w"] + weights["b"]) @ weights["v"]

    weights = WEIGHTS | {"b": np.zeros(16, np.float32)}
    save(tmp_path / "source", function, weights)
    write_bfloat16(tmp_path / "source", tmp_path / "twin")
    loaded = tf.saved_model.load(str(tmp_path / "twin"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded.f(np.ones((3000, 3), np.float32)))
    np.testing.assert_array_equal(tape.gradient(loss, loaded.weights["b"]), np.full(16, 6000, np.float32))


# A module of this project ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def twin(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bfloat16 twin of the classifier of `mini`. Tests must not change it."""

    def build(folder: Path) -> None:
        write_bfloat16(published / "artifacts/mini/classification", folder / "twin")

    return once(tmp_path_factory, "bfloat16", build) / "twin"


def test_a_twin_passes_its_own_selftest_and_not_that_of_its_source(published: Path, twin: Path) -> None:
    expected = read_expected(twin / SELFTEST)
    module = tf.saved_model.load(str(twin))
    errors = relative_errors(module, expected) | session_errors(twin, expected)
    source = read_expected(published / "artifacts/mini/classification" / SELFTEST)
    assert source.tolerance < max(errors.values()) < expected.tolerance == TOLERANCE, errors
    np.testing.assert_array_equal(source.outputs, expected.outputs)
    assert module(np.zeros((5, 16, 16, 3), np.float32)).shape[0] == 5


def test_the_selftest_of_an_extractors_twin_has_a_limit_for_its_tokens(published: Path, tmp_path: Path) -> None:
    write_bfloat16(published / "artifacts/mini/fe", tmp_path / "twin")
    expected = read_expected(tmp_path / "twin" / SELFTEST)
    assert (expected.tolerance, expected.tokens_tolerance) == (TOLERANCE, TOLERANCE)
    errors = relative_errors(tf.saved_model.load(str(tmp_path / "twin")), expected)
    assert 1e-5 < errors["serving_tokens"] < TOLERANCE


@pytest.mark.long
def test_every_variable_has_a_finite_gradient(twin: Path) -> None:
    module = tf.saved_model.load(str(twin))
    assert len(module.trainable_variables) > 10
    assert not without_gradient(module, read_expected(twin / SELFTEST).pixels, training=True)


def test_the_cpp_loader_takes_a_twin(twin: Path) -> None:
    with c_api.start(twin) as wait:
        check = wait()
    assert (check.verdict, check.tolerance) == (Verdict.PASS, TOLERANCE)


def test_a_selftest_refuses_a_wrong_model(twin: Path) -> None:
    expected = read_expected(twin / SELFTEST)
    module = tf.saved_model.load(str(twin))
    inputs = scaled(expected.pixels)
    assert expected.relative_error(module(inputs).numpy()[:, ::-1]) > 2 * TOLERANCE
    for name in ("MlpBlock_3/Dense_1/kernel", "out/kernel", "embedding/kernel"):
        variable = next(each for each in module.variables if name in each.name)
        value = variable.numpy()
        variable.assign(np.zeros_like(value))
        assert expected.relative_error(module(inputs).numpy()) > TOLERANCE, name
        variable.assign(value)


def test_a_damaged_selftest_is_refused(twin: Path, published: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(published / "artifacts/mini/classification", tmp_path / "source"))
    (source / SELFTEST).write_bytes((source / SELFTEST).read_bytes()[:-20])
    with pytest.raises(Fault, match=r"selftest\.npz: not a whole \.npz file"):
        write_bfloat16(source, tmp_path / "twin")
    assert not (tmp_path / "twin").exists()
