"""What the stand-ins of Hugging Face and Kaggle share: an HTTP server on loopback, with faults on request."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.conftest import serving


@dataclass(frozen=True)
class Request:
    """A request as a host sees it: its path is unquoted, its query has the last value of each parameter."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """An answer of a host; a status of 0 cuts the line instead."""

    status: int = 200
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


class StandIn:
    """A host in memory; a subclass answers requests.

    Attributes:
        address: of the server, while it runs.
        requests: `<method> <path>` of each request so far.
        faults: pairs of a pattern and an answer; the first request that a pattern fits gets the answer, once. An answer
            with the status 0 cuts the line; with `late`, after the request was carried out.
    """

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[str] = []
        self.faults: list[tuple[str, Answer, bool]] = []

    def fail(self, pattern: str, status: int = 0, message: str = "", late: bool = False) -> None:
        """Lets the next request fail whose `<method> <path>` a pattern fits."""
        answer = json_answer({"error": message, "code": status, "message": message}, status)
        self.faults.append((pattern, answer, late))

    def count(self, pattern: str) -> int:
        """Returns how many requests a pattern fits."""
        return sum(bool(re.search(pattern, request)) for request in self.requests)

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def respond(self, request: Request) -> Answer:
        """Answers a request, or fails as a test wants it to."""
        line = f"{request.method} {request.path}"
        self.requests.append(line)
        for fault in self.faults:
            pattern, answer, late = fault
            if re.search(pattern, line):
                self.faults.remove(fault)
                if late:
                    self.answer(request)
                return answer
        return self.answer(request)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Runs the server; yields its address."""
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one write an answer: the client waits 40 ms for the second one

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                body = self._read_body()
                answer = host.respond(Request(self.command, unquote(parts.path), query, self.headers, body))
                if not answer.status:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in answer.headers:
                    self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.content)

            def _read_body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                content = b""
                while size := int(self.rfile.readline(), 16):
                    content += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return content

            do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Logs nothing."""

        with serving(Handler) as self.address:
            yield self.address
