"""fetch against real folders and real HTTP servers: the order of sources, what is pinned, and what is refused."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.checkpoints import lock_file, provenance
from pipeline.checkpoints.digest import arrays_digest
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.section import Checkpoint
from pipeline.dag.weights import has_other_weights, has_outdated_card, read_lock
from pipeline.download.obtain import Access, obtain_file
from pipeline.download.retry import Policy
from pipeline.fetch import Settings, fetch
from tests.conftest import ROOT, Stage, assert_refused, serving_folder
from tests.faulty_server import Faulty, cut, faulty, redirect, status


def archive(seed: int = 0, compress: bool = False) -> bytes:
    """Returns an .npz of 40 kB; two calls give the same bytes."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(buffer, allow_pickle=False, a=np.random.default_rng(seed).standard_normal((100, 100), dtype=np.float32))
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest(content: bytes, folder: Path) -> str:
    (folder / "digest.npz").write_bytes(content)
    return arrays_digest(folder / "digest.npz", "")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have credentials, or offline mode on."""
    for name in (
        "CLOUDSDK_AUTH_ACCESS_TOKEN",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "HF_TOKEN",
        "OFFLINE",
        "CACHE",
        "LOCK",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The target, with an earlier checkpoint in place."""
    path = tmp_path / "artifacts/m/checkpoint.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"earlier")
    return path


def settings(folder: Path, checkpoints: str | None = None, offline: bool = False) -> Settings:
    """Returns settings with cache and lock file of the test's own, and no pauses."""
    access = Access(folder / "cache", offline, Policy(sleep=lambda _: None))
    return Settings(checkpoints, folder / "checkpoints.lock", access)


def run(checkpoint: Checkpoint, home: Path, out: Path, checkpoints: str | None = None, offline: bool = False) -> str:
    """Fetches and returns the address that had it."""
    return fetch(checkpoint, home, out, settings(home, checkpoints, offline)).address


def refuse(checkpoint: Checkpoint, home: Path, out: Path, checkpoints: str | None = None, offline: bool = False) -> str:
    """Fetches, expects a fault and that the earlier files are untouched and alone; returns the message."""
    before = {path: path.read_bytes() for path in out.parent.iterdir()}
    lock = home / "checkpoints.lock"
    pinned = lock.read_text() if lock.exists() else None
    with pytest.raises(Fault) as raised:
        run(checkpoint, home, out, checkpoints, offline)
    assert {path: path.read_bytes() for path in out.parent.iterdir()} == before
    assert (lock.read_text() if lock.exists() else None) == pinned
    return str(raised.value)


def test_relative_path_counts_from_the_yaml_file(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    assert run(Checkpoint("a", ("{name}.npz",)), tmp_path, out) == str(tmp_path / "a.npz")
    assert out.read_bytes() == archive()


def test_file_url_with_spaces(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a b.npz").write_bytes(archive())
    run(Checkpoint("a", ((tmp_path / "a b.npz").as_uri(),)), tmp_path, out)
    assert out.read_bytes() == archive()
    assert provenance.read(out).source == "a b.npz"


def test_the_users_folder_comes_first(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive(1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.npz").write_bytes(archive(2))
    run(Checkpoint("a", ("a.npz",)), tmp_path, out, str(tmp_path / "mine"))
    assert out.read_bytes() == archive(2)


def test_the_users_address_comes_first(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive(1))
    with faulty(archive(2)) as server:
        run(Checkpoint("a", ("a.npz",)), tmp_path, out, f"{server.address}/folder/")
    assert server.requests[0].path == "/folder/a.npz"
    assert out.read_bytes() == archive(2)


def test_http_after_a_source_that_lacks_the_file(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    with serving_folder(tmp_path) as address:
        checkpoint = Checkpoint("a", ("missing.npz", f"{address}/{{name}}.npz"))
        assert run(checkpoint, tmp_path, out) == f"{address}/a.npz"
    assert out.read_bytes() == archive()


def test_pinned_digest_is_checked(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    message = refuse(Checkpoint("a", ("a.npz",), "0" * 64), tmp_path, out)
    assert f"wrong sha256: expected {'0' * 64}, got {sha256(archive())}" in message
    run(Checkpoint("a", ("a.npz",), sha256(archive())), tmp_path, out)
    assert provenance.read(out).sha256 == sha256(archive())


def write_member(folder: Path, name: str, checkpoint: str, sha256: str | None) -> None:
    """Writes another member's file, as far as it says which checkpoint is whose."""
    folder.mkdir(parents=True, exist_ok=True)
    section = {"name": checkpoint, "sources": []} | ({"sha256": sha256} if sha256 else {})
    (folder / f"{name}.yaml").write_text(json.dumps({"checkpoint": section}))


def test_the_checkpoint_of_another_member_is_named(tmp_path: Path, out: Path) -> None:
    """As when the weights of medium augmentation come under the name of light augmentation."""
    home, said = tmp_path / "vit", "The file is the checkpoint of"
    write_member(home, "light", "aug_light1", "0" * 64)
    write_member(tmp_path / "other", "medium", "aug_medium2", sha256(archive(1)))
    # Faults of others are no reason to say less.
    (home / "collection.yaml").write_text("name: [")
    (home / "listed.yaml").write_text(json.dumps({"checkpoint": {"name": [1], "sha256": [2]}}))
    for name in ("folder.yaml", lock_file.NAME):
        (tmp_path / "odd" / name).mkdir(parents=True)
    (home / "aug_light1.npz").write_bytes(archive(1))
    light = Checkpoint("aug_light1", ("aug_light1.npz",), "0" * 64)
    message = refuse(light, home, out)
    assert f"got {sha256(archive(1))}" in message
    assert message.endswith(f"{said} medium")
    # The same arrays in another file are told by a lock file, and a checkpoint that no member has by its own name.
    (home / "aug_light1.npz").write_bytes(archive(1, compress=True))
    assert said not in refuse(light, home, out)
    entry = {"arrays": digest(archive(1), tmp_path)}
    (tmp_path / "other/checkpoints.lock").write_text(json.dumps({"aug_medium2": entry, "aug_strong1": entry}))
    assert refuse(light, home, out).endswith(f"{said} medium or aug_strong1")
    # A file that is damaged, or its own, is nobody else's.
    (home / "aug_light1.npz").write_bytes(archive(1)[:-1])
    assert said not in refuse(light, home, out)
    (tmp_path / "other/checkpoints.lock").write_text(json.dumps({"aug_light1": entry}))
    (home / "aug_light1.npz").write_bytes(archive(1, compress=True))
    assert said not in refuse(light, home, out)


def test_every_source_is_listed_with_its_reason(tmp_path: Path, out: Path) -> None:
    with serving_folder(tmp_path) as address:
        gone = f"{address}/gone.npz"
        message = refuse(Checkpoint("a", ("b.npz", gone)), tmp_path, out, str(tmp_path / "mine"))
    assert f"{tmp_path}/mine/a.npz: no such file" in message
    assert f"{tmp_path}/b.npz: no such file" in message
    assert f"{gone}: HTTP 404" in message
    assert "CHECKPOINTS=<folder>" in message
    assert "vit_models" not in message


def test_the_closed_bucket_is_explained(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(b"", status(403)) as bucket, faulty(b"", status(404)) as hub:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.address)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        sources = ("gs://vit_models/augreg/{name}.npz", "hf://timm/m/model.safetensors")
        message = refuse(Checkpoint("a", sources), tmp_path, out, "https://me:secret@127.0.0.1:1/")
    assert "  https://127.0.0.1:1/a.npz: " in message
    assert "secret" not in message
    assert "  gs://vit_models/augreg/a.npz: HTTP 403 Forbidden\n" in message
    assert "  hf://timm/m/model.safetensors: HTTP 404 Not Found\n" in message
    assert message.count("closed to anonymous readers since February 2026") == 1
    assert "google-research/vision_transformer, issue 321" in message
    for way in (
        "(1) put a copy, a.npz, into a folder and set CHECKPOINTS=<folder>",
        "(2) with Google cred",
        "(3) choose",
    ):
        assert way in message


WAYS = {
    "offline": "leave out OFFLINE=1",
    "network": "check your network (it may need HTTPS_PROXY=<its proxy>)",
    "copy": "put a copy, a.npz, into a folder and set CHECKPOINTS=<folder>",
    "credentials": "with Google credentials that may read the bucket",
    "others": "choose a member with a copy from timm",
}
BUCKET, HUGGING_FACE = "gs://vit_models/augreg/{name}.npz", "hf://timm/m/model.safetensors"


@pytest.mark.parametrize(
    ("sources", "bucket", "offline", "ways"),
    [
        ((BUCKET, HUGGING_FACE), 403, False, ("copy", "credentials", "others")),
        ((BUCKET,), 404, False, ("copy", "others")),  # who gets that was let in
        ((BUCKET, HUGGING_FACE), 403, True, ("offline", "copy")),
        ((BUCKET, HUGGING_FACE), None, False, ("network", "copy")),
        ((BUCKET, "a.npz"), None, False, ("network", "copy", "others")),
        (("a.npz",), 403, False, ("copy", "others")),
        ((), 403, False, ("copy", "others")),
    ],
)
def test_the_advice_fits_the_cause(
    tmp_path: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: tuple[str, ...],
    bucket: int | None,
    offline: bool,
    ways: tuple[str, ...],
) -> None:
    with faulty(b"", status(bucket or 403)) as google, faulty(b"", status(404)) as hub:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.address)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        if bucket:
            message = refuse(Checkpoint("a", sources), tmp_path, out, offline=offline)
    if not bucket:  # nobody listens any more
        message = refuse(Checkpoint("a", sources), tmp_path, out, offline=offline)
    numbered = [f"({number}) {WAYS[way]}" for number, way in enumerate(ways, start=1)]
    assert [WAYS[way] for way in WAYS if WAYS[way] in message] == [WAYS[way] for way in ways]
    assert all(way in message for way in numbered)
    assert message.endswith(".")
    assert ("closed to anonymous readers" in message) is ("credentials" in ways)


def test_the_seven_name_the_bucket_and_what_timm_has() -> None:
    """Five of the seven have a copy, as the table of timm's own configurations says."""
    from pipeline.base import yaml_sections

    copies = {}
    for path in sorted((ROOT / "model_cards/vit").glob("vit_*.yaml")):
        first, *others = yaml_sections.load(path, "checkpoint", Checkpoint).sources
        assert first == "gs://vit_models/augreg/{name}.npz"
        copies[path.stem] = others
    assert copies == {
        "vit_b16": [],
        "vit_b32": ["hf://timm/vit_base_patch32_224.augreg_in21k_ft_in1k/model.safetensors"],
        "vit_l16": ["hf://timm/vit_large_patch16_224.augreg_in21k_ft_in1k/model.safetensors"],
        "vit_r26_s32_lightaug": ["hf://timm/vit_small_r26_s32_224.augreg_in21k_ft_in1k/model.safetensors"],
        "vit_r26_s32_medaug": [],
        "vit_r50_l32": ["hf://timm/vit_large_r50_s32_224.augreg_in21k_ft_in1k/model.safetensors"],
        "vit_s16": ["hf://timm/vit_small_patch16_224.augreg_in21k_ft_in1k/model.safetensors"],
    }


def test_unreachable_host(tmp_path: Path, out: Path) -> None:
    with serving_folder(tmp_path) as address:
        pass  # closed again: nobody listens on its port now
    assert "Connection refused" in refuse(Checkpoint("a", (f"{address}/a.npz",)), tmp_path, out)


@pytest.mark.parametrize("content", [archive()[:-30], b"", b"<html>Sign in</html>"])
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, out: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert "not a whole .npz file" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


@pytest.mark.parametrize("compress", [False, True])
def test_damage_is_refused(tmp_path: Path, out: Path, compress: bool) -> None:
    content = bytearray(archive(compress=compress))
    content[20_000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    assert "the array 'a.npy' is damaged" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


def test_a_damaged_download_is_got_again(tmp_path: Path, out: Path) -> None:
    """No checksum, no pin: the archive's own tell. What is wrong does not stay in the cache."""
    damaged = bytearray(archive())
    damaged[20_000] ^= 1
    with faulty(bytes(damaged)) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        assert "the array 'a.npy' is damaged" in refuse(checkpoint, tmp_path, out)
        server.resource.content = archive()
        run(checkpoint, tmp_path, out)
    assert out.read_bytes() == archive()


def test_unknown_schemes_of_the_users_place_are_refused(tmp_path: Path, out: Path) -> None:
    message = refuse(Checkpoint("a", ("a.npz",)), tmp_path, out, "ftp://host/augreg")
    assert "CHECKPOINTS: 'ftp://host/augreg/a.npz' has the unknown scheme 'ftp'" in message


def test_the_users_home_is_understood(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """make hands `CHECKPOINTS=~/augreg` on as it stands."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "augreg").mkdir()
    (tmp_path / "augreg/a.npz").write_bytes(archive())
    run(Checkpoint("a", ()), tmp_path, out, "~/augreg")
    assert out.read_bytes() == archive()


# Pins ----------------------------------------------------------------------------------------------------------------
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


def test_another_file_at_a_known_address_is_refused(tmp_path: Path, out: Path) -> None:
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


@pytest.mark.parametrize("remote", [False, True])
def test_what_the_user_brings_is_checked_and_not_recorded(tmp_path: Path, out: Path, remote: bool) -> None:
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


def test_a_copy_of_a_sources_file_is_that_sources_file(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        run(checkpoint, tmp_path, out)
        downloaded = provenance.read(out)
    shutil.copy(out, tmp_path / "a.npz")
    run(checkpoint, tmp_path, out, str(tmp_path))
    assert provenance.read(out) == downloaded


def test_of_two_sources_with_the_same_file_the_one_that_gave_it_is_recorded(tmp_path: Path, out: Path) -> None:
    """And of a copy that the user brings the one that the member names first, whatever their names' order."""
    with faulty(archive()) as server:
        one, two = server.url("1.npz"), server.url("2.npz")
        for url in (one, two, one):
            run(Checkpoint("a", (url,)), tmp_path, out)
            assert provenance.read(out).source == url
        shutil.copy(out, tmp_path / "a.npz")
        for urls in ((one, two), (two, one)):
            run(Checkpoint("a", urls), tmp_path, out, str(tmp_path))
            assert provenance.read(out).source == urls[0]


def test_no_record_has_a_password(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        url = server.url().replace("://", "://me:secret@")
        for _ in range(2):  # the second time, it is known
            run(Checkpoint("a", (url,)), tmp_path, out)
            assert provenance.read(out).source == server.url()
    assert list(LockFile(tmp_path / "checkpoints.lock").pins["a"].files) == [server.url()]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"checkpoints.lock", "checkpoint.json", "whole.json"} <= {path.name for path in files}
    assert not [path for path in files if b"secret" in path.read_bytes()]


def test_a_download_with_a_password_is_resumed(tmp_path: Path, out: Path) -> None:
    with faulty(archive(), cut(20_000)) as server:
        url = server.url().replace("://", "://me:secret@")
        impatient = Settings(None, tmp_path / "lock", Access(tmp_path / "cache", policy=Policy(tries=1)))
        with pytest.raises(Fault):
            fetch(Checkpoint("a", (url,)), tmp_path, out, impatient)
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
        run(Checkpoint("a", (url.replace("secret", "other"),)), tmp_path, out)  # the file is the same
    assert out.read_bytes() == archive()
    assert server.requests[-1].headers["range"] == "bytes=20000-"


def test_parallel_fetches_record_everything(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(8)]
    with faulty(archive()) as server, ThreadPoolExecutor(8) as pool:
        tasks = [
            pool.submit(run, Checkpoint(name, (server.url(name),)), tmp_path, tmp_path / name / "checkpoint.npz")
            for name in names
        ]
        for task in tasks:
            task.result()
    assert sorted(LockFile(tmp_path / "checkpoints.lock").pins) == names


def test_a_broken_lock_file_is_refused(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive())
    (tmp_path / "checkpoints.lock").write_text("<<<<<<< ours\n{}")
    assert "checkpoints.lock: not valid JSON" in refuse(Checkpoint("a", ("a.npz",)), tmp_path, out)


def test_the_lock_files_own_change_fetches_only_what_differs(tmp_path: Path, out: Path) -> None:
    lock = tmp_path / "checkpoints.lock"
    assert not has_other_weights(out, read_lock(lock), "a")
    with faulty(archive()) as server:
        run(Checkpoint("a", (server.url(),)), tmp_path, out)
    assert not has_other_weights(out, read_lock(lock), "a")
    assert not has_other_weights(out, read_lock(lock), "b")
    lock.write_text(json.dumps({"a": {"arrays": "0" * 64}}))
    assert has_other_weights(out, read_lock(lock), "a")
    lock.write_text("{")
    assert has_other_weights(out, read_lock(lock), "a")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"source": "a", "sha256": "b", "arrays_sha256": "c", "new": 1}'])
def test_a_record_of_another_version_is_written_anew(tmp_path: Path, out: Path, text: str) -> None:
    out.write_bytes(archive())
    provenance.path_of(out).write_text(text)
    assert provenance.read(out) == provenance.Origin("checkpoint.npz", sha256(archive()), digest(archive(), tmp_path))
    assert has_other_weights(out, read_lock(tmp_path / "checkpoints.lock"), "a")
    assert not has_outdated_card(out, read_lock(tmp_path / "checkpoints.lock"), Checkpoint("a", ()))


def test_what_cards_say_of_pins_follows_lock_and_yaml_file(tmp_path: Path, out: Path) -> None:
    """Brought by the user, recorded later, forgotten again, pinned: a card is remade when it has become untrue."""
    lock, page = tmp_path / "checkpoints.lock", out.with_name("fe.md")
    (tmp_path / "a.npz").write_bytes(archive())
    assert not has_outdated_card(out, read_lock(lock), Checkpoint("a", ()))
    run(Checkpoint("a", ()), tmp_path, out, str(tmp_path))
    known = digest(archive(), tmp_path)
    recorded = {"a": {"arrays": known}}
    assert not has_outdated_card(out, read_lock(lock), Checkpoint("a", ()))  # there is no card yet
    for entries, pinned, said in (
        ({}, None, "no digest is pinned for this member"),
        (recorded, None, f"the digest of its arrays, `{known}`, is the one recorded for this member at its first"),
        ({}, "0" * 64, "no digest is pinned for this member"),
        (recorded, sha256(archive()), "the digest is the one pinned for this member"),
    ):
        lock.write_text(json.dumps(entries))
        section = Checkpoint("a", (), pinned)
        assert has_outdated_card(out, read_lock(lock), section) is page.exists()
        page.write_text(LockFile(lock).pin_of("a").describe_verification(pinned, sha256(archive()), known))
        assert said in page.read_text()
        assert not has_outdated_card(out, read_lock(lock), section)
    lock.write_text("{")
    assert has_outdated_card(out, read_lock(lock), Checkpoint("a", ()))


# Cache, kills and the command ----------------------------------------------------------------------------------------
def test_clones_share_the_cache(tmp_path: Path) -> None:
    with faulty(archive()) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        for clone in ("one", "two"):
            access = Access(tmp_path / "cache")
            lock = tmp_path / "checkpoints.lock"
            fetch(checkpoint, tmp_path, tmp_path / clone / "checkpoint.npz", Settings(None, lock, access))
        assert len(server.requests) == 1
    assert (tmp_path / "two/checkpoint.npz").read_bytes() == archive()


def test_offline(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        message = refuse(checkpoint, tmp_path, out, offline=True)
        assert f"{server.url()}: OFFLINE=1, and the cache {tmp_path}/cache does not have it" in message
        assert server.requests == []
        run(checkpoint, tmp_path, out)
    out.unlink()
    run(checkpoint, tmp_path, out, offline=True)
    assert out.read_bytes() == archive()


def test_wrong_weights_in_the_cache_are_got_again(tmp_path: Path, out: Path) -> None:
    """The cache's record and its file agree with each other, but not with the lock file."""
    with faulty(archive(1)) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        entry = {"arrays": digest(archive(), tmp_path), "files": {server.url(): sha256(archive())}}
        (tmp_path / "checkpoints.lock").write_text(json.dumps({"a": entry}))
        refuse(checkpoint, tmp_path, out)
        server.resource.content = archive()  # under the same ETag
        run(checkpoint, tmp_path, out)
    assert out.read_bytes() == archive()


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize(
    "entry", [{"arrays": "0" * 64}, {"files": {"URL": "0" * 64}}, None], ids=["arrays", "file", "yaml"]
)
def test_a_wrong_pin_costs_no_good_download(
    tmp_path: Path, out: Path, offline: bool, entry: dict[str, object] | None
) -> None:
    lock = tmp_path / "checkpoints.lock"
    with faulty(archive()) as server:
        good = Checkpoint("a", (server.url(),))
        run(good, tmp_path, out)
        out.write_bytes(b"earlier")
        right = lock.read_text()
        if entry is None:
            lock.unlink()
            refuse(Checkpoint("a", (server.url(),), "0" * 64), tmp_path, out, offline=offline)
        else:
            lock.write_text(json.dumps({"a": entry}).replace("URL", server.url()))
            refuse(good, tmp_path, out, offline=offline)
    lock.write_text(right)
    run(good, tmp_path, out, offline=True)  # the server is gone
    assert out.read_bytes() == archive()


def test_a_broken_file_stays_in_the_cache_while_nothing_better_can_be_had(tmp_path: Path, out: Path) -> None:
    with faulty(b"<html>") as server:
        with obtain_file(server.url(), Access(tmp_path / "cache"), ""):
            pass
        checkpoint = Checkpoint("a", (server.url(),))
        for _ in range(2):
            assert "not a whole .npz file" in refuse(checkpoint, tmp_path, out, offline=True)
        refuse(checkpoint, tmp_path, out)
        assert "does not have it" in refuse(checkpoint, tmp_path, out, offline=True)


MEMBER = """\
checkpoint:
  name: a
  sources: ["{url}"]
"""


@pytest.fixture
def member(tmp_path: Path) -> Iterator[tuple[Path, Faulty]]:
    """A member's YAML file whose one source is a real server."""
    with faulty(archive()) as server:
        (tmp_path / "m.yaml").write_text(MEMBER.format(url=server.url()))
        yield tmp_path / "m.yaml", server


def test_the_command(member: tuple[Path, Faulty], stage: Stage, tmp_path: Path, out: Path) -> None:
    yaml, server = member
    settings = ("--cache", tmp_path / "cache", "--lock", tmp_path / "other.lock")
    assert_refused(stage("fetch", yaml, out, *settings, "--offline"), "OFFLINE=1, and the cache")
    assert out.read_bytes() == b"earlier"
    done = stage("fetch", yaml, out, *settings)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"fetch m from {server.url()}: ")
    assert list(LockFile(tmp_path / "other.lock").pins) == ["a"]
    assert not (tmp_path / "checkpoints.lock").exists()


KILLED = """
import os, signal, sys
from pipeline import fetch
member, out, folder = sys.argv[1:]
STEPS = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "fcntl.flock")
def hook(event, arguments):
    global left
    if event in STEPS and (event == "fcntl.flock" or folder in str(arguments[0])):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
for line in sys.stdin:
    child = os.fork()  # what takes time is Python's start
    if child == 0:
        left = int(line)
        sys.addaudithook(hook)
        fetch.main([member, out, "--cache", folder + "/cache"])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("cached", [False, True])
def test_a_kill_at_every_step_leaves_the_old_or_the_new(
    member: tuple[Path, Faulty], tmp_path: Path, out: Path, cached: bool
) -> None:
    """Kills the command before its first, second, ... access to a file, until it gets through; each time from where the
    line was cut half-way, with an earlier whole file in the cache or none. Whatever was left, the next fetch ends well,
    and an earlier file is not lost before the new one is there."""
    yaml, server = member
    steps = 0
    command = [sys.executable, "-c", KILLED, str(yaml), str(out), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as driver:
        assert driver.stdin
        assert driver.stdout
        while True:
            steps += 1
            for leftover in (tmp_path / "cache", tmp_path / "checkpoints.lock", out.parent):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
            out.parent.mkdir()
            out.write_bytes(b"earlier")
            if cached:
                server.resource.content, server.resource.etag = archive(1), '"zero"'
                with obtain_file(server.url(), Access(tmp_path / "cache"), ""):
                    pass
                server.resource.content, server.resource.etag = archive(), '"one"'
            server.script[:] = [cut(20_000)]
            impatient = Settings(
                None, tmp_path / "checkpoints.lock", Access(tmp_path / "cache", policy=Policy(tries=1))
            )
            with pytest.raises(Fault):
                fetch(Checkpoint("a", (server.url(),)), tmp_path, out, impatient)
            driver.stdin.write(f"{steps}\n")
            driver.stdin.flush()
            ended = int(driver.stdout.readline())
            assert ended in (0, -9)
            assert out.read_bytes() in (b"earlier", archive())
            if cached:
                with obtain_file(server.url(), Access(tmp_path / "cache", offline=True), "") as file:
                    assert file.sha256 in (sha256(archive(1)), sha256(archive()))
            run(Checkpoint("a", (server.url(),)), tmp_path, out)
            assert out.read_bytes() == archive()
            assert provenance.read(out).source == server.url()
            assert sorted(path.name for path in out.parent.iterdir()) == ["checkpoint.json", "checkpoint.npz"]
            if ended == 0:
                break
    assert steps > 15
    assert LockFile(tmp_path / "checkpoints.lock").pins["a"].files == {server.url(): sha256(archive())}


def test_a_redirect_is_recorded_under_the_address_that_was_asked(tmp_path: Path, out: Path) -> None:
    """The second address is signed and changes each time."""
    with faulty(archive()) as store, faulty(b"", redirect(f"{store.address}/signed?x=y")) as front:
        run(Checkpoint("a", (front.url(),)), tmp_path, out)
    assert list(LockFile(tmp_path / "checkpoints.lock").pins["a"].files) == [front.url()]


def test_a_bad_file_does_not_take_the_lock(tmp_path: Path) -> None:
    """Two fetches at once, one of them broken: the other one's record stays."""
    with faulty(archive()) as good, faulty(b"<html>") as bad, ThreadPoolExecutor(2) as pool:
        barrier = threading.Barrier(2)

        def one(name: str, url: str) -> str:
            barrier.wait()
            return run(Checkpoint(name, (url,)), tmp_path, tmp_path / name / "checkpoint.npz")

        tasks = [pool.submit(one, "good", good.url()), pool.submit(one, "bad", bad.url())]
        assert tasks[0].result() == good.url()
        with pytest.raises(Fault):
            tasks[1].result()
    assert list(LockFile(tmp_path / "checkpoints.lock").pins) == ["good"]


def test_a_compressed_archive_of_the_same_weights(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.npz").write_bytes(archive(compress=True))
    run(Checkpoint("a", ("a.npz",)), tmp_path, out)
    assert provenance.read(out).arrays_sha256 == digest(archive(), tmp_path)
