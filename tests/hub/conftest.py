"""A hub for the tests of the index and the website."""

import shutil
from pathlib import Path

import pytest

from tests.hubs import write_hub


@pytest.fixture(scope="package")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that tests must not change."""
    return write_hub(tmp_path_factory.mktemp("site"))


@pytest.fixture
def hub(published: Path, tmp_path: Path) -> Path:
    """A hub that a test may change."""
    return Path(shutil.copytree(published, tmp_path / "hub"))
