"""The files of a SavedModel in a folder or a .tar.gz: which belong there, and their digests."""

import hashlib
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from isal import igzip, isal_zlib

from pipeline.base.fault import Fault, list_names
from pipeline.base.files import CHUNK, sha256_of, stream_digest


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a model: its kind, which programs can rely on, and a sentence for a person."""

    kind: str
    text: str


@dataclass(frozen=True)
class Entry:
    """A "file", "folder", "link" or "special file" of a model; its name is relative and has no slash at its end."""

    name: str
    kind: str
    size: int = 0


@dataclass(frozen=True)
class Files:
    """What lies in a model.

    Attributes:
        path: the folder or tarball.
        is_tarball: whether the order of the entries counts.
        root: the folder that holds the model inside a tarball; "" where it is the archive's root, as it should be.
        entries: in archive order, those of a folder sorted.
    """

    path: str
    is_tarball: bool
    root: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def has(self, name: str) -> bool:
        """Whether the model has a file of that name."""
        return any(entry.kind == "file" and entry.name == str(PurePosixPath(self.root, name)) for entry in self.entries)


def _read_folder(folder: Path) -> tuple[Files, bytes]:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    entries = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        kind = kinds.get(stat.S_IFMT(status.st_mode), "special file")
        entries.append(Entry(path.relative_to(folder).as_posix(), kind, status.st_size if kind == "file" else 0))
    if not (folder / "saved_model.pb").is_file():
        raise Fault(f"{folder}: no saved_model.pb in this folder; name the folder of a SavedModel")
    return Files(str(folder), False, "", tuple(entries)), (folder / "saved_model.pb").read_bytes()


def _entry(member: tarfile.TarInfo) -> Entry:
    name = re.sub(r"^(\./+)+|^\.$", "", member.name)
    if member.isdir() or member.isreg():
        return Entry(name, "folder" if member.isdir() else "file", member.size)
    return Entry(name, "link" if member.issym() or member.islnk() else "special file")


def _read_tarball(path: Path) -> tuple[Files, bytes]:
    """Reads the archive once, as a stream; of its files only saved_model.pb is kept, and nothing goes to the disk."""
    entries, found = [], {}
    try:
        with igzip.open(path, "rb") as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                entry = _entry(member)
                if entry.name:  # "./" itself is none
                    entries.append(entry)
                named = PurePosixPath(entry.name).name == "saved_model.pb" and entry.kind == "file"
                if named and (stream := archive.extractfile(member)):
                    found[entry.name] = stream.read()
            while unpacked.read(CHUNK):  # to the end, where gzip's checksum is
                pass
    except (EOFError, tarfile.TarError, isal_zlib.error, igzip.BadGzipFile) as error:  # type: ignore[misc]
        raise Fault(f"{path}: not a whole .tar.gz ({error}); fetch or package it again") from None
    if not found:
        raise Fault(f"{path}: no saved_model.pb in this tarball; name one that holds a SavedModel")
    topmost = min(found, key=lambda name: name.count("/"))
    root = topmost.removesuffix("saved_model.pb").rstrip("/")
    return Files(str(path), True, root, tuple(entries)), found[topmost]


def read_files(path: Path) -> tuple[Files, bytes]:
    """Returns a model's files and the content of its saved_model.pb.

    Raises:
        Fault: when there is no such file or folder, no saved_model.pb in it, or the tarball is not whole.
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


def _order_faults(files: Files, prefix: str) -> Iterator[str]:
    """Yields what is wrong with a tarball's order; see artifact.archive_order() for the reason."""
    names = [entry.name for entry in files.entries]
    early = [
        entry.name
        for number, entry in enumerate(files.entries)
        if (parent := str(PurePosixPath(entry.name).parent)) != "." and parent not in names[:number]
    ]
    if early:
        yield f"no folder entry stands before {list_names(early)}; expected each folder before what is in it"
    if names[-1] != f"{prefix}saved_model.pb":
        yield (
            f"the last entry is {names[-1]}; expected saved_model.pb, without which TensorFlow Hub's client takes a"
            " download that was cut short for a whole one"
        )


def file_faults(files: Files) -> Iterator[Finding]:
    """Yields what is wrong with a model's files, of the kinds "files" and "order"."""
    prefix = f"{files.root}/" if files.root else ""
    if files.root:
        yield Finding(
            "files",
            f"{files.path}: saved_model.pb lies in {files.root}/; expected it at the archive's root: pack the content"
            " of the folder and not the folder",
        )
    special = [entry.name for entry in files.entries if entry.kind not in ("file", "folder")]
    unsafe = [entry.name for entry in files.entries if entry.name.startswith("/") or ".." in entry.name.split("/")]
    foreign = [
        entry.name
        for entry in files.entries
        if entry.name not in {*special, *unsafe, files.root, *map(str, PurePosixPath(files.root).parents)}
        and not is_allowed(entry.name.removeprefix(prefix), entry.kind == "folder")
    ]
    names = [entry.name for entry in files.entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if special:
        text = (
            f"expected only folders and regular files, got links or special files: {list_names(special)}; remove them"
        )
        yield Finding("files", f"{files.path}: {text}")
    if unsafe:
        text = f"expected names below the model's folder, got {list_names(unsafe)}; do not unpack it"
        yield Finding("files", f"{files.path}: {text}")
    if foreign:
        yield Finding("files", f"{files.path}: TF-Hub allows only {_ALLOWED}, got {list_names(foreign)}; remove them")
    if twice:
        yield Finding(
            "files", f"{files.path}: these entries come more than once: {list_names(twice)}; package it again"
        )
    if files.is_tarball:
        yield from (
            Finding("order", f"{files.path}: {text}; package it again") for text in _order_faults(files, prefix)
        )


# The files that tfhub.dev allowed in a module, in words and as patterns.
_ALLOWED = "saved_model.pb, fingerprint.pb, variables/variables.*, assets/* and assets.extra/*"
_FILES = re.compile(r"saved_model\.pb|fingerprint\.pb|variables/variables\.[^/]+|(assets|assets\.extra)/.+")
_FOLDERS = re.compile(r"variables|(assets|assets\.extra)(/.+)?")


def is_allowed(name: str, is_folder: bool) -> bool:
    """Whether TF-Hub allows a file or folder of that name below a model's folder."""
    return bool((_FOLDERS if is_folder else _FILES).fullmatch(name))


def archive_order(folder: Path) -> list[str]:
    """Returns the paths below a model's folder in archive order, folders with a trailing slash.

    Every folder stands before its files and saved_model.pb last: TensorFlow Hub's client takes an archive cut at a
    member's end for a whole one and caches it for ever; without its saved_model.pb such a cut fails at once.

    Raises:
        Fault: for a link or special file, a file TF-Hub does not allow, or a missing saved_model.pb.
    """
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise Fault(f"{path}: a module holds only folders and regular files; remove it")
        if not is_allowed(name, path.is_dir()):
            raise Fault(f"{path}: TF-Hub allows only {_ALLOWED}; remove it")
        names.append(name + "/" if path.is_dir() else name)
    if "saved_model.pb" not in names:
        raise Fault(f"{folder}: no saved_model.pb; convert the member first")
    return sorted(names, key=lambda name: (name == "saved_model.pb", name))


def content_digest(files: Iterator[tuple[str, str]]) -> str:
    """Returns one SHA-256 for a module from the (name, sha256) of its files, in any order."""
    lines = sorted(f"{sha256}  {name}\n" for name, sha256 in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder_digest(folder: Path) -> str:
    """Returns content_digest() of a model's folder; raises Fault as archive_order() does."""
    names = [name for name in archive_order(folder) if not name.endswith("/")]
    return content_digest((name, sha256_of(folder / name)) for name in names)


def folder_size(folder: Path) -> int:
    """Returns the bytes of a model's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def tarball_files(path: Path) -> list[tuple[str, str]]:
    """Returns the (name, sha256) of each file of a packed module, in the order of the archive.

    Raises:
        Fault: when the archive is cut short or damaged.
    """
    files = []
    try:
        with igzip.open(path, "rb") as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for entry in archive:
                if stream := archive.extractfile(entry):
                    files.append((entry.name, stream_digest(stream)))
    except (EOFError, tarfile.TarError, isal_zlib.error, igzip.BadGzipFile) as error:  # type: ignore[misc]
        raise Fault(f"{path}: not a whole tarball ({error}); delete it and package again") from None
    return files


def tarball_digest(path: Path) -> str:
    """Returns content_digest() of a packed module, to hold it against the folder that was validated.

    Raises:
        Fault: as tarball_files() does.
    """
    return content_digest(iter(tarball_files(path)))
