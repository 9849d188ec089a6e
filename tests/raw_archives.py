"""Tar archives block by block, and what no honest program writes into them."""

import gzip
import lzma
import struct
import zlib
from collections.abc import Iterable

END = bytes(1024)  # of a tar archive


def number(value: int) -> bytes:
    """Returns a field of 12 bytes: octal digits, or in base 256 (as GNU tar writes) what these cannot say."""
    if 0 <= value < 1 << 33:
        return b"%011o\0" % value
    return (b"\x80" if value > 0 else b"\xff") + value.to_bytes(11, "big", signed=True)


def header(kind: bytes, size: bytes | int = 0, name: bytes = b"x", target: bytes = b"") -> bytes:
    """Returns the header of a tar entry in GNU's dialect.

    Args:
        kind: the type of the entry, one byte.
        size: bytes of its content; as bytes it is the field as it is.
        name: at most 100 bytes.
        target: of a link, at most 100 bytes.
    """
    block = bytearray(512)
    block[: len(name)], block[100:108], block[156:157], block[257:265] = name, b"0000644\0", kind, b"ustar  \0"
    block[124:136] = (size if isinstance(size, bytes) else number(size)).ljust(12, b"\0")
    block[157 : 157 + len(target)] = target
    return checked(block)


def checked(block: bytearray) -> bytes:
    """Returns a header with its checksum."""
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def file(name: bytes = b"x", content: bytes = b"", kind: bytes = b"0") -> bytes:
    """Returns an entry with content."""
    return header(kind, len(content), name) + padded(content)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    """Returns GNU's header with a name (L) or a link's target (K) for the next entry."""
    return file(b"././@LongLink", name + b"\0", kind)


def pax(records: Iterable[tuple[bytes, bytes]], kind: bytes = b"x") -> bytes:
    """Returns a pax header for the next entry (x), or for all (g)."""
    return file(b"pax", b"".join(pax_record(key, value) for key, value in records), kind)


def pax_record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest + len(str(rest))))
    return b"%d %s=%s\n" % (length, key, value)


def gzip_zeros(count: int) -> bytes:
    """Returns gzip members that unpack to `count` zeros, of which 10 million are made."""
    piece = 10_000_000
    return gzip.compress(bytes(piece), mtime=0) * (count // piece) + gzip.compress(bytes(count % piece), mtime=0)


def xz_with_dictionary(content: bytes, code: int) -> bytes:
    """Returns an xz file that asks for another dictionary: code 40 is 4 GiB, 37 is 1.5 GiB.

    Source: the .xz file format, 3.1 (block header) and 5.3.1 (LZMA2).
    """
    packed = bytearray(lzma.compress(content, check=lzma.CHECK_CRC32))
    size = 4 * (packed[12] + 1)
    assert packed[14:16] == b"\x21\x01"  # LZMA2, with properties of one byte
    packed[16] = code
    packed[12 + size - 4 : 12 + size] = struct.pack("<L", zlib.crc32(packed[12 : 12 + size - 4]))
    return bytes(packed)
