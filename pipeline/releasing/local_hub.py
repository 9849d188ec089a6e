"""Reads the hub that is released, and refuses one that is damaged."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import content_digest
from pipeline.cards.page import Problem, read_page
from pipeline.hub import integrity
from pipeline.hub.folder import inspect_index, read_root
from pipeline.hub.index import Index
from pipeline.hub.permanent import permanent_files
from pipeline.hub.settings import FILE, HubSettings, read_settings
from pipeline.hub.shards import render_document
from pipeline.hub.stored import outdated_copies

_SHOWN = 10  # problems; a hub may have one for each of its files
FileState = tuple[int, int, int] | None  # inode, time of the last write in nanoseconds, size in bytes


@dataclass(frozen=True)
class LocalHub:
    """The hub that is released, as it was when it was checked.

    Attributes:
        folder: where it is.
        index: what it holds; each listed file is there and has its digest.
        url: its public address; None where its index does not say.
        settings: what its hub.yaml says; None without one.
        states: what changes with every write of a file that never should, by path (pipeline.hub.permanent); taken
            before its digest was.
    """

    folder: Path
    index: Index
    url: str | None
    settings: HubSettings | None
    states: dict[str, FileState]

    @property
    def digest(self) -> str:
        """The SHA-256 of its index, which lists the digest of every other file."""
        return content_digest(render_document(self.index.document).encode())

    def is_permanent(self, path: str) -> bool:
        """Whether a listed file is a tarball or a file of a format, and no page."""
        return path in self.states

    def refuse_change(self, path: str) -> None:
        """Raises Fault when a permanent file is not the one any more whose digest was taken."""
        if _state_of(self.folder / path) != self.states[path]:
            text = "it has changed since the hub was checked, so what was uploaded is not what the index lists"
            raise Fault(f"{self.folder / path}: {text}; restore it, and run the same command again")


def read_local_hub(folder: Path) -> LocalHub:
    """Reads all of a hub, as `make check-hub` does but for what is inside the tarballs.

    Raises:
        Fault: when it is no hub, or lists what is wrong with it.
    """
    index, faults = inspect_index(folder)
    entries = (index.document["modules"][handle] for handle in index.modules)
    states = {path: _state_of(folder / path) for entry in entries for path in permanent_files(entry)}
    problems = list(map(str, faults)) or list(_find_problems(folder, index))
    if problems:
        more = [f"and {len(problems) - _SHOWN:,} more"] if problems[_SHOWN:] else []
        text = f"{folder}: nothing was released, since the hub is damaged; repair it until make check-hub passes"
        raise Fault("\n".join([text, *problems[:_SHOWN], *more]))
    root, settings = read_root(folder), read_settings(folder)
    url = root.url if root else None
    if settings and url and settings.url != url:
        raise Fault(
            f"{folder / FILE}: url {settings.url}, but the hub was published for {url}; correct the line, or move the"
            " hub: publish every member again with HUB_URL=<new address> MOVE=1"
        )
    return LocalHub(folder, index, url, settings, states)


def _state_of(path: Path) -> FileState:
    """Returns inode, time and size of a file; None where there is none, which the checks of the hub report."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


def _find_problems(folder: Path, index: Index) -> Iterator[str]:
    yield from integrity.damaged_files(folder, index)
    yield from integrity.equal_tarballs(folder, index)
    yield from integrity.dead_files(folder)
    yield from outdated_copies(folder, index.entries.values())
    yield from integrity.unlisted_pages(folder, index)
    yield from integrity.unsafe_pictures(folder)
    yield from integrity.wrong_formats(folder, index)
    yield from integrity.unverified_quotes(folder, index)
    yield from integrity.wrong_titles(folder, index)
    yield from integrity.check_pages(
        folder,
        integrity.first_lines(index),
        lambda path, first: _page_problems(folder, path, first),
    )


def _page_problems(folder: Path, path: Path, first: str) -> Iterator[Problem]:
    if first.startswith("# Publisher "):
        return integrity.publisher_page_problems(folder, path, first)
    return integrity.page_problems(folder, path, read_page(path, integrity.largest_page(first)), first)
