"""Whether what was made of a member's checkpoint still agrees with the lock file.

Held against the record beside the checkpoint, not against an earlier stamp: the first fetch writes the lock file while
make runs.
"""

from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.verification import Verification
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile


def read_lock(path: Path) -> LockFile | None:
    """Returns a lock file, or None for one that is not valid: fetch then runs, and reports it."""
    try:
        return LockFile(path)
    except Fault:
        return None


def is_outdated(checkpoint: Path, lock: LockFile | None, name: str) -> bool:
    """Whether fetch must run again: the lock file has other arrays, or can verify the weights now.

    Also where another version of this program wrote the record. A lock file that has no arrays changes nothing: what
    was verified once stays so.

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
    arrays = lock.pin_of(name).arrays
    is_new = arrays is not None and record.verification is Verification.UNVERIFIED
    return is_new or arrays not in (None, record.arrays_sha256)
