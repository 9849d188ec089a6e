"""The folder of a hub, laid out as TensorFlow Hub's addresses: where it is, its index and its lock."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.base import files
from pipeline.base.fault import Fault
from pipeline.base.files import content_digest, expand_home, has_text, sync, write_text
from pipeline.base.json_files import load_content
from pipeline.base.siblings import is_marker, is_sibling, sweep_tree
from pipeline.hub import shards
from pipeline.hub.index import Index, check_handle, parse_parts
from pipeline.hub.shards import EXPORT, EXPORTED, REPAIR, ROOT, Document, Root

# TensorFlow Hub had some thousand modules. An entry takes 1 kB, and 10 kB in memory.
MOST_LISTED = 100_000  # entries of a whole index
LARGEST_INDEX = 256 << 20  # bytes of all shards together
_LOCK, _CLEAN = ".lock", ".clean"  # the second one is there while nothing is unfinished
_OTHER = "or name another folder with HUB= (the default is hub in ARTIFACTS)"


def hub_folder(hub: str) -> Path:
    """Returns the folder that HUB= names, a path or a file: URL; raises Fault for anything else."""
    parts = urlsplit(hub)
    if parts.scheme not in ("", "file"):
        raise Fault(
            f"HUB={hub}: cannot publish to {parts.scheme}: addresses; expected a folder, which you can copy there"
        )
    if parts.scheme != "file":
        return expand_home(hub)
    from urllib.request import url2pathname  # slow, and every make comes here

    return expand_home(url2pathname(parts.path))


@dataclass
class Lock:
    """The lock of a hub.

    Attributes:
        hub: its folder.
        is_clean: whether no killed process has left files that it had begun.
    """

    hub: Path
    is_clean: bool = False

    def sweep(self) -> int:
        """Removes what killed processes have left, where there may be such files; returns how many it has removed.

        It looks into every folder, which takes a second for each 20,000 modules.
        """
        if self.is_clean:
            return 0
        count = sweep_tree(self.hub)
        names = (name for _, folders, files in os.walk(self.hub) for name in (*folders, *files))
        # Those of running processes stay, and nobody publishes the marker of a make that runs on several machines.
        self.is_clean = not any(is_sibling(name) and not is_marker(name) for name in names)
        return count


@contextmanager
def locked(hub: Path) -> Iterator[Lock]:
    """Lets one publisher at a time change the hub, which is created if it is missing; the others wait.

    Everybody may read what is written meanwhile, as a web server must, whatever the umask is: it is published. Whether
    a group may write there is left to the umask.

    Raises:
        Fault: when this user may not write there, though perhaps to a folder in it.
    """
    umask = os.umask(0o022)
    os.umask(umask & ~0o055)
    try:
        with files.locked(hub / _LOCK) as is_alone:
            if not os.access(hub, os.W_OK):
                raise Fault(f"HUB={hub}: this user may not write there; make it writable, or name another folder")
            with _marking(Lock(hub), is_alone) as lock:
                yield lock
    finally:
        os.umask(umask)


@contextmanager
def _marking(lock: Lock, is_alone: bool) -> Iterator[Lock]:
    """Removes the mark of a clean hub while the block runs, so that it is missing after a kill.

    It is a file of its own: whoever may write in the hub may remove it, also where the lock file is another user's.
    Where others may write meanwhile, since there are no locks, no mark is believed or made.
    """
    path, text = lock.hub / _CLEAN, _mark_of(lock.hub)
    lock.is_clean = is_alone and has_text(path, text)
    if os.path.lexists(path):
        path.unlink()
        sync(lock.hub)  # a crash of the machine must not bring it back after later writes
    try:
        yield lock
    finally:  # also after an exception: whoever fills a sibling removes it then
        if lock.is_clean and is_alone:
            with suppress(OSError):  # as of a full disk; without a mark the next publisher looks into every folder
                write_text(path, text)


def _mark_of(hub: Path) -> str:
    """Returns what the mark of a hub says: of which folder it is, since a copy may have files that were unfinished.

    Not the number of the file system, which NFS gives anew at each mount, on each machine.
    """
    return f"{hub.stat().st_ino} {(hub / _LOCK).stat().st_ino}\n"


@dataclass(frozen=True)
class Part:
    """A file of the index as it was read: a shard, or index.json.

    Attributes:
        path: of the file.
        document: its content.
        sha256: the digest of its bytes; empty where there is no file.
        size: in bytes.
    """

    path: Path
    document: Document
    sha256: str = ""
    size: int = 0


def has_index(hub: Path) -> bool:
    """Whether a folder is a hub: it has an index in shards, or only index.json, as hubs of older versions have."""
    return os.path.lexists(hub / ROOT) or os.path.lexists(hub / EXPORT)


def read_index(hub: Path) -> Index:
    """Reads the index, or returns an empty one for a new hub.

    Raises:
        Fault: when a file of it is not JSON or is malformed.
    """
    parts, faults = _read_parts(hub)
    index, more = parse_parts(parts)
    if faults or more:
        raise [*faults, *more][0]
    return index


def inspect_index(hub: Path) -> tuple[Index, list[Fault]]:
    """Returns what can be read of the index of a hub that has modules, and what is wrong with the rest of it.

    Raises:
        Fault: when there is no hub, it has no index, or it is empty.
    """
    refuse_other_folder(hub)
    try:
        parts, faults = _read_parts(hub)
    except Fault as fault:
        return parse_parts([])[0], [fault]
    if not faults:
        refuse_empty(hub, not any(document["modules"] for _, document in parts))
    index, more = parse_parts(parts)
    return index, [*faults, *more]


@dataclass(frozen=True)
class Published:
    """What a hub has.

    Attributes:
        first: a handle: of the first module by name the newest version; a withdrawn one where there are no others.
        modules: how many modules there are, each with its versions.
    """

    first: str
    modules: int


def look_up_published(hub: Path) -> Published:
    """Returns what a hub has; of its entries only whether they are withdrawn is read, one shard at a time.

    Raises:
        Fault: when there is no hub, it is empty, its index has no objects of "modules" and "collections", or a name
            that is no handle.
    """
    refuse_other_folder(hub)
    first: tuple[tuple[bool, str, int], str] | None = None
    count = 0
    for part in iterate_parts(hub):
        if isinstance(part, Fault):
            raise part
        document = part.document
        for handle in sorted(document["modules"]):
            check_handle(part.path, handle)
        orders = ((_order(handle, entry), handle) for handle, entry in document["modules"].items())
        first = min([*([first] if first else []), *orders], default=None)
        count += len({handle.rpartition("/")[0] for handle in document["modules"]})
    refuse_empty(hub, first is None)
    assert first
    return Published(first[1], count)


def _order(handle: str, entry: object) -> tuple[bool, str, int]:
    name, _, version = handle.rpartition("/")
    is_withdrawn = isinstance(entry, dict) and bool(entry.get("yanked") or entry.get("deprecated"))
    return is_withdrawn, name, -int(version)


def read_root(hub: Path) -> Root | None:
    """Reads index/root.json; None for a new hub, and for one whose index is index.json alone.

    Raises:
        Fault: when it is damaged.
    """
    try:
        content = load_content(hub / ROOT, REPAIR)
    except FileNotFoundError:
        return None
    return shards.parse_root(hub / ROOT, content)


def write_index(hub: Path, index: Index, url: str | None = None) -> None:
    """Writes the shards that differ from what is there, then the root, then index.json for a hub that is not too large.

    Args:
        hub: its folder.
        index: what it holds.
        url: the hub's public address; None leaves the one that is there.
    """
    texts = shards.render_shards(index.document)
    write_shards(hub, texts, {Path(path).stem for path in texts}, url)
    if shards.count_entries(index.document) <= EXPORTED:
        write_export(hub, index.document)
    else:
        (hub / EXPORT).unlink(missing_ok=True)


def write_shards(hub: Path, texts: Mapping[str, str], listed: Collection[str], url: str | None = None) -> None:
    """Writes shards that differ from what is there, then the root.

    Args:
        hub: its folder.
        texts: of shards that may have changed, by their paths.
        listed: the names of all shards, which the root lists.
        url: the hub's public address; None leaves the one that is there.
    """
    for path, text in texts.items():
        _write_changed(hub / path, text)
    before = read_root(hub)
    root = Root(tuple(sorted(listed)), url or (before.url if before else None))
    _write_changed(hub / ROOT, root.render())
    for unlisted in unlisted_shards(hub, root):
        unlisted.unlink()


def write_export(hub: Path, document: Document) -> None:
    """Writes index.json, where it differs from what is there."""
    _write_changed(hub / EXPORT, shards.render_document(document))


def unlisted_shards(hub: Path, root: Root) -> list[Path]:
    """Returns the shards that are there, and that the root does not list: their publisher was killed."""
    listed = {hub / shards.shard_path(shard) for shard in root.shards}
    return sorted(set((hub / ROOT).parent.glob("[0-9a-f][0-9a-f].json")) - listed)


def find_disagreements(hub: Path, index: Index) -> Iterator[str]:
    """Yields where index.json says something else than the shards, and the shards that the root does not list."""
    return compare_export(hub, shards.count_entries(index.document), lambda: index.document)


def compare_export(hub: Path, entries: int, read: Callable[[], Document]) -> Iterator[str]:
    """Yields what find_disagreements() does.

    Args:
        hub: its folder.
        entries: how many modules and collections the shards list.
        read: returns the content of all shards; called where there may be an index.json.
    """
    root = read_root(hub)
    if root is None:
        return
    for path in unlisted_shards(hub, root):
        yield f"{path}: {hub / ROOT} does not list it; run make publish again, which completes it, or remove it"
    if entries > EXPORTED:
        if os.path.lexists(hub / EXPORT):
            yield f"{hub / EXPORT}: out of date, since a hub of more than {EXPORTED:,} entries has none; remove it"
        return
    try:
        export = _read_export(hub)
    except Fault as fault:
        yield str(fault)
        return
    if name := next(_differing(export, read()), None):
        shard = shards.shard_path(shards.shard_of_entry(name))
        yield f"{hub / EXPORT}: {name} differs from {shard}, which counts; publish any member again, which writes it"


def _differing(export: Document, document: Document) -> Iterator[str]:
    for kind in shards.KINDS:
        mine, other = export[kind], document.get(kind, {})
        yield from sorted(name for name in mine.keys() | other.keys() if mine.get(name) != other.get(name))


def _write_changed(path: Path, text: str) -> None:
    if not has_text(path, text):
        write_text(path, text)


def refuse_other_folder(hub: Path) -> None:
    """Raises Fault where there is no hub, or it has no index."""
    if not hub.is_dir():
        raise Fault(f"HUB={hub}: no such folder; expected a hub: run make publish first, {_OTHER}")
    if not has_index(hub):
        raise Fault(f"HUB={hub}: there is no index.json, so this is not a hub; run make publish first, {_OTHER}")


def refuse_empty(hub: Path, is_empty: bool) -> None:
    """Raises Fault for a hub that lists no modules."""
    if is_empty:
        raise Fault(f"HUB={hub}: no modules are published there; run make publish first, {_OTHER}")


def _read_parts(hub: Path) -> tuple[list[tuple[Path, Document]], list[Fault]]:
    """Returns what iterate_parts() yields: the parts that can be read, and what is wrong with the others."""
    read = list(iterate_parts(hub))
    parts = [(part.path, part.document) for part in read if not isinstance(part, Fault)]
    return parts, [part for part in read if isinstance(part, Fault)]


def iterate_parts(hub: Path) -> Iterator[Part | Fault]:
    """Yields the shards that the root lists, or index.json where there is no root.

    In the place of one that cannot be read it yields what is wrong with it.

    Raises:
        Fault: when the root, or index.json in its place, is damaged, or all of it is too large.
    """
    root = read_root(hub)
    if root is None:
        try:
            yield read_part(hub / EXPORT)
        except FileNotFoundError:  # of a new hub
            yield Part(hub / EXPORT, shards.empty_document())
        return
    size = count = 0
    for path in (hub / shards.shard_path(shard) for shard in root.shards):
        try:
            part = read_part(path)
        except FileNotFoundError:
            yield Fault(f"{path}: missing, but {hub / ROOT} lists it; {REPAIR}")
            continue
        except Fault as fault:
            yield fault
            continue
        size += part.size
        count += shards.count_entries(part.document)
        if size > LARGEST_INDEX:
            raise Fault(f"{path.parent}: the shards have more than {LARGEST_INDEX:,} bytes; {REPAIR}")
        if count > MOST_LISTED:
            raise Fault(f"{hub / 'index'}: {count:,} entries, at most {MOST_LISTED:,} can be read; {REPAIR}")
        yield part


def read_part(path: Path) -> Part:
    """Reads a shard, or index.json.

    Raises:
        FileNotFoundError: when there is no such file.
        Fault: when it is damaged.
    """
    content = load_content(path, REPAIR)
    parse = shards.parse_document if path.name == EXPORT else shards.parse_shard
    return Part(path, parse(path, content), content_digest(content), len(content))


def _read_export(hub: Path) -> Document:
    """Reads index.json, which is empty for a new hub."""
    try:
        return read_part(hub / EXPORT).document
    except FileNotFoundError:
        return shards.empty_document()
