"""Reads archives of strangers: .tar, plain or compressed with gzip, bzip2 or xz, and .zip, told apart by their content.

An archive is read from front to back, entry by entry, in flat memory, and only regular files and folders with checked
names are written: tarfile's own extraction could be led outside of its folder (CVE-2025-4517 and its kind). The bounds
below hold for every archive; whatever tarfile, zipfile and the decompressors raise becomes one sentence.
"""

import bz2
import errno
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from isal import igzip, isal_zlib

from pipeline.base.fault import Fault, show_name
from pipeline.base.files import CHUNK

ENTRIES = 100_000  # at most
NAME = 1_024  # characters of a name, at most
HEADER = 1 << 17  # bytes of the headers of one entry of a tar archive, at most; long names and pax records are headers
DIRECTORY = 1 << 25  # bytes of the directory of a .zip, at most
# An archive may unpack to so many bytes, or so many times its own size; trained weights shrink by a third at best.
FREE, RATIO = 100_000_000, 50

# What tarfile, zipfile and the decompressors were seen to raise for damaged or hostile files.
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, isal_zlib.error, lzma.LZMAError, struct.error, EOFError, OSError,
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError, MemoryError,
)  # fmt: skip


class Packing(StrEnum):
    """How an archive is packed, as its content tells."""

    TAR = ".tar"
    GZIP = ".tar.gz"
    BZIP2 = ".tar.bz2"
    XZ = ".tar.xz"
    ZIP = ".zip"


_MAGIC = {
    b"\x1f\x8b": Packing.GZIP,
    b"BZh": Packing.BZIP2,
    b"\xfd7zXZ\0": Packing.XZ,
    b"PK\x03\x04": Packing.ZIP,
    b"PK\x05\x06": Packing.ZIP,  # empty
}


class EntryKind(StrEnum):
    """What an entry of a folder or archive is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special file"


@dataclass(frozen=True)
class Entry:
    """A file or folder; `name` is its path in the folder or archive, without a slash at its end."""

    name: str
    kind: EntryKind
    size: int = 0


@dataclass(frozen=True)
class Member:
    """An entry of an archive that is being read.

    Attributes:
        entry: what it is.
        chunks: returns its content in pieces, for a file; to be called at most once, before the next member is read.
    """

    entry: Entry
    chunks: Callable[[], Iterator[bytes]] = field(repr=False)

    def write(self, path: Path) -> None:
        """Writes a file or a folder, and the folders above it."""
        if self.entry.kind is EntryKind.FOLDER:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            for chunk in self.chunks():
                out.write(chunk)


class _TooLarge(Exception):
    """An archive exceeds a bound; the text says which."""


def detect_packing(path: Path) -> Packing | None:
    """Returns how a file is packed, by its first bytes; None for no archive."""
    with path.open("rb") as stream:
        head = stream.read(tarfile.BLOCKSIZE)
    for magic, packing in _MAGIC.items():
        if head.startswith(magic):
            return packing
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return None
    return Packing.TAR


def read_archive(path: Path) -> Generator[Member, None, None]:
    """Yields the members of an archive in its order, and reads it to its end, where its checksum is.

    Raises:
        Fault: when it is no archive, is cut short, damaged or encrypted, or exceeds a bound.
    """
    packing = detect_packing(path)
    if packing is None:
        raise Fault(f"{path}: not a {', '.join(list(Packing)[:-1])} or {Packing.ZIP} archive")
    with _naming_damage(path, packing):
        allowed = FREE + RATIO * path.stat().st_size
        members = _read_zip(path, allowed) if packing is Packing.ZIP else _read_tar(path, packing, allowed)
        for number, member in enumerate(members):
            if number == ENTRIES:
                raise _TooLarge(f"more than {ENTRIES:,} entries")
            if len(member.entry.name) > NAME:
                raise _TooLarge(f"a name of {len(member.entry.name):,} characters, at most {NAME:,} are allowed")
            yield member


@contextmanager
def _naming_damage(path: Path, packing: Packing) -> Iterator[None]:
    """Turns what readers raise into one sentence."""
    try:
        yield
    except _TooLarge as error:
        raise Fault(
            f"{path}: it has {error}, as archives have that are made to do harm; if you trust it, unpack it yourself"
            " and name the folder"
        ) from None
    except _DAMAGED as error:  # type: ignore[misc]
        if isinstance(error, OSError) and error.errno in (errno.EIO, errno.EACCES, errno.ENOENT):
            raise  # of the disk, not of the archive
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise Fault(
            f"{path}: not a whole {packing} ({show_name(reason)}): it is cut short or damaged; get it again"
        ) from None


# tar ------------------------------------------------------------------------------------------------------------------
_OPEN: dict[Packing, Callable[..., IO[bytes]]] = {
    Packing.TAR: open,
    Packing.GZIP: igzip.open,
    Packing.BZIP2: bz2.open,
    Packing.XZ: lzma.open,
}


class _Forward:
    """An unpacked stream for tarfile, which may read headers from it and move forward.

    tarfile follows sizes in headers wherever they lead: back (an endless loop), or into a name of 3 GB. Content is read
    with take(), which counts towards the size of the archive.
    """

    def __init__(self, stream: IO[bytes], allowed: float) -> None:
        self._stream, self._allowed, self._position, self._headers = stream, allowed, 0, 0
        self.block = b""  # what tarfile read last

    def start_entry(self) -> None:
        """Starts to count the bytes of headers anew."""
        self._headers = 0

    def read(self, count: int = -1) -> bytes:
        self._headers += count
        if count < 0 or self._headers > HEADER:
            raise _TooLarge(f"headers of more than {HEADER:,} bytes for one entry")
        self.block = self.take(count)
        return self.block

    def take(self, count: int) -> bytes:
        """Returns the next bytes, fewer at the end."""
        data = self._stream.read(count)
        self._position += len(data)
        if self._position > self._allowed:
            raise _TooLarge(f"a content of more than {RATIO} times its own size")
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("an entry of negative size")
        while self._position < position and self.take(min(CHUNK, position - self._position)):
            pass


def _read_tar(path: Path, packing: Packing, allowed: int) -> Iterator[Member]:
    with _OPEN[packing](path, "rb") as stream:
        forward = _Forward(stream, allowed)
        archive = _start_tar(path, packing, forward)
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else all stay in memory
            if info.size < 0:
                raise tarfile.ReadError("an entry of negative size")
            yield Member(_tar_entry(info), lambda size=info.size: _tar_chunks(path, packing, forward, size))  # type: ignore[misc]
            forward.start_entry()
        # tarfile takes a damaged header for the end. A compressed archive has a checksum at its end; a plain one
        # that ends without zeros was cut between two entries.
        if any(forward.block) or (not forward.block and packing is Packing.TAR):
            raise tarfile.ReadError("no end of archive" if not any(forward.block) else "a damaged header")
        while packing is not Packing.TAR and forward.take(CHUNK):
            pass


def _start_tar(path: Path, packing: Packing, forward: _Forward) -> tarfile.TarFile:
    """Reads the first header."""
    try:
        return tarfile.TarFile(mode="r", fileobj=forward)  # type: ignore[arg-type]
    except tarfile.ReadError:
        if packing is Packing.TAR:
            raise
        raise Fault(
            f"{path}: it is compressed like a {packing}, but holds no tar archive; unpack it and name what it holds"
        ) from None


def _tar_chunks(path: Path, packing: Packing, forward: _Forward, size: int) -> Iterator[bytes]:
    with _naming_damage(path, packing):
        while size:
            chunk = forward.take(min(CHUNK, size))
            if not chunk:
                raise tarfile.ReadError("unexpected end of data")
            size -= len(chunk)
            yield chunk


def _tar_entry(info: tarfile.TarInfo) -> Entry:
    name = _clean(info.name)
    if info.isdir():
        return Entry(name, EntryKind.FOLDER)
    if info.isreg() and not info.issparse():
        return Entry(name, EntryKind.FILE, info.size)
    return Entry(name, EntryKind.LINK if info.issym() or info.islnk() else EntryKind.SPECIAL)


def _clean(name: str) -> str:
    """Returns a name without "./" before it and "/" after it; "" for the archive's root."""
    return re.sub(r"^(\./+)+|^\.$", "", name.rstrip("/") if name.strip("/") else name[:1])


# zip ------------------------------------------------------------------------------------------------------------------
def _read_zip(path: Path, allowed: int) -> Iterator[Member]:
    if (size := _directory_size(path)) > DIRECTORY:
        raise _TooLarge(f"a directory of {size:,} bytes")
    budget = [allowed]
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            yield Member(_zip_entry(info), lambda info=info: _zip_chunks(path, archive, info, budget))  # type: ignore[misc]


def _directory_size(path: Path) -> int:
    """Returns the bytes of the directory at a .zip's end, which zipfile reads whole; 0 where there is none.

    Source: APPNOTE.TXT of PKWARE, 4.3.14 (zip64 end of central directory record) and 4.3.16.
    """
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - (1 << 16) - 200))
        tail = stream.read()
    end, end64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    if end64 >= 0 and len(tail) >= end64 + 48:
        return int(struct.unpack_from("<Q", tail, end64 + 40)[0])
    return int(struct.unpack_from("<L", tail, end + 12)[0]) if end >= 0 and len(tail) >= end + 16 else 0


def _zip_entry(info: zipfile.ZipInfo) -> Entry:
    is_windows = info.create_system == 0  # older programs there write "variables\\variables.index"
    name = _clean(info.filename.replace("\\", "/") if is_windows else info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if stat.S_ISLNK(kind):
        return Entry(name, EntryKind.LINK)
    if info.is_dir() or (is_windows and info.filename.endswith("\\")):
        return Entry(name, EntryKind.FOLDER)
    is_file = kind in (0, stat.S_IFREG)  # 0: made on Windows
    return Entry(name, EntryKind.FILE, info.file_size) if is_file else Entry(name, EntryKind.SPECIAL)


def _zip_chunks(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: list[int]) -> Iterator[bytes]:
    """Yields a file's content; `budget` is how many bytes the archive's files may still have."""
    if info.flag_bits & 1:
        raise Fault(f"{path}: {show_name(info.filename)} is encrypted; unpack it with its password and name the folder")
    with _naming_damage(path, Packing.ZIP), archive.open(info) as stream:
        while chunk := stream.read(CHUNK):
            budget[0] -= len(chunk)
            if budget[0] < 0:
                raise _TooLarge(f"a content of more than {RATIO} times its own size")
            yield chunk


# Unpacking ------------------------------------------------------------------------------------------------------------
def is_safe(name: str) -> bool:
    """Whether a name stays below the folder that it is unpacked to."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\0" not in name


def unpack(path: Path, folder: Path) -> list[str]:
    """Writes the regular files and the folders of an archive below an empty folder.

    Returns:
        The names of links and special files, which are left out.

    Raises:
        Fault: as read_archive(); when a name leads outside of the folder, or the disk is full.
    """
    left_out = []
    with closing(read_archive(path)) as members:
        for member in members:
            entry = member.entry
            if not entry.name:  # the root
                continue
            if not is_safe(entry.name):
                raise Fault(f"{path}: its entry {show_name(entry.name)!r} leads outside of the archive; do not use it")
            if entry.kind in (EntryKind.LINK, EntryKind.SPECIAL):
                left_out.append(show_name(entry.name))
                continue
            with _naming_disk(path, folder, entry):
                member.write(folder / entry.name)
    return left_out


@contextmanager
def _naming_disk(path: Path, folder: Path, entry: Entry) -> Iterator[None]:
    """Says of an error while an entry is written what it is about."""
    try:
        yield
    except OSError as error:
        name = show_name(entry.name)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Fault(
                f"{folder}: the disk is full: {name} ({entry.size:,} bytes) of {path} could not be unpacked there; free"
                " some space, or name a folder on a larger disk with TMPDIR="
            ) from None
        raise Fault(f"{path}: its entry {name!r} cannot be written below {folder} ({error.strerror})") from None
