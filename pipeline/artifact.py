"""What lies in a published module, read without TensorFlow: its files, their order, their digest."""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from isal import igzip, isal_zlib

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of, stream_digest

# tfhub.dev's rule: these files and no others.
_FILES = re.compile(r"saved_model\.pb|fingerprint\.pb|variables/variables\.[^/]+|(assets|assets\.extra)/.+")
_FOLDERS = re.compile(r"variables|(assets|assets\.extra)(/.+)?")


def allowed(name: str, is_folder: bool) -> bool:
    """Whether TF-Hub allows a file or folder of that name below a model's folder."""
    return bool((_FOLDERS if is_folder else _FILES).fullmatch(name))


def members(folder: Path) -> list[str]:
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
        if not allowed(name, path.is_dir()):
            raise Fault(
                f"{path}: TF-Hub allows only saved_model.pb, fingerprint.pb, variables/variables.*, assets/* and"
                " assets.extra/*; remove it"
            )
        names.append(name + "/" if path.is_dir() else name)
    if "saved_model.pb" not in names:
        raise Fault(f"{folder}: no saved_model.pb; convert the member first")
    return sorted(names, key=lambda name: (name == "saved_model.pb", name))


def content_digest(files: Iterator[tuple[str, str]]) -> str:
    """Returns one SHA-256 for a module from the (name, sha256) of its files, in any order."""
    lines = sorted(f"{sha256}  {name}\n" for name, sha256 in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder_digest(folder: Path) -> str:
    """Returns content_digest() of a model's folder; raises Fault as members() does."""
    names = [name for name in members(folder) if not name.endswith("/")]
    return content_digest((name, sha256_of(folder / name)) for name in names)


def size(folder: Path) -> int:
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
