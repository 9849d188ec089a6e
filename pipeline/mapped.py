"""Arrays of an .npz file as views of the file, whose memory can be given back while they are kept."""

import math
import mmap
import os
import struct
import zipfile
from typing import BinaryIO

import numpy as np
from isal import isal_zlib

from pipeline.model.parameters import give_back


def view(stream: BinaryIO, entry: zipfile.ZipInfo) -> np.ndarray | None:
    """Returns an array that lies uncompressed in an archive, without copying it, once its checksum is right.

    Each has a mapping of its own, so that its pages are given back with it.

    Returns:
        A read-only view, or None for an entry that is written in another way than numpy.savez does.

    Raises:
        zipfile.BadZipFile: when the checksum is wrong, or the archive's directory points elsewhere.
    """
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        return None
    # The local header: 30 bytes, of which the last four are the lengths of the name and the extra field that follow
    # (APPNOTE.TXT, 4.3.7).
    stream.seek(entry.header_offset + 26)
    start = entry.header_offset + 30 + sum(struct.unpack("<2H", stream.read(4)))
    if start + entry.file_size > os.fstat(stream.fileno()).st_size:
        raise zipfile.BadZipFile(f"{entry.filename!r} ends beyond the file")
    stream.seek(start)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            return None
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError:
        return None
    count, header = math.prod(shape), stream.tell() - start
    if columns_first or dtype.hasobject or header + count * dtype.itemsize != entry.file_size:
        return None
    before = start % mmap.ALLOCATIONGRANULARITY  # where a mapping may start
    content = mmap.mmap(stream.fileno(), before + entry.file_size, access=mmap.ACCESS_READ, offset=start - before)
    with memoryview(content)[before:] as data:
        if isal_zlib.crc32(data) != entry.CRC:  # five times as fast as zlib's
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {entry.filename!r}")
    found = np.frombuffer(content, dtype, count, before + header).reshape(shape)
    give_back([found])
    return found
