"""Writes PNG files whose bytes are the same on every machine: their pixels are stored, not compressed.

Pillow's bytes depend on the version of its zlib, and a module's must not. PNG: https://www.w3.org/TR/png-3/; stored
blocks: RFC 1951, 3.2.4, in the container of RFC 1950.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

_LARGEST_BLOCK = 0xFFFF  # bytes of a stored block


def encode(pixels: np.ndarray) -> bytes:
    """Returns the PNG file of an image, uint8 (height, width, 3)."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits per channel, RGB
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # each begins with its filter, none
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _store(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _store(data: bytes) -> bytes:
    """Returns the zlib stream of data in stored blocks."""
    return b"\x78\x01" + b"".join(_blocks(data)) + struct.pack(">I", zlib.adler32(data))


def _blocks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _LARGEST_BLOCK):
        block = data[start : start + _LARGEST_BLOCK]
        is_last = start + _LARGEST_BLOCK >= len(data)
        yield struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF) + block
