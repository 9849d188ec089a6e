"""A server of a hub that no test changes, and one of a hub to change at will."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.harness import Running, running, write_hub


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of a hub that no test changes."""
    with running(write_hub(tmp_path_factory.mktemp("served") / "hub"), "gs://bucket/prefix/") as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A server of a hub to change at will."""
    with running(write_hub(tmp_path / "hub")) as server:
        yield server
