"""Hostile requests get nothing from outside of the hub; benchmarks/hostile_requests.py sends thousands."""

import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.server import connections, middleware
from pipeline.server.connections import Connection
from pipeline.server.log import ACCESS
from tests.server.harness import running
from tests.server.hostile import Log, Public


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """What the server logs, with requests, while clients that are late are given up soon."""
    monkeypatch.setattr(Connection, "head_seconds", 0.2)
    monkeypatch.setattr(middleware, "LINGER_SECONDS", 0.2)
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.2)
    handler, level = Log(), ACCESS.level
    logging.getLogger().addHandler(handler)
    ACCESS.setLevel(logging.INFO)
    yield handler
    ACCESS.setLevel(level)
    logging.getLogger().removeHandler(handler)


def test_hostile_requests_get_nothing_from_outside(tmp_path: Path, log: Log) -> None:
    public = Public(tmp_path)
    with running(public.root, "gs://bucket") as server:
        public.run_requests(server, Random(0), 2_000)
        assert public.statuses[404] > 200
        assert {200, 302, 400, 404, 405} <= set(public.statuses)
        public.run_wild(server, Random(0), 200)
        assert server.ask("/healthz").status == 200
    assert {206, 303, 414, 431} <= set(public.statuses)
    assert log.faults == []
    assert log.lines > 2_000
