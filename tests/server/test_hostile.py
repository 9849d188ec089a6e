"""Random requests made of what has fooled servers before."""

import gzip
import logging
import re
import socket
from collections import Counter
from pathlib import Path
from random import Random
from typing import BinaryIO

import pytest

from tests.server.harness import CANARY, running, write, write_hub

PIECES = [
    "..", ".", "%2e%2e", "%2E.", "%252e%252e", "..%2f", "..%5c", "..\\", "\\", "%00", "a%00.md", "%c0%ae%c0%ae", "%zz",
    "%e0%80%ae", "%uff0e", "%", "", "etc", "passwd", "canary.md", "outside", "linked", "link.md", ".lock", "%2elock",
    "alice", "net", "1", "1.md", "1.tar.gz", "12.tar.gz", "13.tar.gz", "index.html", "index.json", "healthz", "site",
    "~", "*", "file:", "c:", "CON", "1.md;a", "1.md%0d%0aX-Evil: 1", "a" * 255, "%f0%9f%92%a9", "$(id)", "<script>",
    "-1",
]  # fmt: skip
QUERIES = [
    "", "", "", "?tf-hub-format=compressed", "?tf-hub-format=uncompressed", "?tf-hub-format=../../canary.md", "?%00",
    "?tf-hub-format=%0d%0aX-Evil:%201", "?" + "&" * 200, "?" + "a=b&" * 200, "?tf-hub-format", "?=",
]  # fmt: skip
METHODS = ["GET"] * 12 + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GeT", "G" * 300, "M-SEARCH"]
VALUES = [
    "bytes=-", "bytes=99999999999999999999-", "bytes=0-0,-1", "bytes=-0", "bytes=5-1", "bytes=" + "0-," * 500, "none",
    "../../canary.md", "%00", '"', 'W/"' + "a" * 500, "*", "Thu, 99 Foo 9999 99:99:99 GMT", "gzip;q=9", ";;;,,,;q=",
    "Thu, 01 Jan 1970 00:00:00 GMT", "*/*;q=0", "127.0.0.1", "a" * 3000, "\xff\xfe", "chunked", "0", "-1", "h2c",
    "100-continue",
]  # fmt: skip
NAMES = [
    "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Accept", "Referer",
    "Accept-Encoding", "Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "X-Forwarded-For", "X-Original-URL",
    "X-Rewrite-URL", "Cookie", "Forwarded", "X-HTTP-Method-Override", "Te", "Via", "Authorization", "Bad Name", "Sec-é",
]  # fmt: skip


def hostile(random: Random) -> bytes:
    """Returns a request made of what has fooled servers before."""
    path = "/".join(["", *random.choices(PIECES, k=random.randint(1, 6))]) + random.choice(QUERIES)
    target = random.choice(["", "", "", "", "http://x", "//x", "file://", ".", "/%2e%2e"]) + path
    lines = [
        f"{random.choice(METHODS)} {target} HTTP/{random.choice(['1.1'] * 20 + ['1.0', '2.0', '1', ''])}",
        "Host: x",
    ]
    lines += [f"{name}: {random.choice(VALUES)}" for name in random.sample(NAMES, random.choice([0, 0, 1, 2, 3]))]
    if random.random() < 0.02:
        lines.append(random.choice(["", " folded", "no colon", "a:\x01", "Host: y", "\x00", "a: b\r c"]))
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def exchange(client: socket.socket, stream: BinaryIO, request: bytes) -> tuple[int, bytes, bytes, bool]:
    """Sends a request; returns the answer's status, headers and body, and whether the connection stays open."""
    client.sendall(request)
    headers = b"".join(iter(stream.readline, b"\r\n"))
    first_line = re.match(rb"HTTP/1\.1 (\d{3}) ", headers)
    assert first_line, (headers, request)
    status = int(first_line[1])
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", headers)
    body = b"" if request.startswith(b"HEAD ") or status == 304 else stream.read(int(length[1]) if length else -1)
    return status, headers, body, b"\r\nconnection: close\r\n" not in headers and b" HTTP/1.0\r\n" not in request


def assert_harmless(request: bytes, status: int, headers: bytes, body: bytes, public: set[bytes]) -> None:
    """Asserts that an answer has nothing from outside of the hub, and the form that answers of its status have."""
    assert CANARY not in headers + body, request
    assert b"hidden" not in body, request
    assert b"x-evil" not in headers.lower().replace(b"location: ", b""), request
    if status == 200 and request.startswith(b"GET "):
        plain = gzip.decompress(body) if b"content-encoding: gzip" in headers else body
        assert plain in public or b'"status": "ok"' in plain, request
    elif status == 302:
        location = re.search(rb"location: (\S+)", headers)
        assert location
        assert re.fullmatch(rb"(\.\./)*[a-z/]+(/\d+)?(\?\S*)?", location[1]), request
    elif status == 303:
        assert body.startswith(b"gs://bucket/alice/"), request
    else:
        assert 400 <= status < 500 or status in (200, 206, 304), (status, request)


@pytest.mark.parametrize("seed", range(4))
def test_hostile_requests_get_nothing_from_outside(tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    random = Random(seed)
    root = write_hub(tmp_path / "hub")
    write(root / "alice/net/1.tar.gz", b"small")
    public = {path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()} - {b"hidden"}
    requests = [hostile(random) for _ in range(2_500)]
    statuses: Counter[int] = Counter()
    with running(root, "gs://bucket") as server:
        while requests:
            with server.connect() as client, client.makefile("rb") as stream:
                is_open = True
                while requests and is_open:
                    request = requests.pop()
                    status, headers, body, is_open = exchange(client, stream, request)
                    assert_harmless(request, status, headers, body, public)
                    statuses[status] += 1
        assert server.ask("/healthz").status == 200
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert statuses[404] > 250
    assert {200, 302, 400, 404, 405} <= set(statuses)
