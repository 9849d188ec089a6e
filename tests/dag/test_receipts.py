"""A receipt of publish, held against the hub."""

import json
from pathlib import Path

import pytest

from pipeline.dag.members import formats_text, read_collection, read_sections
from pipeline.dag.receipts import find_published, is_incomplete, lacks_formats
from pipeline.dag.settings import Settings

NAME = "me/net_fe/1"
FILES = (f"{NAME}.tar.gz", f"{NAME}.html", "index.html", "me/me.md", "me/me.html")


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    """The receipt of a complete hub, tmp_path/hub."""
    hub = tmp_path / "hub"
    for name in FILES:
        (hub / name).parent.mkdir(parents=True, exist_ok=True)
        (hub / name).write_text("text")
    (hub / "index.json").write_text(json.dumps({"modules": {NAME: {}}, "collections": {}}))
    record = {"hub": str(hub), "published": {NAME: {"files": [{"path": FILES[0], "size": 4, "sha256": "0" * 64}]}}}
    (tmp_path / "published.json").write_text(json.dumps(record))
    return tmp_path / "published.json"


def test_a_complete_hub_and_no_receipt_need_nothing(receipt: Path, tmp_path: Path) -> None:
    assert not is_incomplete(receipt)
    assert not is_incomplete(tmp_path / "none.json")


@pytest.mark.parametrize("name", [*FILES, "index.json"])
def test_a_missing_file_is_noticed(receipt: Path, name: str) -> None:
    (receipt.parent / "hub" / name).unlink()
    assert is_incomplete(receipt)


@pytest.mark.parametrize(
    ("name", "text"),
    [(FILES[0], "longer"), ("index.json", "{"), ("index.json", '{"modules": {}, "collections": {}}')],
)
def test_a_damaged_hub_is_noticed(receipt: Path, name: str, text: str) -> None:
    (receipt.parent / "hub" / name).write_text(text)
    assert is_incomplete(receipt)


def test_a_withdrawn_module_is_published_though_its_card_is_another(receipt: Path) -> None:
    hub = receipt.parent / "hub"
    stored = f"{NAME}.{'0' * 16}.md"
    record = json.loads(receipt.read_text())
    record["published"][NAME]["files"].append({"path": stored, "size": 4, "sha256": "0" * 64})
    receipt.write_text(json.dumps(record))
    for path in (stored, f"{NAME}.md"):
        (hub / path).write_text("text")
    assert not is_incomplete(receipt)
    (hub / stored).unlink()
    (hub / f"{NAME}.md").write_text("with the notice of a withdrawal")
    assert is_incomplete(receipt)
    assert find_published(receipt, hub) == {NAME}
    (hub / f"{NAME}.md").unlink()
    assert find_published(receipt, hub) == set()


FORMATS = (
    '{"modules": {"fe": [{"files": [{"path": "onnx/model.onnx", "size": 3}], "speed": NaN}], "classification": []}}'
)


@pytest.mark.parametrize(
    ("record", "content", "lacks"),
    [
        (FORMATS, b"abc", False),
        (FORMATS, b"ab", True),
        (FORMATS, None, True),
        ('{"modules": {}}', None, False),
        ('{"modules": []}', None, True),
        ('{"modules": {"fe": [{}]}}', None, True),
        ("[", None, True),
    ],
)
def test_a_file_of_formats_that_is_missing_or_cut_is_noticed(
    tmp_path: Path, record: str, content: bytes | None, lacks: bool
) -> None:
    assert not lacks_formats(tmp_path)
    (tmp_path / "formats.json").write_text(record)
    if content is not None:
        (tmp_path / "formats/fe/onnx").mkdir(parents=True)
        (tmp_path / "formats/fe/onnx/model.onnx").write_bytes(content)
    assert lacks_formats(tmp_path) is lacks


def test_other_formats_publisher_or_version_change_the_stamp(tmp_path: Path) -> None:
    (tmp_path / "collection.yaml").write_text("license: mit\npublisher: {id: a, name: A}\n")
    (tmp_path / "a.yaml").write_text("module: {version: 1, title: A}\n")

    def text(formats: str = "") -> str:
        return formats_text(read_sections(tmp_path / "a.yaml"), read_collection(tmp_path), Settings(formats=formats))

    texts = [text(), text("xla,onnx")]
    for name, content in {
        "a.yaml": "module: {version: 2, title: A}\n",
        "collection.yaml": "license: mit\nformats: [xla]\npublisher: {id: a, name: A}\n",
    }.items():
        (tmp_path / name).write_text(content)
        texts.append(text())
    assert len(set(texts)) == 4
    (tmp_path / "a.yaml").write_text("module: {version: 2, title: B}\n")  # no file says that
    assert text() == texts[-1]
    (tmp_path / "a.yaml").write_text("module: [\n")
    assert text() == ""
