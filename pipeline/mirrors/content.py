"""What a version of a module is on another host: the unpacked files of its tarball, its formats, its page there."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.archives import EntryKind, is_safe, leads_outside, read_archive, unpack
from pipeline.base.fault import Fault
from pipeline.base.files import CHUNK, open_regular, read_bounded
from pipeline.base.text import LARGEST_GENERATED, read_generated
from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.release_rules import reasons_against_release
from pipeline.releasing.local_hub import LocalHub

STATEMENT = "provenance.dsse.json"
_ARCHIVE = ".tar.gz"  # of a further SavedModel, for which a host has no place beside the first


@dataclass(frozen=True)
class MirrorFile:
    """A file as a host will have it.

    Attributes:
        path: below the root of the version.
        size: in bytes.
        sha256: in hexadecimal.
        git_oid: the name of the file in a Git repository, a SHA-1 (Git's `hash-object`).
    """

    path: str
    size: int
    sha256: str
    git_oid: str


class _Digests:
    """Computes both digests of a file whose size is known, chunk by chunk."""

    def __init__(self, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        self._size = size

    def add(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._git.update(chunk)

    def of(self, path: str) -> MirrorFile:
        return MirrorFile(path, self._size, self._sha256.hexdigest(), self._git.hexdigest())


def describe_bytes(path: str, content: bytes) -> MirrorFile:
    """Describes a small file."""
    digests = _Digests(len(content))
    digests.add(content)
    return digests.of(path)


def read_model_files(hub: LocalHub, entry: ModuleEntry) -> tuple[MirrorFile, ...]:
    """Describes the files in a module's tarball, sorted by path, without unpacking it.

    Raises:
        Fault: for a damaged or hostile tarball, and when it has changed since the hub was checked.
    """
    path, files = hub.folder / entry.tarball.path, []
    with closing(read_archive(path)) as members:
        for member in members:
            name, kind = member.entry.name, member.entry.kind
            if kind is EntryKind.FOLDER or not name:
                continue
            if not is_safe(name):
                raise leads_outside(path, name)
            if kind is not EntryKind.FILE:
                raise Fault(f"{path}: its entry {name!r} is a {kind}, which no module has; publish the module again")
            digests = _Digests(member.entry.size)
            for chunk in member.chunks():
                digests.add(chunk)
            files.append(digests.of(name))
    hub.refuse_change(entry.tarball.path)
    return tuple(sorted(files, key=lambda file: file.path))


def read_format_files(hub: LocalHub, entry: ModuleEntry) -> tuple[MirrorFile, ...]:
    """Describes the files of a version's formats by their paths below its folder, sorted; SavedModels are left out.

    Raises:
        Fault: when one has changed since the hub was checked.
    """
    paths = (path.removeprefix(f"{entry.handle}/") for path in entry.format_files)
    return tuple(_describe_file(hub, entry, path) for path in sorted(paths) if not path.endswith(_ARCHIVE))


def _describe_file(hub: LocalHub, entry: ModuleEntry, path: str) -> MirrorFile:
    listed = f"{entry.handle}/{path}"
    digests = _Digests(entry.format_files[listed].size)
    with open_regular(hub.folder / listed) as stream:
        while chunk := stream.read(CHUNK):
            digests.add(chunk)
    hub.refuse_change(listed)
    return digests.of(path)


@contextmanager
def unpacked(hub: LocalHub, entry: ModuleEntry) -> Iterator[Path]:
    """Yields a temporary folder with the files of a module's tarball."""
    with tempfile.TemporaryDirectory(prefix="mirror-") as folder:
        unpack(hub.folder / entry.tarball.path, Path(folder))
        hub.refuse_change(entry.tarball.path)
        yield Path(folder)


def listed_file(entry: ModuleEntry, name: str) -> PublishedFile | None:
    """Returns the file of a version that the hub has as <handle>/<name>; None where it lists none."""
    return next((file for file in entry.files if file.page == f"{entry.handle}/{name}"), None)


def read_page(hub: LocalHub, entry: ModuleEntry, name: str) -> str | None:
    """Reads a version's page for another host; None where the hub lists none."""
    file = listed_file(entry, name)
    return read_generated(hub.folder / file.path, "run make publish for its member again") if file else None


def read_statement(hub: LocalHub, entry: ModuleEntry) -> bytes | None:
    """Reads a version's provenance statement; None where the hub has none."""
    file = listed_file(entry, STATEMENT)
    return read_bounded(hub.folder / file.path, LARGEST_GENERATED) if file else None


def find_refusal(hub: LocalHub, entry: ModuleEntry, pages: dict[str, str | None]) -> str:
    """Returns why a version may not be mirrored, "" where it may.

    Args:
        hub: holds it.
        entry: of the version.
        pages: its pages for the host by name; None for one that the hub does not have.
    """
    reasons = [reason for page in pages.values() for reason in reasons_against_release(entry, page)]
    missing = [name for name, page in pages.items() if page is None]
    reasons += [f"the hub has no {entry.handle}/{name}; run make publish for its member again" for name in missing]
    return "; ".join(dict.fromkeys(reasons))
