"""Opens a SavedModel for doctor and evaluate alike: whatever name people have for it.

    a folder            with saved_model.pb, or above one: a serving folder (the newest version counts), a cache of
                        kagglehub, a snapshot of Hugging Face
    an archive          .tar, .tar.gz, .tar.bz2, .tar.xz or .zip with such a folder
    its saved_model.pb

read_files() lists the files and reads the graph without writing anything; open_folder() gives a folder to load.
pipeline.saved_model.remote also takes addresses.
"""

import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from pipeline.base import archives
from pipeline.base.archives import (
    Entry,
    EntryKind,
    Member,
    Packing,
    detect_packing,
    is_safe,
    leads_outside,
    read_archive,
)
from pipeline.base.fault import Fault, list_names, show_name
from pipeline.saved_model.bundle import INDEX, LARGEST_INDEX
from pipeline.saved_model.files import GRAPH_FILES, Files, belongs_to_model, is_read, walk_model
from pipeline.saved_model.locate import choose_model, find_graphs, find_snapshot, is_file
from pipeline.saved_model.other_formats import HEAD, recognize_content, recognize_file, recognize_wrong_file

_EXPECTED = "expected a SavedModel: its folder, a folder above it, an archive of one, or its address"
_GRAPH = 1 << 31  # bytes of a graph, at most
_LISTED, _HEADS = 10_000, 100  # files of a folder or archive without a SavedModel that are listed, and looked into


# Places ---------------------------------------------------------------------------------------------------------------
def _is_archive(path: Path) -> bool:
    """Whether a path is an archive, not a folder.

    Raises:
        Fault: when it is neither.
    """
    if path.is_dir():
        return False
    if not path.is_file():
        problem = "neither a folder nor a regular file" if path.exists() else "no such file or folder"
        raise Fault(f"{path}: {problem}; {_EXPECTED}")
    if detect_packing(path) is not None:
        return True
    if not path.stat().st_size:
        raise Fault(f"{path}: the file is empty; {_EXPECTED}")
    other = recognize_file(path)
    raise Fault(other.sentence(path) if other else f"{path}: neither a folder nor an archive; {_EXPECTED}")


def _to_folder(path: Path) -> Path:
    """Returns the folder of a model that is named by its saved_model.pb, else the path."""
    return path.parent if path.name in GRAPH_FILES and path.is_file() else path


def _search(folder: Path, where: Path) -> tuple[Path, str]:
    """Returns the folder of the SavedModel in or below a folder, and a note of the choice.

    Args:
        folder: where to search.
        where: what to call it in messages.

    Raises:
        Fault: when there is none, or something else is in place of its files.
    """
    folder = find_snapshot(folder) or folder
    graphs = find_graphs(folder)
    if not graphs:
        files = [path for path in sorted(islice(folder.rglob("*"), _LISTED)) if path.is_file()]
        heads = {path.relative_to(folder).as_posix(): _read_head(path) for path in files[:_HEADS]}
        raise _no_model(where, [path.relative_to(folder).as_posix() for path in files], heads)
    choice = choose_model(where, graphs)
    model = folder / choice.root
    for path in walk_model(model):
        if is_read(path.relative_to(model).as_posix()):
            _refuse_special_file(path)
            if is_file(path):
                _refuse_wrong_file(where, choice.root, path.relative_to(folder).as_posix(), _read_head(path))
    return model, choice.note


def _refuse_special_file(path: Path) -> None:
    """Refuses what a loader would wait for or read without end: a named pipe, a socket, a device, or a link to one."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise Fault(f"{show_name(str(path))}: it is a named pipe, a socket or a device; expected a regular file")


def _read_head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD)


def _refuse_wrong_file(where: object, root: str, name: str, head: bytes) -> None:
    """Refuses a placeholder in place of a file of the model whose folder is `root`."""
    if other := recognize_wrong_file(PurePosixPath(name).relative_to(root).as_posix(), head):
        raise Fault(other.sentence(f"{where}: {show_name(name)}", "the model's file"))


def _no_model(where: object, names: Sequence[str], heads: Mapping[str, bytes]) -> Fault:
    """Returns the fault of a folder or archive without a SavedModel."""
    if other := recognize_content(str(where), names, heads):
        return Fault(other.sentence(where))
    found = list_names([show_name(name) for name in names]) or "nothing"
    return Fault(f"{where}: no {' or '.join(GRAPH_FILES)} in it, but {found}; {_EXPECTED}")


def disk_usage(path: Path) -> int:
    """Returns the bytes that an archive, or the largest graph in or below a folder, takes on the disk.

    A file with holes takes less than its size.
    """
    path = _to_folder(path)
    files = [path / name for name in find_graphs(find_snapshot(path) or path)] if path.is_dir() else [path]
    return max((512 * file.stat().st_blocks for file in files if file.is_file()), default=0)


# The files and the graph ----------------------------------------------------------------------------------------------
def read_files(path: Path) -> tuple[Files, bytes]:
    """Returns a model's files and the content of the one of GRAPH_FILES that TensorFlow reads.

    Raises:
        Fault: as read_contents().
    """
    files, graph, _ = read_contents(path)
    return files, graph


def read_contents(path: Path) -> tuple[Files, bytes, bytes | None]:
    """Returns a model's files, the content of its graph as read_files(), and that of its INDEX, None without one.

    Raises:
        Fault: when there is no such file or folder, no SavedModel in it, the archive is not whole, or INDEX too large.
    """
    path = _to_folder(path)
    return _read_packed(path) if _is_archive(path) else _read_folder(*_search(path, path))


def _read_folder(folder: Path, note: str) -> tuple[Files, bytes, bytes | None]:
    kinds = {stat.S_IFDIR: EntryKind.FOLDER, stat.S_IFREG: EntryKind.FILE, stat.S_IFLNK: EntryKind.LINK}
    entries = []
    for path in walk_model(folder):
        status = path.lstat()
        kind = kinds.get(stat.S_IFMT(status.st_mode), EntryKind.SPECIAL)
        size = path.stat().st_size if path.is_file() else 0  # of what a link leads to
        entries.append(Entry(path.relative_to(folder).as_posix(), kind, size))
    graph = next(name for name in GRAPH_FILES if (folder / name).is_file())
    _refuse_large_graph(folder / graph, (folder / graph).stat().st_size)
    index = folder / INDEX
    if index.is_file():
        _refuse_large_index(index, index.stat().st_size)
    files = Files(str(folder), False, "", graph, tuple(entries), note)
    return files, (folder / graph).read_bytes(), index.read_bytes() if index.is_file() else None


def _refuse_large_graph(where: object, size: int) -> None:
    if size > _GRAPH:
        raise Fault(
            f"{where}: it has {size:,} bytes, more than the 2 GiB of a protobuf message, so that no TensorFlow reads"
            " it; get it again"
        )


def _refuse_large_index(where: object, size: int) -> None:
    if size > LARGEST_INDEX:
        raise Fault(f"{where}: it has {size:,} bytes, at most {LARGEST_INDEX:,} are read; get the model again")


@dataclass
class _Listing:
    """What one reading of an archive tells.

    Attributes:
        path: the archive.
        entries: all of them, in order.
        graphs: the names of all GRAPH_FILES.
        heads: the first HEAD bytes of the model's files and of some others.
        content: of the first of the graphs, which is that of the model in most archives.
        indexes: the names of all INDEX.
        index: the content of the first of these.
    """

    path: Path
    entries: list[Entry] = field(default_factory=list)
    graphs: list[str] = field(default_factory=list)
    heads: dict[str, bytes] = field(default_factory=dict)
    content: bytes = b""
    indexes: list[str] = field(default_factory=list)
    index: bytes = b""

    def add(self, member: Member) -> None:
        entry = member.entry
        self.entries.append(entry)
        if entry.kind is not EntryKind.FILE:
            return
        path = PurePosixPath(entry.name)
        is_hidden = any(part.startswith(".") for part in path.parent.parts)
        if path.name in GRAPH_FILES and is_safe(entry.name) and not is_hidden:
            self.graphs.append(entry.name)
            _refuse_large_graph(f"{self.path}: {show_name(entry.name)}", entry.size)
            if len(self.graphs) == 1:
                self.content = b"".join(member.chunks())
                self.heads[entry.name] = self.content[:HEAD]
                return
        if path.parts[-2:] == tuple(INDEX.split("/")):
            self.indexes.append(entry.name)
            if len(self.indexes) == 1:
                _refuse_large_index(f"{self.path}: {show_name(entry.name)}", entry.size)
                self.index = b"".join(member.chunks())
                self.heads[entry.name] = self.index[:HEAD]
                return
        if len(self.heads) < _HEADS or path.name in GRAPH_FILES or {"variables", "assets"} & set(path.parts):
            self.heads[entry.name] = next(member.chunks(), b"")[:HEAD]


def _read_packed(path: Path) -> tuple[Files, bytes, bytes | None]:
    """Reads an archive as a stream; one graph alone is kept in memory, and nothing is written to disk."""
    listing = _Listing(path)
    for member in read_archive(path):
        if member.entry.name:  # "./" has none
            listing.add(member)
    if not listing.graphs:
        raise _no_packed_model(path, listing)
    choice = choose_model(path, listing.graphs)
    names = [str(PurePosixPath(choice.root, name)) for name in GRAPH_FILES]
    graph = next(name for name in names if name in listing.graphs)
    below = f"{choice.root}/" if choice.root else ""
    for name, head in listing.heads.items():
        if name.startswith(below) and belongs_to_model(name.removeprefix(below)):
            _refuse_wrong_file(path, choice.root, name, head)
    content = _content(path, graph, listing.graphs, listing.content, _GRAPH)
    index = str(PurePosixPath(choice.root, INDEX))
    found = _content(path, index, listing.indexes, listing.index, LARGEST_INDEX) if index in listing.indexes else None
    is_tarball = detect_packing(path) is Packing.GZIP
    entries = tuple(listing.entries)
    return Files(str(path), is_tarball, choice.root, PurePosixPath(graph).name, entries, choice.note), content, found


def _content(path: Path, name: str, names: Sequence[str], first: bytes, most: int) -> bytes:
    """Returns the content of a file of an archive: `first` if it is the first of `names`, else it is read again."""
    is_first = name == names[0] and names.count(name) == 1
    return first if is_first else archives.read_files(path, [name], most)[name]


def _no_packed_model(path: Path, listing: _Listing) -> Fault:
    names = [entry.name for entry in listing.entries if entry.kind is not EntryKind.FOLDER]
    links = [entry.name for entry in listing.entries if entry.kind in (EntryKind.LINK, EntryKind.SPECIAL)]
    return _linked_model(path, links) or _outside(path, names) or _no_model(path, names, listing.heads)


def _outside(path: Path, names: Iterable[str]) -> Fault | None:
    """Returns the fault of an archive whose graph has a name such as /tmp/model/saved_model.pb, as `tar -P` writes."""
    graphs = (name for name in names if PurePosixPath(name).name in GRAPH_FILES and not is_safe(name))
    return next((leads_outside(path, name) for name in graphs), None)


def _linked_model(path: Path, links: Iterable[str]) -> Fault | None:
    """Returns the fault of an archive with a link in place of the graph, as a snapshot of Hugging Face has."""
    if link := next((name for name in links if PurePosixPath(name).name in GRAPH_FILES), None):
        return Fault(
            f"{path}: its {show_name(link)} is a link or a special file, which is not unpacked; pack the files"
            " themselves (tar --dereference)"
        )
    return None


# A folder to load -----------------------------------------------------------------------------------------------------
@contextmanager
def open_folder(path: Path) -> Iterator[tuple[Path, str]]:
    """Yields the folder of a SavedModel, unpacked for the time of the block, and a note of how it was chosen.

    Raises:
        Fault: as read_files(); when the disk is full.
    """
    path = _to_folder(path)
    if not _is_archive(path):
        yield _search(path, path)
        return
    with tempfile.TemporaryDirectory() as scratch:
        left_out = archives.unpack(path, Path(scratch), partial(_check_entry, path))
        if fault := None if find_graphs(Path(scratch)) else _linked_model(path, left_out):
            raise fault
        folder, note = _search(Path(scratch), path)
        links = f"left out links and special files: {list_names(left_out)}" if left_out else ""
        yield folder, "; ".join(filter(None, (note, links)))


def _check_entry(path: Path, entry: Entry) -> None:
    """Raises Fault for a graph that is too large, before it is written."""
    if PurePosixPath(entry.name).name in GRAPH_FILES:
        _refuse_large_graph(f"{path}: {show_name(entry.name)}", entry.size)
