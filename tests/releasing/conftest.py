"""A hub to release, a copy of it, and an empty target."""

import shutil
from pathlib import Path

import pytest

from pipeline.hub import website
from pipeline.hub.folder import read_index
from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from tests.conftest import once
from tests.releasing.hubs import FORMATS, add_formats, halves, write_released_hub


@pytest.fixture(scope="session")
def released_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that may be released: of two publishers, with two versions, and formats. Tests must not change it."""
    return once(tmp_path_factory, "released", _write) / "hub"


def _write(folder: Path) -> None:
    hub = write_released_hub(folder)
    for version in "12":
        add_formats(hub, f"vit-publisher/vit_demo_classification/{version}", FORMATS)
    website.build(hub, read_index(hub))
    halves(hub, folder)


@pytest.fixture
def hub(released_hub: Path, tmp_path: Path) -> Path:
    """A hub that a test may change: version 1 of one publisher's two modules of `released_hub`."""
    return Path(shutil.copytree(released_hub.parent / "1", tmp_path / "hub"))


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """An empty folder as a target."""
    return open_target(str(tmp_path / "target"))
