"""Responses to a request for a file of the hub: the file, a part of it, or that the client has it already."""

import asyncio
import base64
import os
from collections.abc import Mapping
from contextlib import ExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.base.media_types import LASTING, TARBALL, media_type
from pipeline.server.files import Large, Page
from pipeline.server.http_semantics import Unsatisfiable, accepts_gzip, byte_range, http_date, precondition_status
from pipeline.server.log import log
from pipeline.server.routes import Names, Refused

CHUNK = 1 << 18  # bytes; a connection holds at most two chunks in memory
FOREVER = "public, max-age=31536000, immutable"  # of tarballs and models, which never change once published
REVALIDATE = "public, no-cache"  # of all other files, which may


def file_response(file: Page | Large, names: Names, request: Mapping[str, str], vary: str = "") -> Response:
    """Returns the response to a GET or HEAD of a file.

    Args:
        file: the file; the response closes one that is open.
        names: of its folders and its own.
        request: the headers of the request, by names in lower case.
        vary: a header of the request that decided which file to send.

    Raises:
        Refused: with 412 where a precondition fails, and 416 for a range behind the end.
    """
    headers = _file_headers(names)
    if vary:
        headers["Vary"] = vary
    if isinstance(file, Large):
        return _large_response(file, request, headers)
    return _page_response(file, request, headers)


def _file_headers(names: Names) -> dict[str, str]:
    kind = media_type(names[-1]) or "application/octet-stream"
    headers = {"Content-Type": kind, "Cache-Control": REVALIDATE, "Accept-Ranges": "bytes"}
    if kind == TARBALL or names[-1].endswith(LASTING):
        headers["Cache-Control"] = FOREVER
        headers["Content-Disposition"] = f'attachment; filename="{"_".join(names[1:]) or names[0]}"'
    return headers


def _page_response(page: Page, request: Mapping[str, str], headers: dict[str, str]) -> Response:
    form = page.plain
    if page.compressed:
        headers["Vary"] = ", ".join(filter(None, (headers.get("Vary"), "Accept-Encoding")))
        if accepts_gzip(request.get("accept-encoding", "")):
            form = page.compressed
            headers["Content-Encoding"] = "gzip"
    headers |= _validators(form.sha256, page.modified)
    if status := precondition_status(request, headers["ETag"], page.modified):
        return _unchanged(status, headers)
    size = len(form.content)
    part = _range(request, size, headers["ETag"], page.modified)
    content = form.content[slice(*part)] if part else form.content
    return Response(content, 206 if part else 200, headers | _content_range(part, size))


def _large_response(file: Large, request: Mapping[str, str], headers: dict[str, str]) -> Response:
    """Returns the response with an open file, which is closed here, or once it is sent."""
    with ExitStack() as stack:
        stack.callback(os.close, file.descriptor)
        headers |= _validators(file.sha256, file.modified)
        if status := precondition_status(request, headers["ETag"], file.modified):
            return _unchanged(status, headers)
        part = _range(request, file.size, headers["ETag"], file.modified)
        stack.pop_all()
    headers |= _content_range(part, file.size)
    return _FromDisk(file.descriptor, part or (0, file.size), 206 if part else 200, headers)


def _validators(sha256: bytes, modified: int) -> dict[str, str]:
    """Returns the headers that tell one form of a file from another; Digest is what Repr-Digest was before RFC 9530."""
    digest = base64.b64encode(sha256).decode()
    return {
        "ETag": f'"{sha256.hex()}"',
        "Last-Modified": http_date(modified),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Digest": f"sha-256={digest}",
    }


def _unchanged(status: int, headers: dict[str, str]) -> Response:
    """Returns a 304 with the headers that a cache updates (RFC 9110, section 15.4.5); raises Refused for a 412."""
    if status == 412:
        raise Refused(412, "The file is not the one that the request is about.")
    updated = ("Cache-Control", "ETag", "Last-Modified", "Vary")
    return Response(None, status, {name: headers[name] for name in updated if name in headers})


def _range(request: Mapping[str, str], size: int, etag: str, modified: int) -> tuple[int, int] | None:
    try:
        return byte_range(request, size, etag, modified)
    except Unsatisfiable:
        raise Refused(416, f"The range lies behind the end of {size} bytes.", Content_Range=f"bytes */{size}") from None


def _content_range(part: tuple[int, int] | None, size: int) -> dict[str, str]:
    return {"Content-Range": f"bytes {part[0]}-{part[1] - 1}/{size}"} if part else {}


class _FromDisk(Response):
    """Sends a part of an open file, and closes the file in any case."""

    def __init__(self, descriptor: int, part: tuple[int, int], status: int, headers: dict[str, str]) -> None:
        self._descriptor, self._part = descriptor, part
        super().__init__(None, status, {**headers, "Content-Length": str(part[1] - part[0])})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_wait_for_disconnect(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD" or self._part[0] == self._part[1]:
                await send({"type": "http.response.body"})
            else:
                await self._send_body(send, gone)
        finally:
            gone.cancel()
            os.close(self._descriptor)

    async def _send_body(self, send: Send, gone: asyncio.Task[None]) -> None:
        """Sends chunk by chunk; send() waits for a slow client."""
        start, stop = self._part
        while start < stop and not gone.done():
            try:
                chunk = os.pread(self._descriptor, min(CHUNK, stop - start), start)
            except OSError as error:
                log("disk", f"a file cannot be read while it is sent: {error.strerror}")
                return
            if not chunk:  # the server closes the connection, and the client sees that bytes are missing
                log("shorter", f"a file became shorter while it was sent: {stop - start} bytes are missing")
                return
            start += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": start < stop})
            await asyncio.sleep(0)  # a fast client must not block the others


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
