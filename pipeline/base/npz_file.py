"""Reads .npz files of strangers: names, types and shapes first, from bounded reads, and values only where wanted.

Whatever is wrong with a file becomes an UnusableFile. Nothing of it is ever unpickled or evaluated. The file is mapped
once, however many arrays it holds.
"""

import io
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

from pipeline.base.archive_bounds import FREE, RATIO
from pipeline.base.fault import UnusableFile, show_name
from pipeline.base.npy_header import LENGTH, DamagedHeader, Header, PickledArray, parse_header
from pipeline.base.zip_directory import DamagedZip, Packed, read_directory

_PIECE = 1 << 18  # bytes; fits the processor's cache
_SHORTER = "it became shorter while it was read"
_PICKLED = (
    "a pickle, which could run code; refused; save each parameter as an array of its own: np.savez(path,"
    " **flatten_dict(params, sep='/')), with flatten_dict of flax.traverse_util"
)


@dataclass(frozen=True)
class _Array:
    """Where an array lies, and what its header says."""

    entry: Packed
    header: Header


class NpzFile:
    """An open .npz file; a context manager. Arrays that were read stay valid after it is closed.

    Attributes:
        where: what messages call it.
        headers: what the file says of each array, by its name without ".npy", in the file's order.
    """

    def __init__(self, path: Path, where: str, advice: str) -> None:
        """Opens a file and reads its directory and the header of each array.

        Args:
            path: the file.
            where: what messages call it, such as the address it came from.
            advice: what to do about a damaged file, such as "get it again".

        Raises:
            UnusableFile: when it is no .npz of plain arrays, is cut short or damaged, or exceeds a bound.
            OSError: when there is no such file, it cannot be opened, or the disk fails.
        """
        self.where, self._advice = where, advice
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for its writer, a device has no end
            raise UnusableFile(f"{where}: not a file; expected an .npz of float32 arrays")
        self._stream = io.FileIO(path)
        self._mapping: mmap.mmap | None = None
        self._buffer = memoryview(bytearray(_PIECE))
        try:
            with self._naming_damage():
                self._size = self._stream.seek(0, io.SEEK_END)
                entries = read_directory(self._stream)
                self._check_sizes(entries)
                self._arrays = dict(self._read_header(entry) for entry in entries)
        except BaseException:
            self._stream.close()
            raise
        self.headers = {name: array.header for name, array in self._arrays.items()}

    def __enter__(self) -> "NpzFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def read(self, name: str) -> np.ndarray:
        """Reads an array and checks its CRC-32; one that is stored uncompressed is a read-only view of the file.

        Raises:
            UnusableFile: when it is damaged.
        """
        array = self._arrays[name]
        with self._naming_damage():
            if array.entry.is_deflated:
                return self._unpack_array(array)
            _exhaust(self._read_values(array))
            return self._view_array(array)

    def check(self, name: str) -> None:
        """Checks an array's CRC-32, and keeps nothing of it.

        Raises:
            UnusableFile: when it is damaged.
        """
        _exhaust(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes | memoryview]:
        """Yields the bytes of an array's values as they lie, and checks their CRC-32 at the end.

        A piece is valid until the next.

        Raises:
            UnusableFile: when it is damaged.
        """
        array = self._arrays[name]
        with self._naming_damage():
            yield from self._read_values(array)

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        except DamagedZip as error:
            raise UnusableFile(f"{self.where}: not a whole .npz file ({error}); {self._advice}") from None

    def _check_sizes(self, entries: list[Packed]) -> None:
        """Refuses a file that would unpack to far more than trained weights do."""
        size, allowed = sum(entry.size for entry in entries), FREE + RATIO * self._size
        if size > allowed:
            raise DamagedZip(f"it unpacks to {size:,} bytes, at most {allowed:,} are allowed for a file of its size")

    def _read_header(self, entry: Packed) -> tuple[str, _Array]:
        """Reads the header of an entry's array; returns the array's name, too."""
        shown = _show(entry)
        if not entry.name.endswith(".npy"):
            raise UnusableFile(
                f"{self.where}: the entry {shown} is no array, expected an .npz of float32 arrays; refused"
            )
        start = os.pread(self._stream.fileno(), min(entry.length, LENGTH + 64), entry.start)
        if entry.is_deflated:
            start = _inflate(isal_zlib.decompressobj(wbits=-15), start, LENGTH + 12, entry)
        try:
            header = parse_header(start)
        except PickledArray:
            raise UnusableFile(f"{self.where}: the array {shown} is {_PICKLED}") from None
        except DamagedHeader as error:
            raise UnusableFile(f"{self.where}: the array {shown} is damaged: {error}; refused") from None
        if header.length + header.size != entry.size:
            raise UnusableFile(
                f"{self.where}: the array {shown} is damaged: it has {entry.size - header.length} bytes, expected"
                f" {header.size} for its shape; refused"
            )
        return entry.name.removesuffix(".npy"), _Array(entry, header)

    def _unpack_array(self, array: _Array) -> np.ndarray:
        values, done = np.empty(array.header.size, np.uint8), 0
        data = values.data
        for piece in self._read_values(array):
            data[done : done + len(piece)] = piece
            done += len(piece)
        return _shape(values.view(array.header.dtype), array.header)

    def _view_array(self, array: _Array) -> np.ndarray:
        """Returns a view of a stored array in the mapped file."""
        if self._mapping is None:
            if os.fstat(self._stream.fileno()).st_size < self._size:
                raise DamagedZip(_SHORTER)
            self._mapping = mmap.mmap(self._stream.fileno(), self._size, access=mmap.ACCESS_READ)
        header, start = array.header, array.entry.start + array.header.length
        count = header.size // header.dtype.itemsize
        return _shape(np.frombuffer(self._mapping, header.dtype, count, start), header)

    def _read_values(self, array: _Array) -> Iterator[memoryview]:
        """Yields the bytes of an array's values as they lie, and compares size and CRC-32 with the directory's."""
        entry, crc, done, header = array.entry, 0, 0, array.header.length
        for piece in self._unpack(entry) if entry.is_deflated else self._read_packed(entry):
            crc, done = isal_zlib.crc32(piece, crc), done + len(piece)
            if done > entry.size:
                break
            if done > header:
                yield piece[max(0, header - done + len(piece)) :]
        if done != entry.size:
            more = "more" if done > entry.size else "less"
            raise DamagedZip(f"the array {_show(entry)} is damaged: it has {more} bytes than the directory says")
        if crc != entry.crc:
            raise DamagedZip(f"Bad CRC-32: the array {_show(entry)} is damaged")

    def _read_packed(self, entry: Packed) -> Iterator[memoryview]:
        """Yields an entry's content as it lies in the file.

        It is read, not mapped: a file that became shorter, or a disk that fails, is an error then and not a signal.
        """
        done = 0
        while done < entry.length:
            count = os.preadv(self._stream.fileno(), [self._buffer[: entry.length - done]], entry.start + done)
            if not count:
                raise DamagedZip(_SHORTER)
            done += count
            yield self._buffer[:count]

    def _unpack(self, entry: Packed) -> Iterator[memoryview]:
        """Yields the content of a compressed entry."""
        unpacker = isal_zlib.decompressobj(wbits=-15)
        for packed in self._read_packed(entry):
            rest: bytes | memoryview = packed
            is_full = False  # then more may come without more input
            while (rest or is_full) and not unpacker.eof:
                piece = _inflate(unpacker, rest, _PIECE, entry)
                rest, is_full = unpacker.unconsumed_tail, len(piece) == _PIECE
                yield memoryview(piece)


def _exhaust(pieces: Iterator[object]) -> None:
    for _ in pieces:
        pass


def _inflate(unpacker: Any, packed: bytes | memoryview, count: int, entry: Packed) -> bytes:
    """Returns the next bytes that an entry's data unpack to, at most `count`."""
    try:
        piece: bytes = unpacker.decompress(packed, max_length=count)
    except isal_zlib.error as error:  # type: ignore[misc]
        raise DamagedZip(f"the array {_show(entry)} is damaged: {error}") from None
    return piece


def _show(entry: Packed) -> str:
    """Returns the name of an entry's array for a message."""
    return repr(show_name(entry.name.removesuffix(".npy")))


def _shape(values: np.ndarray, header: Header) -> np.ndarray:
    return values.reshape(header.shape, order="F" if header.is_fortran else "C")
