"""What every request of the server passes: limits, headers for browsers, and the access log."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.server.routes import Refused, path_of

# RFC 9110, section 4.1, asks for 8,000 at least.
LONGEST_TARGET = 8_000  # bytes
LARGEST_HEADERS = 24_000  # bytes, names and values
METHODS = ("GET", "HEAD")
# What a refused client may go on sending, unheard. Closed with bytes unread, the system would send a reset, which
# overtakes the answer.
LINGER_SECONDS = 10.0

# Pages bring nothing but their own stylesheet, scripts and pictures, and run nothing inline.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}
# Plots have their colours in a style element; a picture that is opened by itself loads nothing and runs nothing.
PICTURE = SECURITY | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
}

ACCESS = logging.getLogger("pipeline.serve.access")
FAULTS = logging.getLogger("pipeline.serve")


def log(message: str) -> None:
    """Tells whoever runs the server of something that is wrong."""
    FAULTS.warning("serve: %s", message)


def log_request(client: str, request: str, status: int, size: int) -> None:
    """Writes a line of the Common Log Format, in UTC; `size` is that of the body, in bytes.

    What could end the line, or the quotes, or mean something to a terminal is escaped.
    """
    # Backslashes first: unicode_escape doubles them, and writes everything but printable ASCII as \\x.. or \\u....
    escaped = request.encode("unicode_escape").decode("ascii").replace('"', "\\x22")
    when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    ACCESS.info('%s - - [%s] "%s" %d %s', client, when, escaped, status, size or "-")


def _check(scope: Scope) -> None:
    """Raises Refused for a request that is not even looked at."""
    headers = Headers(scope=scope)
    if scope["method"] not in METHODS:
        raise Refused(405, "The hub is for reading: GET and HEAD.", Allow=", ".join(METHODS))
    if len(scope["raw_path"]) + len(scope["query_string"]) >= LONGEST_TARGET:
        raise Refused(414, f"The address is too long; expected less than {LONGEST_TARGET:,} bytes.")
    if sum(len(name) + len(value) for name, value in headers.raw) > LARGEST_HEADERS:
        raise Refused(431, f"The headers are too large; expected at most {LARGEST_HEADERS:,} bytes.")
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise Refused(400, "A request for a page or a file has no body.")


def _to_path(scope: Scope) -> Scope:
    """Returns the request with its path alone, where a proxy's client sent a whole URL; still percent-encoded.

    Starlette's routes would not match a decoded line break.
    """
    path = path_of(scope["raw_path"].decode("ascii", "replace"))
    return {**scope, "path": path, "raw_path": path.encode()}


async def _read_to_the_end(receive: Receive) -> None:
    """Reads what is left of a request's body and forgets it: until it ends, the client leaves, or time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass


class _Refusal:
    """Answers at once, and closes the connection only after the request's body, which many clients send to its end."""

    def __init__(self, refused: Refused) -> None:
        headers = {"Connection": "close", "Cache-Control": "no-cache", **refused.headers}
        self._response = PlainTextResponse(refused.sentence + "\n", refused.status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = {"status": self._response.status_code, "headers": self._response.raw_headers}
        await send({"type": "http.response.start", **head})
        await send({"type": "http.response.body", "body": self._response.body, "more_body": True})
        await _read_to_the_end(receive)
        await send({"type": "http.response.body"})


class Outermost:
    """Refuses what is too long or no reading, adds the headers for browsers, and logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, size = 0, 0

        async def sending(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                # By the address, since a 304 has no media type and may bring a cache other headers.
                more = PICTURE if scope["raw_path"].endswith(b".svg") else SECURITY
                MutableHeaders(scope=message).update(more)
            elif scope["method"] != "HEAD":
                size += len(message.get("body", b""))
            await send(message)

        app: Any = self._app
        asked = scope
        try:
            _check(scope)
            asked = _to_path(scope)
        except Refused as refused:
            app = _Refusal(refused)
        try:
            await app(asked, receive, sending)
        except asyncio.CancelledError:  # the server ends, and this client was too slow for it: uvicorn says so
            pass
        finally:
            target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
            request = f"{scope['method']} {target.decode('latin-1')} HTTP/{scope['http_version']}"
            log_request(scope["client"][0] if scope["client"] else "-", request, status or 500, size)
