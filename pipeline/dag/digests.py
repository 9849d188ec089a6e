"""Digests of files that stamps depend on, and the folder of stamps."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.base.files import folder_digest, has_text, sha256_of, write_memory
from pipeline.base.json_files import recall_json


def digest_texts(paths: Iterable[Path], root: Path) -> str:
    """Returns the digest of the names below `root` and the contents of those paths that are files; for small files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():
            digest.update(f"{path.relative_to(root)}\n{sha256_of(path)}\n".encode())
    return digest.hexdigest()


class Digests:
    """SHA-256 of large files, remembered by size and time, so that an unchanged file is not read again."""

    def __init__(self, memory: Path) -> None:
        """Reads what an earlier process remembered in the file `memory`."""
        self._memory = memory
        recalled: dict[str, Any] = recall_json(memory, dict) or {}
        self._entries = {path: entry for path, entry in recalled.items() if _is_entry(entry)}
        self._is_changed = not self._entries or len(self._entries) < len(recalled)  # a damaged memory is replaced

    def file(self, path: Path) -> str:
        """Returns the SHA-256 of a file in hexadecimal."""
        stat, key = path.stat(), str(path.absolute())
        entry = self._entries.get(key)
        if entry is None or entry[:2] != [stat.st_size, stat.st_mtime_ns]:
            entry = self._entries[key] = [stat.st_size, stat.st_mtime_ns, sha256_of(path)]
            self._is_changed = True
        return str(entry[2])

    def place(self, path: Path) -> str:
        """Returns the digest of a file, or of the names and contents of all files in a folder, hidden ones aside."""
        return self.file(path) if path.is_file() else folder_digest(path, self.file)

    def keep(self) -> None:
        """Writes what the next process is to remember, if something changed."""
        if self._is_changed:
            write_memory(self._memory, json.dumps(self._entries))


def _is_entry(entry: Any) -> bool:
    """Whether a value of the memory has the size and the time of a file, and its SHA-256; called 50,000 times."""
    return isinstance(entry, list) and list(map(type, entry)) == [int, int, str] and len(entry[2]) == 64


class Stamps:
    """A folder of stamps: files whose times make compares, each written only when its text changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str, renew: bool = False) -> None:
        """Writes a stamp where its text differs or `renew` is true."""
        path = self.folder / name
        if renew or not has_text(path, text):
            write_memory(path, text)

    def write_unless_empty(self, name: str, text: str) -> None:
        """Writes a stamp whose empty text means "as before".

        CHECKPOINTS= and IMAGENET= name places for one command, and the next command may leave them out. What was
        fetched and measured from them stays then, instead of being fetched from elsewhere or becoming "not measured".
        """
        if text or not (self.folder / name).exists():
            self.write(name, text)
