"""Removes uploads that a killed process left in a bucket of S3: nobody sees their parts, which are stored and paid for.

obstore cannot list them, so that the two requests are signed here: ListMultipartUploads and AbortMultipartUpload,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import requests
from urllib3.exceptions import HTTPError

from pipeline.targets.failures import Failed, Failure
from pipeline.targets.profile import Profile

CERTIFICATES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_TIMEOUT = (10, 60)  # seconds: for the connection, and for an answer
_MOST_PAGES = 100  # of a thousand uploads
_LARGEST = 8 << 20  # bytes of an answer
_EMPTY = hashlib.sha256(b"").hexdigest()


def authorities() -> str:
    """Returns the file of the authorities that this machine trusts instead of its system's; empty for none."""
    return next((value for name in CERTIFICATES if (value := os.environ.get(name, ""))), "")


@dataclass(frozen=True)
class Key:
    """An access key of S3; its secrets show in no message."""

    name: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False, default="")


@dataclass(frozen=True)
class Upload:
    """An upload that is not complete.

    Attributes:
        key: the name of the object that it would become.
        number: what the server calls the upload.
        begun: when.
    """

    key: str
    number: str
    begun: datetime


class Unfinished:
    """The unfinished uploads of a hub's files."""

    def __init__(self, bucket: str, prefix: str, provider: Profile | None) -> None:
        """Reads the settings that obstore reads, too; `provider` has the credentials of a profile."""
        self._prefix, self._provider = f"{prefix}/" if prefix else "", provider
        named = (os.environ.get(name, "") for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
        self._region = next(filter(None, named), "") or (provider.region if provider else "") or "us-east-1"
        endpoint = next(
            (value for name in ("_URL_S3", "_URL", "") if (value := os.environ.get(f"AWS_ENDPOINT{name}"))),
            f"https://s3.{self._region}.amazonaws.com",
        ).rstrip("/")
        is_virtual = os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("1", "true", "yes")
        self._bucket = endpoint if is_virtual else f"{endpoint}/{bucket}"

    def sweep(self, seconds: float, path: str) -> int:
        """Removes the uploads of a path, or of all ("") that are older; see pipeline.targets.remote.Client.

        Without a key in the environment or in a profile nothing is removed: a role's key is obstore's alone.
        """
        if not (key := self._key()):
            return 0
        count = 0
        for upload in list(self._list(key, self._prefix + path)):
            is_other = path and upload.key != self._prefix + path
            if not is_other and (datetime.now(UTC) - upload.begun).total_seconds() >= seconds:
                self._send(key, "DELETE", f"/{quote(upload.key)}", {"uploadId": upload.number})
                count += 1
        return count

    def _list(self, key: Key, prefix: str) -> Iterator[Upload]:
        query = {"uploads": "", "prefix": prefix}
        for _ in range(_MOST_PAGES):
            page = self._page(key, query)
            for upload in page.iterfind("Upload"):
                yield _read_upload(upload)
            if page.findtext("IsTruncated") != "true":
                return
            markers = {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"}
            query |= {name: page.findtext(element) or "" for name, element in markers.items()}

    def _page(self, key: Key, query: Mapping[str, str]) -> ElementTree.Element:
        content = self._send(key, "GET", "", query)
        try:
            page = ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", content, count=1))
        except ElementTree.ParseError:
            raise Failed(Failure(200, "MalformedList")) from None
        return page

    def _send(self, key: Key, method: str, path: str, query: Mapping[str, str]) -> bytes:
        url = f"{self._bucket}{path}"
        parameters = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
        headers = sign(key, self._region, method, f"{url}?{parameters}")
        try:
            with requests.request(
                method,
                f"{url}?{parameters}",
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
                verify=authorities() or True,
            ) as answer:
                content = answer.raw.read(_LARGEST, decode_content=True)
        except (requests.RequestException, HTTPError, OSError):  # HTTPError: raw is urllib3's
            raise Failed(Failure(0, reason="the connection broke")) from None
        if answer.status_code not in (200, 204, 404):  # 404: somebody else has removed it
            code = re.search(rb"<Code>([\w.-]{1,60})</Code>", content)
            raise Failed(Failure(answer.status_code, code[1].decode() if code else ""))
        return bytes(content)

    def _key(self) -> Key | None:
        if self._provider:
            given = self._provider()
            return Key(given["access_key_id"], given["secret_access_key"], given.get("token") or "")
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        name, secret, token = (os.environ.get(variable, "") for variable in names)
        return Key(name, secret, token) if name and secret else None


def _read_upload(element: ElementTree.Element) -> Upload:
    key, number, begun = (element.findtext(name) or "" for name in ("Key", "UploadId", "Initiated"))
    try:
        return Upload(key, number, datetime.fromisoformat(begun).astimezone(UTC))
    except ValueError:
        raise Failed(Failure(200, "MalformedList")) from None


def sign(key: Key, region: str, method: str, url: str, now: datetime | None = None) -> dict[str, str]:
    """Returns the headers that sign a request without a body (AWS Signature Version 4).

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

    Args:
        key: the access key.
        region: of the bucket.
        method: HTTP's.
        url: with its query sorted and encoded.
        now: the time of the signature; the default is the present.
    """
    time = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY, "x-amz-date": time}
    if key.token:
        headers["x-amz-security-token"] = key.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join((method, parts.path or "/", parts.query, lines, names, _EMPTY))
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.name}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers
