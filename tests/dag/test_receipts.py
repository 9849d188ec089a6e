"""A receipt of publish, held against the hub."""

import json
from pathlib import Path

import pytest

from pipeline.dag.receipts import is_incomplete

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
