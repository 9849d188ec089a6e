"""What a hub lists: of every module what lists show, of every collection its entry, and where whole entries are."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.hub.entries import CollectionEntry
from pipeline.hub.index import Index
from pipeline.hub.listed import ListedModule, list_module


@dataclass(frozen=True)
class Overview:
    """What a hub lists.

    Attributes:
        modules: every version of every module by handle, sorted.
        collections: by address, sorted.
        part_of: returns the part of the index with all versions of a module, by a handle.
        states: the digest of the part of the index that has a module, by its shard; empty where they are not known.
        unchanged: the handles of the modules of which the index says what it said when the website was built.
    """

    modules: Mapping[str, ListedModule]
    collections: Mapping[str, CollectionEntry]
    part_of: Callable[[str], Index] = field(repr=False)
    states: Mapping[str, str] = field(default_factory=dict)
    unchanged: Collection[str] = frozenset()

    @classmethod
    def of(cls, index: Index) -> "Overview":
        """Returns the overview of a whole index."""
        modules = {handle: list_module(entry) for handle, entry in index.modules.items()}
        return cls(modules, index.collections, lambda _: index)

    @cached_property
    def newest(self) -> tuple[ListedModule, ...]:
        """The version to show first of every module, by title, then handle.

        That is the newest released one, or the newest draft where none is released; no yanked one.
        """
        best: dict[str, tuple[bool, int, ListedModule]] = {}
        for module in self.modules.values():
            if not module.is_yanked:
                name, _, version = module.handle.rpartition("/")
                rank = (module.is_released, int(version), module)
                if name not in best or rank[:2] > best[name][:2]:
                    best[name] = rank
        return tuple(
            sorted((module for _, _, module in best.values()), key=lambda each: (each.title.lower(), each.handle))
        )

    @cached_property
    def publishers(self) -> tuple[str, ...]:
        names = {handle.partition("/")[0] for handle in self.modules}
        return tuple(sorted(names | {entry.publisher for entry in self.collections.values()}))

    @property
    def entries(self) -> int:
        """How many modules and collections there are."""
        return len(self.modules) + len(self.collections)
