"""Fixtures of the tests of fetch."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Removes the settings and credentials of the person who runs the tests."""
    credentials = ("CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "HF_TOKEN")
    for name in (*credentials, "OFFLINE", "CACHE", "LOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The checkpoint to write, with an earlier one in its place."""
    path = tmp_path / "artifacts/m/checkpoint.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"earlier")
    return path
