"""Addresses of files: what each kind in `checkpoint.sources` and CHECKPOINTS= means, and how it is read.

    path, file:          a file on this machine
    http://, https://    the URL itself
    gs://bucket/object   https://storage.googleapis.com/bucket/object, with the user's Google credentials, if any
    hf://owner/repo[@revision]/file
                         https://huggingface.co/owner/repo/resolve/<revision, or main>/file, with HF_TOKEN, if set
    s3://bucket/key      through fsspec, with the user's credentials (the extra `cloud`)

STORAGE_EMULATOR_HOST and HF_ENDPOINT name other hosts for gs: and hf:, as they do for Google's and Hugging Face's own
libraries. Google credentials are sent to no other host than Google's.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault

REMOTE = ("http", "https", "gs", "hf", "s3")
GOOGLE = "https://storage.googleapis.com"
HUGGING_FACE = "https://huggingface.co"


@dataclass(frozen=True)
class Address:
    """A file for an HTTP client.

    Attributes:
        url: its URL.
        token: returns a bearer token for the URL's host alone, or None. It is called only when a request is sent, since
            it may use the network too.
    """

    url: str
    token: Callable[[], str | None] = lambda: None


def scheme_of(source: str, where: str) -> str:
    """Returns the scheme of a source, "" for a path.

    Args:
        source: a path or an address.
        where: the setting or YAML key that holds it, for messages.

    Raises:
        Fault: when the scheme is unknown or the address incomplete.
    """
    try:
        scheme = urlsplit(source).scheme
    except ValueError:  # whose text may have the password
        raise Fault(f"{where}: {public_address(source)!r} is no URL; expected <scheme>://<host>/<file>") from None
    if scheme not in ("", "file", *REMOTE):
        raise Fault(
            f"{where}: {public_address(source)!r} has the unknown scheme {scheme!r}: expected a path, file:,"
            f" {':, '.join(REMOTE)}:"
        )
    if scheme in ("gs", "s3") and not all(_split_bucket(source)):
        raise Fault(f"{where}: {public_address(source)!r} is incomplete: expected {scheme}://<bucket>/<object>")
    if scheme == "hf":
        owner, repo, file = _split_hugging_face(source)
        if not (owner and repo.partition("@")[0] and file):
            raise Fault(
                f"{where}: {public_address(source)!r} is incomplete: expected hf://<owner>/<repo>[@<revision>]/<file>"
            )
    if scheme in ("gs", "hf", "s3") and "@" in source.split("://", 1)[-1].partition("/")[0]:
        raise Fault(
            f"{where}: {public_address(source)!r} has a user name or a password; {scheme}: addresses have none, see"
            " docs/fetching.md for their credentials"
        )
    return scheme


def is_remote(source: str) -> bool:
    """Whether a source lies on another machine."""
    return urlsplit(source).scheme in REMOTE


def local_path(source: str) -> Path:
    """Returns the path of a source that is a path or a file: URL."""
    return Path(unquote(urlsplit(source).path) if source.startswith("file:") else source)


def resolve(source: str) -> Address:
    """Returns the URL and the token of a source of the kinds http, https, gs and hf."""
    scheme = urlsplit(source).scheme
    if scheme == "gs":
        bucket, name = _split_bucket(source)
        url = f"{_host('STORAGE_EMULATOR_HOST', GOOGLE)}/{bucket}/{quote(name)}"
        return Address(url) if os.environ.get("STORAGE_EMULATOR_HOST") else Address(url, _google_token)
    if scheme == "hf":
        owner, repo, file = _split_hugging_face(source)
        repo, _, revision = repo.partition("@")
        path = f"{owner}/{repo}/resolve/{revision or 'main'}/{quote(file)}"
        return Address(f"{_host('HF_ENDPOINT', HUGGING_FACE)}/{path}", _hugging_face_token)
    return Address(source)


def _split_bucket(source: str) -> tuple[str, str]:
    # Not urlsplit: the name of an object may hold `?` and `#`.
    bucket, _, name = source.split("://", 1)[1].partition("/")
    return bucket, name


def _split_hugging_face(source: str) -> tuple[str, str, str]:
    owner, repo, file = [*source.split("://", 1)[1].split("/", 2), "", ""][:3]
    return owner, repo, file


def _google_token() -> str | None:
    from pipeline.download.cloud import google_token  # slow to import, and every make reads addresses

    return google_token()


def _hugging_face_token() -> str | None:
    return os.environ.get("HF_TOKEN", "").strip() or None


def _host(variable: str, usual: str) -> str:
    host = (os.environ.get(variable) or usual).rstrip("/")
    return host if "://" in host else f"http://{host}"
