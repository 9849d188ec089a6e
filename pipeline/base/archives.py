"""Reads archives of strangers: .tar, plain or compressed with gzip, bzip2 or xz, and .zip, told apart by their content.

Nothing else in this project reads an archive. It is read from front to back, entry by entry, in flat memory; only
regular files and folders with checked names are written: tarfile's own extraction could be led outside of its folder
(CVE-2025-4517 and its kind). The bounds of pipeline.base.archive_bounds hold for every archive; whatever the libraries
raise becomes one sentence.
"""

import errno
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from isal import isal_zlib

from pipeline.base.archive_bounds import DEPTH, ENTRIES, FOLDERS, NAME, WITHOUT_CONTENT, DamagedError, TooLargeError
from pipeline.base.archive_streams import Forward, Plain, open_bzip2, open_gzip, open_xz
from pipeline.base.archive_tar import TarEntry, is_header, read_entries
from pipeline.base.archive_zip import ZipEntry, ZipReader
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import CHUNK, naming

# What zipfile and the decompressors raise for damaged or hostile files.
_DAMAGED: tuple[type[Exception], ...] = (  # type: ignore[assignment]  # isal declares its error as a value
    *(DamagedError, zipfile.BadZipFile, zlib.error, isal_zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, OverflowError, NotImplementedError),
)


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
_OPEN: dict[Packing, Callable[[Path], Forward]] = {
    Packing.TAR: Plain,
    Packing.GZIP: open_gzip,
    Packing.BZIP2: open_bzip2,
    Packing.XZ: open_xz,
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
        position: of its content in the file of a .tar that is not compressed; None in others.
        target: what a link of a tar archive leads to.
        is_hard: whether a link leads to a name of the archive, not to one beside its own.
    """

    entry: Entry
    chunks: Callable[[], Iterator[bytes]] = field(repr=False)
    position: int | None = None
    target: str = ""
    is_hard: bool = False

    def write(self, path: Path) -> None:
        """Writes a file or a folder, and the folders above it."""
        if self.entry.kind is EntryKind.FOLDER:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # an earlier entry of this name; ext4 waits for the disk where a file is truncated
        with path.open("wb") as out:
            for chunk in self.chunks():
                out.write(chunk)


def detect_packing(path: Path) -> Packing | None:
    """Returns how a file is packed, by its first bytes; None for no archive."""
    with naming(path), path.open("rb") as stream:
        head = stream.read(tarfile.BLOCKSIZE)
    for magic, packing in _MAGIC.items():
        if head.startswith(magic):
            return packing
    return Packing.TAR if is_header(head) else None


# Reading --------------------------------------------------------------------------------------------------------------
def read_archive(path: Path, entries: int = ENTRIES) -> Generator[Member, None, None]:
    """Yields the members of an archive in its order, and reads it to its end, where its checksum is.

    Args:
        path: the archive.
        entries: how many it may have.

    Raises:
        Fault: when it is no archive, is cut short, damaged or encrypted, or exceeds a bound.
    """
    packing = detect_packing(path)
    if packing is None:
        raise Fault(f"{path}: not a {', '.join(list(Packing)[:-1])} or {Packing.ZIP} archive; get it again")
    number = without_content = 0
    with _naming_damage(path, packing), closing(_read_members(path, packing, entries)) as members:
        for member in members:
            number += 1
            without_content += not member.entry.size
            if number > entries:
                raise TooLargeError(f"more than {entries:,} entries")
            if without_content > WITHOUT_CONTENT:
                raise TooLargeError(f"more than {WITHOUT_CONTENT:,} entries without content")
            _check_name(member.entry.name)
            yield member


def read_files(path: Path, names: Collection[str], most: int) -> dict[str, bytes]:
    """Returns the content of the files of some names, in memory; as when they are unpacked, the last of a name counts.

    Args:
        path: the archive.
        names: those to read; others, and those that are no files, are left out.
        most: bytes that each may have.

    Raises:
        Fault: as read_archive(), or when a file is larger.
    """
    contents = {}
    with closing(read_archive(path)) as members:
        for member in members:
            entry = member.entry
            if entry.name in names and entry.kind is EntryKind.FILE:
                if entry.size > most:
                    raise Fault(
                        f"{path}: its {show_name(entry.name)} has {entry.size:,} bytes, at most {most:,} are allowed;"
                        " get it again"
                    )
                contents[entry.name] = b"".join(member.chunks())
    return contents


def _check_name(name: str) -> None:
    if len(name) > NAME:
        raise TooLargeError(f"a name of {len(name):,} characters, at most {NAME:,} are allowed")
    if name.count("/") >= DEPTH:
        raise TooLargeError(f"a folder within {name.count('/')} others, at most {DEPTH} are allowed")


def _read_members(path: Path, packing: Packing, most: int) -> Generator[Member, None, None]:
    if packing is Packing.ZIP:
        with closing(ZipReader(path, most)) as reader:
            for zip_entry in reader.entries():
                yield _zip_member(path, reader, zip_entry)
        return
    with closing(_OPEN[packing](path)) as stream:
        _check_start(path, packing)
        for entry in read_entries(stream):
            yield _tar_member(path, packing, stream, entry)


def _check_start(path: Path, packing: Packing) -> None:
    """Raises Fault for what is compressed but no tar archive."""
    if packing is Packing.TAR:
        return
    with closing(_OPEN[packing](path)) as stream:
        head = stream.take(tarfile.BLOCKSIZE)
    if not head or (any(head) and not is_header(head)):
        raise Fault(
            f"{path}: it is compressed like a {packing}, but holds no tar archive; unpack it and name what it holds"
        )


def _excess(path: Path, what: str) -> str:
    return (
        f"{path}: it has {what}, as archives have that are made to do harm; if you trust it, unpack it yourself and"
        " name the folder"
    )


@contextmanager
def _naming_damage(path: Path, packing: Packing) -> Iterator[None]:
    """Turns what readers raise into one sentence."""
    try:
        yield
    except TooLargeError as error:
        raise Fault(_excess(path, str(error))) from None
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if isinstance(error, OSError) and error.errno:
            if error.errno != errno.EINVAL:
                with naming(path):
                    raise  # of the disk, not of the archive
            reason = "it points to a place before its beginning"
        raise Fault(
            f"{path}: not a whole {packing} ({show_name(reason)}): it is cut short or damaged; get it again"
        ) from None


def _clean(name: str) -> str:
    """Returns a name without empty parts and ".", such as "./" before it and "/" after it; "" for the root."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return ("/" if name.startswith("/") else "") + "/".join(parts)


_TAR_KINDS = {
    **dict.fromkeys(tarfile.REGULAR_TYPES, EntryKind.FILE),
    tarfile.DIRTYPE: EntryKind.FOLDER,
    tarfile.SYMTYPE: EntryKind.LINK,
    tarfile.LNKTYPE: EntryKind.LINK,
}
_ZIP_KINDS = {stat.S_IFREG: EntryKind.FILE, stat.S_IFDIR: EntryKind.FOLDER, stat.S_IFLNK: EntryKind.LINK}


def _tar_member(path: Path, packing: Packing, stream: Forward, entry: TarEntry) -> Member:
    if entry.is_sparse:
        raise Fault(
            f"{path}: {show_name(entry.name)} is stored as a sparse file, without its zeros; pack it without --sparse,"
            " or unpack it with tar and name the folder"
        )
    kind = _TAR_KINDS.get(entry.type, EntryKind.SPECIAL)

    def chunks() -> Iterator[bytes]:
        with _naming_damage(path, packing):
            left = entry.size
            while left:
                if not (chunk := stream.take(min(CHUNK, left))):
                    raise DamagedError("unexpected end of data")
                left -= len(chunk)
                yield chunk

    return Member(
        Entry(_clean(entry.name), kind, entry.size if kind is EntryKind.FILE else 0),
        chunks,
        None if stream.is_compressed else stream.position,
        entry.target,
        entry.type == tarfile.LNKTYPE,
    )


def _zip_member(path: Path, reader: ZipReader, entry: ZipEntry) -> Member:
    kind = _ZIP_KINDS.get(entry.type, EntryKind.SPECIAL)

    def chunks() -> Iterator[bytes]:
        with _naming_damage(path, Packing.ZIP):
            yield from reader.read(entry)

    return Member(Entry(_clean(entry.name), kind, entry.info.file_size if kind is EntryKind.FILE else 0), chunks)


# Unpacking ------------------------------------------------------------------------------------------------------------
def is_safe(name: str) -> bool:
    """Whether a name stays below the folder that it is unpacked to."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\0" not in name


def leads_outside(path: Path, name: str) -> Fault:
    """Returns the fault of an archive with a name that is not safe."""
    return Fault(
        f"{path}: its entry '{show_name(name)}' leads outside of the archive; if you trust it, unpack it yourself and"
        " name the folder"
    )


def unpack(path: Path, folder: Path, check: Callable[[Entry], None] = lambda entry: None) -> list[str]:
    """Writes the regular files and the folders of an archive below an empty folder.

    Args:
        path: the archive.
        folder: where to write.
        check: called for each entry before it is written; raises Fault for one that must not be.

    Returns:
        The names of links and special files, which are left out.

    Raises:
        Fault: as read_archive(); when a name leads outside of the folder, two names are one on this disk, or the disk
            is full.
    """
    left_out = []
    written: set[str] = set()
    folders = 0
    with closing(read_archive(path)) as members:
        for member in members:
            entry = member.entry
            if not entry.name:  # the root
                continue
            if not is_safe(entry.name):
                raise leads_outside(path, entry.name)
            if entry.kind in (EntryKind.LINK, EntryKind.SPECIAL):
                left_out.append(show_name(entry.name))
                continue
            check(entry)
            new = _find_new(path, folder, entry, written)
            folders += len(new)
            if folders > FOLDERS:
                raise Fault(_excess(path, f"more than {FOLDERS:,} folders"))
            with _naming_disk(path, folder, entry):
                _check_space(folder, entry.size)
                for name in new:
                    (folder / name).mkdir()
                member.write(folder / entry.name)
    return left_out


def _find_new(path: Path, folder: Path, entry: Entry, written: set[str]) -> list[str]:
    """Returns the folders to make for an entry, from the top, and adds them and the entry to what is written.

    Raises:
        Fault: when the disk holds the entry's name already, in another spelling: on a disk that does not tell upper
            from lower case, the file that doctor reads could be another one than is loaded.
    """
    name, names = entry.name, []
    while name and name not in written:
        names.append(name)
        name = name.rpartition("/")[0]
    if spelled := next((name for name in names if os.path.lexists(folder / name)), None):
        raise Fault(
            f"{path}: its entry {show_name(spelled)!r} is an earlier one in another spelling to the disk of {folder};"
            " unpack it on a disk that tells upper from lower case, or name one with TMPDIR="
        )
    written.update(names)
    is_folder = entry.kind is EntryKind.FOLDER
    return [name for name in reversed(names) if is_folder or name != entry.name]


def _check_space(folder: Path, size: int) -> None:
    """Raises OSError where a file does not fit on the disk, before the disk is full."""
    disk = shutil.disk_usage(folder)
    if disk.total and size > disk.free:  # 0 where the file system does not count
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
