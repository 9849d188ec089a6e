"""What fetch says when no source has the checkpoint, or when it is another member's."""

import json
from pathlib import Path

import pytest

from pipeline.checkpoints import lock_file
from pipeline.checkpoints.section import Checkpoint
from tests.conftest import serving_folder
from tests.faulty_server import faulty, status
from tests.fetch.fetching import archive, digest, refuse, sha256


def test_every_source_is_listed_with_its_reason(tmp_path: Path, out: Path) -> None:
    with serving_folder(tmp_path) as address:
        gone = f"{address}/gone.npz"
        message = refuse(Checkpoint("a", ("b.npz", gone)), tmp_path, out, str(tmp_path / "mine"))
    assert f"{tmp_path}/mine/a.npz: no such file" in message
    assert f"{tmp_path}/b.npz: no such file" in message
    assert f"{gone}: HTTP 404" in message
    assert "CHECKPOINTS=<folder>" in message
    assert "vit_models" not in message


def test_an_unreachable_host_gives_its_reason(tmp_path: Path, out: Path) -> None:
    with serving_folder(tmp_path) as address:
        pass  # nobody listens on its port afterwards
    assert "Connection refused" in refuse(Checkpoint("a", (f"{address}/a.npz",)), tmp_path, out)


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
    for remedy in (
        "(1) put a copy, a.npz, into a folder and set CHECKPOINTS=<folder>",
        "(2) with Google cred",
        "(3) choose",
    ):
        assert remedy in message


REMEDIES = {
    "offline": "leave out OFFLINE=1",
    "network": "check your network (it may need HTTPS_PROXY=<its proxy>)",
    "copy": "put a copy, a.npz, into a folder and set CHECKPOINTS=<folder>",
    "credentials": "with Google credentials that may read the bucket",
    "others": "choose a member with a copy from timm",
}
BUCKET, HUGGING_FACE = "gs://vit_models/augreg/{name}.npz", "hf://timm/m/model.safetensors"


@pytest.mark.parametrize(
    ("sources", "bucket", "offline", "remedies"),
    [
        ((BUCKET, HUGGING_FACE), 403, False, ("copy", "credentials", "others")),
        ((BUCKET,), 404, False, ("copy", "others")),  # 404: the credentials were accepted
        ((BUCKET, HUGGING_FACE), 403, True, ("offline", "copy")),
        ((BUCKET, HUGGING_FACE), None, False, ("network", "copy")),
        ((BUCKET, "a.npz"), None, False, ("network", "copy", "others")),
        (("a.npz",), 403, False, ("copy", "others")),
        ((), 403, False, ("copy", "others")),
    ],
)
def test_the_remedies_fit_the_reasons(
    tmp_path: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: tuple[str, ...],
    bucket: int | None,
    offline: bool,
    remedies: tuple[str, ...],
) -> None:
    with faulty(b"", status(bucket or 403)) as google, faulty(b"", status(404)) as hub:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", google.address)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        if bucket:
            message = refuse(Checkpoint("a", sources), tmp_path, out, offline=offline)
    if not bucket:  # both hosts are gone now
        message = refuse(Checkpoint("a", sources), tmp_path, out, offline=offline)
    assert tuple(name for name, text in REMEDIES.items() if text in message) == remedies
    for number, name in enumerate(remedies, start=1):
        assert f"({number}) {REMEDIES[name]}" in message
    assert message.endswith(".")
    assert ("closed to anonymous readers" in message) is ("credentials" in remedies)


def write_member(folder: Path, name: str, checkpoint: str, sha256: str | None) -> None:
    """Writes the section `checkpoint` of another member."""
    folder.mkdir(parents=True, exist_ok=True)
    section = {"name": checkpoint, "sources": []} | ({"sha256": sha256} if sha256 else {})
    (folder / f"{name}.yaml").write_text(json.dumps({"checkpoint": section}))


def test_the_checkpoint_of_another_member_is_named(tmp_path: Path, out: Path) -> None:
    """For instance when the weights of medium augmentation have the file name of light augmentation."""
    home, sentence = tmp_path / "vit", "The file is the checkpoint of"
    write_member(home, "light", "aug_light1", "0" * 64)
    write_member(tmp_path / "other", "medium", "aug_medium2", sha256(archive(1)).upper())
    # Files with faults are skipped.
    (home / "collection.yaml").write_text("name: [")
    (home / "listed.yaml").write_text(json.dumps({"checkpoint": {"name": [1], "sha256": [2]}}))
    for name in ("folder.yaml", lock_file.NAME):
        (tmp_path / "odd" / name).mkdir(parents=True)
    (home / "aug_light1.npz").write_bytes(archive(1))
    light = Checkpoint("aug_light1", ("aug_light1.npz",), "0" * 64)
    message = refuse(light, home, out)
    assert f"got {sha256(archive(1))}" in message
    assert message.endswith(f"{sentence} medium")
    # A lock file identifies the same arrays in another file; a checkpoint without members has its own name.
    (home / "aug_light1.npz").write_bytes(archive(1, compress=True))
    assert sentence not in refuse(light, home, out)
    entry = {"arrays": digest(archive(1), tmp_path)}
    (tmp_path / "other/checkpoints.lock").write_text(json.dumps({"aug_medium2": entry, "aug_strong1": entry}))
    assert refuse(light, home, out).endswith(f"{sentence} medium or aug_strong1")
    # A damaged file is nobody's, and a file of the same member is not mentioned.
    (home / "aug_light1.npz").write_bytes(archive(1)[:-1])
    assert sentence not in refuse(light, home, out)
    (tmp_path / "other/checkpoints.lock").write_text(json.dumps({"aug_light1": entry}))
    (home / "aug_light1.npz").write_bytes(archive(1, compress=True))
    assert sentence not in refuse(light, home, out)
