"""The hub as a web application: tfhub.dev's protocol on a folder, and every file at its own address.

pipeline.server.routes parses an address, pipeline.server.files opens the file, and pipeline.server.responses sends it.
"""

import asyncio
import errno
import html
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.server.files import HubFiles, Large
from pipeline.server.http_semantics import preferred_type
from pipeline.server.index_digests import DamagedIndex
from pipeline.server.listing import Listing, Listings
from pipeline.server.log import log
from pipeline.server.middleware import Outermost
from pipeline.server.opening import NotThere
from pipeline.server.responses import REVALIDATE, file_response
from pipeline.server.routes import (  # fmt: skip
    File,
    Lite,
    Location,
    Moved,
    Names,
    Newest,
    Page,
    Refused,
    Tfjs,
    is_version,
    parse_address,
    relative_address,
)

LITERT = "model.tflite"  # of a version that has one
_PAGE_FORMS = {"text/html": ".html", "text/markdown": ".md"}  # the default first
NOT_FOUND = "404.html"
_DEEPEST = 30  # folders of an address whose answer has links for people
_REASON = b"<!-- reason -->"
_ROOT = re.compile(rb'<html [^>]*data-root="([^"]*)"')


class _Hub:
    """Answers requests for one hub.

    Args:
        root: the hub's folder.
        bucket: where its modules lie unpacked, gs://bucket/prefix; None if nowhere.
    """

    def __init__(self, root: Path, bucket: str | None) -> None:
        self._files = HubFiles(root)
        self._listings = Listings(root)
        self._bucket = bucket.rstrip("/") if bucket else None

    async def health(self, request: Request) -> Response:
        """Returns whether the hub can be read, and how much it holds."""
        modules = collections = 0
        try:
            for more_modules, more_collections in self._files.counts():
                modules, collections = modules + more_modules, collections + more_collections
                await asyncio.sleep(0)  # the first time, each file is parsed: other requests are answered meanwhile
        except DamagedIndex as reason:
            body: dict[str, str | int] = {"status": str(reason)}
            status = 503
        else:
            body = {"status": "ok", "modules": modules, "collections": collections}
            status = 200
        return Response(json.dumps(body) + "\n", status, {"Cache-Control": "no-store"}, "application/json")

    async def answer(self, request: Request) -> Response:
        """Returns the response to a GET or HEAD.

        Raises:
            Refused: with the status and what to tell the client.
        """
        path, query = request.scope["raw_path"].decode(), request.scope["query_string"].decode("ascii", "replace")
        headers = _joined_headers(request)
        try:
            match parse_address(path, query):
                case Moved(names):
                    self._check_page(names)
                    return _redirect(path, names, query)
                case Newest(names):
                    return _redirect(path, (*names, self._newest(names)), query)
                case Tfjs(names):
                    raise Refused(404, self._instead_of_tfjs(names))
                case (Location(names) | Lite(names) | Page(names) | File(names)) as target:
                    warnings = self._warnings(path, names)  # before a file is open
                    response = await self._respond(target, headers)
                    response.headers.update(warnings)
                    return response
        except NotThere:
            raise Refused(404, "There is no such module, page or file in this hub.") from None

    def _newest(self, names: Names) -> str:
        """Returns the version that a handle without one stands for.

        It is the one that the index calls latest. Of a hub that has none (all are drafts), it is the newest on the
        disk that is not yanked.
        """
        listing = self._listings.of(*names) if len(names) == 2 else Listing()
        if listing.latest and self._files.has((*names, f"{listing.latest}.tar.gz")):
            return listing.latest
        try:
            return self._files.newest(names, without=listing.yanked)
        except NotThere:
            if listing.yanked:
                raise Refused(404, "Every version of this module is yanked; name the version to get one.") from None
            raise

    async def _respond(self, target: Location | Lite | Page | File, headers: Mapping[str, str]) -> Response:
        match target:
            case Location(names):
                return self._location(names)
            case Lite(names):
                return await self._lite(names, headers)
            case Page(names):
                return await self._page(names, headers)
            case File(names):
                return file_response(await self._files.open(names), names, headers)

    def _warnings(self, path: str, names: Names) -> dict[str, str]:
        """Returns the headers for a version that is withdrawn: on its pages, plots and tarball."""
        version = names[2].partition(".")[0] if len(names) > 2 else ""
        if not is_version(version) or names[1] == "collections":
            return {}
        return self._listings.of(names[0], names[1]).headers(path, (*names[:2], version))

    def _page_forms(self, names: Names) -> dict[str, Names]:
        """Returns the files that a page is there as, by their media types."""
        files = {kind: (*names[:-1], names[-1] + suffix) for kind, suffix in _PAGE_FORMS.items()}
        return {kind: file for kind, file in files.items() if self._files.has(file)}

    def _check_page(self, names: Names) -> None:
        if not self._page_forms(names):
            raise NotThere

    async def _page(self, names: Names, headers: Mapping[str, str]) -> Response:
        """Returns a page as HTML or Markdown; as Markdown where it has not been rendered."""
        forms = self._page_forms(names)
        if not forms:
            raise NotThere
        file = forms[preferred_type(headers.get("accept", ""), list(forms))]
        return file_response(await self._files.open(file), file, headers, vary="Accept")

    async def _lite(self, names: Names, headers: Mapping[str, str]) -> Response:
        """Returns the LiteRT file of a version."""
        file = (*names, LITERT)
        if not self._files.has(file):
            self._check_version(names)
            raise Refused(404, f"This version has no {LITERT}; its page lists the formats that it has.")
        return file_response(await self._files.open(file), file, headers)

    def _instead_of_tfjs(self, names: Names) -> str:
        """Returns what to tell a client of TensorFlow.js, whose format no module is published in."""
        handle = names if len(names) == 3 else (*names, self._newest(names))
        self._check_version(handle)
        text = "This module is not there in the format of TensorFlow.js."
        if not self._files.has((*handle, LITERT)):
            return f"{text} It has no LiteRT file either, which browsers could run; its page lists its formats."
        return f"{text} LiteRT.js runs its LiteRT file in browsers (docs/web.md): ask for lite-format=tflite."

    def _check_version(self, names: Names) -> None:
        if not self._files.has((*names[:-1], f"{names[-1]}.tar.gz")):
            raise NotThere

    async def refuse(self, request: Request, refused: Exception) -> Response:
        """Returns the answer to a refused request: a sentence, and for browsers at no address of the hub its page."""
        if not isinstance(refused, Refused):
            raise refused
        headers = {"Cache-Control": "no-cache", **refused.headers}
        if refused.status == 404:
            headers["Vary"] = "Accept"
            accept = _joined_headers(request).get("accept", "")
            if preferred_type(accept, ("text/plain", "text/html")) == "text/html":
                path = request.scope["raw_path"].decode("ascii", "replace")
                if page := await self._not_found_page(path, refused.sentence):
                    return HTMLResponse(page, 404, headers)
        return PlainTextResponse(refused.sentence + "\n", refused.status, headers)

    async def _not_found_page(self, path: str, sentence: str) -> bytes | None:
        """Returns 404.html with a sentence and with links that work at an address; None for a hub without it.

        Its links begin with the path that it names as data-root, which is right at the hub's public address alone.
        """
        depth = path.count("/") - 1
        if not 0 <= depth <= _DEEPEST:
            return None
        try:
            page = await self._files.open((NOT_FOUND,))
        except (NotThere, OSError):  # the sentence alone needs no file
            return None
        if isinstance(page, Large):  # none that the website's renderer wrote
            os.close(page.descriptor)
            return None
        content = page.plain.content.replace(_REASON, f"<p>{html.escape(sentence)}</p>".encode())
        return relink(content, "../" * depth or "./")

    def _location(self, names: Names) -> Response:
        """Returns what tensorflow_hub expects: 303, the location as the body, and no header Location."""
        self._check_version(names)
        if not self._bucket:
            raise Refused(404, "This hub has no unpacked modules in a bucket; ask for tf-hub-format=compressed.")
        return PlainTextResponse("/".join((self._bucket, *names)), 303, {"Cache-Control": REVALIDATE})


def _joined_headers(request: Request) -> dict[str, str]:
    """Returns the request's headers; lines of the same name are one list (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def relink(page: bytes, root: str) -> bytes:
    """Returns 404.html with another beginning of its links to the hub than the one that it names as data-root."""
    match = _ROOT.search(page)
    if not match:
        return page
    links = re.compile(rb'((?:href|src)=")' + re.escape(match[1]) + rb"(?!/)")
    return links.sub(lambda link: link[1] + root.encode(), page)


def _redirect(path: str, names: Names, query: str) -> Response:
    location = relative_address(path, names) + (f"?{query}" if query else "")
    return Response(None, 302, {"Location": location, "Cache-Control": REVALIDATE})


async def _fail(request: Request, error: Exception) -> Response:
    """Answers where the disk fails or this process has no more descriptors: a line a minute for the operator."""
    if not isinstance(error, OSError):
        raise error
    log("disk", f"the hub cannot be read: {error.strerror}")
    status = 503 if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM) else 500
    sentence = "The hub cannot be read at the moment.\n"
    return PlainTextResponse(sentence, status, {"Cache-Control": "no-store", "Retry-After": "10"})


def application(root: Path, bucket: str | None = None) -> Starlette:
    """Returns the ASGI application that serves a hub's folder.

    Args:
        root: the hub's folder, laid out as publish does.
        bucket: gs://bucket/prefix, where its modules also lie unpacked as <publisher>/<module>/<version>; None if
            nowhere.
    """
    hub = _Hub(root, bucket)
    return Starlette(
        # No module can have an address of one word; the page of a publisher of that name is at /healthz/healthz.
        routes=[Route("/healthz", hub.health), Route("/{path:path}", hub.answer)],
        middleware=[Middleware(Outermost)],
        exception_handlers={Refused: hub.refuse, OSError: _fail},
    )
