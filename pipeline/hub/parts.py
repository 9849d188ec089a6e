"""The index of a hub, shard by shard: only what has changed since it was read the last time is parsed again.

What lists show of the modules of a shard is remembered under the shard's digest (pipeline.hub.site_memory). Where that
is not known, the shard is parsed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.files import content_digest
from pipeline.base.json_files import load_content
from pipeline.hub import shards
from pipeline.hub.entries import CollectionEntry, read_collection
from pipeline.hub.folder import LARGEST_INDEX, MOST_LISTED, read_index, read_root, write_export, write_shards
from pipeline.hub.index import Index, parse_index
from pipeline.hub.listed import ListedModule, list_module, recall_module
from pipeline.hub.overview import Overview
from pipeline.hub.shards import EXPORT, EXPORTED, REPAIR, ROOT, Document, Root

_ROOM = 20_000  # bytes for a new entry; with four formats, plots and examples it has about 8,000
_DIGITS = 16  # of a SHA-256, 64 bits: enough to tell the states of a module apart, and 10,000 are remembered


@dataclass(frozen=True)
class ListedPart:
    """What lists show of a shard.

    Attributes:
        sha256: the digest of the shard.
        modules: of the shard, by handle, sorted.
        collections: likewise, by address.
        entries: the digest of all that the shard says of a module, by <publisher>/<name>.
    """

    sha256: str
    modules: Mapping[str, ListedModule]
    collections: Mapping[str, CollectionEntry]
    entries: Mapping[str, str]

    @classmethod
    def of(cls, sha256: str, index: Index) -> "ListedPart":
        modules = {handle: list_module(entry) for handle, entry in index.modules.items()}
        facts = {name: repr((versions, index.aliases.get(name))) for name, versions in index.versions.items()}
        entries = {name: content_digest(text.encode(errors="surrogatepass"))[:_DIGITS] for name, text in facts.items()}
        return cls(sha256, modules, index.collections, entries)

    def to_json(self) -> dict[str, Any]:
        collections = {address: entry.to_json() for address, entry in self.collections.items()}
        modules, entries = [*self.modules.values()], {**self.entries}
        return {"sha256": self.sha256, "modules": modules, "collections": collections, "entries": entries}

    def find_unchanged(self, before: "ListedPart | None") -> Collection[str]:
        """Returns the handles of the modules of which an earlier part of the same name says the same."""
        if before is None:
            return ()
        if before is self:
            return self.modules.keys()
        names = {name for name, _ in self.entries.items() & before.entries.items()}
        return [handle for handle in self.modules if handle.rpartition("/")[0] in names]


def recall_part(memory: Mapping[str, Any]) -> ListedPart:
    """Returns what ListedPart.to_json() wrote; raises KeyError, TypeError, ValueError, IndexError for other values."""
    modules = {module.handle: module for module in map(recall_module, memory["modules"])}
    collections = {address: read_collection(address, entry) for address, entry in memory["collections"].items()}
    return ListedPart(memory["sha256"], modules, collections, memory["entries"])


@dataclass(frozen=True)
class Shard:
    """A shard as it was read.

    Attributes:
        path: of its file.
        sha256: the digest of its content.
        given: its content, where there is no file of it yet.
    """

    path: Path
    sha256: str
    given: Document | None = None

    @cached_property
    def document(self) -> Document:
        """Its content; raises Fault where it is damaged."""
        return self.given or shards.parse_shard(self.path, load_content(self.path, REPAIR))

    @cached_property
    def index(self) -> Index:
        """Its entries; raises Fault for a malformed one."""
        return parse_index(self.path, self.document)


@dataclass(frozen=True)
class Parts:
    """The index of a hub in shards.

    Attributes:
        hub: its folder.
        root: what index/root.json says; None for a new hub.
        shards: by name.
        known: what lists show of shards, by name; those of other digests do not count.
    """

    hub: Path
    root: Root | None
    shards: Mapping[str, Shard]
    known: Mapping[str, ListedPart] = field(default_factory=dict)

    def part_of(self, name: str) -> Index:
        """Returns the shard that has an entry, by its name in the index; an empty one where there is none."""
        shard = self.shards.get(shards.shard_of_entry(name))
        return shard.index if shard else Index({}, {}, shards.empty_document())

    @cached_property
    def listed(self) -> dict[str, ListedPart]:
        """What lists show of each shard; raises Fault for a malformed one, or too many entries."""
        listed = {}
        for name, shard in self.shards.items():
            known = self.known.get(name)
            listed[name] = known if known and known.sha256 == shard.sha256 else ListedPart.of(shard.sha256, shard.index)
        count = sum(len(part.modules) + len(part.collections) for part in listed.values())
        if count > MOST_LISTED:
            raise Fault(f"{self.hub / 'index'}: {count:,} entries, at most {MOST_LISTED:,} can be read; {REPAIR}")
        return listed

    @cached_property
    def overview(self) -> Overview:
        """What the hub lists."""
        modules: dict[str, ListedModule] = {}
        collections: dict[str, CollectionEntry] = {}
        for part in self.listed.values():
            modules.update(part.modules)
            collections.update(part.collections)
        states = {name: shard.sha256 for name, shard in self.shards.items()}
        by_handle = {handle: modules[handle] for handle in sorted(modules)}
        unchanged = {
            handle for name, part in self.listed.items() for handle in part.find_unchanged(self.known.get(name))
        }
        return Overview(by_handle, dict(sorted(collections.items())), self.part_of, states, unchanged)

    def refuse_full(self, *names: str) -> None:
        """Raises Fault where the index has no room for entries of these names: no command could read it afterwards."""
        modules, collections = self.overview.modules, self.overview.collections
        count = len(modules) + len(collections)
        more = [name for name in names if name not in modules and name not in collections]
        # Those of a hub of an older version are all of its index.json.
        size = sum(path.stat().st_size for path in {shard.path for shard in self.shards.values()})
        if more and (count + len(more) > MOST_LISTED or size + _ROOM * len(more) > LARGEST_INDEX):
            sizes = f"{count:,} entries in {size:,} bytes, and may have {MOST_LISTED:,} in {LARGEST_INDEX:,}"
            raise Fault(
                f"HUB={self.hub}: no room for {' and '.join(more)}: its index has {sizes}; publish to another HUB"
            )

    def merge(self, *names: str) -> Index:
        """Returns the shards that have some entries as one index, to be changed and written.

        Of a hub of an older version, which has no shards, it is all of the index.
        """
        merged = {shards.shard_of_entry(name) for name in names} if self.root else self.shards.keys()
        parts = [self.shards[name].index for name in sorted(merged) if name in self.shards]
        modules = {handle: entry for part in parts for handle, entry in part.modules.items()}
        collections = {address: entry for part in parts for address, entry in part.collections.items()}
        chosen = {name: aliases for part in parts for name, aliases in part.chosen.items()}
        return Index(
            dict(sorted(modules.items())),
            dict(sorted(collections.items())),
            shards.merge(part.document for part in parts),
            chosen,
        )


def read_parts(hub: Path, known: Mapping[str, ListedPart]) -> Parts:
    """Reads the shards of a hub's index, and parses none.

    Args:
        hub: its folder.
        known: what the hub's website remembers of them.

    Raises:
        Fault: when the root is damaged, a shard is missing, or all of them are too large; for a hub of an older
            version, which has index.json alone, when an entry of that is malformed.
    """
    root = read_root(hub)
    if root is None:
        return Parts(hub, None, dict(_split(hub)), known)
    read: dict[str, Shard] = {}
    size = 0
    for name in root.shards:
        path = hub / shards.shard_path(name)
        try:
            content = load_content(path, REPAIR)
        except FileNotFoundError:
            raise Fault(f"{path}: missing, but {hub / ROOT} lists it; {REPAIR}") from None
        size += len(content)
        if size > LARGEST_INDEX:
            raise Fault(f"{path.parent}: the shards have more than {LARGEST_INDEX:,} bytes; {REPAIR}")
        read[name] = Shard(path, content_digest(content))
    return Parts(hub, root, read, known)


def _split(hub: Path) -> list[tuple[str, Shard]]:
    """Returns the shards that a hub without any will have, from its index.json."""
    documents = shards.split(read_index(hub).document)
    return [
        (name, Shard(hub / EXPORT, content_digest(shards.render_document(document).encode()), document))
        for name, document in documents.items()
    ]


def write_parts(parts: Parts, changed: Index, url: str | None = None) -> Parts:
    """Writes shards that differ from what is there, then the root, then index.json for a hub that is not too large.

    Args:
        parts: the index until now.
        changed: what merge() returned, with what is new.
        url: the hub's public address; None leaves the one that is there.

    Returns:
        The index from now on.
    """
    texts = shards.render_shards(changed.document)
    written = {Path(path).stem for path in texts}
    write_shards(parts.hub, texts, parts.shards.keys() | written, url)
    others = [name for name in parts.shards if name not in written]
    listed = sum(len(parts.listed[name].modules) + len(parts.listed[name].collections) for name in others)
    if listed + shards.count_entries(changed.document) > EXPORTED:
        (parts.hub / EXPORT).unlink(missing_ok=True)
    else:
        write_export(parts.hub, shards.merge([changed.document, *(parts.shards[name].document for name in others)]))
    new = {Path(path).stem: Shard(parts.hub / path, content_digest(text.encode())) for path, text in texts.items()}
    return replace(parts, root=read_root(parts.hub), shards=dict(sorted({**parts.shards, **new}.items())))
