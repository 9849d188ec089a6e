"""What fetch records of a first download, and what it refuses from then on."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.verification import Verification
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.provenance import Origin
from pipeline.checkpoints.section import Checkpoint, list_sources
from pipeline.fetch import describe_unverified
from tests.conftest import serving_folder
from tests.faulty_server import faulty, redirect
from tests.fetch.fetching import archive, digest, refuse, run, sha256


def test_the_digest_in_the_yaml_file_is_checked(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    message = refuse(Checkpoint("a", ("a.npz",), "0" * 64), tmp_path, out)
    assert f"wrong sha256: expected {'0' * 64}, got {sha256(archive())}" in message
    run(Checkpoint("a", ("a.npz",), sha256(archive())), tmp_path, out)
    assert provenance.read(out).sha256 == sha256(archive())


def test_the_first_download_is_recorded(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        url = server.url("a.npz")
        run(Checkpoint("a", (f"{server.address}/{{name}}.npz",)), tmp_path, out)
    lock = (tmp_path / "checkpoints.lock").read_text()
    assert json.loads(lock) == {"a": {"arrays": digest(archive(), tmp_path), "files": {url: sha256(archive())}}}
    assert lock == json.dumps(json.loads(lock), indent=2, sort_keys=True) + "\n"
    assert provenance.read(out).facts() == {
        "source": url,
        "sha256": sha256(archive()),
        "arrays_sha256": digest(archive(), tmp_path),
    }


def test_another_file_at_a_recorded_address_is_refused(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        run(checkpoint, tmp_path, out)
        server.resource.content, server.resource.etag = archive(1), '"two"'
        shutil.rmtree(tmp_path / "cache")
        message = refuse(checkpoint, tmp_path, out)
        lock = tmp_path / "checkpoints.lock"
        assert f"{server.url()}: wrong sha256: {lock} has {sha256(archive())}, got {sha256(archive(1))}" in message
        assert f"you accept it: remove the line of this source from {lock}" in message
        # As it says.
        lock.unlink()
        run(checkpoint, tmp_path, out)
    assert out.read_bytes() == archive(1)


def test_another_source_must_have_the_same_arrays(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as first, faulty(archive(compress=True)) as second, faulty(archive(1)) as third:
        run(Checkpoint("a", (first.url(),)), tmp_path, out)
        run(Checkpoint("a", (second.url(),)), tmp_path, out)  # in another container
        message = refuse(Checkpoint("a", (third.url(),)), tmp_path, out)
    assert f"{third.url()}: other weights than {tmp_path}/checkpoints.lock has for a" in message
    assert f"is {digest(archive(1), tmp_path)}, expected {digest(archive(), tmp_path)}" in message
    assert "remove the entry 'a'" in message
    pin = LockFile(tmp_path / "checkpoints.lock").pins["a"]
    assert pin.files == {first.url(): sha256(archive()), second.url(): sha256(archive(compress=True))}


def test_a_compressed_archive_of_the_same_weights(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive(compress=True))
    run(Checkpoint("a", ("a.npz",)), tmp_path, out)
    assert provenance.read(out).arrays_sha256 == digest(archive(), tmp_path)


@pytest.mark.parametrize("remote", [False, True])
def test_a_users_file_is_checked_and_not_recorded(tmp_path: Path, out: Path, remote: bool) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.npz").write_bytes(archive())
    with serving_folder(tmp_path / "mine") as address, faulty(archive(1)) as server:
        mine = address if remote else str(tmp_path / "mine")
        run(Checkpoint("a", ()), tmp_path, out, mine)
        assert not (tmp_path / "checkpoints.lock").exists()
        assert provenance.read(out).source == "a.npz"
        run(Checkpoint("a", (server.url(),)), tmp_path, out)
        assert f"{mine}/a.npz: other weights than {tmp_path}/checkpoints.lock has for a" in refuse(
            Checkpoint("a", ()), tmp_path, out, mine
        )


def test_a_copy_of_a_sources_file_is_recorded_as_that_source(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        run(checkpoint, tmp_path, out)
        downloaded = provenance.read(out)
    shutil.copy(out, tmp_path / "a.npz")
    run(checkpoint, tmp_path, out, str(tmp_path))
    assert provenance.read(out) == downloaded


def test_of_two_sources_with_the_same_file_the_downloaded_one_is_recorded(tmp_path: Path, out: Path) -> None:
    """For a copy that the user brings, the first of the member's sources with the same file is recorded."""
    with faulty(archive()) as server:
        one, two = server.url("1.npz"), server.url("2.npz")
        for url in (one, two, one):
            run(Checkpoint("a", (url,)), tmp_path, out)
            assert provenance.read(out).source == url
        shutil.copy(out, tmp_path / "a.npz")
        for urls in ((one, two), (two, one)):
            run(Checkpoint("a", urls), tmp_path, out, str(tmp_path))
            assert provenance.read(out).source == urls[0]


def test_a_redirected_download_is_recorded_under_its_first_address(tmp_path: Path, out: Path) -> None:
    """The second address is signed and changes each time."""
    with faulty(archive()) as store, faulty(b"", redirect(f"{store.address}/signed?x=y")) as front:
        run(Checkpoint("a", (front.url(),)), tmp_path, out)
    assert list(LockFile(tmp_path / "checkpoints.lock").pins["a"].files) == [front.url()]


def test_no_record_has_a_password_or_a_signature(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        url = server.url().replace("://", "://me:secret@")
        for signature in (1, 2):  # the second time, it is known
            run(Checkpoint("a", (f"{url}?X-Amz-Signature=secret{signature}",)), tmp_path, out)
            assert provenance.read(out).source == server.url()
    assert list(LockFile(tmp_path / "checkpoints.lock").pins["a"].files) == [server.url()]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(server.requests) == 1
    assert {"checkpoints.lock", "checkpoint.json", "whole.json"} <= {path.name for path in files}
    assert not [path for path in files if b"secret" in path.read_bytes()]


def test_parallel_fetches_lose_no_record(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(8)]
    with faulty(archive()) as server, ThreadPoolExecutor(8) as pool:
        tasks = [
            pool.submit(run, Checkpoint(name, (server.url(name),)), tmp_path, tmp_path / name / "checkpoint.npz")
            for name in names
        ]
        for task in tasks:
            task.result()
    assert sorted(LockFile(tmp_path / "checkpoints.lock").pins) == names


def test_a_broken_download_does_not_keep_another_from_being_recorded(tmp_path: Path) -> None:
    """Both are fetched at once."""
    with faulty(archive()) as good, faulty(b"<html>") as bad, ThreadPoolExecutor(2) as pool:
        barrier = threading.Barrier(2)

        def start(name: str, url: str) -> str:
            barrier.wait()
            return run(Checkpoint(name, (url,)), tmp_path, tmp_path / name / "checkpoint.npz")

        tasks = [pool.submit(start, "good", good.url()), pool.submit(start, "bad", bad.url())]
        assert tasks[0].result() == good.url()
        with pytest.raises(Fault):
            tasks[1].result()
    assert list(LockFile(tmp_path / "checkpoints.lock").pins) == ["good"]


def test_a_broken_lock_file_is_refused(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    (tmp_path / "checkpoints.lock").write_text("<<<<<<< ours\n{}")
    assert "checkpoints.lock:1: not valid JSON" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


# How the weights are verified ----------------------------------------------------------------------------------------
def test_weights_are_verified_by_the_digest_or_the_address_that_the_member_names(tmp_path: Path, out: Path) -> None:
    def verification(checkpoint: Checkpoint, checkpoints: str | None = None) -> Verification:
        run(checkpoint, tmp_path, out, checkpoints)
        return provenance.read(out).verification

    (tmp_path / "a.npz").write_bytes(archive())
    named = f"file://{tmp_path}/a.npz"
    for source in ("a.npz", named):
        assert verification(Checkpoint("a", (source,))) is Verification.UNVERIFIED
        assert verification(Checkpoint("a", (source,), sha256(archive()))) is Verification.PINNED
    assert verification(Checkpoint("a", ()), str(tmp_path)) is Verification.UNVERIFIED
    with serving_folder(tmp_path) as address:
        assert verification(Checkpoint("a", ()), address) is Verification.UNVERIFIED  # anybody's address
        assert verification(Checkpoint("a", ("http://127.0.0.1:9/a.npz",)), address) is Verification.UNVERIFIED
        assert not (tmp_path / "checkpoints.lock").exists()
        # The member's own address stays its own in CHECKPOINTS=.
        assert verification(Checkpoint("a", (f"{address}/{{name}}.npz",)), address) is Verification.DOWNLOADED
        assert list(LockFile(tmp_path / "checkpoints.lock").pin_of("a").files) == [f"{address}/a.npz"]
    # A file with the arrays of that download, whoever brings it.
    assert verification(Checkpoint("a", ("a.npz",))) is Verification.DOWNLOADED
    (tmp_path / "a.npz").write_bytes(archive(compress=True))
    assert verification(Checkpoint("a", ("a.npz",))) is Verification.DOWNLOADED


@pytest.mark.parametrize(
    ("checkpoints", "is_authors"),
    [
        ("gs://vit_models/augreg", True),
        ("https://storage.googleapis.com/vit_models/augreg", True),
        ("https://vit_models.storage.googleapis.com/augreg/", True),
        ("gs://vit_models/sam", False),
        ("gs://vit_models_of_mine/augreg", False),
        ("https://example.org/vit_models/augreg", False),
        ("https://storage.googleapis.com.example.org/vit_models/augreg", False),
        ("/vit_models/augreg", False),
    ],
)
def test_the_authors_bucket_is_not_the_users(checkpoints: str, is_authors: bool) -> None:
    for sources in ((), ("gs://vit_models/augreg/{name}.npz",)):
        first = list_sources(Checkpoint("S_16", sources), Path("home"), checkpoints)[0]
        assert first.is_recorded is is_authors
        assert (first.name == "gs://vit_models/augreg/S_16.npz") is is_authors


def test_the_user_is_told_what_unverified_weights_mean(tmp_path: Path) -> None:
    origin = Origin("a.npz", "1" * 64, "2" * 64, Verification.UNVERIFIED)
    text = describe_unverified(Path("vit/a.yaml"), origin, is_pinnable=True)
    assert text
    assert text.startswith("vit/a.yaml: the weights are not verified: checkpoint.sha256 is not set")
    assert text.endswith(
        "quote no accuracy. If it is the right file, write into the section checkpoint: sha256: " + "1" * 64
    )
    assert describe_unverified(Path("a"), replace(origin, verification=Verification.DOWNLOADED), True) is None
    converted = replace(origin, converted_from="timm safetensors", source_sha256="3" * 64)
    assert str(describe_unverified(Path("a"), converted, is_pinnable=True)).endswith("sha256: " + "3" * 64)
    text = describe_unverified(Path("a"), converted, is_pinnable=False)
    assert text
    assert text.endswith("name its address on Hugging Face in checkpoint.sources (hf://timm/<model>/model.safetensors)")
