"""The files of a SavedModel in a folder or a .tar.gz: which belong to it, which this project publishes, their digests.

A stranger's folder may hold anything beside the model (a README, .git, .DS_Store): belongs_to_model() tells the files
that a loader reads from the rest. A module that this project publishes holds nothing else: is_published().
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.base.archives import Entry, EntryKind, read_archive
from pipeline.base.fault import Fault, list_names
from pipeline.base.files import sha256_of
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
_MODEL_FOLDERS = ("variables", "assets", "assets.extra")


def is_published(name: str, is_folder: bool) -> bool:
    """Whether a module of this project may hold a file or folder of that name below its folder."""
    return bool((_FOLDERS if is_folder else _FILES).fullmatch(name))


def belongs_to_model(name: str) -> bool:
    """Whether a file of that name below a SavedModel's folder is part of the model, whoever wrote it."""
    return bool(_MODEL.fullmatch(name))


def is_read(name: str) -> bool:
    """Whether a loader opens a file of that name: of the model, or what helps to debug it."""
    return belongs_to_model(name) or name == "debug/saved_model_debug_info.pb"


def walk_model(folder: Path) -> list[Path]:
    """Returns all files and folders below a model's folder, sorted.

    The model's own folders may be links, as TensorFlow reads them; any other link to a folder is not followed, since it
    may lead anywhere.
    """
    paths: list[Path] = []
    waiting, seen = [folder], {os.path.realpath(folder)}
    while waiting:
        below = list(waiting.pop().iterdir())
        paths += below
        for path in below:
            is_own = not path.is_symlink() or path.relative_to(folder).parts[0] in _MODEL_FOLDERS
            if is_own and path.is_dir() and (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                waiting.append(path)
    return sorted(paths)


# Any model ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Files:
    """The files of a model.

    Attributes:
        path: the model's folder, or the archive.
        is_tarball: whether it is a .tar.gz, in which the order of the entries counts.
        root: the folder inside an archive that holds the model; "" for the archive's root, where it should be.
        graph: the file of GRAPH_FILES that TensorFlow reads.
        entries: in archive order; those of a folder are sorted.
        note: how the model was chosen below the folder or in the archive, "" if there was no choice.
    """

    path: str
    is_tarball: bool
    root: str
    graph: str
    entries: tuple[Entry, ...]
    note: str = ""

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def has(self, name: str) -> bool:
        """Whether the model has a file, or a link, of that name."""
        path = str(PurePosixPath(self.root, name))
        return any(entry.kind in (EntryKind.FILE, EntryKind.LINK) and entry.name == path for entry in self.entries)


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
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
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
    early, before = [], {"."}
    for name in names:
        if str(PurePosixPath(name).parent) not in before:
            early.append(name)
        before.add(name)
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
    names = [path.relative_to(folder).as_posix() for path in walk_model(folder) if path.is_file()]
    if not set(GRAPH_FILES) & set(names):
        raise Fault(f"{folder}: no {' or '.join(GRAPH_FILES)} in this folder; name the folder of a SavedModel")
    return content_digest((name, sha256_of(folder / name)) for name in names if belongs_to_model(name))


def read_tarball_digests(path: Path) -> list[tuple[str, str]]:
    """Returns the (name, sha256) of each file of a packed module, in the order of the archive.

    Raises:
        Fault: when the archive is cut short or damaged.
    """
    digests = []
    for member in read_archive(path):
        if member.entry.kind is EntryKind.FILE:
            digest = hashlib.sha256()
            for chunk in member.chunks():
                digest.update(chunk)
            digests.append((member.entry.name, digest.hexdigest()))
    return digests


def tarball_digest(path: Path) -> str:
    """Returns content_digest() of a packed module, which equals folder_digest() of the folder that was packed.

    Raises:
        Fault: when the archive is cut short or damaged.
    """
    return content_digest(read_tarball_digests(path))
