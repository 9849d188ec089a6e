"""The server, over real sockets: tfhub.dev's protocol, HTTP's own, and what hostile or slow clients get."""

import asyncio
import base64
import errno
import gzip
import hashlib
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import BinaryIO
from urllib.parse import urljoin

import pytest

from pipeline.base.fault import Fault
from pipeline.serve import listening, main, published_address, server
from pipeline.server import files, middleware
from pipeline.server.connections import Connection
from pipeline.server.middleware import ACCESS, LARGEST_HEADERS, LONGEST_TARGET
from tests.conftest import ROOT, make, serving_folder

TARBALL = random.Random(0).randbytes(12_000_000)  # more than the system's buffers for a connection
CANARY = b"outside of the hub"
HTML = b"<!doctype html><title>net</title>" + b"<p>a page</p>" * 100
MODULE = "/alice/net/1"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def short(value: object) -> str | None:
    """Names a parameter that is a file's content; pytest itself would write out all of it."""
    return sha256(value)[:8] if isinstance(value, bytes) else None


def write(path: Path, content: bytes) -> None:
    """Replaces a file as publish does, and makes it an hour old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(".fresh")
    fresh.write_bytes(content)
    os.utime(fresh, (1_700_000_000, 1_700_000_000))
    fresh.replace(path)


def write_index(hub: Path, *tarballs: str, at: int = 1_700_000_001) -> None:
    def entry(name: str) -> dict[str, object]:
        content = (hub / f"{name}.tar.gz").read_bytes()
        return {"files": [{"path": f"{name}.tar.gz", "size": len(content), "sha256": sha256(content)}]}

    index = {
        "modules": {name: entry(name) for name in tarballs},
        "collections": {"alice/collections/nets/1": {"files": []}},
    }
    (hub / "index.json").write_text(json.dumps(index))
    os.utime(hub / "index.json", (at, at))


def write_hub(hub: Path) -> Path:
    """A hub with every kind of file, and beside it a file that nobody may see."""
    for version in (1, 2, 9, 10):
        write(hub / f"alice/net/{version}.tar.gz", TARBALL if version == 1 else b"version %d" % version)
        write(hub / f"alice/net/{version}.html", HTML)
        write(hub / f"alice/net/{version}.md", b"# net %d\n" % version)
    write(hub / "alice/net/11.md", b"# its tarball is still being copied\n")
    write(hub / "alice/net/1/plots/accuracy.svg", b"<svg/>")
    write(hub / "alice/old/1.md", b"# nobody rendered this one\n")
    write(hub / "alice/old/1.tar.gz", b"old")
    write(hub / "alice/alice.html", HTML)
    write(hub / "alice/alice.md", b"# alice\n")
    write(hub / "alice/collections/nets/1.html", HTML)
    write(hub / "alice/collections/nets/1.md", b"# nets\n")
    write(hub / "healthz/healthz.md", b"# a publisher of that name\n")
    write(hub / "index.html", HTML)
    write(hub / "site/style.css", b"p { color: black }" * 50)
    write(hub / "site/hub.js", b"'use strict';" * 50)
    write(hub / ".lock", b"hidden")
    write(hub / "alice/net/.1.tar.gz.part", b"hidden")
    write(hub / "alice/program.exe", b"no file of a hub")
    write_index(hub, "alice/net/1", "alice/net/10", "alice/old/1")
    (hub.parent / "outside").mkdir(exist_ok=True)
    write(hub.parent / "outside/canary.md", CANARY)
    write(hub.parent / "canary.md", CANARY)
    (hub / "link.md").symlink_to("../canary.md")
    (hub / "alice/linked").symlink_to("../../outside")
    (hub / "alice/net/12.tar.gz").symlink_to("../../../canary.md")
    os.mkfifo(hub / "alice/net/13.tar.gz")
    return hub


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return self.headers.get(name)


@dataclass
class Running:
    """A server in a thread of the tests."""

    port: int
    root: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, headers=named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(10)
        client.connect(("127.0.0.1", self.port))
        return client

    def raw(self, request: bytes) -> bytes:
        """Sends bytes and returns all that comes until the server closes."""
        with self.connect() as client:
            client.sendall(request)
            return rest(client)


def rest(client: socket.socket) -> bytes:
    received = bytearray()
    while chunk := client.recv(1 << 20):
        received += chunk
    return bytes(received)


def head(client: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(1)
        assert chunk, received
        received += chunk
    return received


@contextmanager
def running(root: Path, bucket: str | None = None, limit: int | None = None) -> Iterator[Running]:
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        uvicorn = server(root, bucket, drain=5)
        uvicorn.config.limit_concurrency = limit or uvicorn.config.limit_concurrency
        thread = threading.Thread(target=lambda: asyncio.run(uvicorn.serve(sockets=[listener])))
        thread.start()
        try:
            yield Running(port, root)
        finally:
            uvicorn.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of a hub that no test changes."""
    with running(write_hub(tmp_path_factory.mktemp("served") / "hub"), "gs://bucket/prefix/") as found:
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Running]:
    """A server of a hub to change at will."""
    with running(write_hub(tmp_path / "hub")) as found:
        yield found


# tfhub.dev's protocol -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("target", "status", "media_type", "body"),
    [
        ("/", 200, "text/html; charset=utf-8", HTML),
        ("/index.json", 200, "application/json", None),
        ("/site/style.css", 200, "text/css; charset=utf-8", None),
        ("/site/hub.js", 200, "text/javascript; charset=utf-8", None),
        ("/alice/alice", 200, "text/html; charset=utf-8", HTML),
        ("/alice/alice.md", 200, "text/markdown; charset=utf-8", b"# alice\n"),
        (MODULE, 200, "text/html; charset=utf-8", HTML),
        (MODULE + "?anything=else", 200, "text/html; charset=utf-8", HTML),
        (MODULE + ".md", 200, "text/markdown; charset=utf-8", b"# net 1\n"),
        (MODULE + "/plots/accuracy.svg", 200, "image/svg+xml", b"<svg/>"),
        (MODULE + "?tf-hub-format=compressed", 200, "application/gzip", TARBALL),
        (MODULE + "?tf-hub-format=compressed,uncompressed", 200, "application/gzip", TARBALL),
        (MODULE + "?tf-hub-format=x&tf-hub-format=compressed", 200, "application/gzip", TARBALL),
        (MODULE + ".tar.gz", 200, "application/gzip", TARBALL),
        (MODULE + ".tar.gz?tf-hub-format=compressed", 200, "application/gzip", TARBALL),
        (MODULE + "?tf-hub-format=uncompressed", 303, "text/plain; charset=utf-8", b"gs://bucket/prefix/alice/net/1"),
        (MODULE + ".tar.gz?tf-hub-format=uncompressed", 303, "text/plain; charset=utf-8", None),
        (MODULE + "?tf-hub-format=zip", 400, "text/plain; charset=utf-8", b"expected compressed or uncompressed"),
        (MODULE + "?lite-format=tflite", 404, "text/plain; charset=utf-8", b"they are TensorFlow SavedModels"),
        ("/alice/old/1", 200, "text/markdown; charset=utf-8", b"# nobody rendered this one\n"),
        ("/alice/collections/nets/1", 200, "text/html; charset=utf-8", HTML),
        ("/alice/collections/nets/1?tf-hub-format=compressed", 404, "text/plain; charset=utf-8", None),
        ("/alice/net/3", 404, "text/plain; charset=utf-8", b"no such module, page or file"),
        ("/alice/net/3?tf-hub-format=compressed", 404, "text/plain; charset=utf-8", None),
        ("/alice/net/3?tf-hub-format=uncompressed", 404, "text/plain; charset=utf-8", None),
        ("/alice/net/01", 404, "text/plain; charset=utf-8", None),
        ("/bob", 404, "text/plain; charset=utf-8", None),
        ("/alice/other", 404, "text/plain; charset=utf-8", None),
        ("/alice/collections", 404, "text/plain; charset=utf-8", None),
        ("/site", 404, "text/plain; charset=utf-8", None),
        ("/site/", 404, "text/plain; charset=utf-8", None),
        ("/alice/program.exe", 404, "text/plain; charset=utf-8", None),
        ("http://elsewhere/alice/alice.md", 200, "text/markdown; charset=utf-8", b"# alice\n"),  # as proxies ask
    ],
    ids=short,
)  # fmt: skip
def test_every_address_has_its_answer(
    shared: Running, target: str, status: int, media_type: str, body: bytes | None
) -> None:
    answer = shared.ask(target)
    assert (answer.status, answer["content-type"]) == (status, media_type)
    assert body is None or body in answer.body
    assert answer["content-length"] == str(len(answer.body))
    assert answer["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in str(answer["content-security-policy"])


def test_a_picture_may_have_its_own_colours_and_nothing_else(shared: Running) -> None:
    first = shared.ask(MODULE + "/plots/accuracy.svg")
    again = shared.ask(MODULE + "/plots/accuracy.svg", If_None_Match=str(first["etag"]))
    assert (first.status, again.status) == (200, 304)
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
    assert first["content-security-policy"] == again["content-security-policy"] == policy


@pytest.mark.parametrize(
    ("target", "newest"),
    [
        ("/alice/net", "/alice/net/10"),  # not 9; 11 has no tarball yet, 12 and 13 are no files
        ("/alice/net/", "/alice/net/10"),
        ("/alice/net?tf-hub-format=compressed", "/alice/net/10?tf-hub-format=compressed"),
        ("/alice/old?a=%2e%2e&b", "/alice/old/1?a=%2e%2e&b"),
        ("/alice/collections/nets", "/alice/collections/nets/1"),
        ("/alice", "/alice/alice"),
        ("/alice/", "/alice/alice"),
        ("/alice/net/1/", "/alice/net/1"),
        ("/healthz/", "/healthz/healthz"),
    ],
)
def test_handles_lead_to_the_newest_version(shared: Running, target: str, newest: str) -> None:
    answer = shared.ask(target)
    assert answer.status == 302
    location = str(answer["location"])
    assert not location.startswith(("/", "http"))  # right under any path of a proxy
    assert urljoin(shared.address + target, location) == shared.address + newest
    assert urljoin("https://proxy/models" + target, location) == "https://proxy/models" + newest
    assert shared.ask(newest).status == 200


def test_a_hub_without_a_bucket_says_so(own: Running) -> None:
    answer = own.ask(MODULE + "?tf-hub-format=uncompressed")
    assert answer.status == 404
    assert b"no unpacked modules in a bucket; ask for tf-hub-format=compressed" in answer.body


def test_the_uncompressed_location_has_no_header_that_urllib_would_follow(shared: Running) -> None:
    assert shared.ask(MODULE + "?tf-hub-format=uncompressed")["location"] is None


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/markdown", "text/markdown"),
        ("text/markdown, text/html;q=0.9", "text/markdown"),
        ("text/markdown;q=0.5, text/html;q=0.9", "text/html"),
        ("text/html;q=0, text/*", "text/markdown"),
        ("text/*;q=0.3, text/markdown;q=0.2, */*;q=1", "text/html"),
        ("TEXT/Markdown; variant=GFM, */*;q=0.1", "text/markdown"),
        ("text/markdown;q=2, text/html;q=x", "text/html"),  # malformed weights count for nothing
        ("image/png", "text/html"),
    ],
)
def test_accept_chooses_the_form_of_a_page(shared: Running, accept: str, expected: str) -> None:
    answer = shared.ask(MODULE, **({"Accept": accept} if accept else {}))
    assert str(answer["content-type"]).split(";")[0] == expected
    assert "Accept" in str(answer["vary"]).split(", ")


def test_the_real_client_loads_from_it(published: Path, tmp_path: Path) -> None:
    """By handle, by the unversioned one and as a tarball from here; as a tarball from any static host."""
    hub = published / "artifacts/hub"
    with running(hub, "gs://bucket") as here, serving_folder(hub) as static:
        program = f"""
import json, os, sys
import numpy as np
import tensorflow_hub as hub
from tensorflow_hub.uncompressed_module_resolver import HttpUncompressedFileResolver
name = "tester/mini_classification"
outputs = []
for address in ("{here.address}/" + name + "/1", "{here.address}/" + name, "{here.address}/" + name + "/1.tar.gz",
                "{static}/" + name + "/1.tar.gz"):
    model = hub.load(address)
    outputs.append(model(np.ones((1, 16, 16, 3), np.float32)).numpy().tolist())
asked = "{here.address}/" + name + "/1?tf-hub-format=uncompressed"
location = HttpUncompressedFileResolver()._request_gcs_location(asked)
print(json.dumps([outputs, location, len([n for n in os.listdir(os.environ["TFHUB_CACHE_DIR"]) if "." not in n])]))
"""
        environment = os.environ | {"TFHUB_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 0, done.stderr
    outputs, location, cached = json.loads(done.stdout.splitlines()[-1])
    assert len(outputs[0][0]) == 3
    assert outputs == [outputs[0]] * 4
    assert location == "gs://bucket/tester/mini_classification/1"
    assert cached == 4  # the client caches by address, an unversioned one, too: forever


# HTTP ---------------------------------------------------------------------------------------------------------------
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


def test_tarballs_are_kept_forever_and_pages_are_asked_for_again(shared: Running) -> None:
    tarball = shared.ask(MODULE + "?tf-hub-format=compressed", "HEAD")
    assert tarball["cache-control"] == "public, max-age=31536000, immutable"
    assert tarball["content-disposition"] == 'attachment; filename="net_1.tar.gz"'
    assert shared.ask(MODULE)["cache-control"] == "public, no-cache"
    assert shared.ask("/alice/net")["cache-control"] == "public, no-cache"


@pytest.mark.parametrize(
    ("accepted", "sent"), [("gzip, br", True), ("gzip;q=0", False), ("*", True), ("br", False), ("", False)]
)
def test_pages_are_compressed_for_who_asks(shared: Running, accepted: str, sent: bool) -> None:
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
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=7-99", 7, 100),
        ("BYTES = 1000-", 1000, None),
        ("bytes=-5", -5, None),
        ("bytes=-999999999999", 0, None),
        ("bytes=10-999999999999999999", 10, None),
    ],
)
def test_ranges(shared: Running, target: str, content: bytes, asked: str, start: int, stop: int | None) -> None:
    answer = shared.ask(target, Range=asked)
    expected = content[start:stop]
    assert answer.status == 206
    assert answer.body == expected
    first = start % len(content)
    assert answer["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(content)}"
    assert answer["etag"] == f'"{sha256(content)}"'  # of the whole file, as is its digest


@pytest.mark.parametrize("asked", [f"bytes={len(TARBALL)}-", "bytes=999999999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(shared: Running, asked: str) -> None:
    answer = shared.ask(MODULE + ".tar.gz", Range=asked)
    assert answer.status == 416
    assert answer["content-range"] == f"bytes */{len(TARBALL)}"
    assert b"behind the end of 12000000 bytes" in answer.body


@pytest.mark.parametrize(
    "asked", ["bytes=5-4", "bytes=a-b", "bytes=-", "bytes=", "lines=1-2", "bytes=0-1,5-6", "bytes=" + "9" * 5000 + "-"]
)
def test_other_ranges_are_ignored(shared: Running, asked: str) -> None:
    answer = shared.ask(MODULE + ".html", Range=asked)
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
    assert json.loads(answer.body) == {"status": "index.json is missing or damaged"}
    (own.root / "index.json").unlink()
    assert own.ask("/healthz").status == 503
    assert own.ask(MODULE + ".tar.gz", "HEAD").status == 200


# Files that change --------------------------------------------------------------------------------------------------
def test_a_file_replaced_while_it_is_sent_is_sent_whole(own: Running) -> None:
    with own.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        headers = head(client)
        write(own.root / "alice/net/1.tar.gz", b"other")
        write_index(own.root, "alice/net/1")
        body = rest(client)
    assert f'etag: "{sha256(TARBALL)}"'.encode() in headers
    assert sha256(body) == sha256(TARBALL)
    answer = own.ask(MODULE + ".tar.gz")
    assert (answer.body, answer["etag"]) == (b"other", f'"{sha256(b"other")}"')


def test_empty_files(own: Running) -> None:
    for name in ("1.tar.gz", "1.md"):
        write(own.root / "alice/net" / name, b"")
        answer = own.ask(f"/alice/net/{name}")
        assert (answer.status, answer.body, answer["content-length"]) == (200, b"", "0")
        assert own.ask(f"/alice/net/{name}", Range="bytes=0-").status == 416


def test_a_changed_page_has_another_tag_at_once(own: Running) -> None:
    before = own.ask(MODULE + ".md")
    write(own.root / "alice/net/1.md", b"# net 2\n")  # the same size and time
    after = own.ask(MODULE + ".md", If_None_Match=str(before["etag"]))
    assert (after.status, after.body) == (200, b"# net 2\n")
    assert after["etag"] != before["etag"]


def test_a_young_page_is_read_again_though_it_looks_the_same(own: Running) -> None:
    page = own.root / "alice/net/1.md"
    page.write_bytes(b"# first\n")
    assert own.ask(MODULE + ".md").body == b"# first\n"
    with page.open("r+b") as stream:
        stream.write(b"# later\n")
    assert own.ask(MODULE + ".md").body == b"# later\n"


def test_pages_take_no_more_memory_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MEMORY", 10_000)
    for number in range(9):
        write(tmp_path / f"{number}.txt", bytes([65 + number]) * 400)
    write(tmp_path / "large.txt", b"large" * 1900)
    opener = files.HubFiles(tmp_path)

    async def opened(name: str) -> files.Page | files.Large:
        return await opener.open((name,))

    kept = asyncio.run(opened("0.txt"))
    assert asyncio.run(opened("0.txt")) is kept
    asyncio.run(opened("large.txt"))  # 9,500 bytes, and some compressed
    for number in range(1, 9):
        asyncio.run(opened(f"{number}.txt"))
    again = asyncio.run(opened("0.txt"))
    assert again == kept
    assert again is not kept


@pytest.mark.parametrize("damage", ["of other bytes", "of another size", "that is older", "missing", "malformed"])
def test_an_index_is_not_believed_of_files_it_does_not_know(own: Running, damage: str) -> None:
    index = own.root / "index.json"
    entry = {"path": "alice/net/1.tar.gz", "size": len(TARBALL), "sha256": "0" * 64}
    if damage == "of another size":
        entry["size"] = 5
    elif damage == "malformed":
        entry["sha256"] = "0" * 63
    index.write_text(json.dumps({"modules": {"alice/net/1": {"files": [entry]}}, "collections": {}}))
    os.utime(index, (0, 1_600_000_000 if damage == "that is older" else 1_800_000_000))
    if damage == "missing":
        index.unlink()
    # Of the right size and younger than the file, it is believed: a damaged file then shows by its own digest.
    expected = "0" * 64 if damage == "of other bytes" else sha256(TARBALL)
    assert own.ask(MODULE + ".tar.gz", "HEAD")["etag"] == f'"{expected}"'


def test_a_file_that_shrinks_ends_the_connection(own: Running, caplog: pytest.LogCaptureFixture) -> None:
    with own.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
        headers = head(client)
        os.truncate(own.root / "alice/net/1.tar.gz", 1000)
        body = rest(client)
    assert f"content-length: {len(TARBALL)}".encode() in headers
    assert len(body) < len(TARBALL)
    assert "a file became shorter while it was sent" in caplog.text
    assert own.ask("/").status == 200


# Nothing outside the hub --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "target",
    [
        "/link.md",
        "/alice/linked/canary.md",
        "/alice/net/12.tar.gz",
        "/alice/net/12?tf-hub-format=compressed",
        "/alice/linked",
        "/alice/net/13.tar.gz",
        "/../canary.md",
        "/alice/../../canary.md",
        "/%2e%2e/canary.md",
        "/..%2fcanary.md",
        "/%252e%252e/canary.md",
        "/..%5ccanary.md",
        "/%c0%ae%c0%ae/canary.md",
        "/canary.md%00.html",
        "//canary.md",
        "///etc/passwd",
        "/etc/passwd",
        "/.lock",
        "/%2elock",
        "/alice/net/.1.tar.gz.part",
        "/alice/net/./1.md",
        "/alice//net/1.md",
        "/alice/net/1.md/",
        "/alice/net/1.md/x.md",
        "/" + "a" * 300 + ".md",
        "/" + "a/" * 3000 + "b.md",
    ],
)
def test_what_is_no_file_of_the_hub_is_not_there(shared: Running, target: str) -> None:
    answer = shared.ask(target)
    assert answer.status == 404
    assert b"hub" in answer.body
    assert CANARY not in answer.body


def test_no_answer_names_a_folder_of_the_machine(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an error page nor /healthz; whoever runs the server has it on standard error."""
    place = str(own.root.parent).encode()

    def answers(*expected: int) -> None:
        targets = ("/", "/healthz", "/metrics", "/alice", MODULE, MODULE + ".tar.gz", "/nowhere", "/index.json")
        found = [own.ask(target) for target in targets] + [own.ask("/", "POST")]
        assert {answer.status for answer in found} == set(expected)
        for answer in found:
            said = answer.body if answer.status != 200 or answer["content-type"] == "application/json" else b""
            assert place not in said + repr(answer.headers).encode()
            assert b"Traceback" not in said

    answers(200, 302, 404, 405)
    (own.root / "index.json").write_text("{")
    answers(200, 302, 404, 405, 503)

    def broken(root: Path, names: tuple[str, ...]) -> tuple[int, os.stat_result]:
        raise OSError(errno.EIO, "the disk fails", str(root.joinpath(*names)))

    monkeypatch.setattr(files, "_open_file", broken)
    answers(500, 405)


def test_a_hub_may_itself_be_a_link(tmp_path: Path) -> None:
    write_hub(tmp_path / "monday")
    (tmp_path / "hub").symlink_to("monday")
    with running(tmp_path / "hub") as here:
        assert here.ask("/alice/alice.md").body == b"# alice\n"
        write(tmp_path / "tuesday/alice/alice.md", b"# tuesday\n")
        (tmp_path / "next").symlink_to("tuesday")
        (tmp_path / "next").replace(tmp_path / "hub")
        assert here.ask("/alice/alice.md").body == b"# tuesday\n"


# Hostile requests ---------------------------------------------------------------------------------------------------
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
    """Sends a request; returns status, headers, body, and whether the connection goes on."""
    client.sendall(request)
    headers = b"".join(iter(stream.readline, b"\r\n"))
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", headers)
    assert found, (headers, request)
    status = int(found[1])
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", headers)
    body = b"" if request.startswith(b"HEAD ") or status == 304 else stream.read(int(length[1]) if length else -1)
    return status, headers, body, b"\r\nconnection: close\r\n" not in headers and b" HTTP/1.0\r\n" not in request


def test_ten_thousand_hostile_requests_get_nothing_from_outside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(20260101)
    root = write_hub(tmp_path / "hub")
    write(root / "alice/net/1.tar.gz", b"small")
    public = {path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()} - {b"hidden"}
    statuses: Counter[int] = Counter()
    with running(root, "gs://bucket") as here:
        client = here.connect()
        stream = client.makefile("rb")
        for _ in range(10_000):
            request = hostile(random)
            status, headers, body, goes_on = exchange(client, stream, request)
            statuses[status] += 1
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
            if not goes_on:
                stream.close()
                client.close()
                client = here.connect()
                stream = client.makefile("rb")
        stream.close()
        client.close()
        assert here.ask("/healthz").status == 200
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert statuses[404] > 1_000
    assert {200, 302, 400, 404, 405} <= set(statuses)


def test_heads_are_sent_without_delay() -> None:
    """Else a page's body waits 40 ms for the client to acknowledge its head."""
    with listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


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
    assert shared.raw(b"") == b""  # one that says nothing gets nothing
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
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    return sum(os.path.realpath(link) == str(running.root / "alice/net/1.tar.gz") for link in links)


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
    with running(own.root, limit=3) as here, ExitStack() as stack:
        for _ in range(2):
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
    found = [re.fullmatch(form, line) for line in lines]
    assert [match and match.groups() for match in found] == [
        ("GET /alice/net/1.md?a=\\x22b\\x22\\\\ HTTP/1.1", "200", "8"),
        ("GET /alice/net/1.tar.gz HTTP/1.1", "206", "100"),
        ("GET /%0d%0aevil%1b HTTP/1.1", "404", "38"),
        ("-", "400", "29"),
    ]


# The command --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nowhere",), ("HUB=nowhere: no such folder", "run make publish first, or name another folder with HUB=")),
        (("empty",), ("HUB=empty: there is no index.json, so this is not a hub", "run make publish first")),
        (("blank",), ("HUB=blank: no modules are published there", "run make publish first")),
        (("damaged",), ("damaged/index.json: not valid JSON",)),
        (("latin",), ("latin/index.json: not valid JSON ('utf-8' codec",)),
        (("strange",), ("strange/index.json: expected an object 'modules' of objects",)),
        (("hub", "--port", "eighty"), ("PORT=eighty: expected a whole number",)),
        (("hub", "--port", "65536"), ("PORT=65536: expected a whole number from 0",)),
        (("hub", "--port", "TAKEN"), ("cannot listen on 127.0.0.1, port", "choose another PORT")),
        (("hub", "--host", "192.0.2.1"), ("cannot listen on 192.0.2.1", "choose another HOST")),
        (("hub", "--host", "no host"), ("HOST=no host: not an address of this machine",)),
        (("hub", "--gcs", "s3://bucket"), ("GCS=s3://bucket: expected gs://bucket/prefix",)),
        (("hub", "--gcs", "gs://"), ("GCS=gs://: expected gs://bucket/prefix",)),
        (("hub", "--gcs", "gs://bucket/a b"), ("GCS=gs://bucket/a b: expected gs://bucket/prefix",)),
        (("https://host/hub",), ("HUB=https://host/hub",)),
    ],
)  # fmt: skip
def test_the_command_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    rest = b', "collections": {}}'
    indexes = {"hub": b'{"modules": {"a/b/1": {}}' + rest, "blank": b'{"modules": {}' + rest, "damaged": b"{"}
    for name, index in {**indexes, "latin": b'{"\xe9"', "strange": b'{"a": 1}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.json").write_bytes(index)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Fault) as refused:
        main([argument.replace("TAKEN", str(taken.getsockname()[1])) for argument in arguments])
    for part in parts:
        assert part in str(refused.value)


@contextmanager
def commanded(root: Path, drain: int = 5) -> Iterator[tuple[subprocess.Popen[str], Running]]:
    command = [sys.executable, "-m", "pipeline.serve", str(root), "--port", "0", "--drain", str(drain)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            first, second = process.stderr.readline(), process.stderr.readline()
            found = re.search(r"serving 2 modules of .* at http://127\.0\.0\.1:(\d+)/ until Ctrl-C", first)
            assert found, first
            port = int(found[1])
            assert second.strip() == f'hub.load("http://127.0.0.1:{port}/alice/net/1")'
            yield process, Running(port, root)
        finally:
            process.kill()


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    with commanded(write_hub(tmp_path / "hub")) as (process, here):
        assert here.ask(MODULE + "?tf-hub-format=compressed").body == TARBALL
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err == ""
    assert re.fullmatch(r'127.* "GET /alice/net/1\?tf-hub-format=compressed HTTP/1.1" 200 12000000\n', out)


def test_sigterm_lets_downloads_finish(tmp_path: Path) -> None:
    with commanded(write_hub(tmp_path / "hub")) as (process, here), here.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
        head(client)
        process.send_signal(signal.SIGTERM)
        body = rest(client)
        _, err = process.communicate(timeout=20)
    assert sha256(body) == sha256(TARBALL)
    assert (process.returncode, err) == (0, "")


def test_a_download_that_takes_too_long_is_given_up_in_one_line(tmp_path: Path) -> None:
    with commanded(write_hub(tmp_path / "hub"), drain=0) as (process, here), here.connect(4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
        head(client)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert len(rest(client)) < len(TARBALL)
    assert process.returncode == 0
    assert "Cancel 1 running task(s), timeout graceful shutdown exceeded" in err
    assert "Traceback" not in err
    assert '"GET /alice/net/1.tar.gz HTTP/1.1" 200 ' in out


def test_too_few_files_are_refused(tmp_path: Path) -> None:
    """Else every client would be told that there are too many."""
    command = f"ulimit -n 256; exec {sys.executable} -m pipeline.serve {write_hub(tmp_path / 'hub')} --port 0"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr == (
        "serve: this process may open 256 files at once; expected 400 or more: raise the hard limit (ulimit -Hn)\n"
    )


def test_make_serve_passes_its_settings() -> None:
    done = make(ROOT, "-n", "serve", "HUB=some/hub", "PORT=81", "HOST=0.0.0.0", "GCS=gs://bucket")
    assert " -m pipeline.serve 'some/hub' --host '0.0.0.0' --port '81' --gcs 'gs://bucket'" in done.stdout
    done = make(ROOT, "-n", "serve", HOST="of-the-environment")
    assert " -m pipeline.serve 'artifacts/hub' --host '127.0.0.1' --port '8080'" in done.stdout
    done = make(ROOT, "serve", "HUB=no/hub")
    assert done.returncode == 2
    assert "serve: HUB=no/hub: no such folder" in done.stderr


def test_it_says_what_address_the_pages_name(tmp_path: Path) -> None:
    card = tmp_path / "alice/net/1.md"
    card.parent.mkdir(parents=True)
    assert published_address(tmp_path, "alice/net/1") is None
    card.write_text("# Module alice/net/1\n\n<!-- asset-path: https://hub.example/a/alice/net/1.tar.gz -->\n")
    assert published_address(tmp_path, "alice/net/1") == "https://hub.example/a"
