"""Writes the pages of modules and collections into a hub: under a name with their digest, and as plain copies.

publish stores the pages, replaces the index, which makes them count, then writes the plain copies and removes what the
index no longer lists. A run that is killed in between leaves a hub that is whole; the next one completes it.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.files import content_digest, has_content, replacing, sha256_of
from pipeline.base.stored_names import plain_path, stored_path
from pipeline.hub.entries import CollectionEntry, ModuleEntry, PublishedFile


@dataclass(frozen=True)
class NewPage:
    """A page or a picture to store: what the index is to list, and its content."""

    file: PublishedFile
    content: bytes


def new_page(path: str, content: bytes | str, title: str | None = None) -> NewPage:
    """Returns a page under its name with the digest.

    Args:
        path: the page's plain path in the hub, such as `<publisher>/<module>/1.md`.
        content: the page.
        title: of a plot.
    """
    encoded = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    sha256 = content_digest(encoded)
    return NewPage(PublishedFile(stored_path(path, sha256), len(encoded), sha256, title), encoded)


def store_pages(hub: Path, pages: Iterable[NewPage]) -> None:
    """Writes pages under their names with the digests, several at once: the disk takes its time for each."""
    _write_all(hub, {page.file.path: page.content for page in pages})


def store_page(hub: Path, path: str, text: str, title: str | None = None) -> PublishedFile:
    """Writes a page under its name with the digest; returns what the index is to list.

    Args:
        hub: the hub's folder.
        path: the page's plain path in the hub, such as `<publisher>/<module>/1.md`.
        text: the page.
        title: of a plot.
    """
    return store_content(hub, path, text.encode(errors="surrogateescape"), title)


def store_content(hub: Path, path: str, content: bytes, title: str | None = None) -> PublishedFile:
    """Writes a page or a picture, as store_page() does."""
    page = new_page(path, content, title)
    _write(hub / page.file.path, page.content)
    return page.file


def copies(entries: Iterable[ModuleEntry | CollectionEntry]) -> dict[str, PublishedFile]:
    """Returns the plain paths of all pages, and what each is a copy of; an older index lists plain paths alone."""
    files = (file for entry in entries for file in entry.files)
    return {file.page: file for file in files if file.page != file.path}


def write_copies(hub: Path, entries: Iterable[ModuleEntry | CollectionEntry]) -> None:
    """Writes the plain copies of pages that differ from what is there; the index lists the pages already."""
    _write_all(hub, {path: (hub / file.path).read_bytes() for path, file in copies(entries).items()})


def _write_all(hub: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files that differ from what is there; all of them are written when it returns."""
    with ThreadPoolExecutor() as pool:
        for written in [pool.submit(_write, hub / path, content) for path, content in contents.items()]:
            written.result()


def _write(path: Path, content: bytes) -> None:
    if not has_content(path, content):
        with replacing(path) as stream:
            stream.write(content)


def remove_replaced(hub: Path, entries: Iterable[ModuleEntry | CollectionEntry]) -> None:
    """Removes earlier texts of pages, and plots and examples that no card has any more; no index lists them.

    The files of formats stay, as tarballs do.
    """
    for entry in entries:
        listed = {file.path for file in entry.files} | {file.page for file in entry.files}
        for path in _pages_of(hub, entry):
            name = path.relative_to(hub).as_posix()
            if name not in listed and (plain_path(name) != name or path.suffix == ".svg" or _is_shown(entry, name)):
                path.unlink()


def outdated_copies(hub: Path, entries: Iterable[ModuleEntry | CollectionEntry]) -> Iterator[str]:
    """Yields the plain copies that differ from the page that the index lists: edited, or of an interrupted publish."""
    for path, file in copies(entries).items():
        if not (hub / path).is_file():
            yield f"{hub / path}: missing, expected a copy of {file.path}; publish it again"
        elif (hub / path).stat().st_size != file.size or sha256_of(hub / path) != file.sha256:
            text = f"differs from {file.path}, the page that the index lists"
            yield f"{hub / path}: {text}; publish it again, which writes this copy of it"


def _is_shown(entry: ModuleEntry | CollectionEntry, name: str) -> bool:
    """Whether a page of a module shows or reads a file of that name."""
    return isinstance(entry, ModuleEntry) and (entry.is_trial_page(name) or entry.is_example(name))


def _pages_of(hub: Path, entry: ModuleEntry | CollectionEntry) -> list[Path]:
    """Returns the files of a module or collection that may be pages, listed or not."""
    name = entry.handle if isinstance(entry, ModuleEntry) else entry.address
    folder = hub / name
    beside = folder.parent.glob(f"{folder.name}.*.md") if folder.parent.is_dir() else ()
    return [*beside, *(path for path in folder.rglob("*") if path.is_file())]
