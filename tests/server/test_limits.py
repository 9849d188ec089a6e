"""Limits: long addresses, large bodies, slow clients, many clients; and the log of requests."""

import asyncio
import logging
import os
import re
import socket
from contextlib import ExitStack, suppress

import pytest

from pipeline.server import middleware
from pipeline.server.connections import Connection
from pipeline.server.log import ACCESS
from pipeline.server.middleware import LARGEST_HEADERS, LONGEST_TARGET
from pipeline.server.places import Limits
from tests.server.harness import MODULE, TARBALL, Running, head, rest, running, write


# Limits -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("length", [LONGEST_TARGET, 31_000, 200_000])
def test_a_long_address_is_refused(shared: Running, length: int) -> None:
    received = shared.raw(b"GET /" + b"a" * length + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 414 ")
    assert b"The address is too long" in received


@pytest.mark.parametrize("length", [LARGEST_HEADERS, 200_000])
def test_large_headers_are_refused(shared: Running, length: int) -> None:
    received = shared.raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: " + b"a" * length + b"\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 431 ")
    assert b"The headers are too large" in received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_body_is_refused_unread(shared: Running, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes) -> None:
    monkeypatch.setattr(middleware, "LINGER_SECONDS", 0.05)
    received = shared.raw(request_bytes)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"has no body" in received


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_a_large_body_is_refused_with_a_sentence(shared: Running, method: bytes) -> None:
    """Many clients send all of it before they read: a connection closed by then would be all that they hear of."""
    body = bytes(4_000_000)
    head = b" / HTTP/1.1\r\nHost: x\r\n"
    received = shared.raw(method + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert received.startswith(b"HTTP/1.1 405 ")
    assert received.endswith(b"The hub is for reading: GET and HEAD.\n")
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    received = shared.raw(method + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)
    assert received.startswith(b"HTTP/1.1 405 ")


def test_a_body_is_not_waited_for_for_ever(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "LINGER_SECONDS", 0.05)
    received = shared.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize("body", [b"no size\r\n", b"1" * 70_000, b"5\r\nhello, hello"])
@pytest.mark.parametrize(("method", "status"), [(b"GET", b"400"), (b"HEAD", b"400"), (b"POST", b"405")])
def test_a_malformed_body_is_refused_once_and_without_a_traceback(
    shared: Running, caplog: pytest.LogCaptureFixture, method: bytes, status: bytes, body: bytes
) -> None:
    received = shared.raw(method + b" / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [status]
    assert shared.ask("/").status == 200
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET alice/alice.md HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(shared: Running, request_bytes: bytes) -> None:
    assert shared.raw(request_bytes).startswith(b"HTTP/1.1 400 ")


def test_a_slow_head_is_given_up(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "head_seconds", 0.05)
    assert shared.raw(b"GET / HTTP/1.1\r\nHost:").startswith(b"HTTP/1.1 408 ")
    assert shared.raw(b"") == b""  # a connection without a request gets no answer
    # The second request of a connection, too.
    received = shared.raw(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"408"]


def test_a_client_that_stops_reading_is_cut_off(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "stall_seconds", 0.1)
    with shared.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
        head(client)
        assert_closed(shared)
        assert len(rest(client)) < len(TARBALL)


def test_a_client_that_leaves_the_end_of_an_answer_unread_is_cut_off(
    own: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where so little is left that asyncio would not call it much: nobody holds a connection for good."""
    connections: list[Connection] = []
    made = Connection.connection_made

    def connection_made(self: Connection, transport: asyncio.Transport) -> None:
        connections.append(self)
        made(self, transport)

    monkeypatch.setattr(Connection, "connection_made", connection_made)
    monkeypatch.setattr(Connection, "stall_seconds", 0.1)
    write(own.root / "alice/net/1.html", b"<p>" * 5_000)
    with own.connect(receive_buffer=4096) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each request arrives before the next is sent
        while not connections or not connections[0].transport.get_write_buffer_size():
            client.sendall(b"GET /alice/net/1.html HTTP/1.1\r\nHost: x\r\n\r\n")
            own.ask("/healthz")
        transport = connections[0].transport
        assert transport.get_write_buffer_size() < 65_536
        for _ in range(1000):
            if transport.is_closing():
                return
            own.ask("/healthz")
    raise AssertionError("the connection is still open")


def open_tarballs(running: Running) -> int:
    """How many times this process has the module's tarball open."""
    tarball = str(running.root / "alice/net/1.tar.gz")
    count = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(FileNotFoundError):  # the server's thread closes files meanwhile
            count += os.readlink(f"/proc/self/fd/{name}") == tarball  # noqa: PTH115
    return count


def assert_closed(running: Running) -> None:
    """The server has closed the tarball, or does so while it answers some more requests."""
    for _ in range(1000):
        if not open_tarballs(running):
            return
        running.ask("/healthz")
    raise AssertionError("the tarball is still open")


def test_a_client_that_leaves_is_forgotten(shared: Running) -> None:
    for _ in range(20):
        with shared.connect(receive_buffer=4096) as client:
            client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
            head(client)
            assert open_tarballs(shared)
    assert_closed(shared)
    for status in ("412", "416", "304", "200"):  # each way out closes the file
        headers = {"412": {"If_Match": '"x"'}, "416": {"Range": "bytes=-0"}, "304": {"If_None_Match": "*"}, "200": {}}
        assert shared.ask(MODULE + ".tar.gz", "HEAD", **headers[status]).status == int(status)
    assert_closed(shared)


def test_too_many_clients_are_told_so(own: Running) -> None:
    with running(own.root, limits=Limits(3, 1000)) as here, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(here.connect())
        assert here.ask("/").status == 503
        many = [stack.enter_context(here.connect()) for _ in range(110)]
        # Beyond a hundred more nobody is answered: the server needs its descriptors for files.
        assert many[-1].recv(1) == b""
    assert own.ask("/").status == 200


def test_pipelined_requests_are_answered_in_order(shared: Running) -> None:
    received = shared.raw(
        b"GET /alice/alice.md HTTP/1.1\r\nHost: x\r\n\r\nGET /alice/net/1.md HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert re.findall(rb"# \w+ ?\d?|HTTP/1.1 404", received) == [b"# alice", b"# net 1", b"HTTP/1.1 404"]


# The log ------------------------------------------------------------------------------------------------------------
def test_each_request_is_one_line(shared: Running) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    ACCESS.addHandler(handler)
    level, ACCESS.level = ACCESS.level, logging.INFO
    ACCESS.setLevel(logging.INFO)
    try:
        shared.ask(MODULE + '.md?a="b"\\')
        shared.ask(MODULE + ".tar.gz", Range="bytes=0-99")
        shared.ask("/%0d%0aevil%1b")
        shared.raw(b"nonsense\r\n\r\n")
    finally:
        ACCESS.removeHandler(handler)
        ACCESS.setLevel(level)
    form = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(.*)" (\d{3}) (\d+|-)'
    matches = [re.fullmatch(form, line) for line in lines]
    assert [match and match.groups() for match in matches] == [
        ("GET /alice/net/1.md?a=\\x22b\\x22\\\\ HTTP/1.1", "200", "8"),
        ("GET /alice/net/1.tar.gz HTTP/1.1", "206", "100"),
        ("GET /%0d%0aevil%1b HTTP/1.1", "404", "38"),
        ("-", "400", "29"),
    ]
