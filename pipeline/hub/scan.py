"""Reads the index of a hub piece by piece, for checks whose memory must not grow with the hub's entries."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.hub import shards
from pipeline.hub.entries import CollectionEntry, ModuleEntry
from pipeline.hub.folder import iterate_parts, refuse_empty, refuse_other_folder
from pipeline.hub.index import Index, parse_parts
from pipeline.hub.listed import ListedModule, list_module
from pipeline.hub.overview import Overview


@dataclass(frozen=True)
class Scan:
    """What can be read of the index of a hub.

    Attributes:
        overview: what it lists.
        faults: what is wrong with the rest of it.
    """

    overview: Overview
    faults: tuple[Fault, ...] = ()


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
    is_empty = True
    try:
        for part in iterate_parts(hub):
            if isinstance(part, Fault):
                damaged.append(part)
                continue
            is_empty = is_empty and not part[1]["modules"]
            index, more = parse_parts([part])
            faults += more
            collections |= index.collections
            modules |= {handle: list_module(entry) for handle, entry in index.modules.items()}
    except Fault as fault:  # of all of the index
        return Scan(Overview({}, {}, _no_part), (fault,))
    if not damaged:
        refuse_empty(hub, is_empty)
    overview = Overview(dict(sorted(modules.items())), dict(sorted(collections.items())), _no_part)
    return Scan(overview, (*damaged, *faults))


def _no_part(handle: str) -> Index:
    raise AssertionError(f"{handle}: no part of the index is kept")


def iterate_modules(hub: Path) -> Iterator[Index]:
    """Yields what can be read of each module: the entries of its versions and its aliases; then the collections.

    One shard of the index is in memory at a time. A module without versions may have aliases.
    """
    try:
        for part in iterate_parts(hub):
            if not isinstance(part, Fault):
                index, _ = parse_parts([part])
                yield from _split(index)
    except Fault:  # of all of the index, which scan_hub() returns
        return


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
