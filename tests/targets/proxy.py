"""A proxy in front of a store that does to each request what a test wants: an answer lost, a line cut, a 503."""

import http.client
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP = ("connection", "transfer-encoding", "content-length", "keep-alive", "server", "date")


@dataclass
class Request:
    """A request of a client.

    Attributes:
        method: HTTP's.
        path: with the query.
        headers: by their names in lower case.
        body: its content.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer, of the store or instead of it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Behaviour = Callable[["Handler", Request], None]


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        url: its address.
        upstream: the host and the port of the store.
        script: the behaviours for the next requests; the store answers after the last one.
        choose: returns the behaviour for a request once the script is at its end.
        requests: those that have come.
    """

    url: str
    upstream: str
    script: list[Behaviour] = field(default_factory=list)
    choose: Callable[[Request], Behaviour] | None = None
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: Request) -> Behaviour:
        """Returns what to do to a request."""
        with self.lock:
            self.requests.append(request)
            if self.script:
                return self.script.pop(0)
        return self.choose(request) if self.choose else good


class Handler(BaseHTTPRequestHandler):
    """Passes requests on, as the proxy's script says."""

    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        try:
            self.proxy.next(request)(self, request)
        except (OSError, http.client.HTTPException):  # the client or the store closed the connection
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815  # names of the base class

    def ask(self, request: Request) -> Answer:
        """Returns the store's answer."""
        line = http.client.HTTPConnection(self.proxy.upstream, timeout=60)
        try:
            line.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                line.putheader(name, value)
            line.endheaders(request.body)
            answer = line.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            line.close()

    def send(self, answer: Answer, end: int | None = None) -> None:
        """Sends an answer, of its body the part up to `end`."""
        self.send_response(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = next((value for name, value in answer.headers if name.lower() == "content-length"), len(answer.body))
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:end])

    def reset(self) -> None:
        """Resets the connection instead of closing it."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


def good(handler: Handler, request: Request) -> None:
    """Lets the store answer."""
    handler.send(handler.ask(request))


def cut(handler: Handler, request: Request) -> None:
    """Cuts the line before the request reaches the store."""
    handler.reset()


def lose_answer(handler: Handler, request: Request) -> None:
    """Cuts the line when the store has done what it was asked."""
    handler.ask(request)
    handler.reset()


def halve(handler: Handler, request: Request) -> None:
    """Cuts the line in the middle of the store's answer."""
    answer = handler.ask(request)
    handler.send(answer, len(answer.body) // 2)
    handler.reset()


def status(code: int, word: str = "", text: str = "") -> Behaviour:
    """Answers with a status and an error of S3."""
    body = f"<?xml version='1.0'?><Error><Code>{word}</Code><Message>{text}</Message></Error>".encode()

    def behave(handler: Handler, request: Request) -> None:
        handler.send(Answer(code, [("Content-Type", "application/xml")], body))

    return behave


def echo(code: int) -> Behaviour:
    """Answers with a status and everything that the client sent, as some servers do to explain a bad signature."""

    def behave(handler: Handler, request: Request) -> None:
        text = f"{request.path} {request.headers} {request.body[:2000]!r}"
        status(code, "SignatureDoesNotMatch", text)(handler, request)

    return behave


def without(*names: str) -> Behaviour:
    """Passes the request on without some of its headers."""

    def behave(handler: Handler, request: Request) -> None:
        kept = {name: value for name, value in request.headers.items() if name not in names}
        good(handler, Request(request.method, request.path, kept, request.body))

    return behave


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a client that was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def proxying(url: str) -> Iterator[Proxy]:
    """Runs a proxy in front of a server until the block ends."""
    proxy = Proxy("", url.removeprefix("http://"))
    server = _Server(("127.0.0.1", 0), type("_Handler", (Handler,), {"proxy": proxy}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
