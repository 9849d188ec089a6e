"""Whether what was made of a member's checkpoint still agrees with the lock file.

Held against the record beside the checkpoint and against the cards themselves, not against an earlier stamp: the first
fetch writes the lock file while make runs.
"""

from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.section import Checkpoint


def read_lock(path: Path) -> LockFile | None:
    """Returns a lock file, or None for one that is not valid: fetch then runs, and reports it."""
    try:
        return LockFile(path)
    except Fault:
        return None


def has_other_weights(checkpoint: Path, lock: LockFile | None, name: str) -> bool:
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


def has_outdated_card(checkpoint: Path, lock: LockFile | None, section: Checkpoint) -> bool:
    """Whether a card beside a checkpoint lacks the statement on pinned digests that is true now.

    Args:
        checkpoint: the fetched checkpoint, with its record; the cards lie beside it.
        lock: the lock file, see read_lock().
        section: the section `checkpoint` of the member.
    """
    record = provenance.read_record(checkpoint)
    if record is None:
        return False  # nothing was fetched; the cards will follow
    if lock is None:
        return True
    pin = lock.pin_of(section.name)
    statement = pin.describe_verification(section.sha256, record.sha256, record.arrays_sha256)
    cards = [checkpoint.with_name(f"{head}.md") for head in Head]
    return any(card.exists() and statement not in card.read_text(encoding="utf-8") for card in cards)
