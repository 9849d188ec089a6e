"""HTTP: digests, caching, compression, conditions, ranges, methods, health."""

import base64
import gzip
import hashlib
import json
import socket

import pytest

from pipeline.base.shard_names import ROOT, shard_of, shard_path
from pipeline.serve import listening
from tests.server.harness import HTML, MODULE, TARBALL, Running, sha256, short, split_index


@pytest.mark.parametrize(
    ("target", "content"),
    [(MODULE + ".tar.gz", TARBALL), (MODULE + ".html", HTML), (MODULE + ".md", b"# net 1\n")],
    ids=short,
)
def test_a_file_brings_its_digest(shared: Running, target: str, content: bytes) -> None:
    answer = shared.ask(target)
    assert answer.body == content
    assert answer["etag"] == f'"{sha256(content)}"'
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert answer["repr-digest"] == f"sha-256=:{digest}:"
    assert answer["digest"] == f"sha-256={digest}"
    assert answer["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert answer["accept-ranges"] == "bytes"
    head = shared.ask(target, "HEAD")
    assert head.body == b""
    assert {**head.headers, "date": ""} == {**answer.headers, "date": ""}


def test_tarballs_are_cached_forever_and_pages_are_revalidated(shared: Running) -> None:
    tarball = shared.ask(MODULE + "?tf-hub-format=compressed", "HEAD")
    assert tarball["cache-control"] == "public, max-age=31536000, immutable"
    assert tarball["content-disposition"] == 'attachment; filename="net_1.tar.gz"'
    for name in ("model.tflite", "plain.tar.gz", "onnx/model.onnx"):
        format_file = shared.ask(f"{MODULE}/{name}", "HEAD")
        assert format_file["cache-control"] == tarball["cache-control"]
        assert format_file["content-disposition"] == f'attachment; filename="net_1_{name.replace("/", "_")}"'
        assert format_file["etag"] == f'"{sha256(shared.ask(f"{MODULE}/{name}").body)}"'
    assert shared.ask(MODULE)["cache-control"] == "public, no-cache"
    assert shared.ask("/alice/net")["cache-control"] == "public, no-cache"


@pytest.mark.parametrize(
    ("accepted", "sent"), [("gzip, br", True), ("gzip;q=0", False), ("*", True), ("br", False), ("", False)]
)
def test_pages_are_compressed_for_clients_that_accept_it(shared: Running, accepted: str, sent: bool) -> None:
    answer = shared.ask(MODULE, Accept_Encoding=accepted)
    assert answer["vary"] == "Accept, Accept-Encoding"
    assert answer["content-encoding"] == ("gzip" if sent else None)
    assert (gzip.decompress(answer.body) if sent else answer.body) == HTML
    assert answer["etag"] == f'"{sha256(answer.body)}"'  # of what is sent: the forms differ
    assert shared.ask(MODULE, Accept_Encoding=accepted, If_None_Match=str(answer["etag"])).status == 304


def test_a_tarball_is_never_encoded(shared: Running) -> None:
    answer = shared.ask(MODULE + "?tf-hub-format=compressed", "HEAD", Accept_Encoding="gzip")
    assert answer["content-encoding"] is None
    assert answer["vary"] is None


@pytest.mark.parametrize("target", [MODULE + ".tar.gz", MODULE + ".html"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": "ETAG"}, 304),
        ({"If-None-Match": 'W/"other", W/ETAG'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": "Wed, 15 Nov 2023 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"}, 304),
        ({"If-Modified-Since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"If-Modified-Since": "Tue Nov 14 22:13:20 2023"}, 304),
        ({"If-Modified-Since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": "Tue, 14 Nov 99999999999 22:13:19 GMT"}, 200),
        ({"If-Match": "ETAG"}, 200),
        ({"If-Match": "W/ETAG"}, 412),
        ({"If-Match": '"other"'}, 412),
        ({"If-Unmodified-Since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 412),
        ({"If-Unmodified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"}, 200),
        ({"If-None-Match": "ETAG", "Range": "bytes=0-1"}, 304),
    ],
)  # fmt: skip
def test_conditions(shared: Running, target: str, headers: dict[str, str], status: int) -> None:
    etag = str(shared.ask(target, "HEAD")["etag"])
    named = {name.replace("-", "_"): value.replace("ETAG", etag) for name, value in headers.items()}
    answer = shared.ask(target, "HEAD", **named)
    assert answer.status == status
    if status == 304:
        assert answer["etag"] == etag
        assert answer["cache-control"]
        assert answer["content-type"] is None


@pytest.mark.parametrize(("target", "content"), [(MODULE + ".tar.gz", TARBALL), (MODULE + ".html", HTML)], ids=short)
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=7-99", 7, 100),
        ("BYTES = 1000-", 1000, None),
        ("bytes=-5", -5, None),
        ("bytes=-999999999999", 0, None),
        ("bytes=10-999999999999999999", 10, None),
    ],
)
def test_ranges(shared: Running, target: str, content: bytes, header: str, start: int, stop: int | None) -> None:
    answer = shared.ask(target, Range=header)
    expected = content[start:stop]
    assert answer.status == 206
    assert answer.body == expected
    first = start % len(content)
    assert answer["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(content)}"
    assert answer["etag"] == f'"{sha256(content)}"'  # of the whole file, as is its digest


@pytest.mark.parametrize("header", [f"bytes={len(TARBALL)}-", "bytes=999999999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(shared: Running, header: str) -> None:
    answer = shared.ask(MODULE + ".tar.gz", Range=header)
    assert answer.status == 416
    assert answer["content-range"] == f"bytes */{len(TARBALL)}"
    assert b"behind the end of 12000000 bytes" in answer.body


@pytest.mark.parametrize(
    "header", ["bytes=5-4", "bytes=a-b", "bytes=-", "bytes=", "lines=1-2", "bytes=0-1,5-6", "bytes=" + "9" * 5000 + "-"]
)
def test_other_ranges_are_ignored(shared: Running, header: str) -> None:
    answer = shared.ask(MODULE + ".html", Range=header)
    assert (answer.status, answer.body) == (200, HTML)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("ETAG", 206),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 206),
        ('"other"', 200),
        ("W/ETAG", 200),
        ("Tue, 14 Nov 2023 22:13:21 GMT", 200),
    ],
)
def test_if_range_sends_the_whole_of_another_file(shared: Running, condition: str, status: int) -> None:
    etag = f'"{sha256(HTML)}"'
    answer = shared.ask(MODULE + ".html", Range="bytes=0-9", If_Range=condition.replace("ETAG", etag))
    assert (answer.status, answer.body) == (status, HTML[:10] if status == 206 else HTML)


def test_lines_of_one_header_are_one_list(shared: Running) -> None:
    received = shared.raw(
        b"HEAD /alice/net/1.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b'If-None-Match: "other"\r\nIf-None-Match: "' + sha256(HTML).encode() + b'"\r\n\r\n'
    )
    assert received.startswith(b"HTTP/1.1 304 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
def test_nothing_but_reading_is_allowed(shared: Running, method: str) -> None:
    before = sorted(shared.root.rglob("*"))
    answer = shared.ask(MODULE + ".md", method)
    assert answer.status == 405
    assert answer["allow"] == "GET, HEAD"
    assert b"for reading: GET and HEAD" in answer.body
    assert sorted(shared.root.rglob("*")) == before


def test_health(own: Running) -> None:
    answer = own.ask("/healthz")
    assert (answer.status, answer["content-type"]) == (200, "application/json")
    assert json.loads(answer.body) == {"status": "ok", "modules": 2, "collections": 1}
    assert own.ask("/healthz/healthz").body == b"# a publisher of that name\n"
    (own.root / "index.json").write_text('{"modules": []}')
    answer = own.ask("/healthz")
    assert answer.status == 503
    reason = "not what make publish writes (AttributeError(\"'list' object has no attribute 'values'\"))"
    assert json.loads(answer.body) == {"status": f"index.json is damaged: {reason}"}
    (own.root / "index.json").unlink()
    answer = own.ask("/healthz")
    assert (answer.status, json.loads(answer.body)) == (503, {"status": "index.json is missing"})
    assert own.ask(MODULE + ".tar.gz", "HEAD").status == 200


def test_health_of_a_hub_in_shards(own: Running) -> None:
    """A large one has no index.json; of a small one the shards count."""
    split_index(own.root)
    assert json.loads(own.ask("/healthz").body) == {"status": "ok", "modules": 2, "collections": 1}
    shard = shard_path(shard_of("alice/old"))
    (own.root / shard).write_text("{")
    answer = own.ask("/healthz")
    assert (answer.status, json.loads(answer.body)["status"].split(":")[0]) == (503, f"{shard} is damaged")
    assert own.ask("/alice/old/1.tar.gz").status == 200
    (own.root / shard).unlink()
    answer = own.ask("/healthz")
    assert (answer.status, json.loads(answer.body)) == (503, {"status": f"{shard} is missing"})
    (own.root / ROOT).write_text('{"schema": 1, "shards": ["../x"]}')
    assert "index/root.json is damaged: not what make publish writes" in own.ask("/healthz").body.decode()


def test_heads_are_sent_without_delay() -> None:
    """Else a page's body waits 40 ms for the client to acknowledge its head."""
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
