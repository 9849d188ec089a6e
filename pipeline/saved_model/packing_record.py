"""Remembers what package packed, so that publish need neither read nor unpack a tarball that is as package left it.

SHA-256 takes longer than copying a file. The bytes were hashed while they were written; the times and the inode of the
file tell whether anything has happened to it since: nobody can set the time of a change (ctime).
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.files import write_memory
from pipeline.base.json_files import recall_json
from pipeline.saved_model.files import tarball_digest


@dataclass(frozen=True)
class PackingRecord:
    """What a tarball holds.

    Attributes:
        sha256: of the tarball, in hexadecimal.
        content_sha256: content_digest() of the files that were packed (pipeline.saved_model.files).
        state: inode, size, and the times of the last write and the last change in nanoseconds, when it was packed.
    """

    sha256: str
    content_sha256: str
    state: tuple[int, int, int, int]

    def describes(self, tarball: Path) -> bool:
        """Whether nothing has happened to the tarball since it was packed."""
        return self.state == _state(tarball)


def _state(tarball: Path) -> tuple[int, int, int, int]:
    status = tarball.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _path_of(tarball: Path) -> Path:
    return tarball.with_name(f"{tarball.name}.json")


def write_record(tarball: Path, sha256: str, content_sha256: str) -> None:
    """Writes the record of a tarball, which was just packed, beside it."""
    record = PackingRecord(sha256, content_sha256, _state(tarball))
    write_memory(_path_of(tarball), json.dumps(dataclasses.asdict(record)) + "\n")


def read_record(tarball: Path) -> PackingRecord | None:
    """Reads the record of a tarball; None where there is none, or it is damaged."""
    return recall_json(_path_of(tarball), PackingRecord)


def content_of(tarball: Path, sha256: str, record: PackingRecord | None) -> str:
    """Returns content_digest() of a tarball.

    Args:
        tarball: the file.
        sha256: of all its bytes.
        record: its record. Only one of these bytes counts; without it the tarball is unpacked.

    Raises:
        Fault: when the tarball has to be unpacked and is damaged.
    """
    return record.content_sha256 if record and record.sha256 == sha256 else tarball_digest(tarball)
