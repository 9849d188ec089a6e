"""When a checkpoint is fetched again and cards are written again, though no stage's input has changed."""

import json
from pathlib import Path

import pytest

from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.section import Checkpoint
from pipeline.dag.weights import has_other_weights, has_outdated_card, read_lock
from tests.faulty_server import faulty
from tests.fetch.fetching import archive, digest, run, sha256


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The place of the checkpoint, which is not there yet."""
    path = tmp_path / "artifacts/m/checkpoint.npz"
    path.parent.mkdir(parents=True)
    return path


def test_only_a_checkpoint_with_other_weights_than_the_lock_file_is_fetched_again(tmp_path: Path, out: Path) -> None:
    lock = tmp_path / "checkpoints.lock"
    assert not has_other_weights(out, read_lock(lock), "a")
    with faulty(archive()) as server:
        run(Checkpoint("a", (server.url(),)), tmp_path, out)
    assert not has_other_weights(out, read_lock(lock), "a")
    assert not has_other_weights(out, read_lock(lock), "b")
    lock.write_text(json.dumps({"a": {"arrays": "0" * 64}}))
    assert has_other_weights(out, read_lock(lock), "a")
    lock.write_text("{")  # fetch reports it
    assert has_other_weights(out, read_lock(lock), "a")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"source": "a", "sha256": "b", "arrays_sha256": "c", "new": 1}'])
def test_a_record_of_another_version_is_replaced(tmp_path: Path, out: Path, text: str) -> None:
    out.write_bytes(archive())
    provenance.path_of(out).write_text(text)
    assert provenance.read(out) == provenance.Origin("checkpoint.npz", sha256(archive()), digest(archive(), tmp_path))
    assert has_other_weights(out, read_lock(tmp_path / "checkpoints.lock"), "a")
    assert not has_outdated_card(out, read_lock(tmp_path / "checkpoints.lock"), Checkpoint("a", ()))


def test_a_card_is_outdated_when_the_lock_file_or_the_yaml_file_contradicts_it(tmp_path: Path, out: Path) -> None:
    lock, page = tmp_path / "checkpoints.lock", out.with_name("fe.md")
    (tmp_path / "a.npz").write_bytes(archive())
    assert not has_outdated_card(out, read_lock(lock), Checkpoint("a", ()))
    run(Checkpoint("a", ()), tmp_path, out, str(tmp_path))
    arrays = digest(archive(), tmp_path)
    recorded = {"a": {"arrays": arrays}}
    assert not has_outdated_card(out, read_lock(lock), Checkpoint("a", ()))  # there is no card yet
    for entries, pinned, sentence in (
        ({}, None, "no digest is pinned for this member"),
        (recorded, None, f"the digest of its arrays, `{arrays}`, is the one recorded for this member at its first"),
        ({}, "0" * 64, "no digest is pinned for this member"),
        (recorded, sha256(archive()), "the digest is the one pinned for this member"),
    ):
        lock.write_text(json.dumps(entries))
        section = Checkpoint("a", (), pinned)
        assert has_outdated_card(out, read_lock(lock), section) is page.exists()
        page.write_text(LockFile(lock).pin_of("a").describe_verification(pinned, sha256(archive()), arrays))
        assert sentence in page.read_text()
        assert not has_outdated_card(out, read_lock(lock), section)
    lock.write_text("{")
    assert has_outdated_card(out, read_lock(lock), Checkpoint("a", ()))
