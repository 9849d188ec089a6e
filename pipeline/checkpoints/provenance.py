"""The record of where a checkpoint comes from: `checkpoint.json` beside `checkpoint.npz`.

fetch writes it, convert copies it into the modules, validate into the report. It names no folder or host of one
machine; of a user's file it keeps only the name. How the weights were verified goes into the report alone: a module has
the same bytes whoever made it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.base.files import sha256_of, write_memory
from pipeline.base.json_files import recall_json
from pipeline.base.verification import Verification


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint comes from.

    Attributes:
        source: the address in the YAML file that had it, or the name of the user's file.
        sha256: of the .npz file, in hexadecimal.
        arrays_sha256: the digest of its arrays, see pipeline.checkpoints.digest.
        verification: how it was verified that these are the weights of the checkpoint that the YAML file names.
        converted_from: whose names the arrays of the source's file have, its kind, what stood before the names, and
            the types that were widened, if it was converted: "timm safetensors", "big_vision npz below params/,
            float16".
        source_sha256: of the source's file, if it was converted.
        prefix: checkpoint.prefix, where it chose one of several models.
    """

    source: str
    sha256: str
    arrays_sha256: str
    verification: Verification
    converted_from: str | None = None
    source_sha256: str | None = None
    prefix: str | None = None

    def facts(self) -> dict[str, str]:
        """Returns the fields that are not None but for `verification`, for provenance.json."""
        return {name: value for name, value in asdict(self).items() if value is not None and name != "verification"}


def path_of(checkpoint: Path) -> Path:
    """Returns the path of a checkpoint's record."""
    return checkpoint.with_name("checkpoint.json")


def write(checkpoint: Path, origin: Origin) -> None:
    """Writes the record beside a checkpoint."""
    write_memory(path_of(checkpoint), json.dumps(asdict(origin), indent=2, sort_keys=True) + "\n")


def read_record(checkpoint: Path) -> Origin | None:
    """Returns the record beside a checkpoint; None if it is missing, damaged or of another version of this program."""
    return recall_json(path_of(checkpoint), Origin)


def read(checkpoint: Path) -> Origin:
    """Returns the record beside a checkpoint; without one, or if it is of other bytes, one made from the file alone."""
    from pipeline.checkpoints.digest import arrays_digest  # needs NumPy, which stamps must not import

    sha256, origin = sha256_of(checkpoint), read_record(checkpoint)
    if origin is not None and origin.sha256 == sha256:
        return origin
    return Origin(checkpoint.name, sha256, arrays_digest(checkpoint, str(checkpoint)), Verification.UNVERIFIED)
