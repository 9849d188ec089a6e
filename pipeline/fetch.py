"""fetch: a member's checkpoint, from the first source that has it.

python -m pipeline.fetch MEMBER.yaml OUT [--checkpoints FOLDER_OR_URL]
"""

import argparse
import re
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests

from pipeline import spec
from pipeline.fault import Fault, command
from pipeline.files import CHUNK, Progress, copy, replacing, sha256_of

TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte


@dataclass(frozen=True)
class Checkpoint:
    """The section `checkpoint`.

    Attributes:
        name: the upstream file name without `.npz`.
        sources: where the file may be had, in order; `{name}` stands for the name. A path is relative to the YAML file.
        sha256: the file's digest in hexadecimal once it is known.
    """

    name: str
    sources: tuple[str, ...]
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise Fault(f"checkpoint.sha256 must be 64 hexadecimal digits in lower case, got {self.sha256!r}")
        for source in self.sources:
            scheme_of(source, "checkpoint.sources")


def scheme_of(source: str, where: str) -> str:
    """Returns a source's scheme, "" for a path; raises Fault for one that fetch does not know."""
    try:
        scheme = urlsplit(source).scheme
    except ValueError as error:
        raise Fault(f"{where}: {source!r} is no URL: {error}") from None
    if scheme not in ("", "file", "http", "https"):
        raise Fault(f"{where}: {source!r} has the unknown scheme {scheme!r}: expected a path, file:, http: or https:")
    return scheme


class Unavailable(Exception):
    """A source does not have the file, or cannot be reached; the next one may."""


def sources(checkpoint: Checkpoint, home: Path, checkpoints: str | None) -> list[str]:
    """Returns the addresses to try, in order: the user's own first, then the member's.

    Args:
        checkpoint: the section.
        home: the folder of the member's YAML file, from which relative paths count.
        checkpoints: a folder or URL that holds files under their upstream names, or None.
    """
    own = [f"{checkpoints.rstrip('/')}/{checkpoint.name}.npz"] if checkpoints else []
    if own and not scheme_of(own[0], "CHECKPOINTS"):
        own = [str(Path(own[0]).expanduser())]
    named = [source.replace("{name}", checkpoint.name) for source in checkpoint.sources]
    return own + [source if urlsplit(source).scheme else str(home / source) for source in named]


def _copy_local(path: Path, out: BinaryIO, label: str) -> None:
    if not path.is_file():
        raise Unavailable("no such file")
    copy(path, out, label)


def _download(url: str, out: BinaryIO, label: str) -> None:
    # Asking for the plain bytes keeps Content-Length and digest those of the file itself.
    try:
        response = requests.get(url, stream=True, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"})
    except requests.RequestException as error:
        raise Unavailable(_reason(error)) from error
    with closing(response):
        if response.status_code != 200:
            raise Unavailable(f"HTTP {response.status_code} {response.reason}")
        length = response.headers.get("Content-Length")
        total, received = int(length) if length else None, 0
        try:
            with Progress(label, total, "B") as progress:
                for chunk in response.iter_content(CHUNK):
                    out.write(chunk)
                    received += len(chunk)
                    progress.advance(len(chunk))
        except requests.RequestException as error:
            raise Unavailable(f"the connection broke after {received} bytes: {_reason(error)}") from error
        if total is not None and received != total:
            raise Unavailable(f"the connection ended after {received} of {total} bytes")


def _reason(error: requests.RequestException) -> str:
    """Returns the innermost cause in one line; requests wraps it several times."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return f"{type(error).__name__}: {cause}"


def _copy(source: str, out: BinaryIO, label: str) -> None:
    parts = urlsplit(source)
    if parts.scheme in ("http", "https"):
        _download(source, out, label)
    else:
        _copy_local(Path(url2pathname(parts.path) if parts.scheme == "file" else source), out, label)


def _check(path: Path, source: str, expected: str | None) -> None:
    """Refuses a file with another digest, or one that is no whole npz: kept, it would look like a finished target."""
    if expected is not None and (got := sha256_of(path)) != expected:
        raise Fault(
            f"{source}: wrong sha256: expected {expected}, got {got}; nothing was kept. Either the file is damaged:"
            " get it again; or it is another checkpoint: correct checkpoint.sha256 if it is the one you mean"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:  # zipfile's faults
        raise Fault(
            f"{source}: not a whole .npz file ({error}); it is truncated or something else; nothing was kept"
        ) from None
    if damaged:
        raise Fault(f"{source}: the array {damaged!r} is damaged (checksum); nothing was kept; get the file again")


def fetch(checkpoint: Checkpoint, home: Path, out: Path, checkpoints: str | None) -> str:
    """Copies the checkpoint to `out` from the first source that has it, and returns that source.

    Raises:
        Fault: when no source has it, each listed with its reason, or the first that does has a damaged or wrong file.
    """
    reasons = []
    for source in sources(checkpoint, home, checkpoints):
        try:
            with replacing(out) as stream:
                _copy(source, stream, f"fetch {out.parent.name}")
                stream.flush()
                _check(Path(stream.name), source, checkpoint.sha256)
            return source
        except Unavailable as reason:
            reasons.append(f"  {source}: {reason}")
    raise Fault(
        f"no source has the checkpoint {checkpoint.name}.npz; put it into a folder and say CHECKPOINTS=<folder>."
        " Tried:\n" + "\n".join(reasons)
    )


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch", description="Fetches a member's checkpoint.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("out", type=Path, help="the checkpoint to write")
    parser.add_argument("--checkpoints", help="a folder or URL to try first")
    args = parser.parse_args(arguments)
    checkpoint = spec.load(args.member, "checkpoint", Checkpoint)
    source = fetch(checkpoint, args.member.parent, args.out, args.checkpoints or None)
    return f"{args.member.stem} from {source}"


if __name__ == "__main__":
    raise SystemExit(command("fetch", main))
