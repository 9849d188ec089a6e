"""The index of a hub: every version of every module, and every collection."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pipeline.base.fault import Fault, show_name
from pipeline.base.heads import Head
from pipeline.facts.collection import Collection, handle
from pipeline.hub.aliases import LATEST, Aliases, latest_of, read_aliases
from pipeline.hub.entries import CollectionEntry, ModuleEntry, read_collection, read_module
from pipeline.hub.shards import Document, merge
from pipeline.hub.values import Entry
from pipeline.hub.withdrawal import HANDLE, NAME

_Read = TypeVar("_Read")
_MODULE = HANDLE
_COLLECTION = re.compile(f"{NAME}/collections/{NAME}/1", re.ASCII)


def handles_of(collection: Collection, member: str, version: int) -> dict[Head, str]:
    """Returns the handles of a member's modules.

    Raises:
        Fault: for a name that no handle can have.
    """
    handles = {head: handle(collection, member, head, version) for head in Head}
    if not all(map(_MODULE.fullmatch, handles.values())):
        raise Fault(f"{member}: cannot be part of a handle, expected a letter or digit, then also '_', '.' and '-'")
    return handles


@dataclass(frozen=True)
class Index:
    """What a hub holds.

    Attributes:
        modules: every version of every module by handle, sorted.
        collections: by address, <publisher>/collections/<name>/1, sorted.
        document: what was read, to be written again: it may hold keys of newer versions of this program.
        chosen: the aliases that a person gave, such as "stable", by <publisher>/<name>.
    """

    modules: dict[str, ModuleEntry]
    collections: dict[str, CollectionEntry]
    document: Document
    chosen: Aliases = field(default_factory=dict)

    @property
    def entries(self) -> dict[str, ModuleEntry | CollectionEntry]:
        """All modules and collections, by handle and address."""
        return {**self.modules, **self.collections}

    @cached_property
    def versions(self) -> dict[str, tuple[ModuleEntry, ...]]:
        """The versions of each module, the newest first, by <publisher>/<name>."""
        versions: dict[str, list[ModuleEntry]] = {}
        for entry in sorted(self.modules.values(), key=lambda entry: -entry.version):
            versions.setdefault(f"{entry.publisher}/{entry.name}", []).append(entry)
        return {name: tuple(entries) for name, entries in versions.items()}

    @cached_property
    def aliases(self) -> Aliases:
        """The version that each alias of a module stands for, by <publisher>/<name>, sorted.

        "latest" is the newest released version that is not yanked; a module without one has no "latest".
        """
        names = sorted(self.versions)
        latest = {name: latest_of(self.versions[name]) for name in names}
        merged = {
            name: dict(self.chosen.get(name, {})) | ({LATEST: version} if (version := latest[name]) else {})
            for name in names
        }
        return {name: dict(sorted(aliases.items())) for name, aliases in merged.items() if aliases}

    @cached_property
    def publishers(self) -> tuple[str, ...]:
        return tuple(sorted({entry.publisher for entry in self.entries.values()}))

    def with_modules(self, entries: Mapping[str, ModuleEntry]) -> "Index":
        """Returns the index with entries added or replaced."""
        written = {name: entry.to_json() for name, entry in entries.items()}
        document = {**self.document, "modules": self.document["modules"] | written}
        return replace(self, modules=dict(sorted({**self.modules, **entries}.items())), document=document)._listed()

    def with_collection(self, entry: CollectionEntry) -> "Index":
        """Returns the index with a collection added or replaced."""
        document = {**self.document, "collections": self.document["collections"] | {entry.address: entry.to_json()}}
        return replace(
            self, collections=dict(sorted({**self.collections, entry.address: entry}.items())), document=document
        )

    def with_alias(self, name: str, alias: str, version: int) -> "Index":
        """Returns the index with an alias of a module, <publisher>/<name>, for one of its versions."""
        chosen = {**self.chosen, name: {**self.chosen.get(name, {}), alias: version}}
        return replace(self, chosen=chosen)._listed()

    def _listed(self) -> "Index":
        """Returns the index with its aliases in the document."""
        written = {name: dict(aliases) for name, aliases in self.aliases.items()}
        return replace(self, document={**self.document, "aliases": written})


def parse_index(path: Path, document: Document) -> Index:
    """Reads the content of an index.json.

    Args:
        path: of the file, for messages.
        document: its content.

    Raises:
        Fault: for an entry that is malformed, or has a name that leads elsewhere than to its place in the hub.
    """
    index, faults = parse_entries(path, document)
    if faults:
        raise faults[0]
    return index


def parse_entries(path: Path, document: Document) -> tuple[Index, list[Fault]]:
    """Reads the content of an index.json as parse_index() does; returns what is well-formed, and the other Faults."""
    return parse_parts([(path, document)])


def parse_parts(parts: Iterable[tuple[Path, Document]]) -> tuple[Index, list[Fault]]:
    """Reads the parts of an index, each with its file for messages, as parse_entries() does."""
    faults: list[Fault] = []
    documents: list[Document] = []
    modules: dict[str, ModuleEntry] = {}
    collections: dict[str, CollectionEntry] = {}
    chosen: dict[str, Mapping[str, int]] = {}
    for path, document in parts:
        modules |= _read_entries(path, document["modules"], _MODULE, read_module, faults)
        collections |= _read_entries(path, document["collections"], _COLLECTION, read_collection, faults)
        chosen |= _read_aliases(path, document.get("aliases", {}), modules, faults)
        documents.append(document)
    modules, collections = dict(sorted(modules.items())), dict(sorted(collections.items()))
    return Index(modules, collections, merge(documents), chosen), faults


def _read_aliases(
    path: Path, document: dict[str, Entry], modules: Mapping[str, ModuleEntry], faults: list[Fault]
) -> Aliases:
    """Returns the aliases that a person gave; adds what is wrong with the others to `faults`.

    "latest" is computed from the versions: whoever repairs an index by removing an entry need not mend that, too.
    """
    chosen = {}
    for name, entry in sorted(document.items()):
        try:
            aliases = {alias: version for alias, version in read_aliases(entry).items() if alias != LATEST}
            unknown = [version for version in aliases.values() if f"{name}/{version}" not in modules]
            if unknown:
                raise ValueError(f"there is no {show_name(name)}/{unknown[0]}")
        except (TypeError, ValueError) as error:
            advice = "remove them, and give them again with make alias"
            faults.append(Fault(f"{path}: the aliases of '{show_name(name)}' are malformed ({error}); {advice}"))
        else:
            chosen[name] = aliases
    return {name: aliases for name, aliases in chosen.items() if aliases}


def check_handle(path: Path, name: str, pattern: re.Pattern[str] = _MODULE) -> None:
    """Raises Fault for a name that leads elsewhere than to a module's place in the hub."""
    if not pattern.fullmatch(name):
        expected = "expected <publisher>/<module>/<version>; remove the entry"
        raise Fault(f"{path}: '{show_name(name)}' is no handle, {expected}")


def _read_entries(
    path: Path,
    entries: dict[str, Entry],
    pattern: re.Pattern[str],
    read: Callable[[str, Entry], _Read],
    faults: list[Fault],
) -> dict[str, _Read]:
    """Returns the entries by name, sorted; adds what is wrong with the others to `faults`."""
    read_entries = {}
    for name, entry in sorted(entries.items()):
        try:
            check_handle(path, name, pattern)
            read_entries[name] = _read_entry(path, name, entry, read)
        except Fault as fault:
            faults.append(fault)
    return read_entries


def _read_entry(path: Path, name: str, entry: Entry, read: Callable[[str, Entry], _Read]) -> _Read:
    try:
        return read(name, entry)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        advice = "restore index.json, or remove the entry and publish that member again"
        raise Fault(f"{path}: the entry {name} is malformed ({reason}); {advice}") from None
