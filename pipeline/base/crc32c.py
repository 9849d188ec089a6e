"""The checksum that TensorFlow's own file formats have."""

import struct

import google_crc32c


def masked_crc(data: bytes) -> bytes:
    """Returns the four bytes of the masked CRC-32C (tensorflow/core/lib/hash/crc32c.h, Mask)."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
