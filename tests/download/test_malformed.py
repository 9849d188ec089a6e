"""Answers that are no HTTP, drip, or never end: a sentence, in bounded time, memory and disk."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.download import cache, transfer
from pipeline.download.connection import LARGEST_HEAD
from pipeline.download.network import MOST_REDIRECTS
from pipeline.download.retry import Policy
from pipeline.pool import index
from tests.download.client import CONTENT, Client
from tests.faulty_server import Behaviour, Handler, Resource, cut, faulty, partial, status, whole

OK = b'HTTP/1.1 200 OK\r\nETag: "one"\r\n'
LENGTH = b"Content-Length: %d\r\n" % len(CONTENT)


def raw(*pieces: bytes) -> Behaviour:
    """Sends bytes as they are, and closes the connection."""

    def behave(handler: Handler, resource: Resource) -> None:
        for piece in pieces:
            handler.wfile.write(piece)

    return behave


def endless(start: bytes, piece: bytes, pause: float = 0.0, stop: threading.Event | None = None) -> Behaviour:
    """Sends the start, and then the piece again and again until the client goes away."""

    def behave(handler: Handler, resource: Resource) -> None:
        handler.wfile.write(start)
        while not (stop or threading.Event()).wait(pause):
            handler.wfile.write(piece)
            handler.faulty.sent += len(piece)

    return behave


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    """Ends what drips."""
    event = threading.Event()
    yield event
    event.set()


# Heads --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 Whatever\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_interim_answers_are_skipped(client: Client, interim: bytes) -> None:
    with faulty(CONTENT, raw(interim + OK + LENGTH + b"Connection: close\r\n\r\n" + CONTENT)) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("Content-Length: \xb2", "its Content-Length is '\xb2', expected one number"),
        ("Content-Length: 5\x85", "its Content-Length is '5\\x85', expected one number"),
        ("Content-Length: -5", "its Content-Length is '-5', expected"),
        ("Content-Length: +5", "its Content-Length is '+5', expected"),
        ("Content-Length: 1_0", "its Content-Length is '1_0', expected"),
        ("Content-Length: 0x10", "its Content-Length is '0x10', expected"),
        ("Content-Length: 1e6", "its Content-Length is '1e6', expected"),
        ("Content-Length:", "its Content-Length is '', expected"),
        ("Content-Length: " + "9" * 5000, "its Content-Length is '99999"),
        ("Content-Length: 1" + "0" * 30, "its Content-Length is '1000000000000000000000000000000', expected"),
        ("Content-Length: 5\r\nContent-Length: 6", "its Content-Length is '5, 6', expected"),
        ("Content-Length: 5, 6", "its Content-Length is '5, 6', expected"),
        ("Content-Length: \x1b[2J", "its Content-Length is '\\x1b[2J', expected"),
        ("Transfer-Encoding: gzip, chunked", "its Transfer-Encoding is 'gzip, chunked', expected chunked or none"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "is 'chunked, chunked', expected"),
        ("Transfer-Encoding: \x0bchunked", "its Transfer-Encoding is '\\x0bchunked', expected"),
        ("Transfer-Encoding: identity", "its Transfer-Encoding is 'identity', expected"),
    ],
)
def test_a_malformed_length_is_named(client: Client, head: str, reason: str) -> None:
    answer = raw(OK + head.encode("latin-1") + b"\r\n\r\n" + CONTENT)
    with faulty(CONTENT, *[answer] * 6) as server:
        assert reason in client.refused(server.url())
        assert len(server.requests) == 2


def test_equal_lengths_are_one(client: Client) -> None:
    with faulty(CONTENT, raw(OK + LENGTH * 2 + b"\r\n" + CONTENT)) as server:
        assert client.get(server.url()) == CONTENT


def test_chunks_take_precedence_over_a_length(client: Client) -> None:
    chunked = b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(CONTENT), CONTENT)
    with faulty(CONTENT, raw(OK + chunked)) as server:
        assert client.get(server.url()) == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        raw(CONTENT),  # HTTP/0.9
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw(b"<html>without a line's end"),
        raw(b"\x15\x03\x01\x00\x02\x02\x46" * 10 + b"\n"),
        raw(b"HTTP/1.1 2\xb20 OK\r\n\r\n"),
        raw(b"HTTP/1.1 99999 OK\r\n\r\n"),
        raw(b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n"),
        raw(OK + b"A: " + b"x" * 100_000 + b"\r\n\r\n"),
        endless(OK, b"A: b\r\n" * 1000),
        endless(OK, b"A: " + b"x" * 60_000 + b"\r\n"),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" * 100),
    ],
)
def test_what_is_no_head_is_given_up_after_two_tries(client: Client, answer: Behaviour) -> None:
    with faulty(CONTENT, *[answer] * 6) as server:
        reason = client.refused(server.url())
        assert reason.startswith("no answer: ")
        assert len(reason) < 500
        assert reason.isprintable()
        assert len(server.requests) == 2
        assert server.sent < 100 * LARGEST_HEAD  # most of it is what the system's buffers hold


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 O", OK, b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_dripping_head_is_given_up(tmp_path: Path, stop: threading.Event, start: bytes) -> None:
    client = Client(tmp_path, head=0.05)
    with faulty(CONTENT, *[endless(start, b"x", 0.01, stop)] * 6) as server:
        assert "and its head is not complete; given up" in client.refused(server.url())
        assert len(server.requests) == 2
        stop.set()


@pytest.mark.parametrize("head", [OK, OK + LENGTH, OK + LENGTH[:-6], OK[:-3], b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\n"])
def test_a_head_that_is_cut_is_no_empty_file(client: Client, head: bytes) -> None:
    with faulty(CONTENT, raw(head)) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 2


@pytest.mark.parametrize("etag", ['"\x1b[2J"', '"a"b"', '"' + "x" * 1001 + '"', '"a b"', '"', '"\x00"'])
def test_an_odd_etag_is_not_sent_back(client: Client, etag: str) -> None:
    with faulty(CONTENT, cut(500_000), etag=etag) as server:
        assert client.get(server.url()) == CONTENT
        assert client.get(server.url()) == CONTENT
    assert not any("if-range" in request.headers or "if-none-match" in request.headers for request in server.requests)


def test_an_etag_beyond_ascii_is_sent_back_as_it_came(client: Client) -> None:
    with faulty(CONTENT, cut(500_000), etag='"\xe9\xff"') as server:
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].headers["if-range"] == '"\xe9\xff"'


@pytest.mark.parametrize(
    "value",
    ["\xb2", "-1", "1_0", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 -2359", "Fri, 31 Dec 99999 00:00:00 GMT", "nan",
     "\x1b[2J", "Mon, 01 Jan 0001 00:00:00 +9999999999", "Sat, 01 Jan 2000 00:00:00 -0000", "1e400", "", ","],
)  # fmt: skip
def test_an_odd_retry_after_is_no_fault_of_ours(client: Client, value: str) -> None:
    with faulty(CONTENT, status(503, Retry_After=value)) as server:
        if "Dec 9999 " in value:
            assert "the server asks to come back in" in client.refused(server.url())
        else:
            assert client.get(server.url()) == CONTENT


def test_the_reason_of_a_status_is_shown_without_control_characters(client: Client) -> None:
    with faulty(CONTENT, raw(b"HTTP/1.1 404 \x1b[2J" + b"x" * 9000 + b"\r\n\r\n")) as server:
        reason = client.refused(server.url())
    assert reason.startswith("HTTP 404 \\x1b[2Jxxx")
    assert len(reason) < 150


def test_pauses_end(tmp_path: Path) -> None:
    client = Client(tmp_path, longest_waits=500.0)
    with faulty(CONTENT, *[status(503, Retry_After=200)] * 6) as server:
        assert "given up after waiting for 10 minutes in all" in client.refused(server.url())
    assert client.pauses == [200.0, 200.0]


# Bodies -------------------------------------------------------------------------------------------------------------
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (b"-1", "'-1'"),
        (b"0x10", "'0x10'"),
        (b"1_0", "'1_0'"),
        (b"+5", "'+5'"),
        (b" 5", "'5'"),
        (b"1" * 16, "'" + "1" * 16 + "'"),
        (b"f" * 60_000, "'fff"),
        (b"5;" + b"x" * 60_000, "'5;xxx"),
        (b"\xb2", "'\xb2'"),
        (b"", "''"),
        (b"\x1b[2J", "'\\x1b[2J'"),
    ],
)  # fmt: skip
def test_a_malformed_chunk_is_named(client: Client, size: bytes, reason: str) -> None:
    with faulty(CONTENT, *[raw(CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n")] * 6) as server:
        assert f"the answer is malformed after 0 bytes: the size of a chunk is {reason}" in client.refused(server.url())
        assert len(server.requests) == 2


def test_a_chunk_that_is_longer_than_its_size_is_refused(client: Client) -> None:
    with faulty(CONTENT, *[raw(CHUNKED + b"3\r\nhello\r\n0\r\n\r\n")] * 6) as server:
        assert "a chunk is longer than its size" in client.refused(server.url())


def test_chunks_may_have_extensions_and_trailers(client: Client) -> None:
    pieces = [b"%X;a=b ;c\r\n%b\r\n" % (len(piece), piece) for piece in (CONTENT[:1], CONTENT[1:9], CONTENT[9:])]
    with faulty(CONTENT, raw(CHUNKED, *pieces, b"000\r\nDigest: x\r\nA: b\r\n\r\n")) as server:
        assert client.get(server.url()) == CONTENT


@pytest.mark.parametrize("start", [b"0\r\n", b"5;", b"5\r\nhello", b"5\r\nhello\r\n2; a=", b"0\r\nA: "])
def test_dripping_trailers_and_extensions_are_given_up(tmp_path: Path, stop: threading.Event, start: bytes) -> None:
    client = Client(tmp_path, head=0.2)
    drip = b"x" if start != b"0\r\n" else b"A: b\r\n"
    with faulty(CONTENT, *[endless(CHUNKED + start, drip, 0.01, stop)] * 6, etag=None) as server:
        assert "the answer is malformed after" in client.refused(server.url())
        assert len(server.requests) == 2
        stop.set()


def test_trailers_without_end_are_given_up(client: Client) -> None:
    with faulty(CONTENT, *[endless(CHUNKED + b"0\r\n", b"A: b\r\n" * 1000)] * 6) as server:
        assert "its head is larger than 256 kB" in client.refused(server.url())


@pytest.mark.parametrize("head", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_without_end_is_given_up_and_removed(tmp_path: Path, head: bytes) -> None:
    client, piece = Client(tmp_path, largest_unannounced=3_000_000), b"10000\r\n%b\r\n" % bytes(65536)
    with faulty(CONTENT, endless(OK + head, piece)) as server:
        assert client.refused(server.url()) == "it announces no length, and sends more than 0.003 GB"
        assert len(server.requests) == 1
        with cache.open_entry(client.folder, server.url(), "get") as entry:
            assert not entry.part_file.exists()


def test_a_file_for_which_there_is_no_room_is_refused_before_it_comes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(CONTENT, whole(Content_Length=33_000_000_000)) as server:
        assert client.refused(server.url()) == "it has 33 GB, expected at most 32 GB"
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: transfer.shutil._ntuple_diskusage(9, 9, 500_000))  # type: ignore[attr-defined]
    with faulty(CONTENT, whole(), whole(Content_Length=None)) as server:
        assert "it has 0.001 GB, and the disk of " in client.refused(server.url())
        assert "sends more than 0.00045 GB" in client.refused(server.url())


def test_more_bytes_than_announced_are_not_read(client: Client) -> None:
    """The range ends at the file's end, and the body goes on."""
    more = partial(f"bytes 500000-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT[500_000:] + bytes(50_000_000))
    with faulty(CONTENT, cut(500_000), more) as server:
        assert client.get(server.url()) == CONTENT
        assert [request.start for request in server.requests] == [None, 500_000, None]
        assert server.sent < 30_000_000


@pytest.mark.parametrize(
    "content_range", ["bytes 5\xb2-6/7", "bytes " + "9" * 5000 + "-1/2", "bytes 1-2/-3", "bytes */*"]
)
def test_an_odd_content_range_restarts(client: Client, content_range: str) -> None:
    with faulty(CONTENT, cut(500_000), partial(content_range, CONTENT[500_000:])) as server:
        assert client.get(server.url()) == CONTENT


@pytest.mark.parametrize("value", ["md5=\xe9", "md5=", "crc32c=\x1b[2J", "md5=" + "x" * 9000])
def test_an_odd_checksum_matches_nothing(client: Client, value: str) -> None:
    with faulty(CONTENT, headers={"x-goog-hash": value}) as server:
        reason = client.refused(server.url())
    assert "wrong" in reason
    assert reason.isprintable()
    assert len(reason) < 300


# Redirects ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("file:///etc/passwd", "redirects to file:///etc/passwd; expected an address of http or https"),
        ("ftp://host/a", "redirects to ftp://host/a; expected"),
        ("gs://bucket/a", "redirects to gs://bucket/a; expected"),
        ("data:,hello", "redirects to data:,hello; expected"),
        ("javascript:\x1b[2J", "redirects to javascript:\\x1b[2J; expected"),
        ("http://[", "redirects to what is no address"),
        ("\xff\xfe", "redirects to what is no address"),
    ],
)
def test_a_redirect_to_what_is_no_web_address_is_named(client: Client, location: str, reason: str) -> None:
    with faulty(CONTENT, status(302, Location=location)) as server:
        assert reason in client.refused(server.url())
        assert len(server.requests) == 1


def test_the_body_of_a_redirect_is_not_read(client: Client) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    with faulty(CONTENT, endless(head, bytes(1 << 16))) as server:
        assert client.get(server.url()) == CONTENT


def test_a_chain_of_redirects_ends(client: Client) -> None:
    with faulty(CONTENT, *[status(302, Location=f"/{number}") for number in range(50)]) as server:
        assert "redirects in a circle" in client.refused(server.url())
        assert len(server.requests) == MOST_REDIRECTS + 1


# Other ways in ------------------------------------------------------------------------------------------------------
def test_an_index_has_a_bound_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LARGEST_DOWNLOAD", 100_000)
    with faulty(CONTENT) as server, pytest.raises(Fault) as raised:
        index.load(server.url("index.csv"), tmp_path / "copy", tmp_path / "cache")
    assert "it has 0.001 GB, expected at most 0.0001 GB; set INDEX=" in str(raised.value)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/S_16.npz", "S_16.npz"),
        ("a/model%20x.tar.gz", "model_x.tar.gz"),
        ("", "file-"),
        ("a/..", "file-"),
        ("%2e%2e", "file-"),
        ("lock", "file-lock"),
        ("whole.json", "file-whole.json"),
        ("part.json", "file-part.json"),
        ("a%00.npz", "a_.npz"),
        ("%2Fetc%2Fpasswd", "passwd"),
        ("%F0%9F%92%A9" * 200 + ".npz", "_" * 196 + ".npz"),
    ],
)
def test_the_name_in_the_cache_is_one_for_every_file_system(client: Client, path: str, name: str) -> None:
    with faulty(CONTENT) as server:
        assert client.get(server.url(path)) == CONTENT
        assert client.get(server.url(path)) == CONTENT
        assert [file.name for file in client.files(server.url(path))] == [name]
        assert server.sent == len(CONTENT)


@pytest.mark.parametrize(
    "text",
    ["null", "[]", '{"url": 1}', '{"url": "u", "etag": 5}', '{"url": "u", "length": "9"}', "[" * 60_000, "\x00",
     '{"url": "u", "checksums": [1]}', '{"url": "u", "checksums": {"md6": "0"}}', '{"url": "u", "length": 1e400}',
     '"' + "x" * 100_000,
     '{"url": "u", "length": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_a_damaged_record_counts_as_missing(client: Client, text: str) -> None:
    with faulty(CONTENT, cut(500_000)) as server:
        Client(client.folder, tries=1).refused(server.url())
        for path in (*client.folder.rglob("part.json"), next(client.folder.rglob("part.json")).with_name("whole.json")):
            path.write_text(text)
        assert client.get(server.url()) == CONTENT
        assert server.requests[-1].start is None


def test_the_limits_leave_room_for_a_slow_line() -> None:
    """Of 20 kB/s that pauses for 10 s now and then, here every 5 s."""
    policy = Policy()
    assert policy.slowest * policy.stretch < 20_000 * policy.stretch * 5 / 15 / 5
    assert policy.silence >= policy.head > 2 * 10
    assert 20_000 * (policy.head - 10) > LARGEST_HEAD
