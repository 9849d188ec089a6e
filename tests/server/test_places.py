"""How many connections a client may have, and what happens when there are more than descriptors."""

import asyncio
import errno
import io
import logging
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.serve import limit_connections, main
from pipeline.server import log, places
from pipeline.server.places import Acceptor, Limits, Places, network_of
from tests.conftest import ROOT
from tests.server.harness import Running, rest, running, write_hub

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_lines_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_last_lines", {})


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_address_counts_by_its_network(host: str, network: str) -> None:
    assert network_of(host) == network


def test_an_address_has_a_third_of_the_places() -> None:
    assert limit_connections(2000) == Limits(2000, 666)
    assert limit_connections(30).per_address == 12  # two browsers
    assert limit_connections(3).per_address == 3
    assert limit_connections(50, ["::1", "127.0.0.1"]).proxies == {"::/64", "127.0.0.1"}


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Connects from another address of this machine."""
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(host, 0))


@contextmanager
def half_open(server: Running, count: int, host: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Opens connections that send a part of a head, and waits until the server has them."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server.port, host)) for _ in range(count)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost:")
        yield clients


def ask(server: Running, host: str) -> bytes:
    """Sends a request from an address; returns the answer's status."""
    with connect(server.port, host) as client:
        client.sendall(REQUEST)
        return rest(client)[9:12]


def is_closed(client: socket.socket) -> bool:
    """Whether the server closes a connection without an answer."""
    try:
        return not client.recv(1)
    except ConnectionResetError:
        return True


def test_one_address_does_not_take_all_places(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(write_hub(tmp_path / "hub"), limits=Limits(20, 5)) as server, half_open(server, 5):
        answers = [ask(server, "127.0.0.1") for _ in range(5)]
        assert answers == [b"429"] * 5
        assert ask(server, "127.0.0.2") == b"200"
    lines = [record.getMessage() for record in caplog.records if record.name == "pipeline.serve"]
    assert lines == ["serve: 127.0.0.1 has 5 connections: one that waits is closed for each further one"]


def test_the_connection_that_waits_longest_yields_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "YIELDS_AFTER", 0.0)
    with (
        running(write_hub(tmp_path / "hub"), limits=Limits(20, 5)) as server,
        connect(server.port) as busy,
        half_open(server, 4) as waiting,
    ):
        busy.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")  # it is answered, and has not ended
        assert busy.recv(9) == b"HTTP/1.1 "
        assert ask(server, "127.0.0.1") == b"200"
        assert is_closed(waiting[0])
        assert ask(server, "127.0.0.1") == b"200"
        waiting[1].sendall(b" x\r\nConnection: close\r\n\r\n")
        assert rest(waiting[1]).startswith(b"HTTP/1.1 200 ")
        busy.sendall(b"hello")
        assert rest(busy)


def test_places_are_freed_for_other_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "YIELDS_AFTER", 0.0)
    limits = Limits(6, 3)
    with (
        running(write_hub(tmp_path / "hub"), limits=limits) as server,
        half_open(server, 3, "127.0.0.2"),
        half_open(server, 3, "127.0.0.3"),
    ):
        assert [ask(server, "127.0.0.4") for _ in range(8)] == [b"200"] * 8


class Connected:
    """A connection that has a place."""

    def __init__(self, network: str, waits_since: float | None) -> None:
        self.network, self.waits_since, self.is_open = network, waits_since, True

    def yield_place(self) -> None:
        self.is_open = False


def test_a_flood_of_one_address_does_not_keep_waiting_connections_of_others() -> None:
    held = Places(Limits(5, 2))
    busy, waiting = [Connected("a", None) for _ in range(2)], [Connected(name, 0.0) for name in "bcd"]
    for connection in (*busy, *waiting):
        assert held.take(connection, 0.0)
    assert not held.take(Connected("a", 0.0), 100.0)  # searched in vain
    assert held.take(Connected("e", 100.0), 100.0)
    assert [connection.is_open for connection in (*busy, *waiting)] == [True, True, False, True, True]


def test_a_proxy_may_take_all_places(tmp_path: Path) -> None:
    limits = Limits(20, 5, frozenset({"127.0.0.1"}))
    with running(write_hub(tmp_path / "hub"), limits=limits) as server, half_open(server, 15):
        assert ask(server, "127.0.0.1") == b"200"


def test_a_flood_of_one_address_leaves_room_for_others(tmp_path: Path) -> None:
    with running(write_hub(tmp_path / "hub"), limits=Limits(60, 5)) as server, half_open(server, 300):
        assert ask(server, "127.0.0.2") == b"200"


def test_a_flood_is_one_line_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(500):
        log.log("kind", "a\x1b[2J\nb")
    log.log("other", "c")
    now = 1061.0
    log.log("kind", "d")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["serve: a\\x1b[2J\\nb", "serve: c", "serve: d (499 times since the last line)"]


class Exhausted(socket.socket):
    """A listening socket for which the system has no descriptors at first."""

    failures = 3

    def accept(self) -> tuple[socket.socket, object]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def test_without_descriptors_accepting_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(places, "_PAUSE", 0.01)

    async def serve() -> float:
        with Exhausted() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            connected = asyncio.Event()

            class Closing(asyncio.Protocol):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    transport.close()
                    connected.set()

            acceptor, started = Acceptor(listener, lambda _: Closing(), Places(Limits(1, 1))), time.monotonic()
            with socket.create_connection(listener.getsockname()):
                await asyncio.wait_for(connected.wait(), 10)
            acceptor.close()
            return time.monotonic() - started

    assert asyncio.run(serve()) > 0.03
    assert [record.getMessage() for record in caplog.records] == [
        "serve: no connection can be accepted for 0 s: Too many open files"
    ]


def test_bursts_at_the_limit_of_descriptors(tmp_path: Path) -> None:
    """Three bursts of 800 connections where 420 files may be open: some lines of log, and the server goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4000), hard))
    command = f"ulimit -n 420; exec {sys.executable} -m pipeline.serve '{write_hub(tmp_path / 'hub')}' --port 0"
    process = subprocess.Popen(["bash", "-c", command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stderr
        port = int(process.stderr.readline().split(b"127.0.0.1:")[1].split(b"/")[0])
        for _ in range(3):
            with ExitStack() as stack:
                for _ in range(800):
                    client = stack.enter_context(socket.socket())
                    client.setblocking(False)
                    client.connect_ex(("127.0.0.1", port))
        assert ask(Running(port, tmp_path), "127.0.0.2") == b"200"
        process.terminate()
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert b"Traceback" not in errors
    assert len(errors.splitlines()) < 8


def test_a_disk_without_descriptors_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def exhausted(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with running(write_hub(tmp_path / "hub")) as server:
        monkeypatch.setattr("pipeline.server.files.open_file", exhausted)
        answers = [server.ask("/index.html") for _ in range(5)]
    assert {(answer.status, answer.body) for answer in answers} == {(503, b"The hub cannot be read at the moment.\n")}
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "serve: the hub cannot be read: Too many open files"
    ]


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_access_log_on_a_full_disk_is_one_line(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = log.AccessHandler(Full())
    for _ in range(5):
        handler.emit(logging.makeLogRecord({"msg": "GET / HTTP/1.1"}))
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["serve: the access log cannot be written: No space left on device"]
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("proxies", ["localhost", "127.0.0.1, 10.0.0.0/8", "\x1b[2J"])
def test_a_proxy_is_an_address(tmp_path: Path, proxies: str) -> None:
    hub = write_hub(tmp_path / "hub")
    with pytest.raises(Fault) as raised:
        main([str(hub), "--proxies", proxies])
    assert "is no IP address; expected some, such as 127.0.0.1,::1" in str(raised.value)
    assert "\x1b" not in str(raised.value)
