"""proof: the checks that need TensorFlow, each with a module that must fail it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.base.fault import Fault
from pipeline.model.variants import Model
from pipeline.proof import checks, gradients, ladder

pytestmark = pytest.mark.slow


class Linear(tf.Module):
    """A module of one matrix with the calls and signatures of a published one."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.reshape(tf.range(12.0), (4, 3)) / 10, name="kernel")
        self.wrong = wrong
        self.signatures = {
            "serving_default": lambda inputs: {"logits": self(inputs)},
            "serving_images": lambda images: {"logits": self((tf.cast(images, tf.float32) - 127.5) / 127.5)},
        }

    def __call__(self, inputs: Any, training: bool = False) -> Any:
        kernel = tf.stop_gradient(self.kernel) if self.wrong == "stopped" else self.kernel
        outputs = tf.reshape(inputs, (-1, 4)) @ kernel
        if self.wrong == "uphill" and training:
            outputs = -outputs
        if self.wrong == "infinite" and training:
            outputs = tf.sqrt(outputs - outputs)  # its value is 0, its slope is not finite
        return outputs


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 2, 2, 1), np.uint8)
INPUTS = ((PIXELS - 127.5) / 127.5).astype(np.float32)


def stepped(linear: Linear) -> dict[str, Any]:
    """Takes a step of fine-tuning with training=True."""
    module = gradients.Module(linear, INPUTS)
    return module.step(module.gradients(training=True))


def failures(head: str, findings: dict[str, Any]) -> list[str]:
    accuracy = {"verdict": "not measured", "reason": "no images"}
    return ladder.failures({"modules": {head: findings}, "accuracy": accuracy})


def test_a_step_of_gradient_descent_lowers_the_loss_as_its_slope_says() -> None:
    found = stepped(Linear())
    assert found["verdict"] == "pass"
    assert found["variables"] == 1
    assert found["loss_before"] - found["loss_after"] == pytest.approx(0.01 * found["loss_before"], rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("stopped", "fe: 1 variables have no finite gradient: kernel"),
        ("infinite", "fe: 1 variables have no finite gradient: kernel"),
        ("uphill", "fe: a step of gradient descent does not lower the loss"),
    ],
)
def test_a_module_that_cannot_be_trained_fails(wrong: str, sentence: str) -> None:
    found = stepped(Linear(wrong))
    assert found["verdict"] == "fail"
    (said,) = failures("fe", {"fine_tuning": found})
    assert said.startswith(sentence)


def write_selftest(folder: Path, outputs: np.ndarray) -> None:
    (folder / "assets.extra").mkdir()
    values = {"pixels": PIXELS, "outputs": outputs, "tolerance": np.array(1e-5)}
    np.savez(folder / "assets.extra/selftest.npz", allow_pickle=False, **values)


def test_the_selftest_inside_is_replayed_in_every_way(tmp_path: Path) -> None:
    module = Linear()
    write_selftest(tmp_path, module(INPUTS).numpy())
    found = checks.replay(module, tmp_path)
    assert found["verdict"] == "pass"
    assert set(found["max_rel"]) == {"call", "serving_default", "serving_images"}
    module.signatures["serving_images"] = lambda images: {"logits": module(tf.cast(images, tf.float32) / 255)}
    found = checks.replay(module, tmp_path)
    assert found["verdict"] == "fail"
    (said,) = failures("fe", {"selftest": found})
    assert said.startswith("fe: the self-test inside differs (serving_images) by")


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_other_outputs_fail_the_selftest(value: float, tmp_path: Path) -> None:
    module = Linear()
    outputs = module(INPUTS).numpy()
    write_selftest(tmp_path, outputs)
    module.kernel.assign_add(tf.fill((4, 3), value))
    assert checks.replay(module, tmp_path)["verdict"] == "fail"


def test_a_module_without_a_selftest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="the module lacks its self-test; run make convert again"):
        checks.replay(Linear(), tmp_path)


@pytest.mark.parametrize("wrong", [0.0, 1.001, np.nan])
def test_other_gradients_fail_naming_the_worst(wrong: float) -> None:
    expected = {"a": np.ones((2, 3), np.float32), "b": np.full(4, 2.0, np.float32), "c": np.full(1, 1e-9, np.float32)}
    close = {name: value * np.float32(1 + 1e-5) for name, value in expected.items()} | {"c": np.zeros(1, np.float32)}
    assert gradients.compare(close, expected, 2e-4)["verdict"] == "pass"
    found = gradients.compare(close | {"b": expected["b"] * np.float32(wrong)}, expected, 2e-4)
    assert (found["verdict"], found["worst"]) == ("fail", "b")
    (sentence,) = failures("fe", {"gradients": found})
    assert sentence.startswith("fe: the gradient by b differs from JAX's by ")


@pytest.mark.parametrize("got", [{}, {"a": None, "b": 1.0}, {"a": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}])
def test_missing_or_other_gradients_fail(got: dict[str, Any]) -> None:
    found = gradients.compare(got, {name: np.ones(1, np.float32) for name in "ab"}, 2e-4)
    (sentence,) = failures("fe", {"gradients": found})
    assert sentence == "fe: its gradients are not those of the checkpoint's 2 arrays, one each"


def test_outputs_that_depend_on_the_batch_fail() -> None:
    class Shifted(Linear):
        def __call__(self, inputs: Any, training: bool = False) -> Any:
            return super().__call__(inputs, training) + 1e-3 * len(inputs)

    inputs = np.random.default_rng(0).uniform(-1, 1, (16, 2, 2, 1)).astype(np.float32)
    for module, verdict in ((Linear(), "pass"), (Shifted(), "fail")):
        found = checks.batch_sizes(module, inputs, module(inputs).numpy(), 1e-5)
        assert found["verdict"] == verdict
    (sentence,) = failures("fe", {"batch_sizes": found})
    assert sentence.startswith("fe: in a batch of 1 the outputs differ from those in one of 16 by")


def test_a_killed_process_is_a_fault_and_a_failed_one_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that runs out of memory sends SIGKILL."""
    python = tmp_path / "python"
    folders = {"classification": tmp_path, "fe": tmp_path}
    monkeypatch.setattr(sys, "executable", str(python))
    for ends, raised in (("kill -9 $$", Fault), ("exit 1", RuntimeError)):
        python.write_text(f"#!/bin/sh\n{ends}\n")
        python.chmod(0o755)
        with pytest.raises(raised, match=r"killed by SIGKILL; unless somebody did that, memory|status 1"):
            gradients.in_own_processes(Model("Mini/8", 16, 3), python, folders)


def test_the_gradients_of_a_large_model_stop_at_the_first_killed_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, started = tmp_path / "python", tmp_path / "started"
    python.write_text(f'#!/bin/sh\necho "$4" >>{started}\nkill -9 $$\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(gradients, "LARGE", 0)
    with pytest.raises(Fault, match="killed by SIGKILL"):
        gradients.in_own_processes(Model("Mini/8", 16, 3), python, {"classification": tmp_path, "fe": tmp_path})
    assert started.read_text() == "classification\n"
