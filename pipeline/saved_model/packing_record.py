"""Remembers what package packed, so that publish reads a tarball once and need not unpack it."""

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
    """

    sha256: str
    content_sha256: str


def _path_of(tarball: Path) -> Path:
    return tarball.with_name(f"{tarball.name}.json")


def write_record(tarball: Path, record: PackingRecord) -> None:
    """Writes the record beside the tarball."""
    write_memory(_path_of(tarball), json.dumps(dataclasses.asdict(record)) + "\n")


def content_of(tarball: Path, sha256: str) -> str:
    """Returns content_digest() of a tarball.

    Args:
        tarball: the file.
        sha256: of all its bytes. Only a record of these bytes counts; without one the tarball is unpacked.

    Raises:
        Fault: when the tarball has to be unpacked and is damaged.
    """
    record = recall_json(_path_of(tarball), PackingRecord)
    return record.content_sha256 if record and record.sha256 == sha256 else tarball_digest(tarball)
