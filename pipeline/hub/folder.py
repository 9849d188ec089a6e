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
from pipeline.base.json_files import load_json
from pipeline.hub.index import Document, Index, check_handle, parse_entries, parse_index

_MOST_ENTRIES = 20_000  # TensorFlow Hub had some thousand; more would not fit into the values of a JSON file
_EMPTY: Document = {"modules": {}, "collections": {}}
_OTHER = "or name another folder with HUB= (the default is hub in ARTIFACTS)"


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


def inspect_index(hub: Path) -> tuple[Index, list[Fault]]:
    """Returns what can be read of the index of a hub that has modules, and what is wrong with the rest of it.

    Raises:
        Fault: when there is no hub, it has no index, or it is empty.
    """
    _refuse_other_folder(hub)
    try:
        document = _read_document(hub)
    except Fault as fault:
        return parse_index(hub / "index.json", _EMPTY), [fault]
    _refuse_empty(hub, document)
    return parse_entries(hub / "index.json", document)


def published_handles(hub: Path) -> list[str]:
    """Returns the handles of a hub that has modules, sorted; the entries are not read.

    Raises:
        Fault: when there is no hub, it is empty, its index has no objects of "modules" and "collections", or a name
            that is no handle.
    """
    handles = sorted(_published_document(hub)["modules"])
    for handle in handles:
        check_handle(hub / "index.json", handle)
    return handles


def write_index(hub: Path, index: Index) -> None:
    """Writes index.json."""
    write_text(hub / "index.json", json.dumps(index.document, indent=2, sort_keys=True) + "\n")


def _published_document(hub: Path) -> Document:
    _refuse_other_folder(hub)
    document = _read_document(hub)
    _refuse_empty(hub, document)
    return document


def _refuse_other_folder(hub: Path) -> None:
    if not hub.is_dir():
        raise Fault(f"HUB={hub}: no such folder; expected a hub: run make publish first, {_OTHER}")
    if not os.path.lexists(hub / "index.json"):
        raise Fault(f"HUB={hub}: there is no index.json, so this is not a hub; run make publish first, {_OTHER}")


def _refuse_empty(hub: Path, document: Document) -> None:
    if not document["modules"]:
        raise Fault(f"HUB={hub}: no modules are published there; run make publish first, {_OTHER}")


def _read_document(hub: Path) -> Document:
    """Reads index.json: two objects, "modules" and "collections", of objects, which are empty for a new hub."""
    path, repair = hub / "index.json", "restore it, or remove it and publish every member again"
    try:
        document: Document = load_json(path, repair)
    except FileNotFoundError:
        return _EMPTY
    required, given = ("modules", "collections"), document if isinstance(document, dict) else {}
    for kind in (*required, *({"aliases"} & given.keys())):  # older releases wrote no aliases
        entries = given.get(kind)
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise Fault(f"{path}: expected an object {kind!r} of objects; {repair}")
        if len(entries) > _MOST_ENTRIES:
            raise Fault(f"{path}: {len(entries):,} {kind}, at most {_MOST_ENTRIES:,} can be read; {repair}")
    return document
