"""When a checkpoint is fetched again, though its stage's inputs have not changed."""

import json
from pathlib import Path

import pytest

from pipeline.base.verification import Verification
from pipeline.checkpoints import provenance
from pipeline.checkpoints.provenance import Origin
from pipeline.checkpoints.section import Checkpoint
from pipeline.dag.weights import is_outdated, read_lock, verified_text
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
    assert not is_outdated(out, read_lock(lock), "a")
    with faulty(archive()) as server:
        run(Checkpoint("a", (server.url(),)), tmp_path, out)
    assert not is_outdated(out, read_lock(lock), "a")
    assert not is_outdated(out, read_lock(lock), "b")
    lock.write_text(json.dumps({"a": {"arrays": "0" * 64}}))
    assert is_outdated(out, read_lock(lock), "a")
    lock.write_text("{")  # fetch reports it
    assert is_outdated(out, read_lock(lock), "a")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"source": "a", "sha256": "b", "arrays_sha256": "c", "new": 1}'])
def test_a_record_of_another_version_is_replaced(tmp_path: Path, out: Path, text: str) -> None:
    out.write_bytes(archive())
    provenance.path_of(out).write_text(text)
    arrays = digest(archive(), tmp_path)
    assert provenance.read(out) == Origin("checkpoint.npz", sha256(archive()), arrays, Verification.UNVERIFIED)
    assert is_outdated(out, read_lock(tmp_path / "checkpoints.lock"), "a")


def test_a_lock_file_that_comes_later_verifies_a_file_of_the_user(tmp_path: Path, out: Path) -> None:
    """What was made of the file stays; pages alone say something else, and again where the lock file goes away."""
    lock = tmp_path / "checkpoints.lock"
    (tmp_path / "a.npz").write_bytes(archive())
    assert verified_text(out, read_lock(lock), "a") == ""
    run(Checkpoint("a", ()), tmp_path, out, str(tmp_path))
    assert provenance.read(out).verification is Verification.UNVERIFIED
    for entries, expected in (
        ({}, ""),
        ({"a": {"arrays": digest(archive(), tmp_path)}}, "recorded"),
        ({"a": {"arrays": "0" * 64}}, ""),
    ):
        lock.write_text(json.dumps(entries))
        assert verified_text(out, read_lock(lock), "a") == expected
    lock.write_text(json.dumps({"a": {"arrays": digest(archive(), tmp_path)}}))
    assert not is_outdated(out, read_lock(lock), "a")
    run(Checkpoint("a", ()), tmp_path, out, str(tmp_path))
    assert provenance.read(out).verification is Verification.DOWNLOADED  # and fetch itself sees it
    assert verified_text(out, read_lock(lock), "a") == ""
