"""The lock file of a collection: what each checkpoint must be from its first download on.

`model_cards/<collection>/checkpoints.lock` is JSON, sorted, one fact a line, made to be reviewed and committed:

    {"<checkpoint>": {"arrays": "<digest of its arrays>", "files": {"<source>": "<SHA-256 of the file there>"}}}

The digest of the arrays (pipeline.checkpoints.digest) is the same for every source; the files differ from source to
source. Imports neither NumPy nor an HTTP client, since every make reads the file.
"""

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, show_name
from pipeline.base.files import NOT_WRITABLE, locked, write_text
from pipeline.base.json_files import load_json

NAME = "checkpoints.lock"
_REPAIR = "restore the committed file"


@dataclass(frozen=True)
class Pin:
    """What the lock file records of one checkpoint.

    Attributes:
        arrays: the digest of its arrays, or None.
        files: the SHA-256 of each source's file, by the source's name.
    """

    arrays: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Returns the checkpoint's entry in the lock file."""
        return ({} if self.arrays is None else {"arrays": self.arrays}) | {"files": dict(self.files)}


NO_PIN = Pin()


class WrongDigest(Fault):
    """A checkpoint is not the pinned one."""


class LockFile:
    """A lock file, read once.

    Attributes:
        path: where it lies.
        pins: the pins by checkpoint; empty if there is no such file.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            Fault: when it is not valid JSON or not of the form above, as after a merge that went wrong.
        """
        self.path = path
        self.pins = _read(path)

    def pin_of(self, name: str) -> Pin:
        """Returns the pin of a checkpoint, an empty one if nothing is recorded."""
        return self.pins.get(name, NO_PIN)

    def check_file(self, name: str, source: str, sha256: str) -> None:
        """Refuses a source's file with another digest than the recorded one.

        Raises:
            WrongDigest: with both digests and how to accept the new one.
        """
        expected = self.pin_of(name).files.get(source)
        if expected not in (None, sha256):
            raise WrongDigest(
                f"{source}: wrong sha256: {self.path} has {expected}, got {sha256}; nothing was kept. If the file is"
                " damaged, fetch it again. If the source has another file now and you accept it: remove the line of"
                f" this source from {self.path}, and the line 'arrays' of {name} if its weights have changed too, then"
                " fetch again and have the change reviewed"
            )

    def check_arrays(self, name: str, place: str, arrays: str) -> None:
        """Refuses arrays with another digest than the recorded one; `place` is what the message calls the file.

        Raises:
            WrongDigest: with both digests and how to accept the new one.
        """
        expected = self.pin_of(name).arrays
        if expected not in (None, arrays):
            raise WrongDigest(
                f"{place}: other weights than {self.path} has for {name}: the digest of the arrays is {arrays},"
                f" expected {expected}; nothing was kept. To accept them, remove the entry {name!r} from {self.path},"
                " fetch again and have the change reviewed; for a trial, set LOCK=<another file>"
            )

    def record(self, name: str, source: str, sha256: str, arrays: str) -> None:
        """Adds the digests of a first download, and keeps what other fetches have added meanwhile.

        Raises:
            WrongDigest: when one of them has recorded other digests of the same checkpoint.
            Fault: when the file has to be written and cannot be.
        """
        try:
            self._record(name, source, sha256, arrays)
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            raise Fault(
                f"{self.path}: cannot be written ({error.strerror}), and the digests of a first download belong there;"
                " make it writable, or set LOCK=<another file>; the download stays in the cache"
            ) from None

    def _record(self, name: str, source: str, sha256: str, arrays: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path.parent):  # the folder, so that no other file stays beside the lock file
            self.pins = _read(self.path)
            self.check_file(name, source, sha256)
            self.check_arrays(name, source, arrays)
            old = self.pin_of(name)
            new = Pin(arrays, {**old.files, source: sha256})
            if new != old:
                self.pins = {**self.pins, name: new}
                entries = {name: pin.as_json() for name, pin in self.pins.items()}
                write_text(self.path, json.dumps(entries, indent=2, sort_keys=True) + "\n")


def _read(path: Path) -> dict[str, Pin]:
    try:
        content = load_json(path, _REPAIR)
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict):
        raise Fault(f"{path}: expected a mapping of checkpoints; {_REPAIR}")
    return {name: _read_pin(path, name, entry) for name, entry in content.items()}


def _read_pin(path: Path, name: str, entry: Any) -> Pin:
    files = entry.get("files", {}) if isinstance(entry, dict) else None
    if not isinstance(files, dict) or entry.keys() - {"arrays", "files"}:
        got = show_name(repr(entry))
        raise Fault(f"{path}: '{show_name(name)}' must have the keys 'arrays' and 'files', got {got}; {_REPAIR}")
    arrays = entry.get("arrays")
    for digest in (*files.values(), *([] if arrays is None else [arrays])):
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            expected = f"the digests of '{show_name(name)}' must be 64 hexadecimal digits in lower case"
            raise Fault(f"{path}: {expected}, got {show_name(repr(digest))}; {_REPAIR}")
    return Pin(arrays, files)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option --lock, which locate() takes."""
    parser.add_argument("--lock", help=f"the lock file (default: {NAME} beside the member's YAML file)")


def locate(folder: Path, setting: str | None) -> Path:
    """Returns the path of the lock file: the setting, else the one in the collection's folder."""
    return Path(setting) if setting else folder / NAME
