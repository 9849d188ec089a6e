"""Whether what a record lists is still there: the hub's files of a receipt, those of a member's formats.json."""

import functools
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable
from pipeline.base.json_files import build, load_json, recall_json
from pipeline.base.shard_names import EXPORT, EXPORTED, ROOT, shard_of_entry, shard_path
from pipeline.base.stored_names import plain_path
from pipeline.facts.formats import FOLDER, REPORT


@dataclass(frozen=True)
class _Receipt:
    """A receipt: the hub's folder, and the entries of its index."""

    hub: str
    published: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _File:
    """A published file, as pipeline.hub.entries writes it."""

    path: str
    size: int
    sha256: str
    title: str | None = None


def lacks_formats(folder: Path) -> bool:
    """Whether a member's outputs lack a file that its formats.json lists, or that is damaged; false without one."""
    path = folder / REPORT
    if not path.exists():
        return False
    try:
        record = load_json(path, "", nan=True)
        return not all(
            _size(folder / FOLDER / head / file["path"]) == file["size"]
            for head, reports in record["modules"].items()
            for listed in (*(report["files"] for report in reports), record.get("pages", {}).get(head, []))
            for file in listed
        )
    except (Fault, AttributeError, KeyError, TypeError):
        return True  # the stage writes it again


def is_incomplete(receipt: Path) -> bool:
    """Whether the hub lacks something that a receipt lists: a file or its size, the index's entry, a page.

    True for a damaged receipt, too: publish writes it again.
    """
    if not receipt.exists():
        return False
    record = recall_json(receipt, _Receipt)
    return record is None or not _has_all(record, is_as_published=True)


def find_published(receipt: Path, hub: Path) -> Set[str]:
    """Returns the names of the entries that a receipt lists, where this hub has all of them; else an empty set.

    Their cards may be others: a withdrawal replaces them. The receipt may name the hub by another path, through a link,
    say.
    """
    record = recall_json(receipt, _Receipt)
    if record is None or not hub.exists() or not _has_all(record, False) or not hub.samefile(record.hub):
        return frozenset()
    return record.published.keys()


def _has_all(record: _Receipt, is_as_published: bool) -> bool:
    """Whether the hub of a receipt has what it lists; `is_as_published`: and the same cards."""
    hub = Path(record.hub)
    try:
        listed = _listed(hub, record.published)
        files = {name: build(list[_File], entry.get("files")) for name, entry in record.published.items()}
    except (OSError, Fault, Unreadable):
        return False  # publish reports what is wrong with the index
    return all(name in listed and _is_published(hub, name, files[name], is_as_published) for name in record.published)


def _listed(hub: Path, names: Iterable[str]) -> Set[str]:
    """Returns what the index lists: the shards of these names, or all of index.json in a hub without shards.

    Raises:
        OSError, Fault: when a part of it is missing or damaged, index.json too, which only a large hub lacks.
    """
    if not (hub / ROOT).exists():
        return _names(hub / EXPORT)
    root = load_json(hub / ROOT, "")
    shards = root.get("shards") if isinstance(root, dict) else None
    if not isinstance(shards, list):
        return set()
    if not (hub / EXPORT).exists() and _count(hub, tuple(map(str, shards))) <= EXPORTED:
        return set()
    needed = {shard_of_entry(name) for name in names} & set(map(str, shards))
    return {name for shard in needed for name in _names(hub / shard_path(shard))}


@functools.cache  # for every member of a large hub
def _count(hub: Path, shards: Sequence[str]) -> int:
    return sum(len(_names(hub / shard_path(shard))) for shard in shards)


def _names(path: Path) -> frozenset[str]:
    """Returns the names of all entries in index.json or in a shard."""
    status = path.stat()
    return _names_of(path, status.st_size, status.st_mtime_ns)


@functools.cache  # thousands of members share the shards
def _names_of(path: Path, size: int, modified: int) -> frozenset[str]:
    index = load_json(path, "")
    entries = [entries for entries in index.values() if isinstance(entries, dict)] if isinstance(index, dict) else []
    return frozenset(name for names in entries for name in names)


def _is_published(hub: Path, name: str, files: Sequence[_File], is_as_published: bool) -> bool:
    publisher = name.split("/")[0]
    pages = ("index.html", f"{name}.html", f"{publisher}/{publisher}.md", f"{publisher}/{publisher}.html")
    has_pages = all(_size(hub / page) is not None for page in pages)
    return has_pages and all(_is_there(hub, name, file, is_as_published) for file in files)


def _is_there(hub: Path, name: str, file: _File, is_as_published: bool) -> bool:
    plain = plain_path(file.path)
    if plain == f"{name}.md" and not is_as_published:
        return _size(hub / plain) is not None
    return all(_size(hub / path) == file.size for path in (file.path, plain))


def _size(path: Path) -> int | None:
    """Returns the size of a file; None where there is none, or none can have such a name."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None
