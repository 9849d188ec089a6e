"""The ONNX files of small modules, in onnxruntime: a ViT and a hybrid, both heads."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts, Publication, read_facts
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.forms.running import run_files
from pipeline.onnx_form.files import write_files
from pipeline.onnx_form.forms import CONFIGURATION, FILES, file_name
from pipeline.onnx_form.running import RUNNER, Model
from pipeline.saved_model.files import folder_digest
from tests.conftest import once

pytestmark = pytest.mark.slow

MODULES = ("mini/classification", "mini/fe", "rati/classification", "rati/fe")
LIMITS = {
    Precision.FLOAT32: 1e-5,
    Precision.FLOAT16: 2e-2,
    Precision.INT8: 0.15,
}  # relative to the largest output; random weights
HYBRID = 5e-5  # of float32

PUBLICATION = Publication("Mini", "publisher/mini/2", license="apache-2.0")


def source(published: Path, module: str) -> Path:
    return published / "artifacts" / module


def facts_of(folder: Path) -> Facts:
    return read_facts(folder, Head(folder.name), PUBLICATION)


def write(folder: Path, target: Path) -> None:
    write_files(folder, target, facts_of(folder))


@pytest.fixture(scope="session")
def written(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of all modules. Tests must not change them."""

    def build(folder: Path) -> None:
        for module in MODULES:
            write(source(published, module), folder / module)

    return once(tmp_path_factory, "onnx_files", build)


def selftest(folder: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the images, the outputs in float64 JAX, and the scale of the errors."""
    with np.load(folder / "assets.extra/selftest.npz") as archive:
        pixels = archive["pixels"].astype(np.float32)
        return (pixels - np.float32(127.5)) / np.float32(127.5), archive["outputs"], float(archive["scale"])


@pytest.mark.parametrize("module", MODULES)
def test_the_files_compute_what_jax_does(published: Path, written: Path, module: str) -> None:
    images, expected, scale = selftest(source(published, module))
    for precision, limit in LIMITS.items():
        outputs = Model(written / module / file_name(precision), threads=1)(images)
        error = np.abs(outputs.astype(np.float64) - expected).max() / scale
        is_exact = precision is Precision.FLOAT32 and module.startswith("rati")
        assert error < (HYBRID if is_exact else limit), (precision, error)
        if precision is not Precision.FLOAT32:
            assert error > 1e-6, precision  # it is another precision


def test_a_run_in_a_process_of_its_own(written: Path) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (35, 16, 16, 3)).astype(np.float32)
    files = [written / "mini/fe" / file_name(precision) for precision in (Precision.FLOAT32, Precision.FLOAT16)]
    runs = run_files(RUNNER, files, images, threads=1, rounds=2)
    for file, run in zip(files, runs, strict=True):
        np.testing.assert_allclose(run.outputs[32], Model(file, threads=1)(images), atol=1e-3)
        np.testing.assert_allclose(run.outputs[1], run.outputs[32], atol=1e-3)
        assert min(run.load_seconds, run.first_seconds, run.rates[1], run.rates[32]) > 0
        assert run.version == onnxruntime.__version__
    assert run_files(RUNNER, files[:1], images[:1], rounds=0)[0].rates == {}


@pytest.mark.parametrize("module", MODULES)
def test_one_file_takes_batches_of_any_size(written: Path, module: str) -> None:
    size = json.loads((written / module / CONFIGURATION).read_text())["image_size"]
    images = np.random.default_rng(0).uniform(-1, 1, (3, size, size, 3)).astype(np.float32)
    model = Model(written / module / file_name(Precision.FLOAT32), threads=1)
    whole = model(images)
    single = np.concatenate([model(each[np.newaxis]) for each in images])
    np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", MODULES)
def test_the_checker_accepts_them(written: Path, module: str) -> None:
    for precision in OF_FILES:
        model = onnx.load(written / module / file_name(precision))
        onnx.checker.check_model(model, full_check=True)
        types = {each.type.tensor_type.elem_type for each in (*model.graph.input, *model.graph.output)}
        assert types == {onnx.TensorProto.FLOAT}
        (output,) = model.graph.output
        assert output.name == ("logits" if module.endswith("classification") else "image_embeds")


def test_weights_have_their_names_and_types(written: Path) -> None:
    for precision, dtype in {
        Precision.FLOAT32: onnx.TensorProto.FLOAT,
        Precision.FLOAT16: onnx.TensorProto.FLOAT16,
    }.items():
        model = onnx.load(written / "mini/classification" / file_name(precision))
        types = {each.name: each.data_type for each in model.graph.initializer}
        assert types["head/kernel"] == types["embedding/kernel"] == dtype
        assert types["Transformer/encoder_norm/scale"] == onnx.TensorProto.FLOAT
    kinds = [
        node.op_type for node in onnx.load(written / "mini/classification" / file_name(Precision.FLOAT32)).graph.node
    ]
    assert {"LayerNormalization", "Gelu", "Softmax"} <= set(kinds)
    integers = [
        node.op_type for node in onnx.load(written / "mini/classification" / file_name(Precision.INT8)).graph.node
    ]
    assert integers.count("MatMulInteger") == kinds.count("MatMul") - 2 * kinds.count("Softmax")  # two have no weights


def test_kernels_of_hybrids_are_standardised_in_the_file(written: Path) -> None:
    """Means and deviations of weights are computed once, not in each call; images are transposed once."""
    model = onnx.load(written / "rati/classification" / file_name(Precision.FLOAT32))
    kinds = [node.op_type for node in model.graph.node]
    assert "InstanceNormalization" in kinds
    assert not {"Sqrt", "Reciprocal", "ReduceSum"} & set(kinds)
    images = [node for node in model.graph.node if node.op_type == "Transpose" and len(node.attribute[0].ints) == 4]
    permutations = [tuple(node.attribute[0].ints) for node in images]
    assert permutations.count((0, 2, 3, 1)) <= 1 + kinds.count("Softmax")
    assert permutations.count((0, 3, 1, 2)) == 0
    names = {each.name for each in model.graph.initializer}
    assert "conv_root/kernel" in names


def test_metadata(published: Path, written: Path) -> None:
    digest = folder_digest(source(published, "mini/classification"))
    for precision in OF_FILES:
        path = written / "mini/classification" / file_name(precision)
        read = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta()
        assert read.custom_metadata_map["precision"] == precision
        assert read.custom_metadata_map["content_sha256"] == digest
        assert read.producer_name == "vit-publisher"


def test_a_rebuild_gives_the_same_bytes(published: Path, written: Path, tmp_path: Path) -> None:
    folder = source(published, "rati/classification")
    write(folder, tmp_path / "again")
    digests = [
        [sha256_of(each / name) for name in FILES] for each in (written / "rati/classification", tmp_path / "again")
    ]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(FILES)


def test_only_the_forms_that_are_wanted_are_written(published: Path, written: Path, tmp_path: Path) -> None:
    folder, target = source(published, "mini/classification"), tmp_path / "out"
    for precisions in ((Precision.FLOAT16,), (Precision.FLOAT32, Precision.INT8)):
        write_files(folder, target, facts_of(folder), precisions)
        assert {f"onnx/{path.name}" for path in target.glob("onnx/*.onnx")} == {
            file_name(precision) for precision in precisions
        }
        for precision in precisions:
            assert sha256_of(target / file_name(precision)) == sha256_of(
                written / "mini/classification" / file_name(precision)
            )


def refused(folder: Path, target: Path, labels: tuple[str, ...]) -> str:
    """Returns why a module is refused; nothing is left behind."""
    facts = Facts(Head.CLASSIFICATION, "0" * 64, 3, PUBLICATION, labels)
    with pytest.raises(Fault) as refusal:
        write_files(folder, target / "out", facts)
    assert not (target / "out").exists()
    return str(refusal.value)


def test_what_does_not_fit_is_refused(ours: Path, models: Path, tmp_path: Path) -> None:
    assert "ours: 3 labels for 2 outputs; convert the member again" in refused(ours, tmp_path, ("a", "b", "c"))
    assert "the signature serving_default computes MatMul" in refused(models / "tensorflow", tmp_path, ())
    (ours / "variables/variables.data-00000-of-00001").write_bytes(bytes(4000))
    assert "ours: the checksum of the variable" in refused(ours, tmp_path, ())


def test_files_that_onnxruntime_cannot_read_or_run(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(Fault, match=r"model.onnx: onnxruntime cannot load it \(.*\); write it again"):
        Model(path, threads=1)
    model = Model(written / "mini/classification" / file_name(Precision.FLOAT32), threads=1)
    with pytest.raises(Fault, match=r"model.onnx: onnxruntime fails on images, float32 \(1, 9, 9, 3\)"):
        model(np.zeros((1, 9, 9, 3), np.float32))
