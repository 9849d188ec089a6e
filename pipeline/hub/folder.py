"""The folder of a hub, laid out as TensorFlow Hub's addresses: where it is, its index.json and its lock."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.base import files
from pipeline.base.fault import Fault
from pipeline.base.files import expand_home, write_text
from pipeline.base.text import decode
from pipeline.hub.index import Document, Index, parse_index


def hub_folder(hub: str) -> Path:
    """Returns the folder that HUB= names, a path or a file: URL; raises Fault for anything else."""
    parts = urlsplit(hub)
    if parts.scheme not in ("", "file"):
        raise Fault(
            f"HUB={hub}: cannot publish to {parts.scheme}: addresses; expected a folder, which you can copy there"
        )
    return expand_home(url2pathname(parts.path) if parts.scheme == "file" else hub)


@contextmanager
def locked(hub: Path) -> Iterator[None]:
    """Lets one publisher at a time change the hub, which is created if it is missing; the others wait.

    Everybody may read what is written meanwhile, as a web server must, whatever the umask is: it is published. Whether
    a group may write there is left to the umask.

    Raises:
        Fault: when this user may not write there, though perhaps to a folder in it.
    """
    umask = os.umask(0o022)
    os.umask(umask & ~0o055)
    try:
        with files.locked(hub / ".lock"):
            if not os.access(hub, os.W_OK):
                raise Fault(f"HUB={hub}: this user may not write there; make it writable, or name another folder")
            yield
    finally:
        os.umask(umask)


def read_index(hub: Path) -> Index:
    """Reads index.json, or returns an empty index for a new hub.

    Raises:
        Fault: when it is not JSON or is malformed.
    """
    return parse_index(hub / "index.json", _read_document(hub))


def published_index(hub: Path) -> Index:
    """Returns the index of a hub that has modules.

    Raises:
        Fault: when there is no hub, it is empty, or its index is malformed.
    """
    return parse_index(hub / "index.json", _published_document(hub))


def published_handles(hub: Path) -> list[str]:
    """Returns the handles of a hub that has modules, sorted; the entries are not read.

    Raises:
        Fault: when there is no hub, it is empty, or its index has no objects of "modules" and "collections".
    """
    return sorted(_published_document(hub)["modules"])


def write_index(hub: Path, index: Index) -> None:
    """Writes index.json."""
    write_text(hub / "index.json", json.dumps(index.document, indent=2, sort_keys=True) + "\n")


def _published_document(hub: Path) -> Document:
    other = "or name another folder with HUB= (the default is hub in ARTIFACTS)"
    if not hub.is_dir():
        raise Fault(f"HUB={hub}: no such folder; expected a hub: run make publish first, {other}")
    if not (hub / "index.json").is_file():
        raise Fault(f"HUB={hub}: there is no index.json, so this is not a hub; run make publish first, {other}")
    document = _read_document(hub)
    if not document["modules"]:
        raise Fault(f"HUB={hub}: no modules are published there; run make publish first, {other}")
    return document


def _read_document(hub: Path) -> Document:
    """Reads index.json: two objects, "modules" and "collections", of objects, which are empty for a new hub."""
    path = hub / "index.json"
    if not path.exists():
        return {"modules": {}, "collections": {}}
    repair = "restore it, or remove it and publish every member again"
    try:
        document: Document = json.loads(decode(path.read_bytes(), path, repair))
    except json.JSONDecodeError as error:
        raise Fault(f"{path}:{error.lineno}: not valid JSON ({error.msg}); {repair}") from None
    for kind in ("modules", "collections"):
        entries = document.get(kind) if isinstance(document, dict) else None
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise Fault(f"{path}: expected an object {kind!r} of objects; {repair}")
    return document
