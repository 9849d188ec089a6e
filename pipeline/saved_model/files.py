"""The files of a SavedModel in a folder or a .tar.gz: which belong to it, which this project publishes, their digests.

A stranger's folder may hold anything beside the model (a README, .git, .DS_Store): belongs_to_model() tells the files
that a loader reads from the rest. A module that this project publishes holds nothing else: is_published().
"""

import hashlib
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from isal import igzip, isal_zlib

from pipeline.base.fault import Fault, list_names
from pipeline.base.files import CHUNK, sha256_of, stream_digest
from pipeline.saved_model.findings import FaultKind, Finding

GRAPH_FILES = ("saved_model.pb", "saved_model.pbtxt")  # TensorFlow reads the first of these that there is

# The files that this project publishes, in words and as patterns. tfhub.dev also took those of _MODEL.
_PUBLISHED = "saved_model.pb, fingerprint.pb, variables/variables.*, assets/* and assets.extra/*"
_FILES = re.compile(r"saved_model\.pb|fingerprint\.pb|variables/variables\.[^/]+|(assets|assets\.extra)/.+")
_FOLDERS = re.compile(r"variables|(assets|assets\.extra)(/.+)?")
# The files of any SavedModel. keras_metadata.pb is written by Keras 2.5 to 2.15, tfhub_module.pb by the TF1 Hub
# format (https://www.tensorflow.org/hub/model_formats), variables/variables without an end by the first checkpoints.
_MODEL = re.compile(
    r"saved_model\.(pb|pbtxt)|fingerprint\.pb|keras_metadata\.pb|tfhub_module\.pb|variables/variables[^/]*"
    r"|(assets|assets\.extra)/.+"
)


def is_published(name: str, is_folder: bool) -> bool:
    """Whether a module of this project may hold a file or folder of that name below its folder."""
    return bool((_FOLDERS if is_folder else _FILES).fullmatch(name))


def belongs_to_model(name: str) -> bool:
    """Whether a file of that name below a SavedModel's folder is part of the model, whoever wrote it."""
    return bool(_MODEL.fullmatch(name))


@contextmanager
def _open_tarball(path: Path) -> Iterator[tarfile.TarFile]:
    """Opens a .tar.gz as a stream, and reads it to its end, where gzip's checksum is.

    Raises:
        Fault: when the archive is cut short or damaged.
    """
    try:
        with igzip.open(path, "rb") as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            yield archive
            while unpacked.read(CHUNK):
                pass
    except (EOFError, tarfile.TarError, isal_zlib.error, igzip.BadGzipFile) as error:  # type: ignore[misc]
        raise Fault(f"{path}: not a whole .tar.gz ({error}); fetch or package it again") from None


# Any model ------------------------------------------------------------------------------------------------------------
class EntryKind(StrEnum):
    """What an entry of a folder or archive is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special file"


@dataclass(frozen=True)
class Entry:
    """A file or folder of a model; `name` is its path in the folder or archive, without a slash at its end."""

    name: str
    kind: EntryKind
    size: int = 0


@dataclass(frozen=True)
class Files:
    """The files of a model.

    Attributes:
        path: the folder or tarball.
        is_tarball: whether the order of the entries counts.
        root: the folder inside a tarball that holds the model; "" for the archive's root, where it should be.
        graph: the file of GRAPH_FILES that TensorFlow reads.
        entries: in archive order; those of a folder are sorted.
    """

    path: str
    is_tarball: bool
    root: str
    graph: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def has(self, name: str) -> bool:
        """Whether the model has a file, or a link, of that name."""
        path = str(PurePosixPath(self.root, name))
        return any(entry.kind in (EntryKind.FILE, EntryKind.LINK) and entry.name == path for entry in self.entries)


def read_files(path: Path) -> tuple[Files, bytes]:
    """Returns a model's files and the content of the one of GRAPH_FILES that TensorFlow reads.

    Raises:
        Fault: when there is no such file or folder, no SavedModel in it, or the tarball is not whole.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise Fault(f"{path}: no such file or folder; name a SavedModel's folder or its .tar.gz")
    with path.open("rb") as stream:
        is_gzip = stream.read(2) == b"\x1f\x8b"
    if not is_gzip:
        raise Fault(f"{path}: neither a folder nor a .tar.gz; name a SavedModel's folder or its .tar.gz")
    return _read_tarball(path)


def _read_folder(folder: Path) -> tuple[Files, bytes]:
    kinds = {stat.S_IFDIR: EntryKind.FOLDER, stat.S_IFREG: EntryKind.FILE, stat.S_IFLNK: EntryKind.LINK}
    entries = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        kind = kinds.get(stat.S_IFMT(status.st_mode), EntryKind.SPECIAL)
        size = path.stat().st_size if path.is_file() else 0  # of what a link leads to
        entries.append(Entry(path.relative_to(folder).as_posix(), kind, size))
    graph = next((name for name in GRAPH_FILES if (folder / name).is_file()), None)
    if graph is None:
        raise Fault(f"{folder}: no {' or '.join(GRAPH_FILES)} in this folder; name the folder of a SavedModel")
    return Files(str(folder), False, "", graph, tuple(entries)), (folder / graph).read_bytes()


def _read_tarball(path: Path) -> tuple[Files, bytes]:
    """Reads an archive as a stream; only GRAPH_FILES are kept in memory, and nothing is written to disk."""
    entries, contents = [], {}
    with _open_tarball(path) as archive:
        for member in archive:
            entry = _entry_of(member)
            if entry.name:  # "./" has none
                entries.append(entry)
            is_graph = entry.kind is EntryKind.FILE and PurePosixPath(entry.name).name in GRAPH_FILES
            if is_graph and (stream := archive.extractfile(member)):
                contents[entry.name] = stream.read()
    if not contents:
        raise Fault(f"{path}: no {' or '.join(GRAPH_FILES)} in this tarball; name one that holds a SavedModel")
    topmost = min(contents, key=lambda name: (name.count("/"), len(name)))  # .pb before .pbtxt
    root, _, graph = topmost.rpartition("/")
    return Files(str(path), True, root, graph, tuple(entries)), contents[topmost]


def _entry_of(member: tarfile.TarInfo) -> Entry:
    name = re.sub(r"^(\./+)+|^\.$", "", member.name)
    if member.isdir() or member.isreg():
        return Entry(name, EntryKind.FOLDER if member.isdir() else EntryKind.FILE, member.size)
    return Entry(name, EntryKind.LINK if member.issym() or member.islnk() else EntryKind.SPECIAL)


def find_unsafe_names(files: Files) -> Iterator[Finding]:
    """Yields a finding of the kind FILES if unpacking would write outside the model's folder."""
    if unsafe := [entry.name for entry in files.entries if _is_unsafe(entry.name)]:
        text = f"expected names below the model's folder, got {list_names(unsafe)}; do not unpack it"
        yield Finding(FaultKind.FILES, f"{files.path}: {text}")


def _is_unsafe(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")


def find_packing_faults(files: Files) -> Iterator[Finding]:
    """Yields what keeps a model's files from being published by this project, of the kinds FILES and ORDER."""
    yield from (Finding(FaultKind.FILES, f"{files.path}: {text}") for text in _name_faults(files))
    if files.is_tarball:
        for text in _order_faults(files):
            yield Finding(FaultKind.ORDER, f"{files.path}: {text}; package it again")


def _name_faults(files: Files) -> Iterator[str]:
    names = [entry.name for entry in files.entries]
    special = [entry.name for entry in files.entries if entry.kind not in (EntryKind.FILE, EntryKind.FOLDER)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if files.root:
        yield (
            f"saved_model.pb lies in {files.root}/; expected it at the archive's root: pack the content of the folder"
            " and not the folder"
        )
    if special:
        yield (
            f"expected only folders and regular files, got links or special files: {list_names(special)}; publish a"
            " copy with files in their place"
        )
    if foreign := _foreign_names(files, special):
        text = f"a published module holds only {_PUBLISHED}, got {list_names(foreign)}"
        yield f"{text}; publish a copy {_todo(foreign)}"
    if repeated:
        yield f"these entries come more than once: {list_names(repeated)}; package it again"


def _foreign_names(files: Files, special: Sequence[str]) -> list[str]:
    """Returns the topmost files and folders that a published module may not hold."""
    excepted = {*special, files.root, *map(str, PurePosixPath(files.root).parents)}
    prefix = f"{files.root}/" if files.root else ""
    foreign: dict[str, None] = {}
    for entry in files.entries:
        is_allowed = is_published(entry.name.removeprefix(prefix), entry.kind is EntryKind.FOLDER)
        is_below = any(str(parent) in foreign for parent in PurePosixPath(entry.name).parents)
        if not (is_allowed or is_below or entry.name in excepted or _is_unsafe(entry.name)):
            foreign[entry.name] = None
    return list(foreign)


def _todo(foreign: Sequence[str]) -> str:
    if GRAPH_FILES[1] in foreign:  # removing it would destroy the model
        return "that has the content of saved_model.pbtxt as saved_model.pb, in protobuf's binary form"
    return "without them"


def _order_faults(files: Files) -> Iterator[str]:
    """Yields the faults of a tarball's order; see archive_order() for the reason."""
    names = [entry.name for entry in files.entries]
    early = [
        name
        for number, name in enumerate(names)
        if (parent := str(PurePosixPath(name).parent)) != "." and parent not in names[:number]
    ]
    if early:
        yield f"no folder entry comes before {list_names(early)}; expected each folder before its files"
    if names[-1] != str(PurePosixPath(files.root, files.graph)):
        yield (
            f"the last entry is {names[-1]}; expected saved_model.pb, without which TensorFlow Hub's client accepts a"
            " download that was cut short"
        )


# Modules of ours ------------------------------------------------------------------------------------------------------
def archive_order(folder: Path) -> list[str]:
    """Returns the paths below a model's folder in archive order, folders with a trailing slash.

    Every folder comes before its files, and saved_model.pb last: TensorFlow Hub's client accepts an archive that was
    cut between two members, and caches it for ever; without its saved_model.pb such an archive fails at once.

    Raises:
        Fault: for a link or special file, a file that is not published, or a missing saved_model.pb.
    """
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise Fault(f"{path}: a module holds only folders and regular files; remove it")
        if not is_published(name, path.is_dir()):
            raise Fault(f"{path}: a published module holds only {_PUBLISHED}; remove it")
        names.append(name + "/" if path.is_dir() else name)
    if "saved_model.pb" not in names:
        raise Fault(f"{folder}: no saved_model.pb; convert the member first")
    return sorted(names, key=lambda name: (name == "saved_model.pb", name))


def folder_size(folder: Path) -> int:
    """Returns the bytes of a model's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def content_digest(files: Iterable[tuple[str, str]]) -> str:
    """Returns one SHA-256 for a module from the (name, sha256) of its files, in any order."""
    lines = sorted(f"{sha256}  {name}\n" for name, sha256 in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder_digest(folder: Path) -> str:
    """Returns content_digest() of a model's folder; raises Fault as archive_order() does."""
    names = [name for name in archive_order(folder) if not name.endswith("/")]
    return content_digest((name, sha256_of(folder / name)) for name in names)


def model_digest(folder: Path) -> str:
    """Returns content_digest() of the files that belong to a SavedModel of any origin, whatever lies beside them.

    It equals folder_digest() for a module of this project. Links are followed.

    Raises:
        Fault: when there is no SavedModel in the folder.
    """
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if not set(GRAPH_FILES) & set(names):
        raise Fault(f"{folder}: no {' or '.join(GRAPH_FILES)} in this folder; name the folder of a SavedModel")
    return content_digest((name, sha256_of(folder / name)) for name in names if belongs_to_model(name))


def read_tarball_digests(path: Path) -> list[tuple[str, str]]:
    """Returns the (name, sha256) of each file of a packed module, in the order of the archive.

    Raises:
        Fault: when the archive is cut short or damaged.
    """
    with _open_tarball(path) as archive:
        return [(member.name, stream_digest(stream)) for member in archive if (stream := archive.extractfile(member))]


def tarball_digest(path: Path) -> str:
    """Returns content_digest() of a packed module, which equals folder_digest() of the folder that was packed.

    Raises:
        Fault: when the archive is cut short or damaged.
    """
    return content_digest(read_tarball_digests(path))
