"""Hubs to release, and what must hold at their target."""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.base.stored_names import plain_path, stored_path
from pipeline.hub import website
from pipeline.hub.folder import read_index, write_index
from pipeline.hub.folder import read_root as read_local_root
from pipeline.hub.guides import find_guides
from pipeline.hub.index import parse_index
from pipeline.hub.publisher_page import render_publisher
from pipeline.hub.settings import FILE
from pipeline.hub.shards import EXPORT, ROOT, Document, render_document
from pipeline.hub.stored import remove_replaced
from pipeline.releasing.pages import START, read_publisher
from pipeline.releasing.target_state import read_target_index
from pipeline.targets.interface import Target
from pipeline.verifying.hub import verify_hub
from pipeline.verifying.readers import TargetReader
from tests.hubs import read_document, store_again, write_hub

GUIDES = find_guides()


def find_damage(target: Target, root: bytes | None = None, state: Path | None = None) -> Iterator[str]:
    """Yields what `make verify` says is wrong with a target, and the versions without a claim.

    Args:
        target: it may be empty.
        root: the pinned root.json, for a signed hub.
        state: the folder of what was seen of it before, with a root.
    """
    if target.head(ROOT) is None:
        if target.head(START):
            yield "there is a start page, and no index"
        return
    findings = verify_hub(TargetReader(target), root, state or Path())
    yield from findings.problems
    yield from (note for note in findings.notes if "have no claim" in note)


def find_lack(target: Target, *hubs: Path) -> Iterator[str]:
    """Yields what a target lacks of hubs that were released to it completely."""
    index, export = read_target_index(target), target.get(EXPORT)
    if export is None or export[0] != render_document(index.document).encode():
        yield f"{EXPORT} is not what the shards say"
    start = target.get(START)
    yield from (f"there is no {path}" for path in (*GUIDES.paths, *GUIDES.pictures.values()) if not target.head(path))
    for hub in hubs:
        document = read_document(hub)
        for handle, entry in document["modules"].items():
            if index.document["modules"].get(handle) != entry:
                yield f"{ROOT} does not lead to {handle}"
            if target.head(f"{handle}.html") is None:
                yield f"{handle} has no page"
            is_newest = index.versions[handle.rpartition("/")[0]][0].handle == handle
            if is_newest and (start is None or f'"{handle}.html"'.encode() not in start[0]):
                yield f"the start page has no link to {handle}"


# Hubs -----------------------------------------------------------------------------------------------------------------
Formats = Mapping[str, Mapping[str, bytes]]  # the content of each format's files, by name and path
PUBLIC = "https://hub.example.org"


def set_document(hub: Path, document: Document) -> None:
    """Writes the index as publish does: for the same public address, with the aliases that follow from it."""
    root = read_local_root(hub)
    write_index(hub, parse_index(hub, document).with_modules({}), root.url if root else None)


def rewrite(hub: Path, page: str, text: str, revised: bool = True) -> None:
    """Replaces a file of a hub, as a later publish does: its entry gets the new digest and a higher revision.

    Args:
        hub: its folder.
        page: the plain path of a page, or the path of a tarball.
        text: the new content.
        revised: whether the entry's revision is raised.
    """
    document, sha256 = read_document(hub), hashlib.sha256(text.encode()).hexdigest()
    for kind in ("modules", "collections"):
        for entry in document[kind].values():
            for file in entry["files"]:
                if plain_path(file["path"]) == page:
                    is_tarball = page.endswith(".tar.gz")
                    file |= {"path": page if is_tarball else stored_path(page, sha256)}
                    file |= {"size": len(text.encode()), "sha256": sha256}
                    (hub / file["path"]).write_text(text)
                    if kind == "modules" and revised:
                        entry["revision"] = entry.get("revision", 1) + 1
    (hub / page).write_text(text)
    set_document(hub, document)
    remove_replaced(hub, read_index(hub).entries.values())


FORMATS: Formats = {
    "litert": {"model.tflite": b"LiteRT in float32"},
    "onnx": {"onnx/model.onnx": b"ONNX in float32", "config.json": b"{}\n"},
}


def add_formats(hub: Path, handle: str, formats: Formats) -> None:
    """Publishes a version in further formats."""
    document = read_document(hub)
    entry = document["modules"][handle]
    listed = {file["path"]: file for file in entry["files"]}
    for name, files in formats.items():
        for path, content in files.items():
            (hub / handle / path).parent.mkdir(parents=True, exist_ok=True)
            (hub / handle / path).write_bytes(content)
            file = {"path": f"{handle}/{path}", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            listed[f"{handle}/{path}"] = file
        runtime = "ONNX" if name.startswith("onnx") else "LiteRT"
        facts = {"files": [f"{handle}/{path}" for path in files], "precision": "float32", "runtime": runtime}
        entry.setdefault("formats", {})[name] = facts
    entry["files"] = list(listed.values())
    set_document(hub, document)


def correct_card(hub: Path, handle: str, sentence: str) -> None:
    """Adds a sentence at the end of a card."""
    rewrite(hub, f"{handle}.md", (hub / f"{handle}.md").read_text() + f"\n{sentence}\n")


def write_released_hub(folder: Path) -> Path:
    """Publishes the hub of tests.hubs.write_hub(), with nothing in it that is a draft, for a public address."""
    hub = write_hub(folder)
    document = read_document(hub)
    for entry in document["modules"].values():
        entry |= {"status": "released"} | ({} if "measured" in entry else {"waived": "they are bytes of a test"})
    set_document(hub, document)
    make_public(hub)
    write_publisher_pages(hub, hub)
    website.build(hub, read_index(hub))
    return hub


def make_public(hub: Path, url: str = PUBLIC) -> Path:
    """Gives a hub a public address: in its index and in every page; returns the hub."""
    for path in [*hub.rglob("*.md")]:
        name = path.relative_to(hub).as_posix()
        if plain_path(name) == name:
            path.write_text(path.read_text().replace("http://localhost:8080", url))
    store_again(hub)
    move(hub, url)
    return hub


def move(hub: Path, url: str) -> None:
    """Gives a hub another address, but for its pages."""
    write_index(hub, read_index(hub), url)
    (hub / FILE).write_text(f"url: {url}\n")


def copy_part(hub: Path, folder: Path, is_kept: Callable[[str], object]) -> Path:
    """Makes a hub in `folder` of those entries of another whose names are kept; returns it."""
    document = {kind: {name: entry for name, entry in entries.items() if is_kept(name)} for kind, entries in
                read_document(hub).items()}  # fmt: skip
    index = parse_index(folder, document)
    root = read_local_root(hub)
    write_index(folder, index, root.url if root else None)
    shutil.copy(hub / FILE, folder / FILE)
    for entry in index.entries.values():
        for file in entry.files:
            for path in (file.path, file.page):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(hub / path, folder / path)
    write_publisher_pages(hub, folder)
    return folder


def write_publisher_pages(hub: Path, folder: Path) -> None:
    """Writes the publishers' pages of a hub in `folder`, with the facts that are in another hub's."""
    index = read_index(folder)
    for name in index.publishers:
        publisher = read_publisher(name, (hub / name / f"{name}.md").read_text())
        page = render_publisher(publisher, index.modules.values(), index.collections.values())
        (folder / name / f"{name}.md").write_text(page)


def card_path(hub: Path, handle: str) -> str:
    """Returns the path under which the index lists a card."""
    card = read_index(hub).modules[handle].card
    assert card
    return card.path


def take_apart(hub: Path, folder: Path, *publishers: str) -> Path:
    """Makes a hub of what some publishers have in another."""
    return copy_part(hub, folder, lambda name: name.split("/")[0] in publishers)


def halves(hub: Path, folder: Path) -> tuple[Path, Path]:
    """Makes two hubs with versions 1 and 2 of the same modules, which share shards and pages."""
    first, second = (
        copy_part(hub, folder / version, re.compile(f"vit-publisher/vit_demo.*/{version}").fullmatch)
        for version in "12"
    )
    return first, second
