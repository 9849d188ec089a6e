"""Reads what a compressed file holds from front to back, in bounded memory; and plain files alike."""

import bz2
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

from isal import igzip

from pipeline.base.archive_bounds import DICTIONARY, STREAM, Budget, DamagedError, TooLargeError
from pipeline.base.files import CHUNK

_INPUT = 1 << 16  # bytes of a bzip2 or xz file that are read at a time


class Forward(Protocol):
    """A stream that moves forward only.

    Attributes:
        position: bytes before the next one.
        is_compressed: whether a checksum follows at its end.
    """

    position: int
    is_compressed: bool

    def take(self, count: int) -> bytes:
        """Returns the next bytes, fewer at the end."""
        ...

    def expect(self, count: int) -> None:
        """Raises DamagedError or TooLargeError when so many bytes cannot follow."""
        ...

    def skip(self, count: int) -> None:
        """Moves forward; raises DamagedError when there are fewer bytes."""
        ...

    def close(self) -> None: ...


class Plain:
    """A file as it is. Bytes that are skipped are not read."""

    is_compressed = False

    def __init__(self, path: Path) -> None:
        self._stream, self._size, self.position = path.open("rb"), path.stat().st_size, 0

    def take(self, count: int) -> bytes:
        data = self._stream.read(count)
        self.position += len(data)
        return data

    def expect(self, count: int) -> None:
        if count > self._size - self.position:
            raise DamagedError("unexpected end of data")

    def skip(self, count: int) -> None:
        self.expect(count)
        if count:
            self.position += count
            self._stream.seek(self.position)

    def close(self) -> None:
        self._stream.close()


class Unpacked:
    """What a compressed file holds; all of it counts towards the budget of the archive."""

    is_compressed = True

    def __init__(self, path: Path, open_: Callable[[Path], "IO[bytes] | _Streams"]) -> None:
        self._stream, self._budget, self.position = open_(path), Budget(path), 0

    def take(self, count: int) -> bytes:
        data = self._stream.read(min(count, CHUNK))
        while data and len(data) < min(count, CHUNK) and (more := self._stream.read(min(count, CHUNK) - len(data))):
            data += more
        self.position += len(data)
        self._budget.spend(len(data))
        return data

    def expect(self, count: int) -> None:
        self._budget.expect(count)

    def skip(self, count: int) -> None:
        while count:
            if not (data := self.take(count)):
                raise DamagedError("unexpected end of data")
            count -= len(data)

    def close(self) -> None:
        self._stream.close()


_Decoder = bz2.BZ2Decompressor | lzma.LZMADecompressor


class _Streams:
    """A file of bzip2 or xz streams, one after the other, with zeros between them.

    The library's own files bound neither the dictionary of xz, which may be 4 GiB, nor the number of streams.
    """

    def __init__(self, path: Path, start: Callable[[], _Decoder]) -> None:
        self._file, self._start = path.open("rb"), start
        self._decoder, self._count = start(), 1

    def read(self, count: int) -> bytes:
        """Returns up to `count` bytes, none at the end."""
        while True:
            if self._decoder.eof:
                packed = self._next_stream()
                if not packed:
                    return b""
            elif self._decoder.needs_input:
                packed = self._file.read(_INPUT)
                if not packed:
                    raise DamagedError("unexpected end of data")
            else:
                packed = b""
            if data := self._unpack(packed, count):
                return data

    def _unpack(self, packed: bytes, count: int) -> bytes:
        try:
            return self._decoder.decompress(packed, count)
        except lzma.LZMAError as error:
            if str(error) != "Memory usage limit exceeded":  # the library has no other mark of it
                raise
            raise TooLargeError(f"a dictionary that needs more than {DICTIONARY:,} bytes of memory") from None

    def _next_stream(self) -> bytes:
        """Starts the next stream and returns its first bytes, none at the end of the file."""
        packed = self._decoder.unused_data.lstrip(b"\0")
        while not packed and (more := self._file.read(_INPUT)):
            packed = more.lstrip(b"\0")
        if not packed:
            return b""
        self._decoder, self._count = self._start(), self._count + 1
        if self._count > STREAM and self._file.tell() < self._count * STREAM:
            raise TooLargeError(f"{self._count:,} compressed streams of less than {STREAM:,} bytes")
        return packed

    def close(self) -> None:
        self._file.close()


def open_gzip(path: Path) -> Unpacked:
    return Unpacked(path, lambda path: igzip.open(path, "rb"))


def open_bzip2(path: Path) -> Unpacked:
    return Unpacked(path, lambda path: _Streams(path, bz2.BZ2Decompressor))


def open_xz(path: Path) -> Unpacked:
    return Unpacked(path, lambda path: _Streams(path, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, DICTIONARY)))
