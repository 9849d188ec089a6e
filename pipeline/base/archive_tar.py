"""Walks through the entries of a tar archive, in all dialects: v7, ustar, GNU, pax.

The standard library reads a header's fields; what follows a header is decided here: each step goes forward, sizes and
lengths are compared with their bounds before a byte is read, and the time is proportional to the bytes. The library's
own walk goes back for negative sizes, reads names of any length, and takes a damaged header for the end.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; the manual of GNU tar, "Basic Tar
Format" and "Storing Sparse Files".
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.base.archive_bounds import HEADER, RECORDS, DamagedError, TooLargeError
from pipeline.base.archive_streams import Forward

_BLOCK = tarfile.BLOCKSIZE
_LARGEST = 1 << 62  # bytes of an entry; sums of these still are file offsets
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}  # as pax calls them
_RECORDS = ("path", "linkpath", "size")  # of pax, that say what an entry is
_SPARSE = "GNU.sparse."
_REST = 1 << 20  # bytes after the end that are looked at; tar pads to 10,240


class TarEntry(NamedTuple):  # quicker to make than a dataclass, for a million images
    """An entry of a tar archive.

    Attributes:
        name: as it stands there.
        type: one of the types of tarfile.
        size: bytes of its content in the archive, from the position of the stream on.
        target: of a link.
        is_sparse: whether its content is only the parts of a file that are no holes.
    """

    name: str
    type: bytes
    size: int
    target: str
    is_sparse: bool


@dataclass
class _Headers:
    """The headers before an entry's own.

    Attributes:
        records: what they say of the entry.
        left: bytes that they and the entry's own may still have.
        records_left: pax records that they may still have.
    """

    records: dict[str, str] = field(default_factory=dict)
    left: int = HEADER
    records_left: int = RECORDS

    def read(self, stream: Forward, count: int) -> bytes:
        """Reads a part of a header."""
        self.left -= count
        if self.left < 0:
            raise TooLargeError(f"headers of more than {HEADER:,} bytes for one entry")
        data = stream.take(count)
        if len(data) < count:
            raise DamagedError("unexpected end of data")
        return data

    def parse(self, content: bytes) -> dict[str, str]:
        """Returns the records of a pax header that say what an entry is."""
        records = {}
        for name, value in _parse_records(content):
            self.records_left -= 1
            if self.records_left < 0:
                raise TooLargeError(f"more than {RECORDS:,} pax records for one entry")
            if name in _RECORDS or name.startswith(_SPARSE):
                records[name] = value
        return records


def read_entries(stream: Forward) -> Iterator[TarEntry]:
    """Yields the entries; skips what was not read of their content.

    Raises:
        DamagedError: when it is cut short or damaged, or has nothing of a tar archive at all.
        TooLargeError: when the headers of an entry are too long.
    """
    headers = _Headers()
    while block := _read_block(stream):
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise DamagedError("a damaged header") from None
        if not 0 <= info.size <= _LARGEST:
            raise DamagedError(f"an entry of {info.size:,} bytes" if info.size > 0 else "an entry of negative size")
        if info.type in _LONG or info.type in _PAX or info.type == tarfile.XGLTYPE:
            _read_header(stream, info, headers)
            continue
        entry = _to_entry(stream, info, block, headers)
        stream.expect(entry.size)
        end = stream.position + _padded(entry.size)
        yield entry
        stream.skip(end - stream.position)
        if headers.left < HEADER:
            headers = _Headers()
    if headers.records:
        raise DamagedError("unexpected end of data")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _read_block(stream: Forward) -> bytes:
    """Returns the block of the next header; none at the end of the archive."""
    block = stream.take(_BLOCK)
    if any(block):
        if len(block) < _BLOCK:
            raise DamagedError("unexpected end of data")
        return block
    # A compressed file has a checksum at its end; a plain one that ends without zeros was cut between two entries.
    if len(block) < _BLOCK and not stream.is_compressed:
        raise DamagedError("no end of archive")
    _check_rest(stream)
    return b""


def _check_rest(stream: Forward) -> None:
    """Looks for an archive that was put after this one, and reads a compressed stream to its end.

    Its entries would be left out in silence, as tar itself does.
    """
    rest = stream.take(_REST)
    start = (len(rest) - len(rest.lstrip(b"\0"))) // _BLOCK * _BLOCK
    if is_header(rest[start : start + _BLOCK]):
        raise DamagedError("another archive follows its end")
    while stream.is_compressed and stream.take(_REST):
        pass


def is_header(block: bytes) -> bool:
    """Whether a block is the header of an entry, by its checksum."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _read_header(stream: Forward, info: tarfile.TarInfo, headers: _Headers) -> None:
    """Reads a header that stands before that of an entry."""
    headers.left -= _BLOCK  # its own: empty ones end, too
    content = headers.read(stream, _padded(info.size))[: info.size]
    if info.type in _LONG:
        headers.records[_LONG[info.type]] = content.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        return
    records = headers.parse(content)
    if info.type != tarfile.XGLTYPE:
        headers.records |= records
    elif records:
        raise DamagedError("a header that gives all entries one name or size")


def _parse_records(content: bytes) -> Iterator[tuple[str, str]]:
    """Yields the records of a pax header, "<length> <key>=<value>\\n" each."""
    position = 0
    while position < len(content) and content[position]:
        length = re.match(rb"(\d{1,9}) ", content[position : position + 10])
        end = position + int(length[1]) if length else 0
        record = content[position + length.end() : end] if length else b""
        key, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(content):
            raise DamagedError("a damaged pax header")
        position = end
        yield key.decode("utf-8", "surrogateescape"), value[:-1].decode("utf-8", "surrogateescape")


def _to_entry(stream: Forward, info: tarfile.TarInfo, block: bytes, headers: _Headers) -> TarEntry:
    records, size = headers.records, info.size
    if "size" in records:
        if not re.fullmatch("[0-9]{1,18}", records["size"]):
            raise DamagedError("a size that is no number")
        size = int(records["size"])
    is_sparse = info.type == tarfile.GNUTYPE_SPARSE
    goes_on = is_sparse and block[482]  # with the map of the file's parts; 504 in the blocks that follow
    while goes_on:
        goes_on = headers.read(stream, _BLOCK)[504]
    # Folders, links and devices have no content, whatever their size is; what is not known may have.
    has_content = info.type in tarfile.REGULAR_TYPES or info.type not in tarfile.SUPPORTED_TYPES
    return TarEntry(
        records.get("path", info.name),
        info.type,
        size if has_content else 0,
        records.get("linkpath", info.linkname),
        is_sparse or (bool(records) and any(name.startswith(_SPARSE) for name in records)),
    )
