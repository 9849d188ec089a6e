"""Packs a SavedModel into the tarball that TensorFlow Hub's client loads, the same bytes every time."""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip_threaded

from pipeline.base.files import replacing
from pipeline.base.progress import Progress
from pipeline.saved_model.files import archive_order, content_digest, folder_size

# ISA-L's level 2. Weights hardly compress: zlib's default saves 0.1 % more and takes 17 times as long.
# Blocks of a fixed size are compressed independently, two at a time, so that the bytes depend neither on the number of
# threads nor on the sizes of reads, as plain igzip's do. The gzip header has no name and no time.
LEVEL, BLOCK = 2, 1 << 20


class _Digesting(io.RawIOBase):
    """Passes writes on and computes their SHA-256, so that the tarball need not be read again."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self.sha256 = out, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]  # any buffer
        self.sha256.update(view)
        self._out.write(view)
        return view.nbytes


class _Counting:
    """A file that reports how much tarfile has read of it, and its SHA-256."""

    def __init__(self, stream: BinaryIO, progress: Progress) -> None:
        self._stream, self._progress, self.sha256 = stream, progress, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self.sha256.update(chunk)
        self._progress.advance(len(chunk))
        return chunk


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Returns a header without anything of this machine: no owner, no time, fixed modes."""
    entry = tarfile.TarInfo(name.rstrip("/"))
    entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
    entry.mode = 0o755 if name.endswith("/") else 0o644
    entry.size = size
    return entry


@dataclass(frozen=True)
class Packed:
    """What was packed: the SHA-256 of the tarball, and content_digest() of its files."""

    sha256: str
    content_sha256: str


def pack(folder: Path, out: Path, label: str) -> Packed:
    """Packs the content of a model's folder, with progress under `label`.

    Raises:
        Fault: as archive_order() does, for a file that no module may have.
        OSError: when `out` cannot be written; an earlier archive stays as it is.
    """
    names = archive_order(folder)
    contents: list[tuple[str, str]] = []
    with Progress(label, folder_size(folder), "B") as progress, replacing(out) as stream:
        digesting = _Digesting(stream)
        with (
            igzip_threaded.open(digesting, "wb", LEVEL, threads=2, block_size=BLOCK) as packed,
            tarfile.open(fileobj=packed, mode="w|", bufsize=BLOCK, format=tarfile.PAX_FORMAT) as archive,
        ):
            for name in names:
                path = folder / name
                if name.endswith("/"):
                    archive.addfile(_entry(name, 0))
                else:
                    with path.open("rb") as stream_of_file:
                        source = _Counting(stream_of_file, progress)
                        archive.addfile(_entry(name, path.stat().st_size), cast(BinaryIO, source))
                    contents.append((name, source.sha256.hexdigest()))
    return Packed(digesting.sha256.hexdigest(), content_digest(contents))
