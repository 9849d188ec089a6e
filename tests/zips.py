"""Writes .zip archives byte by byte, with whatever their headers and their directory shall say."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LARGE = 0xFFFFFFFF  # says that a number stands in the extra field (zip64)


@dataclass(frozen=True)
class Part:
    """An entry: its content, and what the archive says of it where that differs.

    Attributes:
        name: in the directory.
        content: the bytes in the file.
        hole: zeros after them, which take no disk.
        local: the name in the entry's own header.
        offset: where the directory says that the header lies.
        size: of the content once it is unpacked.
        crc: of the content.
    """

    name: str
    content: bytes
    hole: int = 0
    local: str | None = None
    offset: int | None = None
    size: int | None = None
    crc: int | None = None
    method: int = zipfile.ZIP_STORED
    flags: int = 0x800
    extra: bytes = b""


def npy(descr: str = "'<f4'", shape: str = "(3,)", values: bytes = bytes(12), header: str | None = None) -> bytes:
    """Returns an .npy file of version 2.0, whose header may say anything."""
    text = (header or f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}").encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<L", len(text)) + text + values


def array(value: np.ndarray) -> bytes:
    """Returns an .npy file as NumPy writes it."""
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def deflate(content: bytes) -> bytes:
    """Returns a raw deflate stream."""
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(content) + packer.flush()


def deflate_zeros(start: bytes, megabytes: int) -> bytes:
    """Returns a raw deflate stream of `start` and as many MiB of zeros, a thousandth of its size, in no time."""
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * megabytes + packer.flush()


def write_zip(path: Path, parts: Sequence[Part], directory: int | None = None, comment: bytes = b"") -> Path:
    """Writes an archive; `directory` is what its end says of its directory's length. Returns the path."""
    records = b""
    with path.open("wb") as stream:
        for part in parts:
            records += _record(part, stream.tell() if part.offset is None else part.offset)
            name = (part.name if part.local is None else part.local).encode()
            stream.write(b"PK\x03\x04" + _common(part) + struct.pack("<2H", len(name), 0) + name + part.content)
            stream.seek(part.hole, io.SEEK_CUR)
        start = stream.tell()
        end = _end(len(parts), len(records) if directory is None else directory, start, comment)
        stream.write(records + end)
    return path


def _size(part: Part) -> int:
    return len(part.content) + part.hole if part.size is None else part.size


def _common(part: Part) -> bytes:
    """Returns what an entry's own header and its record in the directory share (APPNOTE.TXT, 4.3.7)."""
    crc = zlib.crc32(part.content) if part.crc is None else part.crc
    length, size = len(part.content) + part.hole, min(_size(part), LARGE)
    return struct.pack("<5H3L", 20, part.flags, part.method, 0, 0x21, crc, length, size)


def _record(part: Part, offset: int) -> bytes:
    """Returns an entry of the directory, 4.3.12; with zip64 where the size needs it."""
    extra = part.extra
    if (size := _size(part)) >= LARGE:
        extra = struct.pack("<2HQ", 1, 8, size) + extra
    name = part.name.encode()
    numbers = struct.pack("<5H2L", len(name), len(extra), 0, 0, 0, 0, offset)
    return b"PK\x01\x02" + struct.pack("<H", 20) + _common(part) + numbers + name + extra


def _end(count: int, length: int, start: int, comment: bytes) -> bytes:
    """Returns an archive's end, 4.3.14 to 4.3.16; with zip64 where the directory's length needs it."""
    counts = struct.pack("<4H", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF))
    if length < LARGE:
        return b"PK\x05\x06" + counts + struct.pack("<2LH", length, start, len(comment)) + comment
    end64 = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, length, start)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, start, 1)
    return end64 + locator + b"PK\x05\x06" + counts + struct.pack("<2LH", LARGE, LARGE, 0)
