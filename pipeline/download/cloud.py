"""What needs the optional libraries of `pip install '.[cloud]'`: Google credentials, and S3.

Files of Google Cloud Storage are downloaded as any other (pipeline.download.http), only with a token, so that
resumption and checksums are the same with and without credentials.
"""

import os
from pathlib import Path

from pipeline.base.fault import Forbidden, Unavailable, Unreachable
from pipeline.base.files import CHUNK, naming
from pipeline.base.progress import Progress
from pipeline.download.checksums import Hashing

_READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
_INSTALL = "install it with pip install '.[cloud]'"


def google_token() -> str | None:
    """Returns a bearer token of the user's Google credentials, or None where there are none.

    In order: the variable CLOUDSDK_AUTH_ACCESS_TOKEN, which gcloud reads too and which needs no library; then, with
    google-auth installed, the application default credentials, as GOOGLE_APPLICATION_CREDENTIALS or
    `gcloud auth application-default login` leave them.

    Raises:
        Forbidden: when there are credentials which cannot be used.
        Unreachable: when the host that is to take them cannot be reached.
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
        credentials.refresh(google.auth.transport.requests.Request())
    except google.auth.exceptions.DefaultCredentialsError as error:
        if _has_google_credentials():
            raise Forbidden(f"the Google credentials cannot be used: {error}") from error
        return None
    except google.auth.exceptions.TransportError as error:
        raise Unreachable(f"the Google credentials cannot be used: {error}") from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise Forbidden(f"the Google credentials cannot be used: {error}") from error
    return str(credentials.token)


def _has_google_credentials() -> bool:
    """Whether the user has application default credentials; where they lie is documented by google-auth and gcloud."""
    folder = Path(os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config/gcloud")
    return (
        bool(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"))
        or (folder / "application_default_credentials.json").exists()
    )


def _on_google_cloud() -> bool:
    """Whether a metadata server may have credentials; elsewhere google-auth would wait for one for seconds."""
    name = Path("/sys/class/dmi/id/product_name")
    return name.exists() and name.read_text(encoding="utf-8", errors="replace").startswith("Google")


def copy_s3(source: str, out: Path, label: str) -> str:
    """Copies s3://bucket/key to a file and returns its SHA-256.

    Raises:
        Unavailable: when fsspec's S3 is not installed, the credentials do not do, or the file is missing or cut.
    """
    import fsspec

    try:
        files = fsspec.filesystem("s3")
    except ImportError as error:
        raise Unavailable(f"s3: needs fsspec with s3fs ({error}); {_INSTALL}") from None
    try:
        length = int(files.size(source))
        with files.open(source, "rb") as stream, out.open("wb") as target, Hashing() as hashing:
            with Progress(label, length, "B") as progress:
                while chunk := stream.read(CHUNK):
                    with naming(out):
                        target.write(chunk)
                    hashing.update(chunk)
                    progress.advance(len(chunk))
            found = hashing.results()["sha256"]
    except OSError as error:
        if error.filename == str(out):
            raise
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    except Exception as error:  # botocore's exceptions share no base class with anything that is always installed
        if not type(error).__module__.startswith(("botocore.", "aiobotocore.", "s3fs.", "aiohttp.")):
            raise
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    if out.stat().st_size != length:
        raise Unavailable(f"the connection ended after {out.stat().st_size} of {length} bytes")
    return found
