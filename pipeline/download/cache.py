"""The cache of downloads, shared by all clones of one user: whole files, and parts of others.

Below the folder, each URL has a folder of its own with

    <file name>         the whole file, and its record `whole.json`
    <file name>.part    the bytes that have come so far, and their record `part.json`
    lock                held by the process that works on it

A record says which content the bytes beside it belong to. A part's record is written before its first byte, and a part
is emptied before its record changes, so that a kill at any point never leaves bytes with the record of other bytes.
Nothing is trusted for lying in the cache: the digest of a file is computed again before each use. The folder may be
deleted at any time. A cache that this user may not write, such as one that another user filled, is read: nothing is
created there, no lock either.
"""

import argparse
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pipeline.base.addresses import identity, public_address
from pipeline.base.fault import Fault, Misconfigured
from pipeline.base.files import NOT_WRITABLE, expand_home, locked, sha256_of, write_memory
from pipeline.base.json_files import recall_json


@dataclass(frozen=True)
class Record:
    """Which content some bytes in the cache belong to.

    Attributes:
        url: where they come from, without its secrets.
        etag: the server's strong ETag of the content, or None; then a part cannot be resumed.
        generation: Google Cloud Storage's number of the content.
        length: of the whole file in bytes, if the server said so.
        checksums: of the whole file, as the server announced them, in hexadecimal by kind.
        sha256: of the whole file, once it is complete.
    """

    url: str
    etag: str | None = None
    generation: str | None = None
    length: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None


@dataclass(frozen=True)
class Part:
    """The bytes of a file that have come so far: their record, and their number."""

    record: Record
    size: int


class Entry:
    """The files of one URL, for the process that holds their lock.

    Attributes:
        file: where the whole file lies.
        part_file: where the part lies.
        is_writable: whether this user may change them.
    """

    def __init__(self, folder: Path, name: str, is_writable: bool = True) -> None:
        self._folder, self.is_writable = folder, is_writable
        self.file, self.part_file = folder / name, folder / f"{name}.part"
        self._whole_record, self._part_record = folder / "whole.json", folder / "part.json"

    def read_whole(self) -> Record | None:
        """Returns the record of the whole file, or None if there is no such file."""
        return _read_record(self._whole_record) if self.file.is_file() else None

    def verify_file(self, expected: str | None = None) -> str | None:
        """Computes the SHA-256 of the whole file, and returns it if it is the expected one or the record's.

        Returns None if there is no file or it is damaged. If a kill came between the two steps of finish_part(), the
        second step is done now, unless the file that is there is the expected one.
        """
        sha256 = sha256_of(self.file) if self.file.is_file() else None
        if sha256 is not None and sha256 == expected:
            return sha256
        record = _read_record(self._whole_record)
        if record is None or record.sha256 is None:
            return None
        if sha256 == record.sha256:
            return sha256
        if self.is_writable and self.part_file.is_file() and sha256_of(self.part_file) == record.sha256:
            self._move_part()
            return record.sha256
        return None

    def read_part(self) -> Part | None:
        """Returns the bytes that have come so far, or None if there are none that can be resumed."""
        is_usable = self.is_writable and os.access(self.part_file, os.R_OK | os.W_OK)  # not one of another user
        size = self.part_file.stat().st_size if is_usable else 0
        record = _read_record(self._part_record) if size else None
        return Part(record, size) if record else None

    def start_part(self, record: Record) -> Part:
        """Drops the bytes that have come so far, and starts with none of the record's content.

        Raises:
            Misconfigured: when this user may not write there.
        """
        if not self.is_writable:
            raise Misconfigured(
                f"the cache does not have it, and cannot be written by this user ({self._folder}); set CACHE=<another"
                " folder>"
            )
        if self.part_file.is_fifo() or not os.access(self.part_file, os.W_OK):  # opening a pipe waits; another user's
            self.part_file.unlink(missing_ok=True)
        self.part_file.open("wb").close()  # before the record changes
        _write_record(self._part_record, record)
        return Part(record, 0)

    def finish_part(self, record: Record) -> None:
        """Makes the part the whole file, in two steps; after a kill between them verify_file() does the second."""
        _write_record(self._whole_record, record)
        self._move_part()

    def _move_part(self) -> None:
        self.part_file.replace(self.file)
        self._part_record.unlink(missing_ok=True)

    def drop_part(self) -> None:
        """Removes the bytes that have come so far."""
        if self.is_writable:
            self.part_file.unlink(missing_ok=True)
            self._part_record.unlink(missing_ok=True)

    def drop_file(self) -> None:
        """Removes the whole file."""
        if self.is_writable:
            self.file.unlink(missing_ok=True)
            self._whole_record.unlink(missing_ok=True)


def _read_record(path: Path) -> Record | None:
    """Returns a record; None if it is missing, damaged, or of another version of this program."""
    from pipeline.download.checksums import KINDS  # slow to import, and select and add have no records

    record = recall_json(path, Record)
    if record is None or not record.checksums.keys() <= KINDS.keys():
        return None
    # It is sent to the server in a header.
    return record if re.fullmatch('(?:"[ -~\x80-\xff]*")?', record.etag or "") else None


def _write_record(path: Path, record: Record) -> None:
    write_memory(path, json.dumps(asdict(record), indent=2, sort_keys=True) + "\n")


def folder(setting: str | None) -> Path:
    """Returns the cache's folder: the setting, else `vit-publisher` in the folder for caches of the XDG specification.

    https://specifications.freedesktop.org/basedir-spec/latest/ says that a relative XDG_CACHE_HOME is ignored.

    Raises:
        Fault: for a user without a home, as in a container.
    """
    if setting:
        return expand_home(setting)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "vit-publisher"
    except RuntimeError as error:
        raise Fault(f"no folder for downloads: {error}; set CACHE=<a folder>") from None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of every command that downloads: --cache, which folder() takes, and --offline."""
    parser.add_argument("--cache", help="the folder of downloads (default: $XDG_CACHE_HOME/vit-publisher)")
    parser.add_argument("--offline", action="store_true", help="use no network: fail if a file is not in the cache")


def file_name(url: str) -> str:
    """Returns the name of the whole file: that in the URL, for its suffix, with what any file system takes."""
    name = re.sub("[^A-Za-z0-9_.+-]", "_", PurePosixPath(unquote(urlsplit(public_address(url)).path)).name)[
        -200:
    ].lstrip(".")
    return f"file-{name}" if name in ("", "lock", "whole.json", "part.json") else name


@contextmanager
def open_entry(cache: Path, url: str, label: str) -> Iterator[Entry]:
    """Yields the entry of a URL under its lock: another process that wants the same file waits, and then finds it.

    The URL with another password or signature has the same entry.
    """
    place = cache / "downloads" / hashlib.sha256(identity(url).encode()).hexdigest()[:24]
    waiting = f"{label}: another process is downloading the same file; waiting for it"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(place / "lock", waiting))
            is_writable = os.access(place, os.W_OK)
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            is_writable = False
        yield Entry(place, file_name(url), is_writable)
