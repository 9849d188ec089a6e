"""fetch from timm's copy: it is converted back, and its arrays are pinned together with those of upstream's file."""

import hashlib
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from benchmarks.layout_round_trips import counting_arrays
from pipeline.base.fault import Fault
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.section import Checkpoint
from pipeline.model.section import Model
from tests.conftest import ROOT
from tests.faulty_server import cut, faulty, redirect, status
from tests.fetch import fetching

pytestmark = pytest.mark.slow

GOOGLE, TIMM = "gs://vit_models/augreg/{name}.npz", "hf://timm/tiny/model.safetensors"
MODEL = Model("R+Ti/16", 32, 3)
FILE = lzma.decompress((ROOT / "tests/data/timm/R_Ti_16.safetensors.xz").read_bytes())
SHA256 = hashlib.sha256(FILE).hexdigest()


def run(folder: Path, *sources: str, sha256: str | None = None) -> Path:
    """Fetches into the test's folder and returns the checkpoint."""
    out = folder / "m/checkpoint.npz"
    fetching.run(Checkpoint("tiny", sources, sha256), folder, out)
    return out


def upstream(folder: Path, **change: np.ndarray) -> bytes:
    """Returns the pool's file of the same checkpoint: with an empty pre_logits, which timm does not keep."""
    arrays = counting_arrays(MODEL) | {"pre_logits": np.zeros(0, np.float32)} | change
    np.savez_compressed(folder / "upstream.npz", allow_pickle=False, **arrays)
    return (folder / "upstream.npz").read_bytes()


def test_the_copy_is_used_while_the_bucket_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        faulty(b"", status(403), status(403)) as bucket,
        faulty(FILE, cut(len(FILE) // 2)) as store,
        faulty(b"") as hub,
    ):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.address)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        hub.script += [redirect(store.url("signed"), X_Linked_Etag=f'"{SHA256}"')] * 2
        out = run(tmp_path, GOOGLE, TIMM)
        assert [request.start for request in store.requests] == [None, len(FILE) // 2]
        with np.load(out, allow_pickle=False) as archive:
            for name, array in counting_arrays(MODEL).items():
                assert archive[name].tobytes() == array.tobytes(), name
        known = provenance.read(out)
        assert known.facts() == {
            "source": TIMM,
            "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
            "arrays_sha256": known.arrays_sha256,
            "converted_from": "timm safetensors",
            "source_sha256": SHA256,
        }
        first = out.read_bytes()
        assert run(tmp_path, GOOGLE, TIMM).read_bytes() == first
        # The bucket opens again: its file is another container of the same arrays.
        bucket.resource.content = upstream(tmp_path)
        assert provenance.read(run(tmp_path, GOOGLE)).arrays_sha256 == known.arrays_sha256
    files = LockFile(tmp_path / "checkpoints.lock").pins["tiny"].files
    assert sorted(files) == [GOOGLE.replace("{name}", "tiny"), TIMM]
    assert files[TIMM] == SHA256


def test_a_copy_of_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(upstream(tmp_path, cls=-counting_arrays(MODEL)["cls"])) as bucket, faulty(FILE) as hub:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.address)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        before = run(tmp_path, GOOGLE).read_bytes()
        with pytest.raises(Fault, match=f"{TIMM}: other weights than .* has for tiny: "):
            run(tmp_path, TIMM)
        assert (tmp_path / "m/checkpoint.npz").read_bytes() == before


def test_a_copy_beside_the_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(FILE)
    known = provenance.read(run(tmp_path, "missing.safetensors", "mine.safetensors"))
    assert (known.source, known.converted_from) == ("mine.safetensors", "timm safetensors")


def test_a_copy_that_no_pinned_digest_applies_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(FILE)
    lock = tmp_path / "checkpoints.lock"
    with pytest.raises(Fault) as raised:
        run(tmp_path, "upstream.npz", "mine.safetensors", sha256="0" * 64)
    assert "mine.safetensors: cannot be verified: checkpoint.sha256 is the digest of upstream's .npz file" in str(
        raised.value
    )
    assert f"{lock} has no digest of the arrays" in str(raised.value)
    assert not list((tmp_path / "m").glob("*.npz"))
    arrays = provenance.read(run(tmp_path, "mine.safetensors")).arrays_sha256
    lock.write_text(json.dumps({"tiny": {"arrays": arrays}}))
    found = provenance.read(run(tmp_path, "upstream.npz", "mine.safetensors", sha256="0" * 64))
    assert found.arrays_sha256 == arrays


def test_the_digest_of_a_member_with_copies_alone_is_the_copys(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(FILE)
    known = provenance.read(run(tmp_path, "mine.safetensors", sha256=SHA256))
    assert (known.verification, known.source_sha256) == ("pinned", SHA256)
    with pytest.raises(Fault, match=f"mine.safetensors: wrong sha256: expected {'0' * 64}, got {SHA256}"):
        run(tmp_path, "mine.safetensors", sha256="0" * 64)


def test_a_broken_copy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(FILE[:-1])
    with pytest.raises(Fault, match="not a whole safetensors file"):
        run(tmp_path, "mine.safetensors")
    assert list((tmp_path / "m").iterdir()) == []
