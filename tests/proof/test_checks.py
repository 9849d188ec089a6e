"""checks and gradients: each check that needs TensorFlow, with a module that must fail it."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.checks import FineTuningCheck, TrainingChecks
from pipeline.facts.report import Report
from pipeline.model import float64
from pipeline.model.networks import open_network
from pipeline.model.preprocessing import prepare
from pipeline.model.section import Model
from pipeline.proof import checks, gradients, ladder
from pipeline.saved_model import selftest, signatures
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.programs import PROGRAMS
from tests.reports import with_checks

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
LABELS = np.arange(3)


class Variable:
    """What compare_weights() uses of a TensorFlow variable."""

    def __init__(self, name: str, value: np.ndarray) -> None:
        self.name, self.value = f"{name}:0", value

    def numpy(self) -> np.ndarray:
        return self.value


def test_equal_outputs_pass() -> None:
    outputs = np.array([[1.0, 2.0], [3.0, -4.0]], np.float32)
    check = checks.compare(outputs + np.float32(1e-6), outputs, 1e-5, logits=True)
    assert check.verdict == "pass"
    assert check.max_rel == pytest.approx(check.max_abs / 4)


@pytest.fixture(autouse=True)
def keep_no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow is told in the environment where to keep them, which would outlive a test."""
    monkeypatch.delenv(PROGRAMS, raising=False)


@pytest.mark.parametrize(
    "got",
    [
        [[1.0, 2.0], [3.0, -4.1]],  # too far
        [[1.0, 2.0], [np.nan, -4.0]],
        [[1.0, 2.0], [np.inf, -4.0]],
    ],
)
def test_other_outputs_fail(got: list) -> None:
    expected = np.array([[1.0, 2.0], [3.0, -4.0]], np.float32)
    assert checks.compare(np.array(got, np.float32), expected, 1e-5, logits=False).verdict == "fail"


def test_another_class_fails_however_small_the_difference() -> None:
    expected = np.array([[1.0, 1.0 + 1e-6]], np.float32)
    check = checks.compare(expected[:, ::-1], expected, 1e-5, logits=True)
    assert check.max_rel < 1e-5
    assert check.argmax_agreement == 0
    assert check.verdict == "fail"
    assert checks.compare(expected[:, ::-1], expected, 1e-5, logits=False).verdict == "pass"  # features have no classes


def test_a_small_logit_is_compared_with_the_terms_that_it_is_the_sum_of() -> None:
    """With one class, say, 0.9 - 0.9 + 1e-5 is 1e-5 with the rounding errors of 0.9."""
    expected = np.array([[1e-5], [-1e-5]], np.float32)
    rounded, wrong = expected + np.float32(6e-8), expected + np.float32(3e-5)
    assert checks.compare(rounded, expected, 1e-5, logits=True).verdict == "fail"
    assert checks.compare(rounded, expected, 1e-5, logits=True, least_scale=1.3).verdict == "pass"
    assert checks.compare(wrong, expected, 1e-5, logits=True, least_scale=1.3).verdict == "fail"
    # A scale below the largest output changes nothing.
    many = np.array([[5.0, -7.0]], np.float32)
    assert checks.compare(many + 1e-4, many, 1e-5, True, 1.3) == checks.compare(many + 1e-4, many, 1e-5, True)


def test_two_logits_of_opposite_signs_are_compared_with_their_terms() -> None:
    """A head of two classes may have opposite weights, so that both logits are about zero together."""
    network = open_network(Model("Mini/8", 16, 2), Path())
    features = np.array([[3.0, 4.0, 1e-5]], np.float32)
    kernel = np.array([[4.0, -4.0], [-3.0, 3.0], [1.0, -1.0]], np.float32)
    head = {"head/kernel": kernel, "head/bias": np.zeros(2, np.float32)}
    scale = float64.least_scales(network, head, features)[Head.CLASSIFICATION]
    assert scale == pytest.approx(math.sqrt(12**2 + 12**2))
    expected = features @ kernel
    assert float(np.max(np.abs(expected))) < 2e-5
    rounded, wrong = expected + 2e-6 * np.array([1, -1]), expected + 2e-4 * np.array([1, 0])
    assert checks.compare(rounded, expected, 1e-5, logits=True).verdict == "fail"
    assert checks.compare(rounded, expected, 1e-5, logits=True, least_scale=scale).verdict == "pass"
    assert checks.compare(wrong, expected, 1e-5, logits=True, least_scale=scale).verdict == "fail"
    # Either class may be the larger of two that are equal but for rounding.
    tie = np.array([[1e-7, -1e-7]], np.float32)
    assert checks.compare(-tie, tie, 1e-5, logits=True, least_scale=scale).argmax_agreement == 1.0


def test_the_scale_is_the_size_of_the_terms_of_a_logit() -> None:
    network = open_network(Model("Mini/8", 16, 1), Path())
    features = np.array([[3.0, 4.0], [0.1, 0.1]], np.float32)
    head = {"head/kernel": np.array([[4.0], [-3.0]], np.float32), "head/bias": np.array([5.0], np.float32)}
    scales = float64.least_scales(network, head, features)
    assert scales[Head.CLASSIFICATION] == pytest.approx(math.sqrt(12**2 + 12**2 + 5**2))  # the sum of these is 5
    assert float64.relative_scale(np.array([[-40.0, 1.0]]), scales[Head.CLASSIFICATION]) == 40
    tiny = {name: value * np.float32(1e-42) for name, value in head.items()}  # below float32's normal numbers
    assert 1e-32 < float64.least_scales(network, tiny, features)[Head.CLASSIFICATION] < 1e-30


def test_outputs_of_zero_are_compared() -> None:
    zero, other = np.zeros((2, 3), np.float32), np.full((2, 3), 1e-3, np.float32)
    same = checks.compare(zero, zero, 1e-5, logits=True)
    assert (same.max_rel, same.cosine, same.verdict) == (0, 1, "pass")
    differs = checks.compare(other, zero, 1e-5, logits=True)
    assert (differs.cosine, differs.verdict) == (0, "fail")
    one_zero = checks.compare(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 0.0]]), 1e-5, logits=True)
    assert one_zero.cosine == pytest.approx(1)


def test_any_of_equal_logits_may_be_the_largest() -> None:
    """Two classes with the same weights: their float32 sums may be rounded differently."""
    expected = np.array([[0.5, 1.0, 1.0, 0.2], [1e-3, 1e-3, 0.0, 0.0]], np.float32)
    got = expected.copy()
    got[0, 1] -= np.float32(6e-8)
    got[1, 1] += np.float32(1e-10)
    assert checks.compare(got, expected, 1e-5, logits=True).argmax_agreement == 1
    got[1, 1] += np.float32(1e-7)  # small beside 1.0, and not beside 0.001
    assert checks.compare(got, expected, 1e-5, logits=True).argmax_agreement == 1
    expected[1, 1] -= np.float32(1e-8)
    check = checks.compare(got, expected, 1e-5, logits=True)
    assert (check.argmax_agreement, check.verdict) == (0.5, "fail")


def test_weights_are_compared_bit_by_bit() -> None:
    value = np.array([1.0, 2.0], np.float32)
    expected = {"a/kernel": checks.fingerprint(value), "b": checks.fingerprint(value)}
    variables = [Variable("a/kernel", value), Variable("b", value)]
    assert checks.compare_weights(variables, expected).verdict == "pass"
    variables[1].value = np.nextafter(value, 3, dtype=np.float32)
    assert checks.compare_weights(variables, expected).different == ("b",)
    assert checks.compare_weights(variables[:1], expected).different == ("b",)
    assert checks.compare_weights([*variables[:1], Variable("b", value), Variable("c", value)], expected).different == (
        "c",
    )
    assert checks.compare_weights([variables[0], Variable("b", value.reshape(2, 1))], expected).different == ("b",)


def take_step(linear: Linear, labels: np.ndarray = LABELS) -> FineTuningCheck:
    """Takes a step of fine-tuning with training=True."""
    module = gradients.TrainableModule(linear, INPUTS, labels)
    return module.take_step(module.gradients(training=True))


def failure(report: Report, **changes: Any) -> str:
    """Returns the one sentence of a report whose extractor has these checks."""
    (sentence,) = ladder.failures(with_checks(report, Head.FE, **changes))
    return sentence


def test_a_step_of_gradient_descent_lowers_the_loss_as_its_slope_says() -> None:
    check = take_step(Linear())
    assert check.verdict == "pass"
    assert check.variables == 1
    assert check.loss_before - check.loss_after == pytest.approx(0.01 * check.loss_before, rel=0.1)


def test_a_single_output_has_a_loss_and_a_slope() -> None:
    """Its softmax is 1 whatever it is, so that the cross-entropy is 0."""
    single = Linear()
    single.kernel = tf.Variable(single.kernel[:, :1], name="kernel")
    for label in (0, 1):
        check = take_step(single, np.full(3, label))
        assert check.verdict == "pass"
        assert check.loss_before > check.loss_after > 0


def test_a_step_without_any_slope_fails(report: Report) -> None:
    module = gradients.TrainableModule(Linear(), INPUTS, LABELS)
    check = module.take_step({"kernel": tf.zeros((4, 3))})
    assert check.verdict == "fail"
    assert failure(report, fine_tuning=check).startswith("fe: a step of gradient descent does not lower the loss")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("stopped", "fe: 1 variables have no finite gradient: kernel"),
        ("infinite", "fe: 1 variables have no finite gradient: kernel"),
        ("uphill", "fe: a step of gradient descent does not lower the loss"),
    ],
)
def test_a_module_that_cannot_be_trained_fails(wrong: str, sentence: str, report: Report) -> None:
    check = take_step(Linear(wrong))
    assert check.verdict == "fail"
    assert failure(report, fine_tuning=check).startswith(sentence)


def write_selftest(folder: Path, outputs: np.ndarray) -> None:
    (folder / "assets.extra").mkdir()
    values = {"pixels": PIXELS, "outputs": outputs, "tolerance": np.array(1e-5)}
    np.savez(folder / "assets.extra/selftest.npz", allow_pickle=False, **values)


def test_the_selftest_is_replayed_in_every_way(tmp_path: Path, report: Report) -> None:
    module = Linear()
    write_selftest(tmp_path, module(INPUTS).numpy())
    check = checks.replay_selftest(module, tmp_path)
    assert check.verdict == "pass"
    assert set(check.max_rel) == {"call", "serving_default", "serving_images"}
    module.signatures["serving_images"] = lambda images: {"logits": module(tf.cast(images, tf.float32) / 255)}
    check = checks.replay_selftest(module, tmp_path)
    assert check.verdict == "fail"
    assert failure(report, selftest=check).startswith("fe: the self-test fails (serving_images): relative error ")


def test_tokens_are_replayed_with_their_own_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module, path = Linear(), tmp_path / "assets.extra/selftest.npz"
    write_selftest(tmp_path, module(INPUTS).numpy())
    with np.load(path) as archive:
        test = dict(archive)
    tokens = np.ones((len(test["pixels"]), 2, 3), np.float32)
    module.tokens = lambda inputs: tf.constant(tokens * np.float32(1.001))
    module.signatures["serving_tokens"] = lambda inputs: {"tokens": module.tokens(inputs)}
    for limit, verdict in ((2e-3, Verdict.PASS), (5e-4, Verdict.FAIL)):
        np.savez(path, **test | {"tokens": tokens, "tokens_tolerance": np.array(limit)})
        assert checks.replay_selftest(module, tmp_path).verdict is verdict
        # As the script in the module's folder prints it.
        expected = selftest.read_expected(path)
        assert selftest.report(selftest.relative_errors(module, expected), expected) is (verdict is Verdict.PASS)
        result = "ok" if verdict is Verdict.PASS else "FAILED"
        assert f"serving_tokens: relative error 1.0e-03 (limit {limit:.0e}): {result}" in capsys.readouterr().out


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_other_outputs_fail_the_selftest(value: float, tmp_path: Path) -> None:
    module = Linear()
    outputs = module(INPUTS).numpy()
    write_selftest(tmp_path, outputs)
    module.kernel.assign_add(tf.fill((4, 3), value))
    assert checks.replay_selftest(module, tmp_path).verdict == "fail"


def test_a_module_without_a_selftest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="the module lacks its self-test; run make convert again"):
        checks.replay_selftest(Linear(), tmp_path)


def test_a_module_of_tensorflow_operations_alone_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    call = tf.function(lambda inputs: {"logits": inputs}).get_concrete_function(tf.TensorSpec((None, 3)))
    tf.saved_model.save(module, str(tmp_path), signatures=call)
    with pytest.raises(Fault, match="not a module of this project: it has no XlaCallModule node; run make convert"):
        checks.read_needs(tmp_path)


@pytest.mark.parametrize("wrong", [0.0, 1.001, np.nan])
def test_other_gradients_fail_naming_the_worst(wrong: float, report: Report) -> None:
    expected = {"a": np.ones((2, 3), np.float32), "b": np.full(4, 2.0, np.float32), "c": np.full(1, 1e-9, np.float32)}
    close = {name: value * np.float32(1 + 1e-5) for name, value in expected.items()} | {"c": np.zeros(1, np.float32)}
    assert gradients.compare(close, expected, 2e-4).verdict == "pass"
    check = gradients.compare(close | {"b": expected["b"] * np.float32(wrong)}, expected, 2e-4)
    assert (check.verdict, check.worst) == ("fail", "b")
    assert failure(report, gradients=check).startswith("fe: the gradient of b differs from JAX's: relative error ")


def test_gradients_of_zero_equal_only_zero() -> None:
    zero = {name: np.zeros(2, np.float32) for name in "ab"}
    check = gradients.compare(zero, zero, 2e-4)
    assert (check.max_rel, check.verdict) == (0, "pass")
    check = gradients.compare(zero | {"b": np.full(2, 1e-9, np.float32)}, zero, 2e-4)
    assert (check.worst, check.max_rel, check.verdict) == ("b", math.inf, "fail")


@pytest.mark.parametrize("got", [{}, {"a": None, "b": 1.0}, {"a": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}])
def test_missing_or_other_gradients_fail(got: dict[str, Any], report: Report) -> None:
    check = gradients.compare(got, {name: np.ones(1, np.float32) for name in "ab"}, 2e-4)
    assert failure(report, gradients=check) == (
        "fe: expected a gradient for each of the checkpoint's 2 arrays, got other variables"
    )


def test_outputs_that_depend_on_the_batch_size_fail(report: Report) -> None:
    class Shifted(Linear):
        def __call__(self, inputs: Any, training: bool = False) -> Any:
            return super().__call__(inputs, training) + 1e-3 * len(inputs)

    inputs = np.random.default_rng(0).uniform(-1, 1, (16, 2, 2, 1)).astype(np.float32)
    for module, verdict in ((Linear(), "pass"), (Shifted(), "fail")):
        check = checks.compare_batch_sizes(module, inputs, module(inputs).numpy(), 1e-5)
        assert check.verdict == verdict
    assert failure(report, batch_sizes=check).startswith("fe: outputs for batches of 1 and 16 differ: relative error")


def test_a_killed_process_is_a_fault_and_a_failed_one_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that runs out of memory sends SIGKILL."""
    python = tmp_path / "python"
    folders = dict.fromkeys(Head, tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))
    for ends, raised in (("kill -9 $$", Fault), ("exit 1", RuntimeError)):
        python.write_text(f"#!/bin/sh\n{ends}\n")
        python.chmod(0o755)
        with (
            gradients.start(Model("Mini/8", 16, 3), tmp_path, python, folders, at_once=True) as wait,
            pytest.raises(raised, match=r"killed by SIGKILL; unless somebody did that, memory|status 1"),
        ):
            wait(lambda *_: None)


def test_what_a_network_prints_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], report: Report
) -> None:
    module = report.modules[Head.FE]
    assert module.gradients
    assert module.fine_tuning
    training = TrainingChecks(module.gradients, module.fine_tuning, {"fine_tuning": 0.1})

    def check(*_: object) -> TrainingChecks:
        print("building")
        return training

    monkeypatch.setattr(gradients, "check_training", check)
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])
    monkeypatch.setattr(os, "nice", lambda _: 0)
    gradients.main([json.dumps({"variant": "Mini/8", "image_size": 16, "classes": 3}), "home", "file", "fe=folder"])
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith('fe {"gradients": ')
    assert "building" in printed.err


def test_the_gradients_of_a_small_model_end_with_the_checks_that_failed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, started = tmp_path / "python", tmp_path / "started"
    os.mkfifo(started)
    python.write_text(f"#!/bin/sh\necho $$ >{started}\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with gradients.start(Model("Mini/8", 16, 3), tmp_path, python, dict.fromkeys(Head, tmp_path), at_once=True):
        process = int(started.read_text())
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_gradients_that_memory_is_too_short_for_are_compared_at_the_end_and_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, started = tmp_path / "python", tmp_path / "started"
    python.write_text(f'#!/bin/sh\nshift 5\necho "$@" >>{started}\nkill -9 $$\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    folders = dict.fromkeys(Head, tmp_path)
    with gradients.start(Model("Mini/8", 16, 3), tmp_path, python, folders, at_once=False) as wait:
        assert not started.exists()
        with pytest.raises(Fault, match="killed by SIGKILL"):
            wait(lambda *_: None)
    assert started.read_text() == f"classification={tmp_path} fe={tmp_path} --one-by-one\n"


def test_two_heads_that_are_compared_one_by_one_are_never_compared_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    order = []

    @contextmanager
    def copy(module: str, main: Callable[[], None]) -> Iterator[None]:
        order.append("starts")
        yield
        order.append("ended")

    monkeypatch.setattr(gradients, "start_copy", copy)
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])
    section = json.dumps({"variant": "Mini/8", "image_size": 16, "classes": 3})
    gradients.main([section, "home", "file", "fe=folder", "classification=folder", "--one-by-one"])
    assert order == ["starts", "ended", "starts", "ended"]


@pytest.mark.parametrize(("largest", "level"), [(100, 0), (99, 3)])
def test_programs_of_small_checkpoints_are_compiled_quickly_and_apart(
    largest: int, level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Report,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A program that is compiled without optimization must not get where the checks find those of all processes."""
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(b"0" * 100)
    module = report.modules[Head.FE]
    assert module.gradients
    assert module.fine_tuning
    training = TrainingChecks(module.gradients, module.fine_tuning, {"fine_tuning": 0.1})
    monkeypatch.setattr(gradients, "check_training", lambda *_: training)
    monkeypatch.setattr(gradients, "LARGE", largest)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory=shared")
    gradients.main([json.dumps({"variant": "Mini/8", "image_size": 16, "classes": 3}), "home", str(checkpoint), "fe=f"])
    printed = json.loads(capsys.readouterr().out.removeprefix("fe "))
    assert {printed[check]["optimization_level"] for check in ("gradients", "fine_tuning")} == {level}
    is_quick = os.environ["XLA_FLAGS"].endswith("level=0 --xla_llvm_disable_expensive_passes=true")
    assert (is_quick, "TF_XLA_FLAGS" in os.environ) == (level == 0, level == 3)


def test_gradients_of_large_checkpoints_are_compared_at_once_where_memory_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(b"0" * 100)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    monkeypatch.setattr(gradients, "available_memory", lambda: 1599)
    assert gradients.fits_memory(checkpoint, 224)
    assert gradients.fits_memory(tmp_path / "missing.npz", 224)  # validate says so
    monkeypatch.setattr(gradients, "LARGE", 99)
    assert not gradients.fits_memory(checkpoint, 224)
    monkeypatch.setattr(gradients, "available_memory", lambda: 1600)
    assert gradients.fits_memory(checkpoint, 224)
    assert gradients.fits_memory(checkpoint, 32)
    assert not gradients.fits_memory(checkpoint, 225)
    for flags, is_alone in (
        ("", True),
        ("rR --warn-undefined-variables", True),
        (" -j2 --jobserver-auth=3,4", False),
        ("rR -j --warn-undefined-variables", False),
        ("kj", False),
    ):
        monkeypatch.setenv("MAKEFLAGS", flags)
        assert gradients.fits_memory(checkpoint, 224) == is_alone, flags


# Image files and classes ----------------------------------------------------------------------------------------------
NAMES = ("cat", "dog", "cow")


class Reading(tf.Module):
    """A classifier of 4 pixels by 4 that takes image files."""

    def __init__(self, classes: Classes, decode: Any = signatures.decode) -> None:
        super().__init__()
        self.kernel = tf.constant(np.random.default_rng(1).normal(0, 1, (48, 3)), tf.float32)
        self.decode = decode
        self.signatures = {
            "serving_jpeg": lambda encoded: {"logits": self.of_files(encoded)},
            "serving_classify": lambda encoded: signatures.classify(self.of_files(encoded), classes),
        }

    def __call__(self, inputs: Any) -> Any:
        return tf.reshape(inputs, (-1, 48)) @ self.kernel

    def of_files(self, encoded: Any) -> Any:
        pixels = [prepare(self.decode(file).numpy(), 4, "resize") for file in encoded]
        return self(np.stack(pixels))


def test_image_files_are_read_exactly(report: Report) -> None:
    assert checks.check_encoded(Reading(Classes()), 4, 3, 1e-5).verdict == "pass"

    def decode_quickly(file: Any) -> Any:
        return tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_FAST")

    check = checks.check_encoded(Reading(Classes(), decode_quickly), 4, 3, 1e-5)
    assert failure(report, encoded=check).startswith("fe: the signature serving_jpeg does not read images as Pillow ")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (Classes("sigmoid", NAMES[::-1]), "serving_classify does not name the classes of its largest logits, in the"),
        (Classes("sigmoid"), "serving_classify does not name the classes of its largest logits, in the label file's"),
        (Classes("softmax", NAMES), "serving_classify: probabilities differ by "),
    ],
)
def test_classes_are_named_as_the_logits_say(wrong: Classes, sentence: str, report: Report) -> None:
    right = Classes("sigmoid", NAMES)
    assert checks.check_classes(Reading(right), 4, 3, right, 1e-6).verdict == "pass"
    check = checks.check_classes(Reading(wrong), 4, 3, right, 1e-6)
    assert failure(report, classes=check).startswith(f"fe: {sentence}")


def test_tokens_of_another_shape_are_refused() -> None:
    module = tf.Module()
    module.tokens = lambda inputs: tf.zeros((len(inputs), 3, 8))
    with pytest.raises(Fault, match=r"its tokens are \(2, 3, 8\), expected \(2, 4, 8\); run make convert again"):
        checks.check_tokens(module, INPUTS[:2], np.zeros((2, 4, 8), np.float32), 1e-5)
