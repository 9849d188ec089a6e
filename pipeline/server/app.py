"""The hub as a web application: tfhub.dev's protocol on a folder, and every file at its own address.

What it answers is decided by pure functions: pipeline.server.routes (what is asked for), pipeline.server.http_semantics
(in which form) and pipeline.server.http_semantics (whether, and which part). Here they are put together.
"""

import asyncio
import base64
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipeline.server.files import HubFiles, Large, NotThere
from pipeline.server.http_semantics import Unsatisfiable, accepts_gzip, byte_range, http_date, preferred, verdict
from pipeline.server.middleware import Outermost, log
from pipeline.server.routes import (  # fmt: skip
    TARBALL,
    File,
    Location,
    Moved,
    Names,
    Newest,
    Page,
    Refused,
    asked,
    media_type,
    relative,
)

# What one client's connection holds in memory, twice at most.
CHUNK = 1 << 18
# A published tarball never changes; a page may.
FOREVER = "public, max-age=31536000, immutable"
CHECKED = "public, no-cache"


def _validators(sha256: bytes, modified: int) -> dict[str, str]:
    """Returns the headers that tell one form of a file from another; Digest is Repr-Digest's form before RFC 9530."""
    digest = base64.b64encode(sha256).decode()
    return {
        "ETag": f'"{sha256.hex()}"',
        "Last-Modified": http_date(modified),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Digest": f"sha-256={digest}",
    }


def _range(headers: Mapping[str, str], size: int, sha256: bytes, modified: int) -> tuple[int, int] | None:
    try:
        return byte_range(headers, size, f'"{sha256.hex()}"', modified)
    except Unsatisfiable:
        raise Refused(416, f"The range lies behind the end of {size} bytes.", Content_Range=f"bytes */{size}") from None


def _partial(part: tuple[int, int] | None, size: int) -> dict[str, str]:
    return {"Content-Range": f"bytes {part[0]}-{part[1] - 1}/{size}"} if part else {}


class _FromDisk(Response):
    """Sends a part of an opened file, and closes it whatever happens."""

    def __init__(self, descriptor: int, part: tuple[int, int], status: int, headers: dict[str, str]) -> None:
        self._descriptor, self._part = descriptor, part
        super().__init__(None, status, {**headers, "Content-Length": str(part[1] - part[0])})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == "HEAD" or self._part[0] == self._part[1]:
                await send({"type": "http.response.body"})
            else:
                await self._body(send, gone)
        finally:
            gone.cancel()
            os.close(self._descriptor)

    async def _body(self, send: Send, gone: asyncio.Task[None]) -> None:
        """Sends chunk by chunk; send() waits for a client that is slower."""
        start, stop = self._part
        while start < stop and not gone.done():
            chunk = os.pread(self._descriptor, min(CHUNK, stop - start), start)
            if not chunk:  # the server closes the connection, and the client sees that bytes are missing
                log(f"a file became shorter while it was sent: {stop - start} bytes are missing")
                return
            start += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": start < stop})
            await asyncio.sleep(0)  # a client as quick as we are must not keep the others waiting


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Hub:
    """Answers for one hub.

    Args:
        root: the hub's folder.
        bucket: where its modules lie unpacked, gs://bucket/prefix; None if nowhere.
    """

    def __init__(self, root: Path, bucket: str | None) -> None:
        self._files = HubFiles(root)
        self._bucket = bucket.rstrip("/") if bucket else None

    async def health(self, request: Request) -> Response:
        """Says whether the hub can be read, and how much it holds."""
        try:
            index = self._files.index()
        except NotThere:
            body: dict[str, str | int] = {"status": "index.json is missing or damaged"}
            status = 503
        else:
            body = {"status": "ok", "modules": index.modules, "collections": index.collections}
            status = 200
        return Response(json.dumps(body) + "\n", status, {"Cache-Control": "no-store"}, "application/json")

    async def answer(self, request: Request) -> Response:
        """Answers a GET or HEAD.

        Raises:
            Refused: with the status and what to tell the client.
        """
        path, query = request.scope["raw_path"].decode(), request.scope["query_string"].decode("ascii", "replace")
        headers: dict[str, str] = {}
        for name, value in request.headers.items():  # lines of one name are one list (RFC 9110, section 5.3)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        try:
            match asked(path, query):
                case Moved(names):
                    self._check_page(names)
                    return _redirect(path, names, query)
                case Newest(names):
                    return _redirect(path, (*names, self._files.newest(names)), query)
                case Location(names):
                    return self._location(names)
                case Page(names):
                    return await self._page(names, headers)
                case File(names):
                    return await self._file(names, headers, {})
        except NotThere:
            raise Refused(404, "There is no such module, page or file in this hub.") from None

    def _page_forms(self, names: Names) -> dict[str, Names]:
        """Returns the forms that a page has, the favourite first, by their media types."""
        forms = {"text/html": ".html", "text/markdown": ".md"}
        found = {kind: (*names[:-1], names[-1] + end) for kind, end in forms.items()}
        return {kind: file for kind, file in found.items() if self._files.has(file)}

    def _check_page(self, names: Names) -> None:
        if not self._page_forms(names):
            raise NotThere

    async def _page(self, names: Names, headers: Mapping[str, str]) -> Response:
        """Sends HTML or markdown; a module's page whose HTML nobody rendered is there as markdown."""
        forms = self._page_forms(names)
        if not forms:
            raise NotThere
        return await self._file(forms[preferred(headers.get("accept", ""), list(forms))], headers, {"Vary": "Accept"})

    def _location(self, names: Names) -> Response:
        """Answers as tensorflow_hub expects it: 303, the location as the body, and no header Location."""
        if not self._files.has((*names[:-1], names[-1] + ".tar.gz")):
            raise NotThere
        if not self._bucket:
            raise Refused(404, "This hub has no unpacked modules in a bucket; ask for tf-hub-format=compressed.")
        return PlainTextResponse("/".join((self._bucket, *names)), 303, {"Cache-Control": CHECKED})

    async def _file(self, names: Names, headers: Mapping[str, str], more: dict[str, str]) -> Response:
        """Sends a file, the part asked for, or that the client has it already."""
        found = await self._files.open(names)
        kind = media_type(names[-1]) or "application/octet-stream"
        more = {"Content-Type": kind, "Cache-Control": CHECKED, "Accept-Ranges": "bytes", **more}
        if kind == TARBALL:
            more["Cache-Control"] = FOREVER
            more["Content-Disposition"] = f'attachment; filename="{"_".join(names[1:]) or names[0]}"'
        if isinstance(found, Large):
            return _large(found, headers, more)
        form = found.plain
        if found.compressed:
            more["Vary"] = ", ".join(filter(None, (more.get("Vary"), "Accept-Encoding")))
            if accepts_gzip(headers.get("accept-encoding", "")):
                form = found.compressed
                more["Content-Encoding"] = "gzip"
        more |= _validators(form.sha256, found.modified)
        if status := verdict(headers, more["ETag"], found.modified):
            return _unchanged(status, more)
        size = len(form.content)
        part = _range(headers, size, form.sha256, found.modified)
        content = form.content[slice(*part)] if part else form.content
        return Response(content, 206 if part else 200, more | _partial(part, size))


def _large(file: Large, headers: Mapping[str, str], more: dict[str, str]) -> Response:
    """Takes over the opened file: it is closed here, or once it is sent."""
    with ExitStack() as stack:
        stack.callback(os.close, file.descriptor)
        more = more | _validators(file.sha256, file.modified)
        if status := verdict(headers, more["ETag"], file.modified):
            return _unchanged(status, more)
        part = _range(headers, file.size, file.sha256, file.modified)
        stack.pop_all()
    status, more = (206 if part else 200), more | _partial(part, file.size)
    return _FromDisk(file.descriptor, part or (0, file.size), status, more)


def _unchanged(status: int, headers: dict[str, str]) -> Response:
    """Answers 304 with the headers that a cache updates (RFC 9110, section 15.4.5), or 412."""
    if status == 412:
        raise Refused(412, "The file is not the one that the request is about.")
    kept = ("Cache-Control", "ETag", "Last-Modified", "Vary")
    return Response(None, status, {name: headers[name] for name in kept if name in headers})


def _redirect(path: str, names: Names, query: str) -> Response:
    location = relative(path, names) + (f"?{query}" if query else "")
    return Response(None, 302, {"Location": location, "Cache-Control": CHECKED})


async def _refuse(request: Request, refused: Exception) -> Response:
    if not isinstance(refused, Refused):
        raise refused
    return PlainTextResponse(refused.sentence + "\n", refused.status, {"Cache-Control": "no-cache", **refused.headers})


def application(root: Path, bucket: str | None = None) -> Starlette:
    """Returns the ASGI application that serves a hub's folder.

    Args:
        root: the hub's folder, laid out as publish does.
        bucket: gs://bucket/prefix, where its modules also lie unpacked as <publisher>/<module>/<version>; None if
            nowhere.
    """
    hub = _Hub(root, bucket)
    return Starlette(
        # One word, so no address of a module; the page of a publisher of that name is at /healthz/healthz.
        routes=[Route("/healthz", hub.health), Route("/{path:path}", hub.answer)],
        middleware=[Middleware(Outermost)],
        exception_handlers={Refused: _refuse},
    )
