"""The hub: a folder laid out as TensorFlow Hub addresses it, its index, and the lock of whoever changes it."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.base import files
from pipeline.base.fault import Fault

Index = dict[str, dict[str, Any]]


def hub_folder(hub: str) -> Path:
    """Returns the folder that HUB= names, a path or a file: URL; raises Fault for anything else."""
    parts = urlsplit(hub)
    if parts.scheme not in ("", "file"):
        raise Fault(
            f"HUB={hub}: cannot publish to {parts.scheme}: yet; expected a folder, whose content can be copied there"
        )
    return Path(url2pathname(parts.path) if parts.scheme == "file" else hub).expanduser()


def published_index(hub: Path) -> Index:
    """Returns the index of a hub that others read.

    Raises:
        Fault: when there is no hub, it is empty, or its index is malformed.
    """
    other = "or name another folder with HUB= (without it, hub in ARTIFACTS is looked at)"
    if not hub.is_dir():
        raise Fault(f"HUB={hub}: no such folder; expected a hub: run make publish first, {other}")
    if not (hub / "index.json").is_file():
        raise Fault(
            f"HUB={hub}: there is no index.json, so it is no hub; expected a folder that make publish wrote, {other}"
        )
    index = read_index(hub)
    if not index["modules"]:
        raise Fault(f"HUB={hub}: no module is published there yet; run make publish first, {other}")
    return index


def locked(hub: Path) -> AbstractContextManager[None]:
    """Lets one publisher at a time change the hub, which is created if it is missing; the others wait."""
    return files.locked(hub / ".lock")


def read_index(hub: Path) -> Index:
    """Reads index.json, or returns an empty index for a new hub.

    Raises:
        Fault: when it is no JSON, or lacks an object of "modules" or "collections" whose values are objects.
    """
    path = hub / "index.json"
    if not path.exists():
        return {"modules": {}, "collections": {}}
    try:
        index: Index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or of UTF-8
        raise Fault(
            f"{path}: not valid JSON ({error}); restore it, or remove it and publish every member again"
        ) from None
    for kind in ("modules", "collections"):
        entries = index.get(kind) if isinstance(index, dict) else None
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise Fault(
                f"{path}: expected an object {kind!r} of objects; restore it, or remove it and publish every member"
                " again"
            )
    return index
