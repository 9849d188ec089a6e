"""Small checkpoints, and fetch called in this process, for the tests of fetch."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.checkpoints.digest import arrays_digest
from pipeline.checkpoints.section import Checkpoint
from pipeline.download.obtain import Access
from pipeline.download.retry import Policy
from pipeline.fetch import Settings, fetch


def archive(seed: int = 0, compress: bool = False) -> bytes:
    """Returns an .npz of 40 kB; two calls give the same bytes."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compress else np.savez
    save(buffer, allow_pickle=False, a=np.random.default_rng(seed).standard_normal((100, 100), dtype=np.float32))
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    """Returns the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def digest(content: bytes, folder: Path) -> str:
    """Returns the digest of the arrays of an .npz file's content; writes into the folder."""
    (folder / "digest.npz").write_bytes(content)
    return arrays_digest(folder / "digest.npz", "")


def settings(folder: Path, checkpoints: str | None = None, offline: bool = False) -> Settings:
    """Returns settings with cache and lock file in the test's folder, and no pauses."""
    access = Access(folder / "cache", offline, Policy(sleep=lambda _: None))
    return Settings(checkpoints, folder / "checkpoints.lock", access)


def run(checkpoint: Checkpoint, home: Path, out: Path, checkpoints: str | None = None, offline: bool = False) -> str:
    """Fetches and returns the address that had it."""
    return fetch(checkpoint, home, out, settings(home, checkpoints, offline)).address


def refuse(checkpoint: Checkpoint, home: Path, out: Path, checkpoints: str | None = None, offline: bool = False) -> str:
    """Fetches, expects a Fault and no change of checkpoint, record and lock file; returns the message."""
    before = {path: path.read_bytes() for path in out.parent.iterdir()}
    lock = home / "checkpoints.lock"
    pinned = lock.read_text() if lock.exists() else None
    with pytest.raises(Fault) as raised:
        run(checkpoint, home, out, checkpoints, offline)
    assert {path: path.read_bytes() for path in out.parent.iterdir()} == before
    assert (lock.read_text() if lock.exists() else None) == pinned
    return str(raised.value)
