"""Whose checkpoint a file is, by its digests: a file that bears another's name is told by the digest alone."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.yaml_sections import YamlFile
from pipeline.checkpoints.digest import arrays_digest
from pipeline.checkpoints.lock_file import NAME, LockFile, Pin


def _of_members(cards: Path) -> Iterator[tuple[Path, str, str]]:
    """Yields each member's file, its checkpoint's upstream name and its pinned SHA-256; none of a file with faults."""
    for path in sorted(cards.glob("*/*.yaml")):
        with suppress(Fault, OSError):  # of another member, whose own stages say what is wrong with it
            section = YamlFile(path).plain().get("checkpoint")
            if isinstance(section, dict):
                yield path, str(section.get("name")), str(section.get("sha256"))


def _of_lock_files(cards: Path, lock: Path) -> Iterator[tuple[str, Pin]]:
    """Yields each checkpoint's name and what a lock file has of it; none of a lock file with faults."""
    for path in sorted({lock, *cards.glob(f"*/{NAME}")}):
        with suppress(Fault, OSError):
            yield from LockFile(path).pins.items()


def owner(digests: set[str], cards: Path, lock: Path, but: str) -> str | None:
    """Returns whose checkpoint has one of the digests: the members' names or else the checkpoint's, or None.

    Args:
        digests: SHA-256 of files, or digests of arrays (pipeline.checkpoints.digest).
        cards: the folder of all collections, whose members' files and lock files are looked through.
        lock: another lock file to look through.
        but: the name of a checkpoint that is not looked for.
    """
    found: set[str] = set()
    members: dict[str, list[str]] = {}
    for path, name, sha256 in _of_members(cards):
        members.setdefault(name, []).append(path.stem)
        if sha256 in digests:
            found.add(name)
    for name, pin in _of_lock_files(cards, lock):
        if digests & {pin.arrays, *pin.files.values()}:
            found.add(name)
    return " or ".join(", ".join(members.get(name, [name])) for name in sorted(found - {but})) or None


def remark(file: Path, npz: Path, cards: Path, lock: Path, but: str) -> str:
    """Returns a sentence, as it follows another one, on whose checkpoint a refused file is; "" where nothing knows it.

    Args:
        file: as its source has it.
        npz: the same as an .npz file, if it is one or could be made one.
        cards, lock, but: see owner().
    """
    digests = {sha256_of(file)}
    with suppress(Fault):  # it is damaged
        digests.add(arrays_digest(npz, str(npz)))
    known = owner(digests, cards, lock, but)
    return f". What was got is the checkpoint of {known}" if known else ""
