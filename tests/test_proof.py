"""proof: the checks that need TensorFlow, each with a module that must fail it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline import fine_tuning, proof
from pipeline.fault import Fault


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


def test_a_step_of_gradient_descent_lowers_the_loss_as_its_slope_says() -> None:
    found = fine_tuning.step(Linear(), INPUTS)
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
    found = fine_tuning.step(Linear(wrong), INPUTS)
    assert found["verdict"] == "fail"
    (said,) = proof.failures("fe", PASSED | {"fine_tuning": found})
    assert said.startswith(sentence)


PASSED = {check: {"verdict": "pass"} for check in ("weights", "parity", "single_image", "selftest")}


def write_selftest(folder: Path, outputs: np.ndarray) -> None:
    (folder / "assets.extra").mkdir()
    values = {"pixels": PIXELS, "outputs": outputs, "tolerance": np.array(1e-5)}
    np.savez(folder / "assets.extra/selftest.npz", allow_pickle=False, **values)


def test_the_selftest_inside_is_replayed_in_every_way(tmp_path: Path) -> None:
    module = Linear()
    write_selftest(tmp_path, module(INPUTS).numpy())
    found = proof.replay(module, tmp_path)
    assert found["verdict"] == "pass"
    assert set(found["max_rel"]) == {"call", "serving_default", "serving_images"}
    module.signatures["serving_images"] = lambda images: {"logits": module(tf.cast(images, tf.float32) / 255)}
    found = proof.replay(module, tmp_path)
    assert found["verdict"] == "fail"
    (said,) = proof.failures("fe", PASSED | {"selftest": found})
    assert said.startswith("fe: the self-test inside differs (serving_images) by")


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_other_outputs_fail_the_selftest(value: float, tmp_path: Path) -> None:
    module = Linear()
    outputs = module(INPUTS).numpy()
    write_selftest(tmp_path, outputs)
    module.kernel.assign_add(tf.fill((4, 3), value))
    assert proof.replay(module, tmp_path)["verdict"] == "fail"


def test_a_module_without_a_selftest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="the module lacks its self-test; run make convert again"):
        proof.replay(Linear(), tmp_path)
