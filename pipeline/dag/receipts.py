"""Whether the hub still holds what a receipt of publish lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable
from pipeline.base.json_files import build, load_json, recall_json


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


def is_incomplete(receipt: Path) -> bool:
    """Whether the hub lacks something that a receipt lists: a file or its size, the index's entry, a page.

    True for a damaged receipt, too: publish writes it again.
    """
    if not receipt.exists():
        return False
    record = recall_json(receipt, _Receipt)
    if record is None:
        return True
    hub = Path(record.hub)
    try:
        index = load_json(hub / "index.json", "")
        files = {name: build(list[_File], entry.get("files")) for name, entry in record.published.items()}
    except (OSError, Fault, Unreadable):
        return True  # publish reports what is wrong with the index
    entries = [entries for entries in index.values() if isinstance(entries, dict)] if isinstance(index, dict) else []
    listed = {name for names in entries for name in names}
    return not all(name in listed and _is_published(hub, name, files[name]) for name in record.published)


def _is_published(hub: Path, name: str, files: Sequence[_File]) -> bool:
    publisher = name.split("/")[0]
    pages = ("index.html", f"{name}.html", f"{publisher}/{publisher}.md", f"{publisher}/{publisher}.html")
    has_pages = all(_size(hub / page) is not None for page in pages)
    return has_pages and all(_size(hub / file.path) == file.size for file in files)


def _size(path: Path) -> int | None:
    """Returns the size of a file; None where there is none, or none can have such a name."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None
