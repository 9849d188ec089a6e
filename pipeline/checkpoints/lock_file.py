"""pins: the lock file of a collection, which says what each checkpoint must be from its first download on.

`model_cards/<collection>/checkpoints.lock` is JSON, sorted, one line per fact, made to be reviewed and committed:

    {"<checkpoint>": {"arrays": "<digest of its arrays>", "files": {"<source>": "<SHA-256 of the file there>"}}}

The digest of the arrays (pipeline.checkpoints.digest) is the same for every source; the files differ from source to
source. What a card says of all this is worded here (statement), so that stamps can see when a card says otherwise.
Imports nothing but the standard library, since every make reads it.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.files import locked, write_text

NAME = "checkpoints.lock"


@dataclass(frozen=True)
class Pin:
    """What is known of one checkpoint: the digest of its arrays, and the SHA-256 of each source's file by source."""

    arrays: str | None = None
    files: dict[str, str] = field(default_factory=dict)


NOTHING = Pin()


def statement(pin: Pin, pinned: str | None, sha256: str | None, arrays: str | None) -> str:
    """Returns what may be said of a checkpoint's weights by now, as one line.

    Args:
        pin: what the lock file has of it.
        pinned: the SHA-256 that the member's YAML file has, or None.
        sha256: that of the .npz file.
        arrays: the digest of its arrays.
    """
    if pinned is not None and pinned == sha256:
        return "the digest is the one pinned for this member"
    if pin.arrays is not None and pin.arrays == arrays:
        return (
            f"the digest of its arrays, `{arrays}`, is the one recorded for this member at its first download: the"
            " weights have not changed since; that they were the original ones then rests on that download alone"
        )
    return "no digest is pinned for this member, so that these are the original weights was **not verified**"


def read(path: Path) -> dict[str, Pin]:
    """Returns the pins of a lock file by checkpoint; none where the file does not exist.

    Raises:
        Fault: when it is no JSON or not of the form above, as after a merge that went wrong.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Fault(f"{path}: not valid JSON ({error}); restore the committed file") from None
    if not isinstance(content, dict):
        raise Fault(f"{path}: expected a mapping of checkpoints; restore the committed file")
    return {name: _pin(path, name, entry) for name, entry in content.items()}


def _pin(path: Path, name: str, entry: Any) -> Pin:
    files = entry.get("files", {}) if isinstance(entry, dict) else None
    if not isinstance(files, dict) or entry.keys() - {"arrays", "files"}:
        raise Fault(f"{path}: {name!r} must have the keys 'arrays' and 'files', got {entry!r}")
    arrays = entry.get("arrays")
    for digest in (*files.values(), *([] if arrays is None else [arrays])):
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise Fault(f"{path}: the digests of {name!r} must be 64 hexadecimal digits in lower case, got {digest!r}")
    return Pin(arrays, files)


def check_file(path: Path, name: str, source: str, sha256: str) -> None:
    """Refuses the file of a source whose digest the lock file has otherwise.

    Raises:
        Fault: with both digests and how to accept the new one.
    """
    expected = read(path).get(name, NOTHING).files.get(source)
    if expected not in (None, sha256):
        raise Fault(
            f"{source}: wrong sha256: {path} has {expected}, got {sha256}; nothing was kept. Either the file is"
            " damaged: fetch it again; or another one lies there now: to accept it, remove the line of this source from"
            f" {path}, and the line 'arrays' of {name} if its weights have changed too, fetch again and have the change"
            " reviewed"
        )


def check_arrays(path: Path, name: str, source: str, arrays: str) -> None:
    """Refuses arrays with another digest than the lock file has.

    Raises:
        Fault: with both digests and how to accept the new one.
    """
    expected = read(path).get(name, NOTHING).arrays
    if expected not in (None, arrays):
        raise Fault(
            f"{source}: other weights than those of {name} in {path}: the digest of the arrays is {arrays}, expected"
            f" {expected}; nothing was kept. To accept them, remove the entry {name!r} from {path}, fetch again and"
            " have the change reviewed; for a trial say LOCK=<another file>"
        )


def record(path: Path, name: str, source: str, sha256: str, arrays: str) -> None:
    """Adds what a first download found. What is there stays, and is checked: another fetch may run beside this one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):  # the folder, so that no other file stays beside the lock file
        check_file(path, name, source, sha256)
        check_arrays(path, name, source, arrays)
        pins = read(path)
        old = pins.get(name, NOTHING)
        new = Pin(arrays, old.files | {source: sha256})
        if new != old:
            entries = {key: {"arrays": pin.arrays, "files": pin.files} for key, pin in (pins | {name: new}).items()}
            for entry in entries.values():
                if entry["arrays"] is None:
                    del entry["arrays"]
            write_text(path, json.dumps(entries, indent=2, sort_keys=True) + "\n")
