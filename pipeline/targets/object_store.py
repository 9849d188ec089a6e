"""S3 and Azure, and servers that speak as they do, through obstore."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from pipeline.targets.failures import NO_CONNECTION, NO_CREDENTIALS, UNTRUSTED, ConditionFailed, Failed, Failure, Help
from pipeline.targets.headers import Headers
from pipeline.targets.interface import Stored
from pipeline.targets.remote import Patience, Source

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import AzureStore, ClientConfig, RetryConfig, S3Store

PART = 8 << 20  # bytes of a part of a large file; S3 wants at least 5 MiB
_PARTS = 9_000  # of a file; S3 has 10,000
_AT_ONCE = 6  # parts that are sent at the same time
# Where obstore asks for credentials on a machine of Amazon or Azure, when the environment has none.
_METADATA = re.compile(r"/latest/api/token|/latest/meta-data|/metadata/identity|169\.254\.")


class Sweeper(Protocol):
    """Removes unfinished uploads."""

    def sweep(self, seconds: float, path: str) -> int:
        """See Client.sweep()."""


def retries(patience: Patience) -> "RetryConfig":
    """Returns how obstore repeats the parts of a file; their signatures expire after a quarter of an hour."""
    backoff = {"init_backoff": timedelta(seconds=patience.pause), "max_backoff": timedelta(seconds=patience.longest)}
    return {
        "max_retries": patience.tries + 2,
        "retry_timeout": timedelta(minutes=10),
        "backoff": {**backoff, "base": 2},  # type: ignore[typeddict-item]  # of a TypedDict's literal
    }


ONCE: "RetryConfig" = {"max_retries": 0}
# obstore's limit for a whole request is 30 s, which a part of a file exceeds on a slow line.
QUICK: "ClientConfig" = {"connect_timeout": timedelta(seconds=10), "timeout": timedelta(minutes=5)}
SLOW: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(minutes=4),
    "timeout": timedelta(hours=6),
}


class ObjectStore:
    """A bucket of S3 or a container of Azure, or a prefix in it; see pipeline.targets.remote.Client.

    Attributes:
        help: what its messages tell.
    """

    def __init__(
        self, once: "S3Store | AzureStore", patient: "S3Store | AzureStore", known: Help, sweeper: Sweeper | None
    ) -> None:
        """Uses two clients of the same place.

        Args:
            once: sends each request once.
            patient: repeats requests; for parts of large files.
            known: see Help.
            sweeper: of unfinished uploads; None where the service removes them itself.
        """
        self._once, self._patient, self.help, self._sweeper = once, patient, known, sweeper

    def head(self, path: str) -> Stored | None:
        """See Client.head()."""
        import obstore

        with _failures():
            try:
                return _stored(obstore.head(self._once, path))
            except FileNotFoundError as error:
                _refuse_missing(error)
        return None

    def get(self, path: str, most: int) -> tuple[bytes, Stored] | None:
        """See Client.get()."""
        import obstore

        with _failures():
            try:
                answer = obstore.get(self._once, path)
                stored = _stored(answer.meta)
                return (bytes(answer.bytes()) if stored.size <= most else b""), stored
            except FileNotFoundError as error:
                _refuse_missing(error)
        return None

    def stream(self, path: str) -> Iterator[bytes]:
        """See Client.stream()."""
        import obstore

        with _failures():
            try:
                answer = obstore.get(self._patient, path)
            except FileNotFoundError as error:
                _refuse_missing(error)
                answer = None
            if answer:
                for part in answer.stream(min_chunk_size=1 << 20):
                    yield bytes(part)
        if not answer:
            raise FileNotFoundError(path)

    def write(self, path: str, content: bytes, headers: Headers, tag: str | None) -> Stored:
        """See Client.write()."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, NotModifiedError, PreconditionError

        with _failures():
            try:
                done = obstore.put(
                    self._once,
                    path,
                    content,
                    mode={"e_tag": tag} if tag else "create",
                    attributes=_attributes(headers),
                    use_multipart=False,
                )
            except (AlreadyExistsError, PreconditionError, NotModifiedError) as error:
                failure = _failure(error)
                if failure.is_missing:
                    raise Failed(failure) from None
                if failure.is_conflict:
                    raise Failed(failure) from None
                raise ConditionFailed from None
            except FileNotFoundError as error:
                _refuse_missing(error)
                if tag:
                    raise ConditionFailed from None
                raise Failed(_failure(error)) from None
        return Stored(path, len(content), _tag(done["e_tag"]))

    def upload(self, path: str, source: Source, headers: Headers) -> None:
        """See Client.upload(). obstore aborts what fails; a kill leaves parts, which sweep() removes."""
        import obstore

        part = max(PART, -(-source.size // _PARTS))
        with _failures():
            obstore.put(
                self._patient,
                path,
                source.parts(part),
                attributes=_attributes(headers),
                use_multipart=source.size > part,
                chunk_size=part,
                max_concurrency=_AT_ONCE,
            )

    def list(self, prefix: str) -> Iterator[Stored]:
        """See Client.list()."""
        import obstore

        with _failures():  # obstore's prefixes are whole names of folders
            for page in obstore.list(self._once, prefix.rpartition("/")[0] or None, chunk_size=1000):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        yield _stored(meta)

    def delete(self, path: str) -> None:
        """See Client.delete()."""
        import obstore

        with _failures():
            try:
                obstore.delete(self._once, path)
            except FileNotFoundError as error:
                _refuse_missing(error)

    def sweep(self, seconds: float, path: str) -> int:
        """See Client.sweep()."""
        return self._sweeper.sweep(seconds, path) if self._sweeper else 0


def _attributes(headers: Headers) -> dict[str, str]:
    return {"Content-Type": headers.content_type, "Cache-Control": headers.cache_control}


def _stored(meta: "ObjectMeta") -> Stored:
    return Stored(meta["path"], meta["size"], _tag(meta["e_tag"]))


def _tag(e_tag: str | None) -> str:
    """Returns an ETag with its quotes, which Azure leaves out in lists."""
    bare = (e_tag or "").strip('"')
    return f'"{bare}"'


def _refuse_missing(error: FileNotFoundError) -> None:
    """Raises Failed when it is the bucket that is not there, instead of a file in it."""
    failure = _failure(error)
    if failure.is_missing:
        raise Failed(failure) from None


@contextmanager
def _failures() -> Iterator[None]:
    """Turns obstore's exceptions, whose texts may have signatures and the answers of servers, into Failed."""
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        raise Failed(_failure(error)) from None
    except FileNotFoundError as error:
        if error.errno:  # of this machine's disk
            raise
        raise Failed(_failure(error)) from None


def _failure(error: Exception) -> Failure:
    text = str(error)
    if status := re.search(r"returned (?:non-2xx|error)[^:]*: (\d{3})\b", text):
        code = re.search(r"<Code>([\w.-]{1,60})</Code>", text)
        return Failure(int(status[1]), code[1] if code else "")
    if _METADATA.search(text) or "External AWS credential provider" in text:
        return Failure(0, reason=NO_CREDENTIALS)
    if "InvalidCertificate(" in text:
        return Failure(0, reason=UNTRUSTED)
    kind = re.search(r"kind: (Connect|Timeout|Interrupted|Request|Decode)\b", text)
    reasons = {"Connect": NO_CONNECTION, "Timeout": "no answer in time"}
    return Failure(0, reason=reasons.get(kind[1] if kind else "", "the connection broke"))
