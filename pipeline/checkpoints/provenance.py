"""origin: what is known of a checkpoint beside its arrays, in `checkpoint.json` beside `checkpoint.npz`.

fetch writes it, convert puts it into the modules, validate into the report. It names no folder or host of one machine:
of what the user brings, a file's name is all that it keeps. Whether a digest is pinned is not in it: that changes with
the lock file and the YAML file (pipeline.checkpoints.lock_file).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.base.files import sha256_of, write_text

TIMM = "timm safetensors"


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint comes from.

    Attributes:
        source: the address of the YAML file that had it, or the name of the user's own file.
        sha256: of the .npz file, in hexadecimal.
        arrays_sha256: the digest of its arrays, see pipeline.checkpoints.digest.
        converted_from: the kind of file that the source has where it is no .npz.
        source_sha256: of the source's file where that was converted.
    """

    source: str
    sha256: str
    arrays_sha256: str
    converted_from: str | None = None
    source_sha256: str | None = None

    def facts(self) -> dict[str, str]:
        """Returns what belongs to the modules for good: nothing that is None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def path_of(checkpoint: Path) -> Path:
    """Returns where the record of a checkpoint lies."""
    return checkpoint.with_name("checkpoint.json")


def write(checkpoint: Path, origin: Origin) -> None:
    """Writes the record beside a checkpoint."""
    write_text(path_of(checkpoint), json.dumps(asdict(origin), indent=2, sort_keys=True) + "\n")


def read_record(checkpoint: Path) -> Origin | None:
    """Returns the record beside a checkpoint, or None where there is none or another version wrote it."""
    try:
        return Origin(**json.loads(path_of(checkpoint).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def read(checkpoint: Path) -> Origin:
    """Returns the record beside a checkpoint; of a file without one, or of other bytes, what the file itself says."""
    from pipeline.checkpoints.digest import arrays_digest  # needs NumPy, which stamps does without

    sha256, origin = sha256_of(checkpoint), read_record(checkpoint)
    if origin is not None and origin.sha256 == sha256:
        return origin
    return Origin(checkpoint.name, sha256, arrays_digest(checkpoint, str(checkpoint)))
