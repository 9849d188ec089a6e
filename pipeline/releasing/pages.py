"""Renders the website of a target from all of its index, and writes it in an order that leaves no dead link.

Every page is swapped by the tag that it had before the index was read. So no page is ever replaced by one that was made
from an older index, and the last of several publishers has seen what all of them published.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.files import Unreadable, content_digest, has_text, locked, read_bounded, write_memory, write_text
from pipeline.base.json_files import recall_json
from pipeline.base.text import read_generated
from pipeline.facts.collection import Publisher
from pipeline.hub import markdown, website
from pipeline.hub.entries import PublishedFile
from pipeline.hub.index import Index
from pipeline.hub.overview import Overview
from pipeline.hub.publisher_page import LARGEST, render_publisher, without_modules
from pipeline.hub.shards import EXPORT, EXPORTED, count_entries, render_document
from pipeline.hub.shared_files import shared_paths
from pipeline.hub.stored import copies
from pipeline.releasing.local_hub import LocalHub
from pipeline.releasing.retry import retry_moved
from pipeline.releasing.target_state import map_parallel, read_target_index
from pipeline.targets.interface import LARGEST_SMALL, Stored, Target

START = "index.html"
_MEMORY = "written.json"
_ABOUT = re.compile(r"^## About\n\n(.*?)\n*(?=^### (?:Collections|Modules)\n\n(?:\* |\Z))", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """What a page was when this machine last wrote or read it: its SHA-256, and its tag at the target then."""

    sha256: str
    tag: str


def write_pages(hub: LocalHub, target: Target, folder: Path) -> int:
    """Brings what follows from a target's index up to date: index.json, plain names of pages, the website.

    Args:
        hub: the hub that was released.
        target: has its index already.
        folder: is kept from release to release, so that only what changed is read, rendered and written; it can be
            deleted at any time.

    Returns:
        How many files were written.

    Raises:
        Fault: when the target fails, or has a damaged index.
    """
    written = 0

    def attempt() -> None:
        nonlocal written
        written += _write_once(hub, target, folder)

    with locked(folder / ".lock", f"{target.address}: another release of this machine writes the pages; waiting"):
        retry_moved(f"{target.address}/{START}", attempt)
    return written


def _write_once(hub: LocalHub, target: Target, folder: Path) -> int:
    """Raises Moved when another publisher wrote a page, which may then know of more modules."""
    before = {stored.path: stored for stored in target.list("")}
    index = read_target_index(target)
    staging = folder / "hub"
    plain = _stage_pages(hub, target, staging, index)
    plain += _stage_publisher_pages(hub, target, staging, index)
    website.build(staging, index, hub.url)
    memory = recall_json(folder / _MEMORY, dict[str, Page]) or {}
    try:
        return sum(_write(target, before, memory, path, content) for path, content in _pages(staging, index, plain))
    finally:
        text = json.dumps({path: dataclasses.asdict(page) for path, page in memory.items()}, indent=0, sort_keys=True)
        write_memory(folder / _MEMORY, text + "\n")


def _stage_pages(hub: LocalHub, target: Target, staging: Path, index: Index) -> list[str]:
    """Brings the listed pages into the staging folder under their plain names, and returns those of the hub's entries.

    What the staging folder lacks comes from the hub, or from the target. Plots are needed of the hub's entries alone.
    """
    own = copies(entry for name, entry in index.entries.items() if name in hub.index.entries)
    cards = {file.page: file for entry in index.entries.values() for file in entry.files if file.page.endswith(".md")}

    def stage(page: str, file: PublishedFile) -> None:
        for path in (staging / page, hub.folder / file.path):
            content = _read(path)
            if content is not None and content_digest(content) == file.sha256:
                break
        else:
            answer = target.get(file.path)
            content = answer[0] if answer else None
        if content is None:
            (staging / page).unlink(missing_ok=True)  # its HTML page says that it is missing
        elif not has_text(staging / page, text := content.decode(errors="surrogateescape")):
            write_text(staging / page, text)

    map_parallel(lambda item: stage(*item), (cards | own).items())
    return sorted(own)


def _read(path: Path) -> bytes | None:
    try:
        return read_bounded(path, LARGEST_SMALL)
    except (OSError, Unreadable):
        return None


def _stage_publisher_pages(hub: LocalHub, target: Target, staging: Path, index: Index) -> list[str]:
    """Stages the page of each publisher; returns those of the hub's publishers, which list what the target has."""
    own = []
    for publisher in index.publishers:
        path = f"{publisher}/{publisher}.md"
        if publisher in hub.index.publishers:
            page = read_generated(hub.folder / path, "publish it again", LARGEST)
            text = render_publisher(read_publisher(publisher, page), index.modules.values(), index.collections.values())
            own.append(path)
        else:
            answer = target.get(path)
            text = answer[0].decode(errors="surrogateescape") if answer else ""
        if not has_text(staging / path, text):
            write_text(staging / path, text)
    return own


def read_publisher(publisher: str, page: str) -> Publisher:
    """Reads a publisher's facts from their page."""
    about = _ABOUT.search(page)
    name = markdown.publisher_name(without_modules(page, f"{publisher}/{publisher}.md"))
    return Publisher(publisher, name or publisher, about[1] if about else publisher)


def _pages(staging: Path, index: Index, plain: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yields the path and the content of every page, each after those that it lists: the start page last.

    Args:
        staging: has the website.
        index: of the target.
        plain: the Markdown pages and plots that are written, too.
    """
    if count_entries(index.document) <= EXPORTED:
        yield EXPORT, render_document(index.document).encode()
    for path in (*plain, *shared_paths(Overview.of(index)), *website.list_paths(staging, index)):
        yield path, (staging / path).read_bytes()


def _write(target: Target, before: dict[str, Stored], memory: dict[str, Page], path: str, content: bytes) -> int:
    """Writes a page unless the target has it; returns how many were written."""
    stored, sha256 = before.get(path), content_digest(content)
    if stored and memory.get(path) == Page(sha256, stored.tag):
        return 0
    if stored and stored.size == len(content) and path not in memory:
        answer = target.get(path)
        if answer and answer[0] == content:
            memory[path] = Page(sha256, answer[1].tag)
            return 0
    memory[path] = Page(sha256, target.swap(path, content, stored.tag if stored else None).tag)
    return 1
