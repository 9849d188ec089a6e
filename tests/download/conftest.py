"""Fixtures of the tests of downloads."""

from pathlib import Path

import pytest

from tests.download.client import Client


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "cache")
