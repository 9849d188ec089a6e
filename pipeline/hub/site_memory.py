"""What the last build of a website knew, so that the next one reads and renders only what has changed.

site/memory.json is memory: where it is missing, damaged or of other code, the pages are compared one by one. It begins
with the digest of the rest, since nobody checks the million values in it. It has a line for each shard of the index, so
that those of shards that have not changed are written again as they were read.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, content_digest, make_way, read_bounded, replacing
from pipeline.hub.parts import ListedPart, recall_part

FILE = "site/memory.json"
_MEMORY, _NEXT, _END = b'"memory":[\n', b",\n", b"\n]}\n"
_LARGEST = 256 << 20  # bytes; 100,000 modules take 60 MB
# A file may change twice within a tick of the file system's clock and look the same: so young a file is read again.
_YOUNG = 2.0  # seconds


class SeenPage(NamedTuple):
    """A Markdown page when its HTML page was rendered.

    Attributes:
        state: what tells the file from another or an earlier one; empty where it is not sure to.
        present: the pages of the hub that it refers to, of those that were there.
        absent: likewise, of those that were not.
    """

    state: list[int]
    present: Sequence[str] = ()
    absent: Sequence[str] = ()

    def referring(self, names: Iterable[str], pages: frozenset[str]) -> "SeenPage":
        """Returns the page with what it refers to; `pages` are those of the hub."""
        present: list[str] = []
        absent: list[str] = []
        for name in sorted(names):
            (present if name in pages else absent).append(name)
        return SeenPage(self.state, present, absent)

    def is_current(self, path: str, pages: frozenset[str]) -> bool:
        """Whether a file, and which of the pages that it refers to are there, are as they were."""
        return (
            bool(self.state)
            and self.state == state_of(path)
            and pages.issuperset(self.present)
            and pages.isdisjoint(self.absent)
        )


@dataclass(frozen=True)
class SiteMemory:
    """What the last build knew.

    Attributes:
        manifest: the digest of site/pages.json; of another one, the memory is not of the pages that are there.
        around: the digest of what all pages depend on.
        lists: the digest of what the pages depend on that list modules.
        list_paths: of these pages.
        parts: what lists show of each shard of the index, by the shard's name.
        seen: the Markdown pages of modules and collections, by their names in the index.
        lines: the line of each part as it was read, by the shard's name.
    """

    manifest: str = ""
    around: str = ""
    lists: str = ""
    list_paths: Sequence[str] = ()
    parts: Mapping[str, ListedPart] = field(default_factory=dict)
    seen: Mapping[str, SeenPage] = field(default_factory=dict)
    lines: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    def has_same(self, name: str, other: "SiteMemory") -> bool:
        """Whether another memory has the very same objects of a part, and of the pages that it lists."""
        part = self.parts.get(name)
        return (
            part is not None
            and part is other.parts.get(name)
            and all(self.seen.get(page) is other.seen.get(page) for page in (*part.modules, *part.collections))
        )


def state_of(path: str) -> list[int]:
    """Returns what tells a file from another, or an earlier one; empty for none, or one that was written just now."""
    try:
        status = os.stat(path)  # noqa: PTH116 (10,000 of them: a Path takes three times as long)
    except OSError:
        return []
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def look_at(path: str) -> SeenPage:
    """Returns a Markdown page as it is now, before it is read."""
    state = state_of(path)
    is_young = bool(state) and abs(time.time_ns() - state[3]) < _YOUNG * 1e9
    return SeenPage([] if is_young else state)


def recall_memory(hub: Path, code: str) -> SiteMemory:
    """Returns what the last build knew; nothing where that is not known, or the build was of other code."""
    try:
        content = read_bounded(hub / FILE, _LARGEST)
        head, _, rest = content.partition(_MEMORY)
        text = rest.removesuffix(_END)
        del content, rest  # 6 MB each for 10,000 modules
        if head != _head(text):
            raise Unreadable("it has another digest than it says")
        with _uncollected():
            return _build(text, code)
    except FileNotFoundError:
        return SiteMemory()
    except (Unreadable, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, Fault) as reason:
        print(f"{hub / FILE}: {reason}; it counts as missing and is made again", file=sys.stderr, flush=True)
        return SiteMemory()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps what the block makes from the garbage collector, which would look at each object again and again.

    There are a million for 10,000 modules, which live as long as the process.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _build(text: bytes, code: str) -> SiteMemory:
    first, *lines = text.split(_NEXT)
    memory = json.loads(first)
    if memory["code"] != code:
        return SiteMemory()
    parts: dict[str, ListedPart] = {}
    seen: dict[str, SeenPage] = {}
    kept: dict[str, bytes] = {}
    for line in lines:
        name, part, pages = json.loads(line)
        parts[name], kept[name] = recall_part(part), line
        seen |= {page: SeenPage._make(values) for page, values in pages.items()}
    return SiteMemory(memory["manifest"], memory["around"], memory["lists"], memory["list_paths"], parts, seen, kept)


def write_site_memory(hub: Path, code: str, memory: SiteMemory, before: SiteMemory) -> None:
    """Writes what recall_memory() reads; `before` is what that returned."""
    first = {
        "code": code,
        "manifest": memory.manifest,
        "around": memory.around,
        "lists": memory.lists,
        "list_paths": [*memory.list_paths],
    }
    kept = {name: line for name, line in before.lines.items() if memory.has_same(name, before)}
    lines = (kept.get(name) or _render_part(memory, name) for name in memory.parts)
    text = _NEXT.join([_dump(first), *lines])
    make_way(hub / FILE)
    with replacing(hub / FILE) as stream:
        stream.writelines([_head(text), _MEMORY, text, _END])


def _render_part(memory: SiteMemory, name: str) -> bytes:
    part = memory.parts[name]
    seen = {page: memory.seen[page] for page in (*part.modules, *part.collections) if page in memory.seen}
    pages = {page: [seen.state, seen.present, seen.absent] for page, seen in seen.items()}
    return _dump([name, part.to_json(), pages])


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _head(text: bytes) -> bytes:
    return f'{{"sha256":"{content_digest(text)}",'.encode()


def forget(hub: Path) -> None:
    """Removes the memory before pages are written that it does not describe."""
    (hub / FILE).unlink(missing_ok=True)
