"""Sequences of faulty answers, made from a seed: a download brings the right file in the end, or says why not."""

import base64
import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from random import Random

from pipeline.base.fault import Unavailable
from pipeline.download import cache
from pipeline.download.address import Address
from pipeline.download.http import download
from pipeline.download.retry import Policy
from tests.faulty_server import Behaviour, Faulty, Handler, Resource
from tests.hostile.damage import damage

CONTENT = Random(7).randbytes(30_011)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
# Every answer with a file has it, so that no wrong bytes look right; damage spares it.
CHECKSUM = b"x-goog-hash: md5=" + base64.b64encode(hashlib.md5(CONTENT).digest()) + b"\r\n"
ETAG = b'ETag: "one"\r\n'
_LARGEST = 300_000  # bytes that an answer without end sends

_NUMBERS = (
    "\xb2", "-1", "+5", "1_0", "0x10", " 7 ", "1e9", "", "9" * 30, "9" * 5000, "0", "5, 6", "5, 5", "nan",
    "\x1b[2J", "\xff", "18446744073709551616", "1.5", "--",
)  # fmt: skip
_DATES = (
    "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +9999", "Fri, 31 Feb 2026 00:00:00 GMT",
    "tomorrow", "Sat, 01 Jan 2000 00:00:00 -0000", "0 0 0 0 0 0",
)  # fmt: skip
_ADDRESSES = (
    "/same", "//", "?", "file:///etc/passwd", "ftp://127.0.0.1/a", "http://[", "http://127.0.0.1:0/", "data:,x",
    "\xff\xfe", "http://user:secret@127.0.0.1:1/a", "gs://a/b", "\x1b[2J", "http://127.0.0.1:99999/", "",
)  # fmt: skip
_LINES = (
    "Content-Length: {number}", "Content-Length: {length}\r\nContent-Length: {number}",
    "Transfer-Encoding: {number}", "Transfer-Encoding: gzip, chunked", "Content-Encoding: gzip",
    "Content-Encoding: \x1b[2J", "ETag: {number}", "X: {number}", "ETag: W/\"one\"", "ETag: \"\x00\x01\"",
    "ETag: \"two\"", "x-goog-generation: {number}", "x-goog-hash: md5={number}",
    "x-goog-hash: crc32c={number},sha=1", "X-Linked-Etag: \"{number}\"",
    "Content-Range: bytes {number}-{number}/{number}", "no colon", ": no name", " folded",
    "Set-Cookie: a=b; expires={date}", "Retry-After: {number}", "Retry-After: {date}", "Connection: keep-alive",
    "Upgrade: h2c", "x-goog-stored-content-encoding: gzip",
)  # fmt: skip
_STATUSES = (
    "200 OK", "200", "206 Partial Content", "304 Not Modified", "416 Range Not Satisfiable", "204 No Content",
    "301 Moved", "302 Found", "308 Permanent", "400 Bad", "401 Unauthorized", "403 Forbidden", "404 Not Found",
    "408 Timeout", "429 Too Many", "500 \x1b[2J", "503 Busy", "599", "101 Switching Protocols", "999 Odd", "1000",
    "-1", "2\xb20 OK",
)  # fmt: skip
_INTERIM = ("100 Continue", "102 Processing", "103 Early Hints", "199 Odd")


def _line(random: Random) -> bytes:
    values = {"number": random.choice(_NUMBERS), "date": random.choice(_DATES), "length": len(CONTENT)}
    return random.choice(_LINES).format(**values).encode("latin-1") + b"\r\n"


def _whole(length: int = len(CONTENT)) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + CHECKSUM + ETAG + b"Content-Length: %d\r\n" % length


def _cut(random: Random, start: int) -> list[bytes]:
    """The right answer, to a random place in head or body."""
    whole = _whole() + b"\r\n" + CONTENT
    if start and random.random() < 0.7:
        span = b"Content-Range: bytes %d-%d/%d\r\n" % (start, len(CONTENT) - 1, len(CONTENT))
        whole = b"HTTP/1.1 206 Partial\r\n" + CHECKSUM + ETAG + span + b"\r\n" + CONTENT[start:]
    return [whole[: random.randrange(len(whole)) if random.random() < 0.6 else random.randrange(250)]]


def _odd_head(random: Random, start: int) -> list[bytes]:
    """A status and header lines of all kinds."""
    status = random.choice(_STATUSES).encode("latin-1")
    lines = [_line(random) for _ in range(random.randint(0, 4))]
    if random.random() < 0.5:
        lines.append(b"Content-Length: %d\r\n" % len(CONTENT))
    if status[:1] == b"3":
        lines.append(b"Location: " + random.choice(_ADDRESSES).encode("latin-1") + b"\r\n")
    random.shuffle(lines)
    return [b"HTTP/1.%d %b\r\n" % (random.choice((0, 1, 1, 1)), status), CHECKSUM, *lines, b"\r\n", CONTENT]


def _interim(random: Random, start: int) -> list[bytes]:
    """The right answer after interim ones, which may never end."""
    lines = [_line(random) for _ in range(random.randint(0, 2))]
    interim = b"".join([b"HTTP/1.1 ", random.choice(_INTERIM).encode(), b"\r\n", *lines, b"\r\n"])
    count = random.choice((1, 1, 1, 1, 2, 2, 2, _LARGEST // len(interim)))
    return [interim * count, _whole(), b"\r\n", CONTENT]


def _damaged_head(random: Random, start: int) -> list[bytes]:
    return [b"HTTP/1.1 200 OK\r\n", CHECKSUM, damage(_whole()[17 + len(CHECKSUM) :] + b"\r\n", random), CONTENT]


def _damaged_status(random: Random, start: int) -> list[bytes]:
    return [damage(b"HTTP/1.1 200 OK", random), b"\r\n", _whole()[17:], b"\r\n", CONTENT]


def _damaged_body(random: Random, start: int) -> list[bytes]:
    return [_whole(), b"\r\n", damage(CONTENT, random)]


def _other_length(random: Random, start: int) -> list[bytes]:
    length = random.choice((0, 1, len(CONTENT) - 1, len(CONTENT) + 1, 10**9, 10**12, 10**17))
    return [_whole(length), b"\r\n", CONTENT, bytes(random.choice((0, 10, _LARGEST)))]


def _range(random: Random, start: int) -> list[bytes]:
    """Another part than was asked for, or one with another range in its head."""
    places = (0, 1, start - 1, start, start + 1, len(CONTENT) - 1, len(CONTENT), 10**17)
    first, last, total = (random.choice(places) for _ in range(3))
    span = random.choice(
        (f"bytes {first}-{last}/{total}", f"bytes {start}-{last}/*", f"bytes */{total}", "lines 1-2/3")
    )
    head = b"HTTP/1.1 206 Partial\r\n" + CHECKSUM + ETAG + b"Content-Range: " + span.encode() + b"\r\n\r\n"
    return [head, CONTENT[max(0, random.choice(places)) :], bytes(random.choice((0, 0, _LARGEST)))]


def _chunks(random: Random, start: int) -> list[bytes]:
    """Chunks, some with odd sizes, extensions and trailers, or without an end."""
    pieces, position = [], 0
    while position < len(CONTENT):
        size = random.choice((1, 7, 1000, 20_000))
        piece = CONTENT[position : position + size]
        shown = b"%x" % len(piece) if random.random() < 0.9 else random.choice(_NUMBERS).encode("latin-1")
        extension = random.choice((b"", b"", b"", b";a=b", b" ; c", b";" + b"x" * 5000))
        pieces += [shown, extension, b"\r\n", piece, random.choice((b"\r\n",) * 20 + (b"\n", b"", b"x"))]
        position += size
    trailers = random.choice((b"", b"", b"A: b\r\n", _line(random), b"A: b\r\n" * (_LARGEST // 6), b"x" * _LARGEST))
    end = random.choice((b"0\r\n", b"0\r\n", b"000;x\r\n", b"-0\r\n", b"")) + trailers + b"\r\n"
    return [b"HTTP/1.1 200 OK\r\n", CHECKSUM, ETAG, b"Transfer-Encoding: chunked\r\n\r\n", *pieces, end]


def _encoded(random: Random, start: int) -> list[bytes]:
    kind = random.choice((b"gzip", b"br", b"identity, gzip", b"x" * 9000))
    return [_whole(), b"Content-Encoding: ", kind, b"\r\n\r\n", gzip.compress(bytes(3_000_000))]


def _large_head(random: Random, start: int) -> list[bytes]:
    line = random.choice((b"A: b\r\n", b"A: " + b"x" * 60_000 + b"\r\n", b"A: " + b"x" * 70_000 + b"\r\n", b"x" * 999))
    return [b"HTTP/1.1 200 OK\r\n", CHECKSUM, line * (_LARGEST // len(line))]


def _garbage(random: Random, start: int) -> list[bytes]:
    start_of = random.choice(
        (b"", b"HTTP/1.1 ", b"HTTP/", b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n", b"\r\n\r\n", b"<html>")
    )
    return [start_of, random.randbytes(random.choice((0, 1, 100, 10_000)))]


_KINDS: tuple[Callable[[Random, int], list[bytes]], ...] = (
    *(_cut, _cut, _cut, _odd_head, _odd_head, _interim, _damaged_head, _damaged_status, _damaged_body, _other_length),
    *(_range, _range, _chunks, _chunks, _encoded, _large_head, _garbage),
)


def fault(random: Random) -> Behaviour:
    """Returns a faulty answer."""
    kind, seed, resets = random.choice(_KINDS), random.random(), random.random() < 0.1

    def behave(handler: Handler, resource: Resource) -> None:
        for piece in kind(Random(seed), handler.current.start or 0):
            handler.wfile.write(piece)
        if resets:
            handler.reset()

    return behave


def attempt(url: str, folder: Path) -> str:
    """Downloads a file without pausing; returns the reason for which it was given up, or "" for the right file.

    Raises:
        AssertionError: for a wrong file.
    """
    policy = Policy(sleep=lambda _: None, silence=20.0)
    with cache.open_entry(folder, url, "get") as entry:
        try:
            sha256 = download(Address(url), entry, "get", policy)
        except Unavailable as reason:
            return str(reason)
        assert sha256 == SHA256 == hashlib.sha256(entry.file.read_bytes()).hexdigest()
        return ""


def run_sequence(server: Faulty, folder: Path, seed: int) -> str:
    """Downloads a file through a sequence of faults, twice, and then once more without.

    Args:
        server: has CONTENT with the ETag "one" and its checksum.
        folder: the cache.
        seed: of the sequence.

    Returns:
        The reason for which the first download was given up, or "".

    Raises:
        AssertionError: when a wrong file comes, the reason is not one line, or no file comes without faults.
    """
    random, url = Random(seed), server.url(f"{seed}.npz")
    server.script[:] = [fault(random) for _ in range(random.choice((1, 1, 2, 3, 5, 8, 13)))]
    reason = attempt(url, folder)
    assert reason.isprintable(), reason
    assert len(reason) < 700, reason
    attempt(url, folder)
    server.script.clear()
    assert attempt(url, folder) == ""
    return reason


def resource_headers() -> dict[str, str]:
    """Returns the headers that the server of run_sequence() sends with the file."""
    name, _, value = CHECKSUM.decode().strip().partition(": ")
    return {name: value}
