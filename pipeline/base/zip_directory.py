"""Finds where the entries of a stranger's .zip archive lie in its file, in bounded memory, for readers that map it.

zipfile reads the directory, through a stream that refuses to return more than a directory has. What it says is then
compared with the file: entries lie inside it, one after the other, each behind a header of its own name.
"""

import errno
import io
import os
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.archive_bounds import NAME
from pipeline.base.fault import show_name

# The 551 arrays of R50+L/32 have a directory of 60 kB; a training's state holds about three times as many.
ENTRIES = 5_000  # at most
DIRECTORY = 1 << 20  # bytes, at most: 200 for each of ENTRIES

# The library bounds what other methods unpack at a time neither in bytes nor in memory, and hardly anybody uses them.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40  # APPNOTE.TXT of PKWARE, 4.4.4
_UTF8 = 0x800
_HEADER = struct.Struct("<4s22x2H")  # of an entry, APPNOTE.TXT, 4.3.7: the signature, the lengths of name and extra


_TAIL = 1 << 17  # bytes; the directory's end and a comment of at most 65,535


class DamagedZip(Exception):
    """An archive is no whole .zip, or exceeds a bound; the text says why, for a sentence's brackets."""


@dataclass(frozen=True)
class Packed:
    """An entry of an archive.

    Attributes:
        name: its name, printable.
        start: the position of its content in the file.
        length: the bytes of its content in the file.
        size: the bytes of its content, as the directory says.
        is_deflated: whether it is compressed.
        crc: the CRC-32 of its content.
    """

    name: str
    start: int
    length: int
    size: int
    is_deflated: bool
    crc: int


class BoundedFile(io.FileIO):
    """A file for zipfile, which believes the lengths that it finds, and reads a directory of any size at once."""

    def __init__(self, file: Path | int, most: int, refuse: Callable[[str], Exception], closefd: bool = True) -> None:
        """Opens a file.

        Args:
            file: its path or its descriptor.
            most: bytes that are read at once.
            refuse: makes what is raised beyond that, of "a directory of 9,999,999 bytes".
            closefd: whether closing this closes a descriptor.
        """
        super().__init__(file, closefd=closefd)
        self._most, self._refuse = most, refuse

    def read(self, count: int | None = -1, /) -> bytes:
        if count is None or count < 0:
            count = _TAIL
        elif count > self._most:
            raise self._refuse(f"a directory of {count:,} bytes")
        return super().read(count) or b""


def read_directory(stream: io.FileIO) -> list[Packed]:
    """Returns the entries of an archive, in its directory's order.

    Raises:
        DamagedZip: when it is no .zip, cut short, damaged or encrypted, or exceeds a bound.
    """
    infos, end = _list_entries(stream)
    if len(infos) > ENTRIES:
        raise DamagedZip(f"{len(infos):,} entries, at most {ENTRIES:,} are allowed")
    repeated = [name for name, count in Counter(info.orig_filename for info in infos).items() if count > 1]
    if repeated:
        raise DamagedZip(f"it holds {show_name(min(repeated))!r} twice, expected each entry once")
    if any(not 0 <= info.header_offset < end for info in infos):
        raise DamagedZip("its directory points outside of the file")
    entries = [_locate(stream, info) for info in infos]
    _check_order(infos, entries, end)
    return entries


def _refuse(what: str) -> DamagedZip:
    return DamagedZip(f"{what}, at most {DIRECTORY:,} are allowed")


def _list_entries(stream: io.FileIO) -> tuple[list[zipfile.ZipInfo], int]:
    """Returns what the directory says, and where in the file it begins."""
    try:
        with (
            BoundedFile(stream.fileno(), DIRECTORY, _refuse, closefd=False) as bounded,
            zipfile.ZipFile(bounded) as archive,
        ):
            return archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, struct.error, NotImplementedError, UnicodeDecodeError) as error:
        raise DamagedZip(show_name(str(error))) from None
    except (OverflowError, ValueError, OSError) as error:
        # A place before the file's beginning, or beyond any; the disk's own errors have another number.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise DamagedZip("its directory points outside of the file") from None


def _locate(stream: io.FileIO, info: zipfile.ZipInfo) -> Packed:
    """Returns an entry, whose own header must agree with the directory."""
    name = info.orig_filename  # zipfile ends the other one at a zero
    if not name.isprintable() or len(name) > NAME:
        raise DamagedZip(f"an entry's name is not printable, or longer than {NAME:,} characters: {show_name(name)!r}")
    if info.flag_bits & _ENCRYPTED:
        raise DamagedZip(f"{show_name(name)!r} is encrypted")
    if info.compress_type not in METHODS:
        raise DamagedZip(f"{show_name(name)!r} is compressed by the method {info.compress_type}, expected deflate (8)")
    raw = name.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
    header = os.pread(stream.fileno(), _HEADER.size + len(raw), info.header_offset)
    signature, length, extra = _HEADER.unpack_from(header) if len(header) >= _HEADER.size else (b"", 0, 0)
    if signature != b"PK\x03\x04" or length != len(raw) or header[_HEADER.size :] != raw:
        raise DamagedZip(f"the directory's entry {show_name(name)!r} points elsewhere")
    start = info.header_offset + _HEADER.size + length + extra
    return Packed(name, start, info.compress_size, info.file_size, info.compress_type == zipfile.ZIP_DEFLATED, info.CRC)


def _check_order(infos: list[zipfile.ZipInfo], entries: list[Packed], end: int) -> None:
    """Refuses entries that overlap, or reach into the directory, which begins at `end`."""
    before = 0
    for info, entry in sorted(zip(infos, entries, strict=True), key=lambda pair: pair[0].header_offset):
        if info.header_offset < before:
            raise DamagedZip(f"{show_name(entry.name)!r} overlaps another entry")
        before = entry.start + entry.length
        if before > end:
            raise DamagedZip(f"{show_name(entry.name)!r} ends beyond the file, or in its directory")
        if not entry.is_deflated and entry.length != entry.size:
            raise DamagedZip(f"{show_name(entry.name)!r} has {entry.length:,} bytes, its directory says {entry.size:,}")
