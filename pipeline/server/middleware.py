"""Applies to every request: limits, security headers, and the access log."""

import asyncio
import re
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.server.log import log_request
from pipeline.server.routes import Refused, path_of

# RFC 9110, section 4.1, recommends at least 8,000.
LONGEST_TARGET = 8_000  # bytes
LARGEST_HEADERS = 24_000  # bytes, names and values
METHODS = ("GET", "HEAD")
# How long a refused client may go on sending a body, which is read and dropped: closing with unread bytes would send a
# reset, which can overtake the response.
LINGER_SECONDS = 10.0

# Pages load only the hub's own style sheet, scripts and pictures, and run nothing inline.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}
# The script that runs models in a worker (templates/site/litert/worker.js), which has a policy of its own. No page may
# compile WebAssembly.
WORKER = SECURITY | {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
}
_WORKER_PATH = re.compile(rb"/site/litert-[0-9.]+/worker\.js\Z")
# Plots have their colours in a style element; a picture opened by itself loads and runs nothing.
PICTURE = SECURITY | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
}


def _check(scope: Scope) -> None:
    """Raises Refused for a request of another method, too long, or with a body."""
    headers = Headers(scope=scope)
    if scope["method"] not in METHODS:
        raise Refused(405, "The hub is for reading: GET and HEAD.", Allow=", ".join(METHODS))
    if len(scope["raw_path"]) + len(scope["query_string"]) >= LONGEST_TARGET:
        raise Refused(414, f"The address is too long; expected less than {LONGEST_TARGET:,} bytes.")
    if sum(len(name) + len(value) for name, value in headers.raw) > LARGEST_HEADERS:
        raise Refused(431, f"The headers are too large; expected at most {LARGEST_HEADERS:,} bytes.")
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise Refused(400, "A request for a page or a file has no body.")


def _with_path(scope: Scope) -> Scope:
    """Returns the request with its path alone, where a proxy's client sent a whole URL; still percent-encoded.

    Starlette's routes would not match a decoded line break.
    """
    path = path_of(scope["raw_path"].decode("ascii", "replace"))
    return {**scope, "path": path, "raw_path": path.encode()}


async def _drop_body(receive: Receive) -> None:
    """Reads the rest of a request's body and drops it, until it ends, the client leaves, or time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass


def _security_headers(path: bytes) -> dict[str, str]:
    """Returns the headers for browsers of the answer to a path, which is still percent-encoded."""
    if path.endswith(b".svg"):
        return PICTURE
    return WORKER if _WORKER_PATH.search(path) else SECURITY


class _Refusal:
    """Answers at once, and closes only after the request's body, which many clients send before they read."""

    def __init__(self, refused: Refused) -> None:
        headers = {"Connection": "close", "Cache-Control": "no-cache", **refused.headers}
        self._response = PlainTextResponse(refused.sentence + "\n", refused.status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = {"status": self._response.status_code, "headers": self._response.raw_headers}
        await send({"type": "http.response.start", **head})
        await send({"type": "http.response.body", "body": self._response.body, "more_body": True})
        await _drop_body(receive)
        await send({"type": "http.response.body"})


class _Recorder:
    """Passes a response on, adds the headers for browsers, and records its status and the size of its body."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.status, self.size = 500, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # By the address: a 304 has no media type, and its headers update those that a cache has.
            MutableHeaders(scope=message).update(_security_headers(self._scope["raw_path"]))
        elif self._scope["method"] != "HEAD":
            self.size += len(message.get("body", b""))
        await self._send(message)

    def log(self) -> None:
        scope = self._scope
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        request = f"{scope['method']} {target.decode('latin-1')} HTTP/{scope['http_version']}"
        log_request(scope["client"][0] if scope["client"] else "-", request, self.status, self.size)


class Outermost:
    """Refuses what is too long or does not read, adds headers for browsers, and logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app: ASGIApp = self._app
        recorder, inner = _Recorder(scope, send), scope
        try:
            _check(scope)
            inner = _with_path(scope)
        except Refused as refused:
            app = _Refusal(refused)
        try:
            await app(inner, receive, recorder)
        except asyncio.CancelledError:  # the server ends before a slow client is done; uvicorn reports it
            pass
        finally:
            recorder.log()
