"""Finds whose checkpoint a file is by its digests, whatever the file's name."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import folder_digest, sha256_of
from pipeline.base.yaml_sections import YamlFile
from pipeline.checkpoints.digest import arrays_digest
from pipeline.checkpoints.lock_file import NAME, LockFile, Pin


def digests_of(file: Path, npz: Path) -> set[str]:
    """Returns the SHA-256 of a file and, if `npz` is a whole .npz, the digest of its arrays.

    Args:
        file: a source's file.
        npz: the same checkpoint as an .npz: the file itself, or what it was converted to.
    """
    digests = {sha256_of(file) if file.is_file() else folder_digest(file)}
    with suppress(Fault):  # damaged, or not converted
        digests.add(arrays_digest(npz, str(npz)))
    return digests


def find_owner(digests: set[str], collections: Path, lock: Path, but: str) -> str | None:
    """Returns whose checkpoint has one of the digests: the names of its members, or else its own; None for nobody's.

    Args:
        digests: SHA-256 of files, and digests of arrays (pipeline.checkpoints.digest).
        collections: the folder of all collections, whose YAML files and lock files are searched.
        lock: another lock file to search.
        but: the name of a checkpoint to leave out.
    """
    owners: set[str] = set()
    members: dict[str, list[str]] = {}
    for path, name, sha256 in _pins_of_members(collections):
        members.setdefault(name, []).append(path.stem)
        if sha256 in digests:
            owners.add(name)
    for name, pin in _pins_of_lock_files({lock, *collections.glob(f"*/{NAME}")}):
        if digests & {pin.arrays, *pin.files.values()}:
            owners.add(name)
    return " or ".join(", ".join(members.get(name, [name])) for name in sorted(owners - {but})) or None


def _pins_of_members(collections: Path) -> Iterator[tuple[Path, str, str]]:
    """Yields each member's YAML file, the name of its checkpoint and its pinned SHA-256."""
    for path in sorted(collections.glob("*/*.yaml")):
        with suppress(Fault, OSError):  # another member's file: its own stages report what is wrong
            section = YamlFile(path).plain().get("checkpoint")
            if isinstance(section, dict):
                yield path, str(section.get("name")), str(section.get("sha256")).lower()


def _pins_of_lock_files(paths: set[Path]) -> Iterator[tuple[str, Pin]]:
    """Yields the name and the pin of each checkpoint in the lock files."""
    for path in sorted(paths):
        with suppress(Fault, OSError):  # another collection's file: its own stages report what is wrong
            yield from LockFile(path).pins.items()
