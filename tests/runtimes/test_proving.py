"""A file is proven in its own runtime, and one that computes something else is refused; with files made by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts, Publication
from pipeline.forms.quality import smallest_cosine
from pipeline.proof.loaders import SelfTest
from pipeline.runtimes.modules import BATCHES, Module, example_images
from pipeline.runtimes.proving import Check, check_twin, prove
from pipeline.runtimes.table import FORMATS
from pipeline.runtimes.twin_runs import TwinRun
from pipeline.saved_model.selftest import scaled
from tests.litert.models import mean_model

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 2, 2, 3), np.uint8)
OUTPUTS = scaled(PIXELS).mean(axis=(1, 2))
TEST = SelfTest(PIXELS, OUTPUTS, tolerance=1e-5, scale=float(np.abs(OUTPUTS).max()))


def module(test: SelfTest = TEST) -> Module:
    return Module(Path("module"), test, Facts(Head.CLASSIFICATION, "0" * 64, 2, Publication("Module")))


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


@pytest.mark.parametrize(("name", "write"), [("litert", write_litert), ("onnx", write_onnx)])
def test_a_file_that_computes_the_same_is_proven(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path)
    proof = prove(FORMATS[name], tmp_path, module())
    assert proof.runtime is FORMATS[name].runtime
    assert proof.version.count(".") == 2
    assert [(check.name, check.limit) for check in proof.checks] == [
        ("self-test", 1e-5),
        ("batches of 1, 2 and 5", 1e-5),
    ]
    assert all(check.passes for check in proof.checks)


def test_a_wrong_weight_is_refused(tmp_path: Path) -> None:
    write_onnx(tmp_path, factor=1.0001)
    message = (
        r"onnx/model\.onnx: onnxruntime computes another result than the module"
        r" \(self-test: relative error 1\.0e-04 \(limit 1e-05\)\); leave the format onnx out"
    )
    with pytest.raises(Fault, match=message):
        prove(FORMATS["onnx"], tmp_path, module())


def test_images_of_a_batch_that_are_mixed_are_refused(tmp_path: Path) -> None:
    write_onnx(tmp_path, is_mixed=True)
    with pytest.raises(Fault, match=r"batches of 1, 2 and 5: relative error \d\.\de[+-]0\d \(limit 1e-05\)"):
        prove(FORMATS["onnx"], tmp_path, module())


def test_another_result_of_litert_is_refused(tmp_path: Path) -> None:
    write_litert(tmp_path)
    test = replace(TEST, outputs=OUTPUTS + np.float32(1e-3))
    with pytest.raises(Fault, match=r"model\.tflite: LiteRT computes another result than the module"):
        prove(FORMATS["litert"], tmp_path, module(test))


@pytest.mark.parametrize(("angle", "passes"), [(0.13, True), (0.15, False)])
def test_quantized_files_are_judged_by_the_cosine(angle: float, passes: bool, tmp_path: Path) -> None:
    """0.99 is that of 0.141 radians."""
    (tmp_path / "model_int8.tflite").write_bytes(mean_model())
    other = np.cross(OUTPUTS, [[1.0, 0.0, 0.0]])  # at a right angle
    other *= np.linalg.norm(OUTPUTS) / np.linalg.norm(other)
    test = replace(TEST, outputs=math.cos(angle) * OUTPUTS + math.sin(angle) * other)
    if passes:
        check, batches = prove(FORMATS["litert-int8"], tmp_path, module(test)).checks
        assert check.value == pytest.approx(math.cos(angle), abs=1e-5)
        assert batches.value == pytest.approx(1)
    else:
        with pytest.raises(
            Fault, match=r"self-test: cosine 0\.98\d+ \(at least 0\.99\)\); leave the format litert-int8"
        ):
            prove(FORMATS["litert-int8"], tmp_path, module(test))


def test_a_cosine_of_other_shapes_or_zeros_passes_nothing() -> None:
    ones = np.ones((2, 3), np.float32)
    assert smallest_cosine(ones, 2 * ones) == pytest.approx(1)
    for got in (ones[:1], 0 * ones, np.full_like(ones, np.nan)):
        assert not Check("self-test", smallest_cosine(got, ones), 0.99, is_least=True).passes
    assert not Check("self-test", math.nan, 1e-5).passes


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
        (replace(RUN, errors=RUN.errors | {"session_serving_default": math.nan}), ["self-test by every signature"]),
        (replace(RUN, errors=RUN.errors | {"serving_images": 2e-5}), ["self-test by every signature"]),
        (replace(RUN, batches=1e-3), ["batches of 1, 2 and 5"]),
        (replace(RUN, gradients=1e-2), ["gradients of the module"]),
        (replace(RUN, gradients=math.inf), ["gradients of the module"]),
    ],
)
def test_a_twin_is_judged_by_every_figure(run: TwinRun, failed: list[str]) -> None:
    assert [check.name for check in check_twin(run, TEST) if not check.passes] == failed


def test_gradients_of_less_exact_networks_may_differ_more() -> None:
    test = replace(TEST, tolerance=5e-5)
    assert all(check.passes for check in check_twin(replace(RUN, gradients=1e-2), test))
    assert not all(check.passes for check in check_twin(replace(RUN, gradients=0.1), test))


def test_images_of_a_proof_differ() -> None:
    images = example_images(TEST)
    assert images.shape == (max(BATCHES), 2, 2, 3)
    assert len({image.tobytes() for image in images}) == len(images)
    np.testing.assert_array_equal(images[:1], scaled(PIXELS))
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1
