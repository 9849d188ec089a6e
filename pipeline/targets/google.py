"""Google Cloud Storage, through Google's own client."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.base.fault import Fault
from pipeline.targets.clouds import INSTALL, Place
from pipeline.targets.failures import NO_CREDENTIALS, UNTRUSTED, ConditionFailed, Failed, Failure, Help
from pipeline.targets.headers import Headers
from pipeline.targets.interface import Stored
from pipeline.targets.remote import Patience, Remote, Source

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.storage import Blob, Bucket

PART = 16 << 20  # bytes of a part of a large file; a multiple of 256 KiB
_TIMEOUT = (10, 240)  # seconds: for the connection, and for an answer
_HELP = Help(
    "GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login, or the service account of the machine",
    "STORAGE_EMULATOR_HOST",
    "bucket",
)


def open_google(place: Place, patience: Patience) -> Remote:
    """Returns a target in a bucket, with the Application Default Credentials of the environment."""
    try:
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import storage
    except ImportError:
        raise Fault(f"{place.address}: needs google-cloud-storage; install it with {INSTALL}") from None
    try:
        bucket = storage.Client().bucket(place.container)
    except (GoogleAuthError, OSError, ValueError):  # whose texts may have parts of the credentials
        raise Fault(
            f"{place.address}: there are no Google credentials, or they cannot be used; expected {_HELP.credentials}"
            " (docs/releasing.md)"
        ) from None
    return Remote(place.address, GoogleStore(bucket, place.prefix, patience), patience)


class GoogleStore:
    """A bucket, or a prefix in it; see pipeline.targets.remote.Client. Tags are the generations of objects.

    Attributes:
        help: what its messages tell.
    """

    help = _HELP

    def __init__(self, bucket: "Bucket", prefix: str, patience: Patience) -> None:
        """Uses a bucket; a prefix has no / at its ends."""
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._patience = patience

    def head(self, path: str) -> Stored | None:
        """See Client.head()."""
        with _failures():
            blob = self._bucket.get_blob(self._prefix + path, retry=None, timeout=_TIMEOUT)
        return self._stored(blob) if blob else None

    def get(self, path: str, most: int) -> tuple[bytes, Stored] | None:
        """See Client.get(). A file that is replaced between the two requests is read again."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        with _failures():
            blob = self._bucket.get_blob(self._prefix + path, retry=None, timeout=_TIMEOUT)
            if blob is None:
                return None
            stored = self._stored(blob)
            if stored.size > most:
                return b"", stored
            try:
                content = blob.download_as_bytes(
                    raw_download=True, if_generation_match=blob.generation, retry=None, timeout=_TIMEOUT
                )
            except (NotFound, PreconditionFailed):
                raise Failed(Failure(503, "Replaced")) from None
        return content, stored

    def stream(self, path: str) -> Iterator[bytes]:
        """See Client.stream()."""
        with _failures():
            blob = self._bucket.get_blob(self._prefix + path, retry=None, timeout=_TIMEOUT)
            if blob is None:
                raise FileNotFoundError(path)
            for start in range(0, blob.size, PART):
                yield blob.download_as_bytes(
                    start=start,
                    end=min(start + PART, blob.size) - 1,
                    raw_download=True,
                    if_generation_match=blob.generation,
                    retry=self._retry(),
                    timeout=_TIMEOUT,
                )

    def write(self, path: str, content: bytes, headers: Headers, tag: str | None) -> Stored:
        """See Client.write(); by one request, since not every server heeds the condition of a resumable upload."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        blob = self._blob(path, headers)
        with _failures():
            try:
                blob.upload_from_string(
                    content,
                    headers.content_type,
                    if_generation_match=int(tag) if tag else 0,
                    checksum="crc32c",
                    retry=None,
                    timeout=_TIMEOUT,
                )
            except PreconditionFailed:
                raise ConditionFailed from None
            except NotFound as error:
                raise Failed(Failure(404, _code(error) or "NoSuchBucket")) from None
        return self._stored(blob)

    def upload(self, path: str, source: Source, headers: Headers) -> None:
        """See Client.upload(). Google removes uploads that were not finished within a week."""
        blob = self._blob(path, headers)
        blob.chunk_size = PART
        with _failures():
            blob.upload_from_file(
                _Reader(source.parts(PART)),
                size=source.size,
                content_type=headers.content_type,
                checksum="crc32c",
                retry=self._retry(),
                timeout=_TIMEOUT,
            )

    def list(self, prefix: str) -> Iterator[Stored]:
        """See Client.list()."""
        with _failures():
            for blob in self._bucket.list_blobs(prefix=self._prefix + prefix, retry=None, timeout=_TIMEOUT):
                yield self._stored(blob)

    def delete(self, path: str) -> None:
        """See Client.delete()."""
        from google.api_core.exceptions import NotFound

        with _failures():
            try:
                self._bucket.blob(self._prefix + path).delete(retry=None, timeout=_TIMEOUT)
            except NotFound:
                return

    def sweep(self, seconds: float, path: str) -> int:
        """See Client.sweep(): Google lists no unfinished uploads, and removes them itself."""
        return 0

    def _retry(self) -> "Retry":
        """Returns how the parts of a file are repeated."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        pause, longest = self._patience.pause, self._patience.longest
        return DEFAULT_RETRY.with_delay(pause, longest).with_timeout(self._patience.tries * longest)

    def _blob(self, path: str, headers: Headers) -> "Blob":
        blob = self._bucket.blob(self._prefix + path)
        blob.cache_control = headers.cache_control
        return blob

    def _stored(self, blob: "Blob") -> Stored:
        return Stored(blob.name.removeprefix(self._prefix), blob.size, str(blob.generation))


class _Reader:
    """The parts of a source as Google's client reads them: each by one call, in order."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._position = parts, 0

    def tell(self) -> int:
        return self._position

    def read(self, size: int) -> bytes:
        part = next(self._parts, b"")
        assert len(part) <= size, "a part is what the client reads at once"
        self._position += len(part)
        return part


@contextmanager
def _failures() -> Iterator[None]:
    """Turns the exceptions of Google's client, whose texts may have tokens and the answers of servers, into Failed."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, RefreshError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    try:
        yield
    except GoogleAPICallError as error:
        raise Failed(Failure(int(error.code or 0), _code(error))) from None
    except InvalidResponse as error:
        raise Failed(Failure(int(error.response.status_code))) from None
    except RefreshError:
        raise Failed(Failure(401, "RefreshError")) from None
    except GoogleAuthError:
        raise Failed(Failure(0, reason=NO_CREDENTIALS)) from None
    except DataCorruption:
        raise Failed(Failure(0, reason="the content was damaged on the way")) from None
    except (RetryError, requests.RequestException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        if isinstance(error, requests.exceptions.SSLError):
            raise Failed(Failure(0, reason=UNTRUSTED)) from None
        is_refused = isinstance(error, requests.ConnectionError) and "NewConnectionError" in str(error)
        raise Failed(Failure(0, reason="no connection" if is_refused else "the connection broke")) from None


def _code(error: Exception) -> str:
    """Returns Google's word for a failure, such as quotaExceeded."""
    for detail in getattr(error, "errors", ()):
        if isinstance(detail, dict) and re.fullmatch(r"[\w.-]{1,60}", str(detail.get("reason"))):
            return str(detail["reason"])
    return ""
