"""Requests made of what has fooled servers before, from a seed, and what every answer to them must be.

Some are requests in form, sent one after the other over a connection; others are none, or several, or damaged, and
have a connection each.
"""

import gzip
import logging
import re
import socket
import struct
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import BinaryIO

from pipeline.server.log import ACCESS
from tests.hostile.damage import damage
from tests.server.harness import CANARY, Running, write, write_hub

PIECES = [
    "..", ".", "%2e%2e", "%2E.", "%252e%252e", "..%2f", "..%5c", "..\\", "\\", "%00", "a%00.md", "%c0%ae%c0%ae", "%zz",
    "%e0%80%ae", "%uff0e", "%", "", "etc", "passwd", "canary.md", "outside", "linked", "link.md", ".lock", "%2elock",
    "alice", "net", "1", "1.md", "1.tar.gz", "12.tar.gz", "13.tar.gz", "index.html", "index.json", "healthz", "site",
    "~", "*", "file:", "c:", "CON", "1.md;a", "1.md%0d%0aX-Evil: 1", "a" * 255, "%f0%9f%92%a9", "$(id)", "<script>",
    "-1", "%1b%5b2J", "%0a127.0.0.1%20-%20-", "%ef%bc%8f", "%25252e", "1.md%20", "%e2%80%ae", "1.md%3fa", "%23",
]  # fmt: skip
QUERIES = [
    "", "", "", "?tf-hub-format=compressed", "?tf-hub-format=uncompressed", "?tf-hub-format=../../canary.md", "?%00",
    "?tf-hub-format=%0d%0aX-Evil:%201", "?" + "&" * 200, "?" + "a=b&" * 200, "?tf-hub-format", "?=", "?%1b[2J", "?\x7f",
]  # fmt: skip
_CONDITIONS = ["bytes=0-3", "bytes=2-", "bytes=-1", "bytes=99999-", "*", '"x"', "Thu, 01 Jan 1970 00:00:00 GMT", "gzip"]
_PATHS = ["/alice/net/1.md", "/alice/net/1", "/alice/net/1.tar.gz", "/", "/alice/net", "/site/style.css", "/healthz"]
METHODS = ["GET"] * 12 + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GeT", "G" * 300, "M-SEARCH"]
VALUES = [
    "bytes=0-3", "bytes=2-", "bytes=999-", "bytes=-", "bytes=99999999999999999999-", "bytes=0-0,-1", "bytes=-0",
    "bytes=5-1", "bytes=" + "0-," * 500,
    "none", "../../canary.md", "%00", '"', 'W/"' + "a" * 500, "*", "Thu, 99 Foo 9999 99:99:99 GMT", "gzip;q=9",
    ";;;,,,;q=", "Thu, 01 Jan 1970 00:00:00 GMT", "*/*;q=0", "127.0.0.1", "a" * 3000, "\xff\xfe", "chunked", "0",
    "-1", "h2c", "100-continue", "\xb2", "+0", "0x0", "0, 0", "00", "9" * 5000, "identity",
    "Fri, 31 Dec 9999 23:59:59 -2359", '",' * 999, "Mon, 01 Jan 0001 00:00:00 +9999",
    "bytes=" + ",".join(f"{n}-{n}" for n in range(999)), "text/*;q=0.5," * 300, "chunked ",
]  # fmt: skip
NAMES = [
    "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Accept", "Referer",
    "Accept-Encoding", "Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "X-Forwarded-For", "X-Original-URL",
    "X-Rewrite-URL", "Cookie", "Forwarded", "X-HTTP-Method-Override", "Te", "Via", "Authorization", "Bad Name", "Sec-é",
    "Connection", "Trailer", "Proxy-Connection", "HTTP2-Settings",
]  # fmt: skip
_ODD_LINES = [
    "",
    " folded",
    "no colon",
    "a:\x01",
    "Host: y",
    "\x00",
    "a: b\r c",
    "Host : z",
    "a: \x1b[2J",
    ":",
    "\x7f: b",
]
_STATUSES = {200, 206, 302, 303, 304, 400, 404, 405, 408, 412, 414, 416, 431}
_LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_BATCH = 50  # connections at once


def request(random: Random) -> bytes:
    """Returns a request in form."""
    path = "/".join(["", *random.choices(PIECES, k=random.randint(1, 6))]) + random.choice(QUERIES)
    target = random.choice(["", "", "", "", "http://x", "//x", "file://", ".", "/%2e%2e"]) + path
    names, values = random.sample(NAMES, random.choice([0, 0, 1, 2, 3])), VALUES
    if random.random() < 0.3:  # of a file, with conditions and ranges
        target = random.choice(_PATHS) + random.choice(QUERIES[:5])
        names, values = random.sample(NAMES[:7], random.randint(0, 2)), random.choice([VALUES, _CONDITIONS])
    lines = [
        f"{random.choice(METHODS)} {target} HTTP/{random.choice(['1.1'] * 20 + ['1.0', '2.0', '1', ''])}",
        "Host: x",
    ]
    lines += [f"{name}: {random.choice(values)}" for name in names]
    if random.random() < 0.02:
        lines.append(random.choice(_ODD_LINES))
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _smuggled(random: Random) -> bytes:
    """Two requests that servers have taken for one, or one for two, by disagreeing on the first one's length."""
    lengths = [
        "Content-Length: 5",
        "Content-Length: 0",
        "Content-Length: 57",
        "Content-Length: -1",
        "Content-Length: \xb2",
    ]
    lengths += [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length : 5",
        "Content-Length:\t5",
    ]
    codings = ["chunked", "identity", "xchunked", "chunked, chunked", "gzip, chunked", "\x0bchunked", "chunked\r\n x"]
    lines = random.sample([*lengths, *(f"Transfer-Encoding: {coding}" for coding in codings)], random.randint(1, 3))
    sizes = ["0", "5\r\nhello\r\n0", "-1", "0x5\r\nhello\r\n0", "f" * 30, "5;" + "a" * 9000, "\xb2", "", "5\r\nhell"]
    head = f"{random.choice(['GET', 'POST'])} /index.html HTTP/1.1\r\nHost: x\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    return (head + random.choice(sizes) + "\r\n\r\nGET /canary.md HTTP/1.1\r\nHost: x\r\n\r\n").encode("latin-1")


def _large(random: Random) -> bytes:
    """A head, or a body, of sizes that exhaust memory where nothing bounds them."""
    line = random.choice([b"A: b\r\n", b"A: " + b"x" * 8000 + b"\r\n", b"Cookie: " + b"a=b; " * 1000 + b"\r\n"])
    lines = line * random.choice([3, 101, 2000 if len(line) < 10 else 30])
    target = b"/" + random.choice([b"", b"a" * 7_999, b"a" * 100_000, b"%2e" * 2000, b"?" + b"a&" * 3000])
    body = bytes(random.choice([0, 100_000]))
    return b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _other_protocol(random: Random) -> bytes:
    starts = [
        b"GET /canary.md\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"\x00" * 100, b"EHLO x\r\n", b"*1\r\n$4\r\nPING\r\n",
        b"GET", b"\n" * 500, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xfe\x00", b"SSH-2.0-x\r\n",
    ]  # fmt: skip
    return random.choice(starts) + random.randbytes(random.choice([0, 0, 10, 1000]))


def wild(random: Random) -> bytes:
    """Returns what is no request, or several, or a damaged one; HEAD is left out, whose answers have no body."""
    plain = request(random).replace(b"HEAD ", b"GET ")
    several = b"".join(request(random).replace(b"HEAD ", b"GET ") for _ in range(random.randint(2, 20)))
    kinds = [damage(plain, random), damage(several, random), several, plain + random.randbytes(50)]
    kinds += [_smuggled(random), _smuggled(random), _large(random), _other_protocol(random)]
    return random.choice(kinds)


class Public:
    """A hub, the contents that every client may see, and what the server logs while its requests are run."""

    def __init__(self, folder: Path) -> None:
        self.root = write_hub(folder / "hub")
        write(self.root / "alice/net/1.tar.gz", b"small")
        files = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        self.contents = {file.read_bytes() for file in files} - {b"hidden"}
        self.statuses: Counter[int] = Counter()

    def run_requests(self, server: Running, random: Random, count: int) -> None:
        """Sends requests in form over connections that are kept alive, and checks the answers."""
        requests = [request(random) for _ in range(count)]
        while requests:
            with server.connect() as client, client.makefile("rb") as stream:
                is_open = True
                while requests and is_open:
                    sent = requests.pop()
                    status, headers, body, is_open = exchange(client, stream, sent)
                    self.check(sent, status, headers, body)

    def run_wild(self, server: Running, random: Random, count: int) -> None:
        """Sends what is none, each over a connection of its own, some at once, and checks the answers."""
        for start in range(0, count, _BATCH):
            sent = [wild(random) for _ in range(min(_BATCH, count - start))]
            clients = [server.connect() for _ in sent]
            for client, content in zip(clients, sent, strict=True):
                _send(client, content + _LAST)
            for client, content in zip(clients, sent, strict=True):
                with client:
                    if random.random() < 0.1:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
                    else:
                        self._check_all(content, _receive(client))

    def _check_all(self, sent: bytes, received: bytes) -> None:
        """Checks all the answers of a connection; the last may be cut where the server closes after a refusal."""
        is_open = True
        while received:
            assert is_open, (sent, received)
            head, separator, rest = received.partition(b"\r\n\r\n")
            first_line = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
            assert first_line, (sent, received)
            assert separator, (sent, received)
            length = re.search(rb"\r\ncontent-length: (\d+)(?:\r\n|$)", head)
            size = 0 if first_line[1] in (b"304", b"100") else int(length[1]) if length else len(rest)
            is_open = b"\r\nconnection: close" not in head
            self.check(sent, int(first_line[1]), head + b"\r\n", rest[:size])
            received = rest[size:]

    def check(self, sent: bytes, status: int, headers: bytes, body: bytes) -> None:
        """Asserts that an answer has nothing from outside of the hub, and the form of its status."""
        self.statuses[status] += 1
        assert CANARY not in headers + body, sent
        assert b"hidden" not in body, sent
        assert b"x-evil" not in headers.lower().replace(b"location: ", b""), sent
        assert not re.search(rb"[^\r\n -\x7e]", headers), sent
        assert status in _STATUSES, (status, sent)
        if status == 200 and not sent.startswith(b"HEAD "):
            plain = gzip.decompress(body) if b"content-encoding: gzip" in headers else body
            assert plain in self.contents or b'"status": "ok"' in plain, sent
        elif status == 302:
            location = re.search(rb"location: (\S+)", headers)
            assert location
            assert re.fullmatch(rb"(\.\./)*[a-z/]+(/\d+)?(\?\S*)?", location[1]), sent
        elif status == 303 and not sent.startswith(b"HEAD "):
            assert body.startswith(b"gs://bucket/alice/"), sent


def exchange(client: socket.socket, stream: BinaryIO, sent: bytes) -> tuple[int, bytes, bytes, bool]:
    """Sends a request; returns the answer's status, headers and body, and whether the connection stays open."""
    client.sendall(sent)
    headers = b"".join(iter(stream.readline, b"\r\n"))
    first_line = re.match(rb"HTTP/1\.1 (\d{3}) ", headers)
    assert first_line, (headers, sent)
    status = int(first_line[1])
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", headers)
    body = b"" if sent.startswith(b"HEAD ") or status == 304 else stream.read(int(length[1]) if length else -1)
    return status, headers, body, b"\r\nconnection: close\r\n" not in headers and b" HTTP/1.0\r\n" not in sent


def _send(client: socket.socket, content: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it was refused by its beginning
        client.sendall(content)


def _receive(client: socket.socket) -> bytes:
    received = bytearray()
    with suppress(ConnectionResetError):  # after a refusal, with bytes that were not read
        while chunk := client.recv(1 << 20):
            received += chunk
    return bytes(received)


class Log(logging.Handler):
    """Checks each line of the access log, and counts errors."""

    def __init__(self) -> None:
        super().__init__()
        self.lines, self.faults = 0, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.lines += record.name == ACCESS.name
        if record.levelno >= logging.ERROR or not re.fullmatch("[ -~]*", message):
            self.faults.append(message)
