"""Which failures are retried, after which pauses, and when a source is given up."""

import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.download.client import CONTENT, Client
from tests.faulty_server import (
    Handler,
    Resource,
    cut,
    dripping,
    faulty,
    stalling,
    status,
    whole,
)


def test_progress_starts_the_count_of_tries_again(client: Client) -> None:
    """A download survives fifty cuts as long as it progresses, but not six at the same place."""
    positions = list(range(0, len(CONTENT), len(CONTENT) // 50))[1:]
    with faulty(CONTENT, *map(cut, positions)) as server:
        assert client.get(server.url()) == CONTENT
    with faulty(CONTENT, *[cut(1000)] * 6) as server:
        assert "the connection ended after 1000 of 1000003 bytes; given up" in client.refused(server.url())
        assert len(server.requests) == 6


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_final_status_is_not_retried(client: Client, code: int) -> None:
    with faulty(CONTENT, status(code)) as server:
        assert client.refused(server.url()).startswith(f"HTTP {code} ")
        assert len(server.requests) == 1
    assert client.pauses == []


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 520])
def test_a_status_that_may_pass_is_retried_with_growing_pauses(client: Client, code: int) -> None:
    with faulty(CONTENT, *[status(code)] * 3) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 4
    for pause, longest in zip(client.pauses, (1, 2, 4), strict=True):
        assert longest / 2 <= pause <= longest


def test_a_status_that_stays_is_given_up(client: Client) -> None:
    with faulty(CONTENT, *[status(500)] * 6) as server:
        assert client.refused(server.url()) == "HTTP 500 Internal Server Error; given up"
        assert len(server.requests) == 6


def test_one_try_is_one_try(tmp_path: Path) -> None:
    with faulty(CONTENT, *[whole()] * 3, headers={"x-goog-hash": "crc32c=AAAAAA=="}) as server:
        assert "wrong crc32c" in Client(tmp_path, tries=1).refused(server.url())
        assert len(server.requests) == 1


def test_retry_after_is_honoured(client: Client) -> None:
    date = formatdate(time.time() + 100, usegmt=True)
    with faulty(CONTENT, status(429, Retry_After=17), status(503, Retry_After=date)) as server:
        assert client.get(server.url()) == CONTENT
    assert client.pauses[0] == 17
    assert 80 < client.pauses[1] <= 100


def test_a_long_retry_after_is_given_up(client: Client) -> None:
    with faulty(CONTENT, status(429, Retry_After=3600)) as server:
        assert "the server asks to come back in 3600 s" in client.refused(server.url())
        assert len(server.requests) == 1


def test_a_slow_connection_is_given_up(tmp_path: Path) -> None:
    client, stop = Client(tmp_path, slowest=1e6, stretch=0.05, tries=3), threading.Event()
    with faulty(CONTENT, *[dripping(stop)] * 3) as server:
        assert "the connection brings only" in client.refused(server.url())
        assert len(server.requests) == 3
        stop.set()


def test_a_silent_connection_is_resumed(tmp_path: Path) -> None:
    client, go_on = Client(tmp_path, silence=0.2), threading.Event()
    with faulty(CONTENT, stalling(400_000, threading.Event(), go_on)) as server:
        assert client.get(server.url()) == CONTENT
        go_on.set()
        assert [request.start for request in server.requests] == [None, 400_000]


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    def silent(handler: Handler, resource: Resource) -> None:
        go_on.wait(60)

    client, go_on = Client(tmp_path, silence=0.1, tries=2), threading.Event()
    with faulty(CONTENT, silent, silent) as server:
        assert "no answer within 0 s" in client.refused(server.url())
        go_on.set()


def test_a_connection_closed_before_the_answer_is_retried(client: Client) -> None:
    with faulty(CONTENT, lambda handler, _: handler.reset(), lambda handler, _: None) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 3


def test_an_unreachable_host_is_given_up_at_once(client: Client) -> None:
    with faulty(CONTENT, cut(1000)) as server:
        Client(client.folder, tries=1).refused(server.url())
    # Nobody listens there any more; of a file that has begun to come, more patience is shown.
    assert "Connection refused" in client.refused(f"{server.address}/other.npz")
    assert client.pauses == []
    assert "Connection refused" in client.refused(server.url())
    assert len(client.pauses) == 5
