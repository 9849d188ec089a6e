"""What the files say of a module, from its provenance and labels."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts, Publication, read_facts
from pipeline.forms.precision import Precision
from pipeline.onnx_form.configuration import (
    check_labels,
    configuration,
    metadata,
    output_name,
    preprocessor_configuration,
)

PUBLICATION = Publication("Mini", "publisher/mini_classification/2", license="apache-2.0")
LABELS = ("crane", "T-shirt/top", "crane")


def module(folder: Path, labels: str | None = 'index\tkey\tname\n0\ta\tcrane\n1\tb\t"quoted"\n') -> Path:
    """Writes what describe() reads of a module."""
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "variables").mkdir()
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables/variables.index").write_bytes(b"index")
    (folder / "assets.extra/provenance.json").write_text(json.dumps({"model": {"image_size": 28}}))
    if labels is not None:
        (folder / "assets.extra/labels.tsv").write_text(labels)
    return folder


def facts(labels: tuple[str, ...] = LABELS, activation: str = "softmax", head: Head = Head.CLASSIFICATION) -> Facts:
    return Facts(head, "0" * 64, 28, PUBLICATION, labels, activation)


def read(folder: Path) -> Facts:
    return read_facts(folder, Head.CLASSIFICATION, PUBLICATION)


def test_facts_come_from_the_files(tmp_path: Path) -> None:
    given = read(module(tmp_path / "a"))
    assert (given.labels, given.image_size) == (("crane", '"quoted"'), 28)
    assert read(module(tmp_path / "b", None)).labels == ()


def test_the_digest_is_that_of_all_files(tmp_path: Path) -> None:
    folder = module(tmp_path / "a")
    before = read(folder).content_sha256
    assert read(module(tmp_path / "b")).content_sha256 == before
    (folder / "variables/variables.index").write_bytes(b"other")
    assert read(folder).content_sha256 != before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("provenance.json", "{}", "no image_size in model; convert the member again"),
        ("provenance.json", '{"model": {"image_size": "28"}}', "no image_size in model"),
        ("labels.tsv", "0\ta\tcrane\n", "expected lines of index, key and name; convert the member again"),
        ("labels.tsv", "index\tkey\tname\n0\tcrane\n", "expected lines of index, key and name"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = module(tmp_path / "a")
    (folder / "assets.extra" / name).write_text(content)
    with pytest.raises(Fault, match=f"assets.extra/{name}: {message}"):
        read(folder)


def test_a_module_without_its_provenance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"assets\.extra/provenance\.json: no such file; convert the member again"):
        read(tmp_path)


def test_labels_must_fit_the_outputs() -> None:
    check_labels(LABELS, 3, "here")
    check_labels((), 64, "here")
    with pytest.raises(Fault, match="here: 3 labels for 4 outputs"):
        check_labels(LABELS, 4, "here")


def test_configuration_of_a_classifier() -> None:
    content = configuration(facts())
    assert content["id2label"] == {"0": "crane", "1": "T-shirt/top", "2": "crane"}
    assert content["label2id"] == {"crane": 0, "T-shirt/top": 1}  # the first of two of one name
    assert content["problem_type"] == "single_label_classification"
    assert configuration(facts(activation="sigmoid"))["problem_type"] == "multi_label_classification"


def test_configuration_without_labels() -> None:
    assert "id2label" not in configuration(facts(()))
    assert configuration(facts((), head=Head.FE))["architectures"] == ["ViTModel"]
    assert [output_name(head) for head in Head] == ["logits", "image_embeds"]


def test_the_processor_gives_the_range_of_the_module() -> None:
    content = preprocessor_configuration(facts())
    mean, deviation = content["image_mean"][0], content["image_std"][0]
    scaled = [(pixel * content["rescale_factor"] - mean) / deviation for pixel in (0, 127.5, 255)]
    assert scaled == pytest.approx([-1, 0, 1])
    assert content["size"] == {"height": 28, "width": 28}


def test_metadata_are_texts() -> None:
    content = metadata(facts(), Precision.INT8)
    assert all(isinstance(value, str) for value in content.values())
    assert json.loads(content["labels"]) == list(LABELS)
    assert (content["precision"], content["license"], content["input_size"]) == ("int8", "apache-2.0", "28")
    assert content["content_sha256"] == "0" * 64
    assert "labels" not in metadata(facts((), head=Head.FE), Precision.INT8)


def test_a_handle_that_is_not_known_is_not_stated() -> None:
    assert metadata(facts(), Precision.INT8)["handle"] == PUBLICATION.handle
    assert "handle" not in metadata(replace(facts(), publication=replace(PUBLICATION, handle="")), Precision.INT8)
