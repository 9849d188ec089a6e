"""Whether the hub still holds what a receipt of publish lists."""

import json
from pathlib import Path
from typing import Any


def is_incomplete(receipt: Path) -> bool:
    """Whether the hub lacks something that a receipt lists: a file or its size, the index's entry, a page."""
    if not receipt.exists():
        return False
    record = json.loads(receipt.read_text(encoding="utf-8"))
    hub = Path(record["hub"])
    try:
        index = json.loads((hub / "index.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return True  # publish reports it
    return not all(_is_published(hub, index, name, entry["files"]) for name, entry in record["published"].items())


def _is_published(hub: Path, index: dict[str, Any], name: str, files: list[dict[str, Any]]) -> bool:
    publisher = name.split("/")[0]
    pages = ("index.html", f"{name}.html", f"{publisher}/{publisher}.md", f"{publisher}/{publisher}.html")
    return (
        any(name in entries for entries in index.values())
        and all((hub / page).exists() for page in pages)
        and all(_has_size(hub / file["path"], file["size"]) for file in files)
    )


def _has_size(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size == size
