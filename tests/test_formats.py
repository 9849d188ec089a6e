"""formats: a published module in every format, loaded by the clients of each, and what is refused."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.facts.formats import FormatName
from pipeline.forms.precision import Precision
from pipeline.forms.quality import BARS, smallest_cosine
from pipeline.litert.metadata import read_metadata
from pipeline.proof.loaders import SelfTest
from pipeline.runtimes import tensorflow_job
from pipeline.runtimes.judging import failures, judge_twin
from pipeline.runtimes.modules import Module, read_module
from pipeline.runtimes.table import FORMATS, select_formats
from pipeline.runtimes.tensorflow_runs import run_modules
from pipeline.runtimes.writing import check_target, write_formats
from pipeline.saved_model.graph import parse
from pipeline.saved_model.selftest import scaled
from tests.conftest import CLASSES, Stage, assert_refused, make, once
from tests.runtimes.test_judging import climb
from tests.snippets import blocks_of

SAVED_MODEL = (
    *("saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"),
    *(f"assets.extra/{name}" for name in ("labels.tsv", "provenance.json", "selftest.npz", "selftest.py")),
)
FILES = {
    *("formats.json", "model.tflite", "model_float16.tflite", "model_int8.tflite"),
    *("config.json", "preprocessor_config.json"),
    *("onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_quantized.onnx"),
    *(f"{folder}/{name}" for folder in ("plain", "bfloat16") for name in SAVED_MODEL),
}


# Refusals -------------------------------------------------------------------------------------------------------------
def test_an_unknown_format_is_refused(tmp_path: Path, stage: Stage) -> None:
    done = stage("formats", tmp_path / "module", tmp_path / "out", "onxn")
    assert_refused(done, "formats: FORMATS: unknown format 'onxn' (did you mean 'onnx'?); expected some of")


def test_a_folder_that_is_no_module_is_refused(tmp_path: Path, stage: Stage) -> None:
    done = stage("formats", tmp_path / "module", tmp_path / "out", "plain")
    assert_refused(done, f"formats: {tmp_path}/module: no saved_model.pb in it; expected the folder of a module")
    (tmp_path / "module").mkdir()
    (tmp_path / "module/saved_model.pb").write_bytes(b"no model")
    done = stage("formats", tmp_path / "module", tmp_path / "out", "plain")
    assert_refused(done, f"formats: {tmp_path}/module: its saved_model.pb (8 bytes) is cut short, damaged or not")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").touch()
    done = stage("formats", tmp_path / "module", tmp_path / "out", "plain")
    assert_refused(done, f"formats: {tmp_path}/out: it exists and is no folder of formats, which has a formats.json;")
    done = stage("formats", tmp_path / "module", tmp_path / "out/thesis.tex", "plain")
    assert_refused(done, "thesis.tex: it exists and is no folder of formats")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_folders_in_the_module_are_refused(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "formats/new"):
        with pytest.raises(Fault, match="it lies in the module; expected another folder for its formats"):
            check_target(tmp_path, target)
    empty = tmp_path / "empty"
    empty.mkdir()
    check_target(tmp_path / "module", empty)
    check_target(tmp_path / "module", tmp_path / "new")


def test_only_a_folder_of_formats_alone_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).touch()
    (target / "formats.json").write_text('{"schema": 2}')
    check_target(tmp_path / "module", target)
    for name in ("thesis.tex", "onnx/notes.txt", "plain/thesis.tex", "bfloat16/thesis.tex", "plain/.git/HEAD"):
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).touch()
        with pytest.raises(Fault, match=f"out: it would be replaced, and has other files than formats: {name}; choose"):
            check_target(tmp_path / "module", target)
        (target / name).unlink()
    for content in ("[]", '{"schema": 1}', '{"fields": ["date"]}'):
        (target / "formats.json").write_text(content)
        with pytest.raises(Fault, match=r"formats\.json: it has no schema 2, as this command writes it; choose a new"):
            check_target(tmp_path / "module", target)
    (target / "formats.json").write_text("")
    with pytest.raises(Fault, match=r"formats\.json:1: not valid JSON \(it is empty\); choose a new folder"):
        check_target(tmp_path / "module", target)


@pytest.mark.slow
def test_another_saved_model_is_refused(models: Path, tmp_path: Path, stage: Stage) -> None:
    done = stage("formats", models / "tensorflow", tmp_path / "out", "plain")
    assert_refused(
        done, "tensorflow: serving_default returns", "expected a module that make convert wrote, which returns"
    )
    assert not (tmp_path / "out").exists()


# All formats ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def written(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every format of the classifier `mini`. Tests must not change it."""

    def build(folder: Path) -> None:
        words = ["formats", "MODEL=mini", "COLLECTION=tiny", f"FORMATS={','.join(FORMATS)}"]
        done = make(published, *words, f"SAVED_MODEL={published}/artifacts/mini/classification", f"OUTPUT={folder}")
        assert done.returncode == 0, done.stderr
        for name in FORMATS:
            assert f"\nformats mini_classification: {name}: {FORMATS[name].path}, " in f"\n{done.stderr}{done.stdout}"

    return once(tmp_path_factory, "formats", build)


@pytest.fixture
def module(published: Path) -> Module:
    """The module that the formats were made from."""
    return read_module(published / "artifacts/mini/classification", published / "model_cards/tiny/mini.yaml")


def test_every_file_is_recorded(written: Path, module: Module) -> None:
    files = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert files == FILES
    record = json.loads((written / "formats.json").read_text())
    assert record["schema"] == 2
    assert record["module"] == {
        "handle": "tester/mini_classification/1",
        "content_sha256": module.facts.content_sha256,
    }
    assert list(record["formats"]) == list(FORMATS)
    recorded = {name: facts for each in record["formats"].values() for name, facts in each["files"].items()}
    assert set(recorded) == FILES - {"formats.json"}
    for name, facts in recorded.items():
        assert facts == {"sha256": sha256_of(written / name), "bytes": (written / name).stat().st_size}
    checks = record["formats"]["litert-int8"]["proof"]["checks"]
    assert checks[0] == {"check": "cosine", "at_least": 0.99}
    assert record["formats"]["plain"]["proof"]["checks"][-1] == {"check": "gradients", "at_most": 2e-4}


def run_litert(file: Path, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(file)).get_signature_runner("serving_default")
    outputs: np.ndarray = runner(inputs=images)["logits"]
    return outputs


def run_onnx(file: Path, images: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    outputs: np.ndarray = session.run(["logits"], {"pixel_values": images.transpose(0, 3, 1, 2)})[0]
    return outputs


def run_tensorflow(folder: Path, images: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    outputs: np.ndarray = tf.saved_model.load(str(folder))(images).numpy()
    return outputs


CLIENTS: dict[str, Callable[[Path, np.ndarray], np.ndarray]] = {
    "TensorFlow": run_tensorflow,
    "LiteRT": run_litert,
    "onnxruntime": run_onnx,
}


def test_the_clients_compute_what_the_module_does(written: Path, module: Module) -> None:
    test: SelfTest = module.test
    for each in FORMATS.values():
        outputs = CLIENTS[each.runtime](written / each.path, scaled(test.pixels))
        if each.precision is Precision.FLOAT32:
            assert test.relative_error(outputs) <= test.tolerance, each
        else:
            assert smallest_cosine(outputs, test.outputs) >= BARS[each.precision].cosine, each
            assert test.relative_error(outputs) > test.tolerance, each  # it is another precision


def test_the_code_of_the_page_runs(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks_of("docs/formats.md")
    (tmp_path / "snippet.py").write_text(code.replace("28, 28", "16, 16"))
    monkeypatch.chdir(written)
    assert runpy.run_path(str(tmp_path / "snippet.py"))["logits"].shape == (1, 3)


def test_the_code_of_the_page_on_bfloat16_runs(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks_of("docs/bfloat16.md")
    monkeypatch.chdir(written)
    variables: dict[str, Any] = {"images": np.zeros((1, 16, 16, 3), np.float32)}
    exec(code, variables)
    assert variables["logits"].shape == (1, 3)


def test_the_code_of_the_pages_on_files_names_a_class(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an image, by its name from inside the file: LiteRT prints all three classes, ONNX the likeliest."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (litert,), (onnx,) = blocks_of("docs/litert.md"), blocks_of("docs/onnx.md")[:1]
    (labels,) = blocks_of("docs/litert.md", "sh")
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save("image.png")
    monkeypatch.setattr(sys, "argv", ["classify.py", "model_int8.tflite", "image.png"])
    exec(litert, {})
    exec(onnx, {})
    *by_litert, by_onnx = capsys.readouterr().out.splitlines()
    names = [line.split("  ")[1] for line in by_litert]
    assert sorted(names) == sorted(name.title() for name in CLASSES)
    assert by_onnx in names
    if shutil.which("unzip"):
        done = subprocess.run(["sh", "-c", labels], capture_output=True, text=True, check=False)
        assert done.stdout.splitlines() == [name.title() for name in CLASSES]  # its status may be 1: a prefix


def test_without_a_member_the_files_state_no_handle(published: Path, tmp_path: Path, stage: Stage) -> None:
    import onnx

    done = stage("formats", published / "artifacts/mini/classification", tmp_path / "out", "onnx")
    assert done.returncode == 0, done.stderr
    assert "mini_classification: 1 format in " in done.stdout + done.stderr
    facts = {each.key: each.value for each in onnx.load(tmp_path / "out/onnx/model.onnx").metadata_props}
    assert "handle" not in facts
    assert (facts["title"], facts["license"]) == ("mini_classification (image classifier)", "NOASSERTION")
    assert json.loads((tmp_path / "out/formats.json").read_text())["module"]["handle"] is None


def test_the_files_know_their_member(written: Path) -> None:
    metadata = read_metadata((written / "model_int8.tflite").read_bytes(), "model_int8.tflite")
    assert (metadata.license, metadata.author, metadata.labels) == ("apache-2.0", "tester", ("Red", "Green", "Blue"))
    assert metadata.source.module == "tester/mini_classification/1"
    assert json.loads((written / "config.json").read_text())["id2label"]["2"] == "Blue"


def test_a_file_with_another_weight_fails_its_proof(written: Path, module: Module, tmp_path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray((written / "model.tflite").read_bytes())
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    largest = max((each.data.tobytes() for each in model.buffers if each.data is not None), key=len)
    place = content.index(largest)
    content[place : place + len(largest) // 2] = bytes(len(largest) // 2)
    (tmp_path / "model.tflite").write_bytes(content)
    assert failures(climb("litert", tmp_path, module.test)).startswith("parity ")
    (tmp_path / "onnx").mkdir()
    shutil.copy(written / "onnx/model_quantized.onnx", tmp_path / "onnx/model.onnx")
    assert failures(climb("onnx", tmp_path, module.test)).startswith("parity ")


def test_a_module_that_fails_its_selftest_has_no_formats(module: Module, tmp_path: Path) -> None:
    wrong = replace(module, test=replace(module.test, outputs=module.test.outputs + np.float32(0.1)))
    message = f"{tmp_path}/out/onnx/model.onnx: it fails its checks: parity "
    with pytest.raises(Fault, match=f"^{re.escape(message)}"):
        write_formats(wrong, tmp_path / "out", select_formats(["onnx"]))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.long
@pytest.mark.parametrize("is_large", [False, True])
def test_a_second_run_gives_the_same_bytes(
    written: Path, module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    """Also where each step runs alone, as those of large modules do."""
    if is_large:
        monkeypatch.setattr(tensorflow_job, "_TOGETHER", 0)
    write_formats(module, tmp_path / "out", select_formats(FORMATS))
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == FILES
    assert [name for name in files if sha256_of(tmp_path / "out" / name) != sha256_of(written / name)] == []


@pytest.mark.long
def test_a_twin_that_computes_or_differentiates_otherwise_fails(written: Path, module: Module, tmp_path: Path) -> None:
    run = run_modules(module.folder, {FormatName.PLAIN: written / "plain"}, None).twins[FormatName.PLAIN]
    assert failures(judge_twin(Head.CLASSIFICATION, run, module.test)) == ""
    wrong = replace(module.test, outputs=module.test.outputs + np.float32(1e-3))
    other = replace(run, errors={"call": wrong.relative_error(module.test.outputs)})
    assert failures(judge_twin(Head.CLASSIFICATION, other, wrong)).startswith("parity ")
    twin = tmp_path / "plain"
    shutil.copytree(written / "plain", twin)
    saved_model = parse((twin / "saved_model.pb").read_bytes(), twin)
    for function in saved_model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "Identity" and node.attr["T"].type == 1:  # float32
                node.op = "StopGradient"
    (twin / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    stopped = run_modules(module.folder, {FormatName.PLAIN: twin}, None).twins[FormatName.PLAIN]
    failed = failures(judge_twin(Head.CLASSIFICATION, stopped, module.test))
    assert "gradients inf" in failed
    assert "training 40" in failed
