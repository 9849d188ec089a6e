"""Reads the index of a hub piece by piece, for checks whose memory must not grow with the hub's entries.

It is read twice: scan_hub() keeps what lists show, iterate_modules() yields whole entries. Somebody may publish
meanwhile, so the second reading takes only what has the digest of the first one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import content_digest
from pipeline.base.json_files import load_content
from pipeline.hub import shards
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.folder import Part, iterate_parts, read_part, refuse_empty, refuse_other_folder
from pipeline.hub.index import Index, parse_parts
from pipeline.hub.listed import ListedModule, list_module
from pipeline.hub.overview import Overview
from pipeline.hub.shards import REPAIR, ROOT


@dataclass(frozen=True)
class Scan:
    """What can be read of the index of a hub.

    Attributes:
        overview: what it lists.
        faults: what is wrong with the rest of it.
        root: the SHA-256 of index/root.json; empty where there is none.
        parts: the SHA-256 of each shard that could be read, or of index.json where there is no root, by path.
    """

    overview: Overview
    faults: tuple[Fault, ...] = ()
    root: str = ""
    parts: Mapping[Path, str] = field(default_factory=dict)


def scan_hub(hub: Path) -> Scan:
    """Reads every entry of a hub that has modules, and keeps what lists show of them.

    Raises:
        Fault: when there is no hub, it has no index, or it is empty.
    """
    refuse_other_folder(hub)
    modules: dict[str, ListedModule] = {}
    collections: dict[str, CollectionEntry] = {}
    faults: list[Fault] = []
    damaged: list[Fault] = []
    digests: dict[Path, str] = {}
    is_empty = True
    try:
        root = _digest(hub / ROOT)  # before it is read: a change in between is seen as one
        for part in iterate_parts(hub):
            if isinstance(part, Fault):
                damaged.append(part)
                continue
            is_empty = is_empty and not part.document["modules"]
            index, more = parse_parts([(part.path, part.document)])
            digests[part.path] = part.sha256
            faults += more
            collections |= index.collections
            modules |= {handle: list_module(entry) for handle, entry in index.modules.items()}
    except Fault as fault:  # of all of the index
        return Scan(Overview({}, {}, _no_part), (fault,))
    if not damaged:
        refuse_empty(hub, is_empty)
    overview = Overview(dict(sorted(modules.items())), dict(sorted(collections.items())), _no_part)
    return Scan(overview, (*damaged, *faults), root, digests)


def _no_part(handle: str) -> Index:
    raise AssertionError(f"{handle}: no part of the index is kept")


def iterate_modules(scan: Scan) -> Iterator[Index | Path]:
    """Yields what can be read of each module: the entries of its versions and its aliases; then the collections.

    One shard of the index is in memory at a time. A module without versions may have aliases. In the place of what a
    file lists that is no longer as scan_hub() read it, its path is yielded.
    """
    for path, sha256 in scan.parts.items():
        part = _read_again(path)
        if part is None or part.sha256 != sha256:
            yield path
            continue
        index, _ = parse_parts([(path, part.document)])  # with the faults that scan_hub() returned
        yield from _split(index)


def _read_again(path: Path) -> Part | None:
    """Returns a part of the index that could be read before; None where it cannot be read now."""
    try:
        return read_part(path)
    except (FileNotFoundError, Fault):
        return None


def find_changes(hub: Path, scan: Scan) -> Iterator[Path]:
    """Yields the files of the index that are no longer as scan_hub() read them, index/root.json the first."""
    for path, sha256 in {hub / ROOT: scan.root, **scan.parts}.items():
        try:
            is_same = _digest(path) == sha256
        except Fault:  # it could be read before
            is_same = False
        if not is_same:
            yield path


def _digest(path: Path) -> str:
    try:
        return content_digest(load_content(path, REPAIR))
    except FileNotFoundError:
        return ""


def _split(index: Index) -> Iterator[Index]:
    names = {handle.rpartition("/")[0]: None for handle in index.modules} | dict.fromkeys(index.document["aliases"])
    versions: dict[str, dict[str, ModuleEntry]] = {}
    for handle in index.modules:
        versions.setdefault(handle.rpartition("/")[0], {})[handle] = index.modules[handle]
    for name in names:
        aliases = {name: index.document["aliases"][name]} if name in index.document["aliases"] else {}
        chosen = {name: index.chosen[name]} if name in index.chosen else {}
        yield Index(versions.get(name, {}), {}, shards.empty_document() | {"aliases": aliases}, chosen)
    for address, entry in index.collections.items():
        yield Index({}, {address: entry}, shards.empty_document())
