"""Targets on servers of this machine."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from pipeline.targets.remote import Patience
from tests.targets.servers import Server, Servers

QUICK = Patience(tries=5, pause=0.01, longest=0.05)
Opener = Callable[[Server], Target]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The object stores of this run."""
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("stores"), stack)


@pytest.fixture
def open_on(monkeypatch: pytest.MonkeyPatch) -> Opener:
    """Opens an empty hub in the bucket of a server."""

    def open_(server: Server) -> Target:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        return open_target(f"{server.target}/hubs/{secrets.token_hex(4)}", QUICK)

    return open_


def nothing(count: int) -> None:
    """Counts nothing."""
