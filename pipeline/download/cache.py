"""The cache of downloads, shared by every clone of one user: whole files, and what has come so far of others.

Below the folder, each URL has a folder of its own with

    <file name>         the file, once it is whole, and its record `whole.json`
    <file name>.part    what has come so far, and its record `part.json`
    lock                held by the process that works on it

A record says what the bytes beside it are of. A part's record is written before its first byte, and a part is emptied
before its record changes, so that a kill at any point never leaves bytes with the record of other bytes. Nothing in the
cache is trusted for being there: whoever takes a file from it takes its digest anew. It may be deleted at any time.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pipeline.base.files import locked, sha256_of, write_text


@dataclass(frozen=True)
class Record:
    """What bytes in the cache are of.

    Attributes:
        url: where they are from.
        etag: the server's strong name for this content, or None: then what came is of no use after a cut.
        generation: Google Cloud Storage's number of this content.
        length: of the whole file in bytes, if the server said so.
        checksums: of the whole file, as the server announced them, in hexadecimal by kind.
        sha256: of the whole file, once it is whole.
    """

    url: str
    etag: str | None = None
    generation: str | None = None
    length: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    sha256: str | None = None


class Entry:
    """The files of one URL, for the one process that holds its lock."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file, self.part = folder / name, folder / f"{name}.part"
        self._whole_record, self._part_record = folder / "whole.json", folder / "part.json"

    def whole(self) -> Record | None:
        """Returns the record of the whole file, or None where there is none."""
        return _read(self._whole_record) if self.file.exists() else None

    def sound(self, expected: str | None = None) -> str | None:
        """Returns the SHA-256 of the whole file, taken anew, or None where there is no file or it is damaged.

        A file of the expected digest is sound whatever its record says. Else, where a kill came between the two steps
        of finish(), the second one is done now.
        """
        found = sha256_of(self.file) if self.file.exists() else None
        if found is not None and found == expected:
            return found
        record = _read(self._whole_record)
        if record is None or record.sha256 is None:
            return None
        if found != record.sha256 and self.part.exists() and sha256_of(self.part) == record.sha256:
            self._take_part()
            return record.sha256
        return found if found == record.sha256 else None

    def begun(self) -> tuple[Record | None, int]:
        """Returns the record of what has come so far, and its number of bytes."""
        size = self.part.stat().st_size if self.part.exists() else 0
        return (_read(self._part_record), size) if size else (None, 0)

    def begin(self, record: Record) -> None:
        """Forgets what has come so far and starts anew."""
        with self.part.open("wb"):
            pass  # first the bytes, then what they are of
        write_text(self._part_record, json.dumps(asdict(record), indent=2, sort_keys=True) + "\n")

    def finish(self, record: Record) -> None:
        """Makes the part the whole file, in two steps; sound() does the second one after a kill between the two."""
        write_text(self._whole_record, json.dumps(asdict(record), indent=2, sort_keys=True) + "\n")
        self._take_part()

    def _take_part(self) -> None:
        self.part.replace(self.file)
        self._part_record.unlink(missing_ok=True)

    def drop_part(self) -> None:
        """Removes what has come so far."""
        self.part.unlink(missing_ok=True)
        self._part_record.unlink(missing_ok=True)

    def drop(self) -> None:
        """Removes the whole file, which turned out to be no good."""
        self.file.unlink(missing_ok=True)
        self._whole_record.unlink(missing_ok=True)


def _read(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # of another version of this program, say: as if not there
        return None


def folder(setting: str | None) -> Path:
    """Returns the cache's folder: the setting, else `vit-publisher` where the XDG base directories put caches."""
    if setting:
        return Path(setting).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is to be ignored, says the specification.
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "vit-publisher"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of every command that downloads: --cache, which folder() takes, and --offline."""
    parser.add_argument("--cache", help="the folder of downloads (default: $XDG_CACHE_HOME/vit-publisher)")
    parser.add_argument("--offline", action="store_true", help="use no network: the cache has the file or it fails")


@contextmanager
def entry(cache: Path, url: str, label: str) -> Iterator[Entry]:
    """Yields the entry of a URL, alone: another process that wants the same file waits, and then finds it there."""
    place = cache / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:24]
    with locked(place / "lock", f"{label}: another process is downloading the same file; waiting for it"):
        yield Entry(place, PurePosixPath(unquote(urlsplit(url).path)).name[-200:] or "file")
