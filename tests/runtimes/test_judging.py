"""A file that computes something else fails its proof in its own runtime; with files made by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.formats import FormatName, OnImages
from pipeline.facts.report import Rung
from pipeline.forms.precision import Precision
from pipeline.forms.quality import EXACT, Bar
from pipeline.forms.running import run_files
from pipeline.litert import running as litert
from pipeline.onnx_form import running as onnxruntime
from pipeline.proof.loaders import SelfTest
from pipeline.runtimes.judging import Images, compare_on_images, failures, judge_file, judge_quality, judge_twin
from pipeline.runtimes.modules import BATCHES, example_images
from pipeline.runtimes.table import FORMATS, Runtime
from pipeline.runtimes.tensorflow_runs import TwinRun
from pipeline.saved_model.selftest import scaled
from tests.litert.models import mean_model

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 2, 2, 3), np.uint8)
OUTPUTS = scaled(PIXELS).mean(axis=(1, 2))
TEST = SelfTest(PIXELS, OUTPUTS, tolerance=1e-5, scale=float(np.abs(OUTPUTS).max()))


def write_litert(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(mean_model())


def write_onnx(folder: Path, factor: float = 1.0, is_mixed: bool = False) -> None:
    """Writes a model that computes the mean of each channel, times a factor.

    Args:
        folder: of all formats.
        factor: a weight.
        is_mixed: take the mean of all images of a batch.
    """
    axes = [0, 2, 3] if is_mixed else [2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values", "axes"], ["mean"], keepdims=int(is_mixed)),
        *([helper.make_node("Squeeze", ["mean", "space"], ["vector"])] if is_mixed else []),
        *([helper.make_node("Shape", ["pixel_values"], ["count"], start=0, end=1)] if is_mixed else []),
        *([helper.make_node("Concat", ["count", "three"], ["shape"], axis=0)] if is_mixed else []),
        *([helper.make_node("Expand", ["vector", "shape"], ["wide"])] if is_mixed else []),
        helper.make_node("Mul", ["wide" if is_mixed else "mean", "factor"], ["logits"]),
    ]
    weights = {"axes": np.array(axes), "space": np.array([2, 3]), "three": np.array([3]), "factor": np.float32(factor)}
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("pixel_values", onnx.TensorProto.FLOAT, ["n", 3, 2, 2])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (folder / "onnx").mkdir()
    onnx.save(model, folder / "onnx/model.onnx")


def climb(name: str, folder: Path, test: SelfTest = TEST) -> tuple[Rung, ...]:
    """Runs a file in its runtime, in a process of its own, and returns the rungs of its proof."""
    wanted = FORMATS[FormatName(name)]
    runner = litert.RUNNER if wanted.runtime is Runtime.LITERT else onnxruntime.RUNNER
    (run,) = run_files(runner, [folder / wanted.path], example_images(test), BATCHES, rounds=0)
    assert run.version.count(".") == 2
    return judge_file(Head.CLASSIFICATION, wanted, list(run.outputs.values()), test)


@pytest.mark.parametrize(("name", "write"), [("litert", write_litert), ("onnx", write_onnx)])
def test_a_file_that_computes_the_same_is_proven(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    ladder = climb(name, tmp_path)
    assert [(rung.rung, rung.tolerance) for rung in ladder] == [("parity", 1e-5), ("batch sizes", 1e-5)]
    assert {rung.verdict for rung in ladder} == {Verdict.PASS}
    assert failures(ladder) == ""


def test_a_wrong_weight_fails(tmp_path: Path) -> None:
    write_onnx(tmp_path, factor=1.0001)
    assert failures(climb("onnx", tmp_path)) == "parity 0.0001 (at most 1e-05)"


def test_images_of_a_batch_that_are_mixed_fail(tmp_path: Path) -> None:
    write_onnx(tmp_path, is_mixed=True)
    assert "batch sizes " in failures(climb("onnx", tmp_path))


def test_another_result_of_litert_fails(tmp_path: Path) -> None:
    write_litert(tmp_path)
    test = replace(TEST, outputs=OUTPUTS + np.float32(1e-3))
    assert failures(climb("litert", tmp_path, test)).startswith("parity ")


@pytest.mark.parametrize(("angle", "passes"), [(0.13, True), (0.15, False)])
def test_quantized_files_are_judged_by_the_cosine(angle: float, passes: bool, tmp_path: Path) -> None:
    """0.99 is that of 0.141 radians."""
    (tmp_path / "model_int8.tflite").write_bytes(mean_model())
    other = np.cross(OUTPUTS, [[1.0, 0.0, 0.0]])  # at a right angle
    other *= np.linalg.norm(OUTPUTS) / np.linalg.norm(other)
    test = replace(TEST, outputs=math.cos(angle) * OUTPUTS + math.sin(angle) * other)
    ladder = climb("litert-int8", tmp_path, test)
    cosine, error, batches = ladder
    assert cosine.value == pytest.approx(math.cos(angle), abs=1e-5)
    assert error.value is not None
    assert 0 < error.value < 0.25
    assert batches.value == pytest.approx(1)
    assert failures(ladder) == ("" if passes else f"cosine {math.cos(angle):.5f} (at least 0.99)")


BAR = Bar(size=0.34, top1=0.003, same_class=0.995, cosine=0.99)
GOOD = OnImages(1000, "the test set", cosine=0.9991, same_class=0.995, top1=0.916, module_top1=0.919)


@pytest.mark.parametrize(
    ("share", "on_images", "failed"),
    [
        (0.34, GOOD, ""),
        (0.341, GOOD, "size 0.34 (at most 0.34)"),
        (0.35, GOOD, "size 0.35 (at most 0.34)"),
        (0.33, replace(GOOD, same_class=None, top1=None, module_top1=None), ""),
        (
            1,
            replace(GOOD, cosine=0, same_class=0, top1=0),
            "size 1 (at most 0.34); cosine on images 0.00000 (at least 0.99); same class 0.00000 (at least 0.995);"
            " top-1 difference 0.92 (at most 0.003)",
        ),
        (0.3, replace(GOOD, cosine=0.98), "cosine on images 0.98000 (at least 0.99)"),
        (0.3, replace(GOOD, cosine=math.nan), "cosine on images nan (at least 0.99)"),
        (0.3, replace(GOOD, same_class=0.994), "same class 0.99400 (at least 0.995)"),
        (0.3, replace(GOOD, top1=0.915), "top-1 difference 0.004 (at most 0.003)"),
        (0.3, replace(GOOD, top1=0.923), "top-1 difference 0.004 (at most 0.003)"),  # better by luck, yet another model
        (0.3, None, ""),
    ],
)
def test_a_quantized_file_must_keep_every_figure_of_its_bar(
    share: float, on_images: OnImages | None, failed: str
) -> None:
    ladder = judge_quality(Head.CLASSIFICATION, BAR, share, on_images)
    assert failures(ladder) == failed
    assert ("not measured" in {rung.verdict for rung in ladder}) == (on_images is None)


def test_formats_are_compared_with_the_module_on_images() -> None:
    module = np.eye(4, dtype=np.float32) + 1
    outputs = module.copy()
    outputs[0, :2] = outputs[0, 1::-1]  # another class for the first image
    images = Images(np.zeros((4, 2, 2, 3), np.float32), np.array([0, 1, 2, 0]), "noise")
    found = compare_on_images(Head.CLASSIFICATION, outputs, module, images)
    assert (found.images, found.of, found.same_class, found.top1, found.module_top1) == (4, "noise", 0.75, 0.5, 0.75)
    assert found.cosine < 1
    assert compare_on_images(Head.CLASSIFICATION, module, module, replace(images, labels=None)).top1 is None
    between = float(module[0] @ module[1] / (module[1] @ module[1]))
    assert found.cosine == pytest.approx(between)
    features = compare_on_images(Head.FE, outputs, module, images)
    assert (features.same_class, features.top1, features.cosine) == (None, None, found.cosine)


def test_a_cosine_of_other_shapes_or_zeros_passes_nothing() -> None:
    ones = np.ones((1, 3), np.float32)
    test = replace(TEST, outputs=ones)
    wanted = FORMATS[FormatName.LITERT_INT8]
    test = replace(test, scale=1.0)
    assert failures(judge_file(Head.FE, wanted, [1.2 * ones, 1.2 * ones], test)) == ""
    for got, cosine in (
        (np.ones((1, 2), np.float32), "nan"),
        (0 * ones, "0.00000"),
        (np.full_like(ones, np.nan), "nan"),
    ):
        assert failures(judge_file(Head.FE, wanted, [got, got], test)).startswith(f"cosine {cosine}")
    # A factor leaves the cosine as it is, and that of single outputs tells nothing.
    for factor, columns in ((7, 3), (1.5, 1)):
        one = replace(test, outputs=ones[:, :columns])
        got = factor * ones[:, :columns]
        assert failures(judge_file(Head.CLASSIFICATION, wanted, [got, got], one)).startswith("relative error ")


def test_files_of_float32_are_judged_on_images_too() -> None:
    assert judge_quality(Head.FE, EXACT, 1, None)[0].verdict is Verdict.NOT_MEASURED
    assert failures(judge_quality(Head.CLASSIFICATION, EXACT, 1, replace(GOOD, cosine=0.99995, same_class=1.0))) == ""
    bad = replace(GOOD, cosine=math.nan, same_class=0.55)
    assert failures(judge_quality(Head.CLASSIFICATION, EXACT, 1, bad)) == (
        "cosine on images nan (at least 0.9999); same class 0.55000 (at least 0.995)"
    )


RUN = TwinRun(
    errors={"call": 1e-6, "serving_default": 2e-6},
    batches=3e-7,
    gradients=4e-6,
    variable="a",
    missing=(),
    version="2.21.0",
)


@pytest.mark.parametrize(
    ("run", "failed"),
    [
        (RUN, []),
        (replace(RUN, gradients=None, variable=None), []),
        (replace(RUN, errors=RUN.errors | {"session_serving_default": math.nan}), ["parity"]),
        (replace(RUN, errors=RUN.errors | {"serving_images": 2e-5}), ["parity"]),
        (replace(RUN, batches=1e-3), ["batch sizes"]),
        (replace(RUN, gradients=1e-2), ["gradients"]),
        (replace(RUN, gradients=math.inf), ["gradients"]),
        (replace(RUN, missing=("a", "b")), ["training"]),
    ],
)
def test_a_twin_is_judged_by_every_figure(run: TwinRun, failed: list[str]) -> None:
    ladder = judge_twin(Head.CLASSIFICATION, run, TEST)
    assert [rung.rung for rung in ladder if rung.verdict is Verdict.FAIL] == failed


def test_gradients_of_less_exact_networks_may_differ_more() -> None:
    test = replace(TEST, tolerance=5e-5)
    assert not failures(judge_twin(Head.FE, replace(RUN, gradients=1e-2), test))
    assert failures(judge_twin(Head.FE, replace(RUN, gradients=0.1), test)) == "gradients 0.1 (at most 0.05)"


def test_tokens_are_judged_by_their_own_limit() -> None:
    run, test = replace(RUN, errors=RUN.errors | {"serving_tokens": 2e-5, "tokens": 1e-5}), TEST
    assert failures(judge_twin(Head.FE, run, test)) == "tokens 2e-05 (at most 1e-05)"
    assert not failures(judge_twin(Head.FE, run, replace(test, tokens_tolerance=3e-5)))
    coarse = replace(run, errors=run.errors | {"session_serving_tokens": 0.05})
    assert failures(judge_twin(Head.FE, coarse, test, Precision.BFLOAT16)) == "tokens 0.05 (at most 0.03)"
    assert not failures(judge_twin(Head.FE, coarse, replace(test, tokens_tolerance=3e-5), Precision.BFLOAT16))


def test_a_bfloat16_twin_has_limits_of_its_own() -> None:
    run = replace(RUN, errors=dict.fromkeys(RUN.errors, 2e-2), batches=2e-2, gradients=0.1)
    assert not failures(judge_twin(Head.CLASSIFICATION, run, TEST, Precision.BFLOAT16))
    assert failures(judge_twin(Head.CLASSIFICATION, run, TEST))
    for change in ({"errors": {"call": 4e-2}}, {"batches": 4e-2}, {"gradients": 0.3}, {"missing": ("a",)}):
        ladder = judge_twin(Head.CLASSIFICATION, replace(run, **change), TEST, Precision.BFLOAT16)
        assert failures(ladder), change


def test_images_of_a_proof_differ() -> None:
    images = example_images(TEST)
    assert images.shape == (max(BATCHES), 2, 2, 3)
    assert len({image.tobytes() for image in images}) == len(images)
    np.testing.assert_array_equal(images[:1], scaled(PIXELS))
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1
