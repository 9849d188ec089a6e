"""What needs the optional libraries of `pip install '.[cloud]'`: Google credentials, and S3.

Files of Google Cloud Storage are downloaded as any other (pipeline.download), only with a token, so that resumption and
checksums are the same with and without credentials.
"""

import os
from pathlib import Path

from pipeline.checksums import Hashing
from pipeline.fault import Unavailable
from pipeline.files import CHUNK, Progress, naming

_READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
_INSTALL = "install it with pip install '.[cloud]'"


def google_token() -> str | None:
    """Returns a bearer token of the user's Google credentials, or None where there are none.

    In order: the variable CLOUDSDK_AUTH_ACCESS_TOKEN, which gcloud reads too and which needs no library; then, with
    google-auth installed, the application default credentials, as GOOGLE_APPLICATION_CREDENTIALS or
    `gcloud auth application-default login` leave them.

    Raises:
        Unavailable: when there are credentials which cannot be used.
    """
    if token := os.environ.get("CLOUDSDK_AUTH_ACCESS_TOKEN"):
        return token
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    try:
        import google.auth
        import google.auth.exceptions
        import google.auth.transport.requests
    except ImportError:
        if named:
            raise Unavailable(f"GOOGLE_APPLICATION_CREDENTIALS needs google-auth; {_INSTALL}") from None
        return None
    try:
        credentials, _ = google.auth.default(scopes=[_READ_ONLY])
        credentials.refresh(google.auth.transport.requests.Request())
    except google.auth.exceptions.DefaultCredentialsError as error:
        if named:
            raise Unavailable(f"the Google credentials cannot be used: {error}") from error
        return None
    except google.auth.exceptions.GoogleAuthError as error:
        raise Unavailable(f"the Google credentials cannot be used: {error}") from error
    return str(credentials.token)


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
