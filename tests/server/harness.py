"""A hub with every kind of file, and a server of it in a thread of the tests."""

import asyncio
import hashlib
import json
import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from pipeline.hub import shards
from pipeline.serve import listening, server
from pipeline.server.places import Limits

TARBALL = random.Random(0).randbytes(12_000_000)  # larger than the system's buffers for a connection
CANARY = b"outside of the hub"
HTML = b"<!doctype html><title>net</title>" + b"<p>a page</p>" * 100
MODULE = "/alice/net/1"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def short(value: object) -> str | None:
    """Shortens a test's name where a parameter is the content of a file."""
    return sha256(value)[:8] if isinstance(value, bytes) else None


def write(path: Path, content: bytes) -> None:
    """Replaces a file as publish does, and dates it back to 2023."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(".fresh")
    fresh.write_bytes(content)
    os.utime(fresh, (1_700_000_000, 1_700_000_000))
    fresh.replace(path)


def write_index(hub: Path, *tarballs: str, at: int = 1_700_000_001) -> None:
    """Writes index.json with the tarballs, `<publisher>/<module>/<version>` each, dated `at` seconds after 1970."""

    def entry(name: str) -> dict[str, object]:
        content = (hub / f"{name}.tar.gz").read_bytes()
        return {"files": [{"path": f"{name}.tar.gz", "size": len(content), "sha256": sha256(content)}]}

    index = {
        "modules": {name: entry(name) for name in tarballs},
        "collections": {"alice/collections/nets/1": {"files": []}},
    }
    (hub / "index.json").write_text(json.dumps(index))
    os.utime(hub / "index.json", (at, at))


def split_index(hub: Path, at: int = 1_700_000_001) -> None:
    """Replaces index.json by shards, as in a hub of more than 5,000 entries, dated `at` seconds after 1970."""
    parts = shards.split(json.loads((hub / "index.json").read_text()))
    files = {shards.shard_path(shard): part for shard, part in parts.items()}
    for path, content in {**files, shards.ROOT: {"schema": 1, "shards": list(parts)}}.items():
        (hub / path).parent.mkdir(exist_ok=True)
        (hub / path).write_text(json.dumps(content))
        os.utime(hub / path, (at, at))
    (hub / "index.json").unlink()


def write_hub(hub: Path) -> Path:
    """Writes a hub with every kind of file, and beside it files that no client may see; returns its folder."""
    for version in (1, 2, 9, 10):
        write(hub / f"alice/net/{version}.tar.gz", TARBALL if version == 1 else b"version %d" % version)
        write(hub / f"alice/net/{version}.html", HTML)
        write(hub / f"alice/net/{version}.md", b"# net %d\n" % version)
    write(hub / "alice/net/11.md", b"# its tarball is still being copied\n")
    write(hub / "alice/net/1/plots/accuracy.svg", b"<svg/>")
    write(hub / "alice/old/1.md", b"# it has no HTML page\n")
    write(hub / "alice/old/1.tar.gz", b"old")
    write(hub / "alice/alice.html", HTML)
    write(hub / "alice/alice.md", b"# alice\n")
    write(hub / "alice/collections/nets/1.html", HTML)
    write(hub / "alice/collections/nets/1.md", b"# nets\n")
    write(hub / "healthz/healthz.md", b"# a publisher of that name\n")
    write(hub / "index.html", HTML)
    write(hub / "site/style.css", b"p { color: black }" * 50)
    write(hub / "site/hub.js", b"'use strict';" * 50)
    write(hub / "site/litert-2.5.3/worker.js", b"'use strict';")
    write(hub / "site/litert-2.5.3/runtime.wasm.gz", b"\x1f\x8b")
    write(hub / "alice/net/1/model.tflite", b"TFL3")
    write(hub / "alice/net/1/plain.tar.gz", b"plain")
    write(hub / "alice/net/1/onnx/model.onnx", b"onnx")
    write(hub / "alice/net/10/model.tflite", b"TFL3 of 10")
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
    """What the server answered; answer["etag"] is the header of that name, or None."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return self.headers.get(name)


@dataclass
class Running:
    """A server that runs in a thread of the tests."""

    port: int
    root: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, target: str, method: str = "GET", **headers: str) -> Answer:
        """Sends a request, with `_` for the `-` in names of headers."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, headers=named)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Opens a connection; a small receive buffer, in bytes, makes the server wait for the client to read."""
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(10)
        client.connect(("127.0.0.1", self.port))
        return client

    def raw(self, request: bytes) -> bytes:
        """Sends bytes and returns everything received until the server closes the connection."""
        with self.connect() as client:
            client.sendall(request)
            return rest(client)


def rest(client: socket.socket) -> bytes:
    """Returns everything received until the server closes the connection."""
    received = bytearray()
    while chunk := client.recv(1 << 20):
        received += chunk
    return bytes(received)


def head(client: socket.socket) -> bytes:
    """Receives the status line and the headers of an answer, and nothing of its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(1)
        assert chunk, received
        received += chunk
    return received


@contextmanager
def running(root: Path, bucket: str | None = None, limits: Limits | None = None) -> Iterator[Running]:
    """Serves a hub on a free port.

    Args:
        root: the hub's folder.
        bucket: where its unpacked modules are, gs://...
        limits: how many connections there may be, if not as many as usual.
    """
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        uvicorn = server(root, bucket, drain=5, limits=limits or Limits(2000, 2000))
        thread = threading.Thread(target=lambda: asyncio.run(uvicorn.serve(sockets=[listener])))
        thread.start()
        try:
            yield Running(port, root)
        finally:
            uvicorn.should_exit = True
            thread.join()
