"""What make remembers may be damaged in any way: it counts as missing, and is written again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.stage_code import StageCode
from pipeline.base.verification import Verification
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.provenance import Origin
from pipeline.dag import weights
from pipeline.dag.digests import Digests, Stamps
from pipeline.dag.receipts import is_incomplete
from tests.damaged_json import DAMAGES

each_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
Damage = Callable[[Path], None]


@each_damage
def test_digests_are_computed_again(tmp_path: Path, damage: Damage) -> None:
    file, memory = tmp_path / "a", tmp_path / "digests.json"
    file.write_text("weights")

    def remember() -> str:
        digests = Digests(memory)
        digest = digests.file(file)
        digests.keep()
        return digest

    digest, whole = remember(), memory.read_bytes()
    damage(memory)
    assert remember() == digest
    assert memory.read_bytes() == whole
    assert not memory.is_symlink()


@pytest.mark.parametrize("entry", [None, 7, [], [1, 2], [1, 2, 3], [True, 2, "0" * 64], ["1", 2, "0" * 64], {}])
def test_a_damaged_digest_is_computed_again(tmp_path: Path, entry: Any) -> None:
    file, memory = tmp_path / "a", tmp_path / "digests.json"
    file.write_text("weights")
    digest = Digests(memory).file(file)
    memory.write_text(json.dumps({str(file): entry, "other": [1, 2, "0" * 64]}))
    digests = Digests(memory)
    assert digests.file(file) == digest
    digests.keep()
    assert json.loads(memory.read_text()).keys() == {str(file), "other"}


@each_damage
def test_code_is_read_again(tmp_path: Path, damage: Damage) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/fetch.py").write_text("import os")
    memory = tmp_path / "code.json"

    def remember() -> str:
        code = StageCode(memory, tmp_path)
        digest = code.digest("fetch")
        code.keep()
        return digest

    digest, whole = remember(), memory.read_bytes()
    damage(memory)
    assert remember() == digest
    assert memory.read_bytes() == whole


@each_damage
def test_a_damaged_receipt_publishes_again(tmp_path: Path, damage: Damage) -> None:
    receipt = tmp_path / "published.json"
    (tmp_path / "index.json").write_text('{"modules": {}, "collections": {}}')
    receipt.write_text(json.dumps({"hub": str(tmp_path), "published": {}}))
    assert not is_incomplete(receipt)
    damage(receipt)
    # make runs publish without a stamp where the receipt is missing.
    assert is_incomplete(receipt) or not receipt.exists()


@each_damage
def test_a_damaged_index_publishes_again(tmp_path: Path, damage: Damage) -> None:
    name = "me/net_fe/1"
    index, receipt = tmp_path / "index.json", tmp_path / "published.json"
    index.write_text(json.dumps({"modules": {name: {}}, "collections": {}}))
    receipt.write_text(json.dumps({"hub": str(tmp_path), "published": {name: {"files": []}}}))
    damage(index)
    assert is_incomplete(receipt)


@pytest.mark.parametrize("published", [{"a\0/b/1": {"files": []}}, {"a" * 300 + "/b/1": {"files": []}}, {"a/b/1": {}}])
def test_a_receipt_of_impossible_names_publishes_again(tmp_path: Path, published: dict[str, Any]) -> None:
    (tmp_path / "index.json").write_text(json.dumps({"modules": published, "collections": {}}))
    receipt = tmp_path / "published.json"
    receipt.write_text(json.dumps({"hub": str(tmp_path), "published": published}))
    assert is_incomplete(receipt)


@each_damage
def test_a_damaged_record_fetches_again(tmp_path: Path, damage: Damage) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    lock = LockFile(tmp_path / "none.lock")
    provenance.write(checkpoint, Origin("a", "0" * 64, "0" * 64, Verification.UNVERIFIED))
    assert not weights.is_outdated(checkpoint, lock, "a")
    record = provenance.path_of(checkpoint)
    damage(record)
    assert weights.is_outdated(checkpoint, lock, "a") or not record.exists()
    assert weights.verified_text(checkpoint, lock, "a") == ""


@each_damage
def test_a_stamp_is_written_again(tmp_path: Path, damage: Damage) -> None:
    stamps = Stamps(tmp_path / "stamps")
    text = json.dumps({"text": "of a stamp"})
    stamps.write("fetch.code", text)
    damage(stamps.folder / "fetch.code")
    stamps.write("fetch.code", text)
    assert (stamps.folder / "fetch.code").read_text() == text


def test_a_stamp_that_is_as_it_should_be_keeps_its_time(tmp_path: Path) -> None:
    stamps = Stamps(tmp_path)
    stamps.write("a", "text \udcff")
    before = (tmp_path / "a").stat()
    stamps.write("a", "text \udcff")
    assert (tmp_path / "a").stat() == before
