"""A real HTTP server on loopback with faults on demand: a behaviour for each request, in order."""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.conftest import serving


@dataclass
class Resource:
    """The file that the server has under every path; a test may change it while the server runs."""

    content: bytes
    etag: str | None = '"one"'
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """A request of a client."""

    path: str
    headers: dict[str, str]

    @property
    def start(self) -> int | None:
        """The first byte of the requested range; None for the whole file."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(match[1]) if match else None


Behaviour = Callable[["Handler", Resource], None]


@dataclass
class Faulty:
    """A running server.

    Attributes:
        address: its URL, without a path.
        resource: the file that it has.
        script: the behaviours for the next requests.
        requests: those that have come.
        sent: the bytes of bodies so far.
    """

    address: str
    resource: Resource
    script: list[Behaviour] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    sent: int = 0

    def url(self, name: str = "a.npz") -> str:
        return f"{self.address}/{name}"


class Handler(BaseHTTPRequestHandler):
    """Answers with the next behaviour of the script, and correctly after the last."""

    protocol_version = "HTTP/1.1"
    faulty: Faulty

    def do_GET(self) -> None:
        self.close_connection = True
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.faulty.requests.append(Request(self.path, headers))
        behaviour = self.faulty.script.pop(0) if self.faulty.script else good
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client closed the connection
            behaviour(self, self.faulty.resource)

    def do_POST(self) -> None:
        self.do_GET()

    @property
    def current(self) -> Request:
        return self.faulty.requests[-1]

    def answer(self, status: int, resource: Resource, **headers: object) -> None:
        """Sends status and headers; a header given as None is left out."""
        self.send_response(status)
        names: dict[str, Any] = {"Connection": "close", "ETag": resource.etag, **resource.headers}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in names.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()

    def body(self, content: bytes) -> None:
        self.wfile.write(content)
        self.faulty.sent += len(content)

    def reset(self) -> None:
        """Resets the connection instead of closing it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


def begin(handler: Handler, resource: Resource) -> int | None:
    """Sends the right headers; returns the first byte of the body, or None if there is no body."""
    headers = handler.current.headers
    size, start = len(resource.content), handler.current.start
    if resource.etag and headers.get("if-none-match") == resource.etag:
        handler.answer(304, resource)
        return None
    if start is not None and headers.get("if-range") in (None, resource.etag):
        if start >= size:
            handler.answer(416, resource, Content_Range=f"bytes */{size}", Content_Length=0)
            return None
        where = f"bytes {start}-{size - 1}/{size}"
        handler.answer(206, resource, Content_Range=where, Content_Length=size - start)
        return start
    handler.answer(200, resource, Content_Length=size)
    return 0


def good(handler: Handler, resource: Resource) -> None:
    """Answers correctly."""
    start = begin(handler, resource)
    if start is not None:
        handler.body(resource.content[start:])


def cut(position: int, reset: bool = False) -> Behaviour:
    """Closes or resets the connection when the file's bytes up to `position` are sent."""

    def behave(handler: Handler, resource: Resource) -> None:
        start = begin(handler, resource)
        if start is not None:
            handler.body(resource.content[start:position])
        if reset:
            handler.reset()

    return behave


def status(code: int, **headers: object) -> Behaviour:
    """Answers with a status, and a page that is not the file."""

    def behave(handler: Handler, resource: Resource) -> None:
        page = b"<html>not the file</html>"
        handler.answer(code, Resource(page, None), Content_Length=len(page), **headers)
        handler.body(page)

    return behave


def redirect(location: str, **headers: object) -> Behaviour:
    """Redirects the client."""
    return status(302, Location=location, **headers)


def whole(**headers: object) -> Behaviour:
    """Sends the whole file with status 200, whatever the request, and with changed headers."""

    def behave(handler: Handler, resource: Resource) -> None:
        handler.answer(200, resource, **({"Content_Length": len(resource.content)} | headers))
        handler.body(resource.content)

    return behave


def partial(content_range: str | None, content: bytes) -> Behaviour:
    """Answers 206 with any range and any body."""

    def behave(handler: Handler, resource: Resource) -> None:
        handler.answer(206, resource, Content_Range=content_range, Content_Length=len(content))
        handler.body(content)

    return behave


def dripping(stop: threading.Event) -> Behaviour:
    """Sends a byte a hundred times a second until the client goes away."""

    def behave(handler: Handler, resource: Resource) -> None:
        start = begin(handler, resource)
        for position in range(start or 0, len(resource.content)):
            if stop.wait(0.01):
                break
            handler.body(resource.content[position : position + 1])

    return behave


def stalling(position: int, reached: threading.Event, go_on: threading.Event) -> Behaviour:
    """Sends the bytes up to a position, waits until it may go on, and closes the connection."""

    def behave(handler: Handler, resource: Resource) -> None:
        start = begin(handler, resource)
        if start is not None:
            handler.body(resource.content[start:position])
        reached.set()
        go_on.wait(60)

    return behave


@contextmanager
def faulty(content: bytes, *script: Behaviour, certificate: Path | None = None, **more: Any) -> Iterator[Faulty]:
    """Serves `content` with the behaviours of the script first; over https where there is a certificate."""
    server = Faulty("", Resource(content, **more), list(script))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    if context and certificate:
        context.load_cert_chain(certificate)
    with serving(type("_Handler", (Handler,), {"faulty": server}), context) as address:
        server.address = address
        yield server
