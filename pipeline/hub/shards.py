"""The index of a hub in shards: index/<00-ff>.json by a hash of the module's name; index/root.json lists them.

A shard is written as a whole, and what it lists is published from that moment. So is the first entry of a new shard
once the root lists it. Nothing here reads or writes files: folders and object stores share it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.fault import Fault, show_name
from pipeline.base.json_files import parse_content
from pipeline.base.shard_names import EXPORT, EXPORTED, ROOT, shard_of, shard_of_entry, shard_path
from pipeline.hub.values import Entry

Document = dict[str, dict[str, Entry]]  # of the index, a shard or index.json: entries by name, by KINDS
__all__ = [
    "EXPORT", "EXPORTED", "KINDS", "MOST_ENTRIES", "REPAIR", "ROOT", "Document", "Root", "add_entries",
    "count_entries", "empty_document", "merge", "parse_document", "parse_root", "parse_shard", "render_document",
    "render_shards", "shard_of", "shard_of_entry", "shard_path", "split",
]  # fmt: skip

SCHEMA = 1  # a program that does not know a root's schema must not write that hub
KINDS = ("modules", "collections", "aliases")
MOST_ENTRIES = 20_000  # of a file, of each kind; more would not fit into the values of a JSON file
REPAIR = "restore it, or remove it and publish every member again"
_SHARD = re.compile("[0-9a-f]{2}")


@dataclass(frozen=True)
class Root:
    """What index/root.json says.

    Attributes:
        shards: which shards exist, sorted.
        url: the hub's public address; None where an index does not say.
    """

    shards: tuple[str, ...]
    url: str | None = None

    def render(self) -> str:
        url = {} if self.url is None else {"url": self.url}
        return _render({"schema": SCHEMA, "shards": sorted(self.shards)} | url)


def empty_document() -> Document:
    """Returns an index without entries."""
    return {kind: {} for kind in KINDS}


def count_entries(document: Document) -> int:
    """Returns how many modules and collections an index lists."""
    return len(document["modules"]) + len(document["collections"])


def render_document(document: Document) -> str:
    """Returns the text of a shard, or of index.json: equal entries give equal bytes."""
    return _render({kind: entries for kind, entries in document.items() if entries or kind != "aliases"})


def render_shards(document: Document) -> dict[str, str]:
    """Returns the text of each shard of an index, by its path."""
    return {shard_path(shard): render_document(part) for shard, part in split(document).items()}


def split(document: Document) -> dict[str, Document]:
    """Returns the part of an index that belongs to each shard that is not empty, sorted by shard."""
    parts: dict[str, Document] = {}
    for kind in KINDS:
        for name, entry in document.get(kind, {}).items():
            parts.setdefault(shard_of_entry(name), empty_document())[kind][name] = entry
    return dict(sorted(parts.items()))


def merge(documents: Iterable[Document]) -> Document:
    """Returns the index that parts make up."""
    merged = empty_document()
    for document in documents:
        for kind, entries in document.items():
            merged[kind] = merged.get(kind, {}) | entries
    return merged


def add_entries(document: Document, entries: Document) -> Document:
    """Returns a shard, or an index, with entries added; those of the same name are replaced."""
    return merge((document, entries))


def parse_root(place: Path | str, content: bytes) -> Root:
    """Reads index/root.json.

    Args:
        place: the file or its address, for messages.
        content: its bytes.

    Raises:
        Fault: when it is damaged, or was written by a newer version of this program.
    """
    content_of_root = parse_content(place, content, REPAIR)
    root = content_of_root if isinstance(content_of_root, dict) else {}
    schema, shards, url = root.get("schema"), root.get("shards"), root.get("url")
    if type(schema) is int and schema > SCHEMA:
        raise Fault(f"{place}: schema {schema}, at most {SCHEMA} is known here; use the newer program that wrote it")
    names = [name for name in shards if isinstance(name, str) and _SHARD.fullmatch(name)] if shards else []
    if type(schema) is not int or schema < 1 or names != shards or not isinstance(url, str | None):
        raise Fault(f"{place}: expected the keys 'schema' and 'shards', and names of shards from 00 to ff; {REPAIR}")
    return Root(tuple(sorted(set(names))), url)


def parse_shard(place: Path | str, content: bytes) -> Document:
    """Reads a shard.

    Args:
        place: the file or its address, whose name is the shard's, also <sha256>.<shard>.json; for messages, too.
        content: its bytes.

    Raises:
        Fault: when it is damaged, or lists what belongs to another shard.
    """
    read, shard = parse_content(place, content, REPAIR), PurePosixPath(place).stem.rpartition(".")[2]
    document = _check_document(place, read)
    for kind in read:
        if kind not in KINDS:
            raise Fault(f"{place}: '{show_name(kind)}' is an unknown kind of entries; {REPAIR}")
        for name in document[kind]:
            if (right := shard_of_entry(name)) != shard:
                text = f"'{show_name(name)}' belongs to {shard_path(right)}"
                raise Fault(f"{place}: {text}, so readers do not find it here; {REPAIR}")
    return document


def parse_document(place: Path | str, content: bytes) -> Document:
    """Reads index.json: objects "modules" and "collections" of objects, and "aliases" where there are some.

    Raises:
        Fault: when it is damaged, or lists more than MOST_ENTRIES.
    """
    return _check_document(place, parse_content(place, content, REPAIR))


def _check_document(place: Path | str, document: Any) -> Document:
    for kind in KINDS:
        entries = document.get(kind, {} if kind == "aliases" else None) if isinstance(document, dict) else None
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise Fault(f"{place}: expected an object {kind!r} of objects; {REPAIR}")
        if len(entries) > MOST_ENTRIES:
            raise Fault(f"{place}: {len(entries):,} {kind}, at most {MOST_ENTRIES:,} can be read; {REPAIR}")
    return {kind: document.get(kind, {}) for kind in KINDS}


def _render(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
