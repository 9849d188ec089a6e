"""What LiteRT files say of themselves, and how it is put into them."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts, Publication
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.litert.metadata import BUFFER_NAME, Metadata, metadata_of, read_metadata, write_metadata
from pipeline.litert.packing import add_metadata
from pipeline.litert.source import SOURCE, read_source
from tests.litert.models import mean_model

FACTS = Facts(
    head=Head.CLASSIFICATION,
    content_sha256="5" * 64,
    publication=Publication("ViT-Tiny", "publisher/tiny_classification/2", 2, "A publisher", "apache-2.0"),
    image_size=2,
    labels=("tench, Tinca tinca", "crane", "crane"),
)


def described(metadata: Metadata, model: bytes | None = None) -> bytes:
    """Returns a small LiteRT file with metadata."""
    model = mean_model(metadata.output) if model is None else model
    return add_metadata(model, metadata.output, write_metadata(metadata), metadata.associated_files())


@pytest.mark.parametrize("precision", OF_FILES)
def test_metadata_is_read_back(precision: Precision) -> None:
    metadata = metadata_of(FACTS, precision)
    assert read_metadata(described(metadata), "model.tflite") == metadata
    assert metadata.source.content_sha256 in metadata.description
    assert " weights" in metadata.description
    assert metadata.description.partition(". ")[2] == (
        "Input `inputs`: RGB images of 2x2 pixels, float32 in [-1, 1]: (pixel - 127.5) / 127.5. Output `logits`: a"
        f" logit per class; softmax gives probabilities. Made from publisher/tiny_classification/2, SHA-256 {'5' * 64}."
    )


def test_what_a_file_was_made_from_is_read_alone(tmp_path: Path) -> None:
    metadata = metadata_of(FACTS, Precision.INT8)
    (tmp_path / "model.tflite").write_bytes(described(metadata))
    assert read_source(tmp_path / "model.tflite") == metadata.source
    files = metadata.associated_files()
    for other in ({}, files | {SOURCE: b"{}"}, files | {SOURCE: b" " * 70_000}):
        content = add_metadata(mean_model(), "logits", write_metadata(metadata), other)
        (tmp_path / "model.tflite").write_bytes(content)
        with pytest.raises(Fault, match=r"model\.tflite: expected a LiteRT file that says in module\.json"):
            read_source(tmp_path / "model.tflite")


def test_a_module_without_a_handle_has_no_version() -> None:
    metadata = metadata_of(
        replace(FACTS, publication=replace(FACTS.publication, handle="", version=0)), Precision.FLOAT32
    )
    assert read_metadata(described(metadata), "model.tflite") == metadata
    assert metadata.version == ""
    assert " Made from a module without a handle, SHA-256 5555" in metadata.description


def test_features_have_no_labels_and_no_activation() -> None:
    metadata = metadata_of(replace(FACTS, head=Head.FE, labels=()), Precision.INT8)
    file = described(metadata)
    assert read_metadata(file, "model.tflite") == metadata
    assert (metadata.output, metadata.labels, metadata.source.activation) == ("features", (), "")
    assert zipfile.ZipFile(io.BytesIO(file)).namelist() == ["module.json"]


def test_the_archive_is_stored_and_named_in_the_metadata() -> None:
    file = described(metadata_of(FACTS, Precision.FLOAT32))
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt") == b"tench, Tinca tinca\ncrane\ncrane\n"
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        offset = archive.getinfo("labels.txt").header_offset
    assert file[offset : offset + 4] == b"PK\3\4"  # counted from the file's start, as minizip does


def test_the_model_computes_the_same_under_the_same_names() -> None:
    interpreter = Interpreter(model_content=described(metadata_of(FACTS, Precision.FLOAT32)))
    images = np.random.default_rng(0).uniform(-1, 1, (5, 2, 2, 3)).astype(np.float32)
    outputs = interpreter.get_signature_runner("serving_default")(inputs=images)
    np.testing.assert_allclose(outputs["logits"], images.mean(axis=(1, 2)), rtol=1e-6)


def test_weights_are_aligned_and_empty_buffers_left_out() -> None:
    model = schema.Model.GetRootAsModel(described(metadata_of(FACTS, Precision.FLOAT32)), 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [each._tab.Vector(each._tab.Offset(4)) for each in buffers if each.DataLength()]
    assert [start % 16 for start in starts] == [0, 0, 0]
    assert [each.DataLength() > 0 for each in buffers] == [False, True, True, True]
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(index) for index in range(graph.TensorsLength())]
    assert [each.Name() for each in tensors] == [b"serving_default_inputs:0", b"1", b"StatefulPartitionedCall:0"]
    entries = {model.Metadata(index).Name(): model.Metadata(index).Buffer() for index in range(model.MetadataLength())}
    assert bytes(buffers[entries[b"min_runtime_version"]].DataAsNumpy()) == b"1" * 16
    assert bytes(buffers[entries[BUFFER_NAME.encode()]].DataAsNumpy()) == write_metadata(
        metadata_of(FACTS, Precision.FLOAT32)
    )


def test_the_bytes_stay_the_same() -> None:
    assert described(metadata_of(FACTS, Precision.INT8)) == described(metadata_of(FACTS, Precision.INT8))
    assert described(metadata_of(FACTS, Precision.INT8)) != described(metadata_of(FACTS, Precision.FLOAT16))


def test_another_signature_is_refused() -> None:
    with pytest.raises(Fault, match=r"serving_default', \('inputs',\), \('features',\)\)\], expected .* inputs to log"):
        described(metadata_of(FACTS, Precision.FLOAT32), mean_model("features"))


def test_a_fixed_batch_is_refused() -> None:
    with pytest.raises(Fault, match="takes a fixed number of images; expected a free first axis"):
        described(metadata_of(FACTS, Precision.FLOAT32), mean_model(batch=1))


@pytest.mark.parametrize("label", ["", " ", "two\nlines"])
def test_a_label_that_is_not_one_line_is_refused(label: str) -> None:
    with pytest.raises(Fault, match=r"labels\.txt has a line per class, and the label .* is not one line"):
        metadata_of(replace(FACTS, labels=("a", label)), Precision.FLOAT32)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\0\0\0\0TFL3",
        b"PK\5\6" + b"\0" * 18,
        mean_model(),
        described(metadata_of(FACTS, Precision.FLOAT32))[:-30],
    ],
    ids=["empty", "short", "a zip archive", "no metadata", "no archive"],
)
def test_files_without_metadata_are_refused(file: bytes) -> None:
    with pytest.raises(Fault, match=r"a\.tflite: expected a LiteRT file with the metadata that this project writes"):
        read_metadata(file, "a.tflite")


def test_another_normalization_is_refused() -> None:
    """The figures are part of what the files promise."""
    file = described(metadata_of(FACTS, Precision.FLOAT32))
    half = np.float32(127.5).tobytes()
    assert file.count(half) == 2
    with pytest.raises(Fault, match="expected a LiteRT file with the metadata"):
        read_metadata(file.replace(half, np.float32(128).tobytes(), 1), "a.tflite")
