"""Reads the directory and the files of a .zip with the standard library, within bounds."""

import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.archive_bounds import DIRECTORY, Budget, DamagedError, TooLargeError
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import CHUNK
from pipeline.base.zip_directory import METHODS, BoundedFile


@dataclass(frozen=True)
class ZipEntry:
    """An entry of a .zip.

    Attributes:
        name: with "/" between its parts, on Windows too.
        type: stat.S_IFREG, S_IFDIR, S_IFLNK or another of stat.S_IFMT().
        info: what the library knows of it.
    """

    name: str
    type: int
    info: zipfile.ZipInfo


class ZipReader:
    """A .zip that is being read."""

    def __init__(self, path: Path, most: int) -> None:
        """Reads the directory.

        Args:
            path: the file.
            most: entries that it may have.
        """
        self._path, self._budget = path, Budget(path)
        self._file = BoundedFile(path, DIRECTORY, TooLargeError)
        try:
            self._archive = zipfile.ZipFile(self._file)
            if len(self._archive.infolist()) > most:
                raise TooLargeError(f"more than {most:,} entries")
        except BaseException:
            self._file.close()
            raise

    def entries(self) -> Iterator[ZipEntry]:
        """Yields the entries in the order of the directory."""
        for info in self._archive.infolist():
            is_windows = info.create_system == 0  # older programs there write "variables\\variables.index"
            name = info.filename.replace("\\", "/") if is_windows else info.filename
            kind = stat.S_IFMT(info.external_attr >> 16) or stat.S_IFREG  # 0: made on Windows
            if name.endswith("/") and kind != stat.S_IFLNK:
                kind = stat.S_IFDIR
            yield ZipEntry(name, kind, info)

    def read(self, entry: ZipEntry) -> Iterator[bytes]:
        """Yields the content of a file; its checksum is at its end."""
        info = entry.info
        if info.flag_bits & 1:
            advice = "unpack it with its password and name the folder"
            raise Fault(f"{self._path}: {show_name(info.filename)} is encrypted; {advice}")
        if info.compress_type not in METHODS:
            raise Fault(
                f"{self._path}: {show_name(info.filename)} is packed with method {info.compress_type}, expected a file"
                " that is stored or deflated; unpack it and name the folder"
            )
        self._budget.expect(info.file_size)
        left = info.file_size
        with self._archive.open(info) as stream:
            while chunk := stream.read(CHUNK):
                left -= len(chunk)
                self._budget.spend(len(chunk))
                yield chunk
        if left:
            raise DamagedError("unexpected end of data")

    def close(self) -> None:
        self._archive.close()
        self._file.close()
