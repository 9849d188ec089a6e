"""The audit of the further formats of a hub's modules: each planted fault is named."""

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from onnx import helper

from pipeline.base import yaml_sections
from pipeline.base.heads import Head
from pipeline.facts.collection import Module, collection_of
from pipeline.facts.report import load_report
from pipeline.package import package
from pipeline.publish import Outputs, publish_member
from tests.format_outputs import formats_of, write_formats
from tests.hubs import read_document, store_again, write_document
from tests.reports import REPORT
from tests.test_audit import DEMO, faults, publish, write_saved_model
from tests.test_publish import overwrite

HANDLE = "vit-publisher/vit_demo_classification/2"
NAMES = ("plain", "litert", "onnx")


def litert_file(module: str, content: str) -> bytes:
    """Returns a file with what LiteRT files of this project say of themselves, behind no model."""
    stream = io.BytesIO(b"no model")
    with zipfile.ZipFile(stream, "a") as archive:
        source = {"module": module, "content_sha256": content, "form": "float32", "activation": "softmax"}
        archive.writestr("module.json", json.dumps(source))
    return stream.getvalue()


def onnx_file(properties: Mapping[str, str]) -> bytes:
    """Returns an ONNX file of an empty graph."""
    model = helper.make_model(helper.make_graph([], "empty", [], []))
    helper.set_model_props(model, dict(properties))
    content: bytes = model.SerializeToString()
    return content


def plain_file(folder: Path, valued: bool = True) -> bytes:
    write_saved_model(folder / "plain", "logits", 10, valued=valued)
    package(folder / "plain", folder / "plain.tar.gz")
    return (folder / "plain.tar.gz").read_bytes()


@pytest.fixture(scope="module")
def with_formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good hub, whose classifier is there in further formats; tests must not change it."""
    folder = tmp_path_factory.mktemp("formats")
    artifacts, member = folder / "artifacts/vit_demo", DEMO / "vit_demo.yaml"
    publish(artifacts, folder / "hub", REPORT)
    report = load_report(artifacts / "report.json")
    content = report.modules[Head.CLASSIFICATION].content_sha256
    files = {
        "plain.tar.gz": plain_file(folder),
        "model.tflite": litert_file(HANDLE, content),
        "onnx/model.onnx": onnx_file({"title": "ViT", "handle": HANDLE, "content_sha256": content}),
    }
    write_formats(artifacts, NAMES, files, heads=[Head.CLASSIFICATION])
    module, (collection, _) = yaml_sections.load(member, "module", Module), collection_of(member, None)
    outputs = Outputs("vit_demo", module, collection, artifacts, report, formats=formats_of(artifacts))
    publish_member(outputs, folder / "hub", artifacts / "published.json")
    return folder


@pytest.fixture
def folder(with_formats: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(with_formats, tmp_path / "copy"))


def replace(folder: Path, name: str, content: bytes) -> list[str]:
    """Replaces a file of a format, as the index has it, too; returns what the audit finds."""
    overwrite(folder / f"hub/{HANDLE}/{name}", content)
    store_again(folder / "hub")
    return faults(folder)


def content_of(folder: Path) -> str:
    return load_report(folder / "artifacts/vit_demo/report.json").modules[Head.CLASSIFICATION].content_sha256


def test_a_good_hub_with_formats_has_no_faults(with_formats: Path) -> None:
    assert len(read_document(with_formats / "hub")["modules"][HANDLE]["formats"]) == len(NAMES)
    assert faults(with_formats) == []


def test_a_litert_file_of_another_module(folder: Path) -> None:
    other, content = "vit-publisher/vit_demo_fe/2", content_of(folder)
    where, repair = f"{HANDLE}/model.tflite: ", "; raise module.version and publish it again"
    assert replace(folder, "model.tflite", litert_file(other, "0" * 64)) == [
        f"{where}says that it was made from {other}, not from {HANDLE}{repair}",
        f"{where}made from a SavedModel of content {'0' * 64}, the tarball of {HANDLE} has {content}{repair}",
    ]
    (fault,) = replace(folder, "model.tflite", litert_file("", content))
    assert "made from a module without a handle" in fault


@pytest.mark.parametrize(
    "content", [b"TFL3", litert_file(HANDLE, "0" * 64)[:-30], b""], ids=["no archive", "cut short", "empty"]
)
def test_a_litert_file_that_does_not_say_what_it_was_made_from(folder: Path, content: bytes) -> None:
    (fault,) = replace(folder, "model.tflite", content)
    assert "model.tflite: expected a LiteRT file that says in module.json what it was made from" in fault


def test_an_onnx_file_of_another_module(folder: Path) -> None:
    faults = replace(folder, "onnx/model.onnx", onnx_file({"handle": HANDLE, "content_sha256": "0" * 64}))
    assert [fault.partition(": ")[2][:34] for fault in faults] == ["made from a SavedModel of content "]
    faults = replace(folder, "onnx/model.onnx", onnx_file({}))
    assert "made from a module without a handle" in faults[0]
    assert "made from a SavedModel of content unknown" in faults[1]
    (fault,) = replace(folder, "onnx/model.onnx", b"no protobuf")
    assert "onnx/model.onnx: expected an ONNX file" in fault


def test_a_plain_tarball_that_breaks_a_rule(folder: Path, tmp_path: Path) -> None:
    (fault,) = replace(folder, "plain.tar.gz", plain_file(tmp_path, valued=False))
    assert "plain.tar.gz: the tarball of plain loads in TensorFlow's Python loader only" in fault
    (tmp_path / "plain/notes.txt").write_text("")
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "plain", ".")
    found = replace(folder, "plain.tar.gz", (tmp_path / "other.tar.gz").read_bytes())
    assert any("plain.tar.gz: the tarball of plain breaks a rule for published files" in fault for fault in found)
    assert any("notes.txt" in fault for fault in found)
    (fault,) = replace(folder, "plain.tar.gz", b"nothing")
    assert fault.startswith(f"{HANDLE}/plain.tar.gz: ")


def test_files_and_formats_that_disagree(folder: Path) -> None:
    document = read_document(folder / "hub")
    entry = document["modules"][HANDLE]
    del entry["formats"]["litert"]
    entry["files"] = [file for file in entry["files"] if not file["path"].endswith("/plain.tar.gz")]
    write_document(folder / "hub", document)
    (folder / f"hub/{HANDLE}/model_int8.tflite").write_bytes(b"of a publish that was stopped")
    belongs = "a file of a format, but index.json names it for no format of"
    assert faults(folder) == [
        f"index.json: the format plain of {HANDLE} has the file {HANDLE}/plain.tar.gz, which is not in its files;"
        " publish it again",
        f"{HANDLE}/model.tflite: {belongs} {HANDLE}; publish it again, or remove it",
        f"{HANDLE}/model_int8.tflite: {belongs} {HANDLE}; publish it again, or remove it",
    ]


def test_a_format_whose_file_is_missing_is_named_once(folder: Path) -> None:
    (folder / f"hub/{HANDLE}/model.tflite").unlink()
    (fault,) = faults(folder)
    assert fault.startswith(f"{HANDLE}/model.tflite: missing, but index.json lists it")
