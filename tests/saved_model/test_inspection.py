"""Models as jax2tf, convert and TensorFlow write them, and a model with each fault."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.saved_model import graph
from pipeline.saved_model.faults import find_faults, find_publication_faults
from pipeline.saved_model.inspection import inspect_saved_model
from pipeline.saved_model.portable import CALLING_CONVENTION, make_portable
from tests.conftest import ROOT
from tests.saved_model.models import calls, edit, faults_of, publication_faults_of
from tests.saved_model.test_computation import CALL, written

pytestmark = pytest.mark.slow


def test_a_portable_model_has_no_faults(models: Path) -> None:
    model = inspect_saved_model(models / "ours")
    assert find_faults(model) == find_publication_faults(model) == []
    assert (model.tensorflow, model.platforms, model.conventions) == ("2.14", ("cpu", "cuda", "tpu"), (8,))
    assert {(one.stablehlo, one.features, one.debug_info) for one in model.computations} == {("0.9.0", "0.9.0", False)}
    assert len(model.computations) == 2  # forward and gradient
    assert {call for one in model.computations for call in one.custom_calls} == {"shape_assertion"}
    assert model.gradients is True
    assert (model.variables.count, model.variables.bytes, model.variables.trainable) == (2, 24 + 8, 1)  # and a counter
    signature = model.signatures["serving_default"]
    assert signature.inputs["x"].shape == (None, 3)
    assert (signature.outputs["y"].dtype, signature.outputs["y"].shape) == ("float32", (None, 2))
    assert model.written_by.startswith("2.")
    assert model.paths == ()


def test_a_plain_jax2tf_model_runs_and_breaks_four_rules_for_publication(models: Path) -> None:
    model = inspect_saved_model(models / "plain")
    assert model.tensorflow == "2.20"
    assert model.platforms == ("cpu",)
    assert model.conventions == (10,)
    assert model.gradients is True  # TensorFlow 2.21 saves them by default
    assert any(path.endswith("tests/saved_model/models.py") for path in model.paths)
    assert faults_of(models / "plain") == {}
    faults = publication_faults_of(models / "plain")
    assert set(faults) == {"tensorflow", "platforms", "debug_info", "paths"}
    assert (
        "needs TensorFlow 2.20 because of calling convention 10 (2.20), StableHLO features of 1.9.0 (2.19), ranges"
        in faults["tensorflow"]
    )
    assert "lowered for cpu only, cuda and tpu missing" in faults["platforms"]
    assert "have debug information" in faults["debug_info"]


def test_a_model_without_jax_has_no_faults(models: Path) -> None:
    model = inspect_saved_model(models / "tensorflow")
    assert find_faults(model) == find_publication_faults(model) == []
    assert (model.tensorflow, model.platforms, model.gradients, model.computations) == ("2.14", None, None, ())
    assert 0 < model.min_consumer < model.producer
    assert (model.variables.count, model.variables.bytes, model.variables.trainable) == (1, 24, 0)


def test_reading_a_model_neither_starts_nor_breaks_tensorflow(models: Path) -> None:
    """In a process of its own: reads a model, imports TensorFlow and loads the model, then reads it again."""
    script = f"""
import sys
from pathlib import Path
from pipeline.saved_model.inspection import inspect_saved_model
before = inspect_saved_model(Path({str(models / "ours")!r}))
assert not [name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "jax")]
from pipeline.saved_model.load import start_tensorflow
start_tensorflow()
import tensorflow as tf
module = tf.saved_model.load({str(models / "ours")!r})
assert module.f(tf.ones((4, 3)))["y"].shape == (4, 2)
assert inspect_saved_model(Path({str(models / "ours")!r})) == before
"""
    done = subprocess.run(
        [sys.executable, "-W", "error:::pipeline", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# Faults of a model ----------------------------------------------------------------------------------------------------
def set_convention(number: int) -> Callable[[Any], None]:
    def change(saved_model: Any) -> None:
        next(iter(calls(saved_model))).attr["version"].i = number

    return change


def undo_lowering(saved_model: Any) -> None:
    for node in calls(saved_model):
        node.attr["version"].i = CALLING_CONVENTION + 1


def drop_tpu(saved_model: Any) -> None:
    del next(iter(calls(saved_model))).attr["platforms"].list.s[2]


def drop_cpu(saved_model: Any) -> None:
    for node in calls(saved_model):
        del node.attr["platforms"].list.s[0]


def set_token_effect(saved_model: Any) -> None:
    next(iter(calls(saved_model))).attr["has_token_input_output"].b = True


def prevent_gradients(saved_model: Any) -> None:
    """Adds the node that jax2tf writes for a function converted with with_gradient=False."""
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        if any(node.op == "XlaCallModule" for node in function.node_def):
            function.node_def.add(name="prevented", op="PreventGradient")


def drop_gradients(saved_model: Any) -> None:
    del saved_model.meta_graphs[0].graph_def.library.registered_gradients[:]


def drop_marks(saved_model: Any) -> None:
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.attr.pop("_gradient_op_type", None)


def damage_module(saved_model: Any) -> None:
    node = next(iter(calls(saved_model)))
    node.attr["module"].s = node.attr["module"].s[:-50]


def drop_signature(saved_model: Any) -> None:
    signatures = saved_model.meta_graphs[0].signature_def
    signatures["other"].CopyFrom(signatures.pop("serving_default"))


def read_token_effect(saved_model: Any) -> None:
    """Inserts empty attributes, as reading an attribute that a node lacks does."""
    for node in calls(saved_model):
        assert not node.attr["has_token_input_output"].b


def leak(path: bytes) -> Callable[[Any], None]:
    def change(saved_model: Any) -> None:
        next(iter(calls(saved_model))).attr["_origin"].s = path

    return change


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            set_convention(9),
            "tensorflow",
            "it needs TensorFlow 2.16 because of calling convention 9 (2.16), expected 2.14",
        ),
        (drop_tpu, "platforms", "it is lowered for cpu and cuda only, tpu missing"),
        (set_token_effect, "effects", "it has side effects (has_token_input_output), expected none"),
        (
            prevent_gradients,
            "gradients",
            "1 of 2 variables are trainable, but the gradients of the JAX function are not saved",
        ),
        (
            drop_gradients,
            "gradients",
            "1 of 2 variables are trainable, but the gradients of the JAX function are not saved",
        ),
        (
            drop_marks,
            "gradients",
            "the gradients of the JAX function are not saved; convert with with_gradient=True",
        ),
        (drop_signature, "signature", "there is no signature serving_default, got other; pass signatures="),
        (
            leak(b"/home/ann/vit.py"),
            "paths",
            "contains paths of its author's machine (/home/ann/vit.py), expected none",
        ),
        (leak(b"/opt/models/train.ipynb"), "paths", "(/opt/models/train.ipynb)"),
        (leak(rb"C:\Users\ann\weights"), "paths", r"(C:\Users\ann\weights)"),
    ],
)
def test_each_broken_rule_is_found_and_no_other(
    ours: Path, change: Callable[[Any], None], kind: str, message: str
) -> None:
    edit(ours, change)
    assert faults_of(ours) == {}
    faults = publication_faults_of(ours)
    assert set(faults) == {kind}
    assert message in faults[kind]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            set_convention(11),
            "tensorflow",
            "no TensorFlow up to 2.21 runs it, because of calling convention 11 (newer than 2.21)",
        ),
        (damage_module, "module", "1 of 3 StableHLO modules cannot be parsed (attempting to parse"),
        (
            read_token_effect,
            "attributes",
            "it loads in TensorFlow's Python loader only: no value for has_token_input_output of node ",
        ),
    ],
)
def test_each_fault_is_found_and_no_other(ours: Path, change: Callable[[Any], None], kind: str, message: str) -> None:
    edit(ours, change)
    assert publication_faults_of(ours) == {}
    faults = faults_of(ours)
    assert set(faults) == {kind}
    assert message in faults[kind]


def test_rewriting_a_model_inserts_no_attributes(ours: Path) -> None:
    edit(ours, undo_lowering)
    make_portable(ours)
    assert list(graph.find_empty_attributes(graph.parse((ours / "saved_model.pb").read_bytes(), ours))) == []
    edit(ours, undo_lowering)
    edit(ours, read_token_effect)
    with pytest.raises(RuntimeError, match="attributes without a value: has_token_input_output of node "):
        make_portable(ours)


def test_a_jax_function_that_is_not_lowered_for_cpus(ours: Path) -> None:
    edit(ours, drop_cpu)
    assert faults_of(ours)["devices"].endswith("it runs on cuda and tpu only, for which its JAX function is lowered")
    assert "lowered for cuda and tpu only, cpu missing" in publication_faults_of(ours)["platforms"]


def test_gradients_are_not_needed_without_trainable_variables(ours: Path) -> None:
    def change(saved_model: Any) -> None:
        drop_gradients(saved_model)
        for node in saved_model.meta_graphs[0].object_graph_def.nodes:
            node.variable.trainable = False if node.HasField("variable") else node.variable.trainable

    edit(ours, change)
    assert publication_faults_of(ours) == {}


def test_missing_variables_are_found(ours: Path) -> None:
    (ours / "variables/variables.index").unlink()
    assert "2 variables are declared, but variables/variables.index is missing" in faults_of(ours)["variables"]


def test_other_names_are_not_paths(ours: Path) -> None:
    for text in (b"/job:localhost/replica:0/task:0/device:CPU:0", b"Transformer/encoderblock_0/scale", b"a/b.python"):
        edit(ours, leak(text))
        assert publication_faults_of(ours) == {}


def test_effects_and_custom_calls_become_faults(ours: Path) -> None:
    def change(saved_model: Any) -> None:
        next(iter(calls(saved_model))).attr["module"].s = written(CALL.replace("NAME", "printer"), "0.9.0")

    edit(ours, change)
    assert "it calls printer, which TensorFlow does not have" in faults_of(ours)["custom_calls"]
    assert "has side effects (custom call printer)" in publication_faults_of(ours)["effects"]
