"""Google credentials and S3, which need the optional libraries of the extra `cloud`.

Files of Google Cloud Storage are downloaded as any other (pipeline.download.http), with a token if there are
credentials, so that resumption and checksums work either way.
"""

import os
from pathlib import Path
from typing import IO

from pipeline.base.addresses import hide_secrets
from pipeline.base.extras import install_line
from pipeline.base.fault import Forbidden, Misconfigured, Unavailable, Unreachable
from pipeline.base.files import CHUNK, naming
from pipeline.base.progress import Progress
from pipeline.download.checksums import Hashing
from pipeline.download.network import explain, open_session
from pipeline.download.retry import Policy
from pipeline.download.transfer import check_room

_READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
_INSTALL = f"install it with {install_line('cloud')}"


def google_token() -> str | None:
    """Returns a bearer token of the user's Google credentials, or None if there are none.

    In order: the variable CLOUDSDK_AUTH_ACCESS_TOKEN, which gcloud reads too and which needs no library; then, with
    google-auth installed, the application default credentials: GOOGLE_APPLICATION_CREDENTIALS, or what
    `gcloud auth application-default login` has written.

    Raises:
        Forbidden: when there are credentials that cannot be used.
        Unreachable: when the host that exchanges them for a token cannot be reached.
        Misconfigured: when the environment's proxy or certificates cannot be used for that.
    """
    if token := os.environ.get("CLOUDSDK_AUTH_ACCESS_TOKEN", "").strip():
        return token
    if not (_has_google_credentials() or _on_google_cloud()):
        return None
    try:
        import google.auth
        import google.auth.exceptions
        import google.auth.transport.requests
    except ImportError:
        if _has_google_credentials():
            raise Forbidden(f"the Google credentials on this machine need google-auth; {_INSTALL}") from None
        return None
    try:
        credentials, _ = google.auth.default(scopes=[_READ_ONLY])
        credentials.refresh(google.auth.transport.requests.Request(open_session()))
    except google.auth.exceptions.DefaultCredentialsError as error:
        if _has_google_credentials():
            raise Forbidden(f"the Google credentials cannot be used: {error}") from error
        return None
    except Misconfigured as fault:
        raise Misconfigured(f"the Google credentials cannot be used: {fault}") from None
    except google.auth.exceptions.TransportError as error:
        reason = explain(error.__cause__) or Unreachable(str(error))
        raise type(reason)(f"the Google credentials cannot be used: {reason}") from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise Forbidden(f"the Google credentials cannot be used: {error}") from error
    return str(credentials.token)


def _has_google_credentials() -> bool:
    """Whether the user has application default credentials, in the places that google-auth and gcloud document."""
    folder = Path(os.environ.get("CLOUDSDK_CONFIG") or _home() / ".config/gcloud")
    return (
        bool(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"))
        or (folder / "application_default_credentials.json").exists()
    )


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without one, as in a container
        return Path("/nonexistent")


def _on_google_cloud() -> bool:
    """Whether a metadata server may have credentials; elsewhere google-auth would wait seconds for it."""
    name = Path("/sys/class/dmi/id/product_name")
    return name.exists() and name.read_text(encoding="utf-8", errors="replace").startswith("Google")


def copy_s3(source: str, out: Path, label: str, policy: Policy) -> str:
    """Copies s3://bucket/key to a file and returns its SHA-256.

    Raises:
        Unavailable: when fsspec's S3 is not installed, the credentials are refused, or the file is missing, cut or
            larger than the policy accepts.
        Misconfigured: when the disk has no place for it.
        OSError: when `out` cannot be written, with its name.
    """
    import fsspec

    try:
        files = fsspec.filesystem("s3")
    except ImportError as error:
        raise Unavailable(f"s3: needs fsspec with s3fs ({error}); {_INSTALL}") from None
    try:
        length = files.size(source)
        if length is None:
            raise Unavailable("its server does not say how large the file is")
        check_room(length, 0, out.parent, policy)
        with files.open(source, "rb") as stream, Progress(label, length, "B") as progress:
            sha256 = _copy(stream, out, progress)
    except OSError as error:
        if error.filename == str(out):
            raise
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    except Exception as error:  # the base classes of botocore's exceptions lie in libraries that may not be installed
        if not type(error).__module__.startswith(("botocore.", "aiobotocore.", "s3fs.", "aiohttp.")):
            raise
        raise Unavailable(hide_secrets(f"{type(error).__name__}: {error}")) from error
    if out.stat().st_size != length:
        raise Unavailable(f"the connection ended after {out.stat().st_size} of {length} bytes")
    return sha256


def _copy(stream: IO[bytes], out: Path, progress: Progress) -> str:
    """Writes a stream to a file and returns its SHA-256."""
    with out.open("wb") as target, Hashing() as hashing:
        while chunk := stream.read(CHUNK):
            with naming(out):
                target.write(chunk)
            hashing.update(chunk)
            progress.advance(len(chunk))
        return hashing.results()["sha256"]
