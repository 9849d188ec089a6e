"""Whether what was made of a member's checkpoint still agrees with the lock file.

Held against the record beside the checkpoint, not against an earlier stamp: the first fetch writes the lock file while
make runs.
"""

from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile


def read_lock(path: Path) -> LockFile | None:
    """Returns a lock file, or None for one that is not valid: fetch then runs, and reports it."""
    try:
        return LockFile(path)
    except Fault:
        return None


def is_outdated(checkpoint: Path, lock: LockFile | None, name: str) -> bool:
    """Whether a fetched checkpoint has other arrays than the lock file, or a record of another version of this program.

    A lock file that has the same arrays, or none, changes nothing.

    Args:
        checkpoint: the fetched checkpoint; its record lies beside it, see pipeline.checkpoints.provenance.
        lock: the lock file, see read_lock().
        name: the checkpoint's upstream name.
    """
    if not provenance.path_of(checkpoint).exists():
        return False
    record = provenance.read_record(checkpoint)
    if record is None or lock is None:
        return True
    return lock.pin_of(name).arrays not in (None, record.arrays_sha256)


def verified_text(checkpoint: Path, lock: LockFile | None, name: str) -> str:
    """Returns how the lock file verifies a file that fetch could not verify; "" where that makes no difference.

    The file and what was made of it stay; only pages say something else.
    """
    record = provenance.read_record(checkpoint)
    if record is None or lock is None or record.verification.is_verified:
        return ""
    return "recorded" if lock.pin_of(name).arrays == record.arrays_sha256 else ""
