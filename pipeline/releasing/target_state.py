"""Reads what a target has of a hub: the parts of its index, its claims and its files."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, content_digest
from pipeline.base.json_files import build, parse_facts
from pipeline.hub.index import Index, parse_parts
from pipeline.hub.permanent import permanent_files
from pipeline.hub.shards import (
    EXPORT,
    ROOT,
    Document,
    Root,
    empty_document,
    merge,
    parse_document,
    parse_root,
    parse_shard,
    shard_path,
    split,
)
from pipeline.hub.values import Entry
from pipeline.targets.interface import Stored, Target

REQUESTS = 8  # small requests at a time: they wait for the network, not for this machine
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Claim:
    """Which bytes a tarball or a file of a format is, for ever: their SHA-256 in hexadecimal, and how many they are."""

    sha256: str
    size: int

    def render(self) -> bytes:
        """Returns the claim's file; equal claims are equal bytes."""
        return (json.dumps({"sha256": self.sha256, "size": self.size}, sort_keys=True) + "\n").encode()


@dataclass(frozen=True)
class Part:
    """A file of a target's index.

    Attributes:
        path: in the hub.
        tag: of the file; None where there is none.
        content: its bytes; b"" where there is none.
        document: what it lists.
    """

    path: str
    tag: str | None
    content: bytes
    document: Document

    @property
    def sha256(self) -> str | None:
        return None if self.tag is None else content_digest(self.content)


@dataclass(frozen=True)
class TargetState:
    """What a target has where a release would write.

    Attributes:
        address: of the target.
        root: its index/root.json; None for a new target, and for a hub of an older version of this program.
        root_tag: of index/root.json.
        root_sha256: of index/root.json.
        parts: the shards that the release writes, by path, also those that do not exist yet.
        older: the content of index.json where there is no root: a hub of an older version of this program.
        claims: by handle, those of formats' files by path; without those of files that the target's index lists.
        files: by path.
    """

    address: str
    root: Root | None
    root_tag: str | None
    root_sha256: str | None
    parts: dict[str, Part]
    older: Document
    claims: dict[str, Claim] = field(default_factory=dict)
    files: dict[str, Stored] = field(default_factory=dict)

    def entry(self, kind: str, name: str) -> Entry | None:
        """Returns what the target's index lists of a module or collection; None where it does not list it.

        Args:
            kind: "modules" or "collections".
            name: its handle or address.
        """
        documents = (*(part.document for part in self.parts.values()), self.older)
        return next((document[kind][name] for document in documents if name in document[kind]), None)


def claim_path(name: str) -> str:
    """Returns the path of the claim of a handle or of a format's file."""
    return f"claims/{name}.json"


def claims_of(handle: str, entry: Entry) -> dict[str, Claim]:
    """Returns what the publisher of a version claims: its handle for the tarball, each format's file by its path."""
    tarball, *others = permanent_files(entry).values()
    named = [(handle, tarball), *((file["path"], file) for file in others)]
    return {name: Claim(file["sha256"], file["size"]) for name, file in named}


def needed_claims(handle: str, ours: Entry, theirs: Entry | None) -> dict[str, Claim]:
    """Returns the claims that a release of a version needs at a target.

    A format's file that the target's index lists needs none: other bytes for it are refused already.
    """
    listed = {file["path"] for file in theirs["files"]} if theirs else set()
    return {name: claim for name, claim in claims_of(handle, ours).items() if name not in listed}


def map_parallel(function: Callable[[_T], _R], values: Iterable[_T], workers: int = REQUESTS) -> list[_R]:
    """Returns the results in order; after the first error no further value is begun."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(function, value) for value in values]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def read_state(target: Target, index: Index) -> TargetState:
    """Reads what a target has of what an index lists.

    Raises:
        Fault: when a file of the target's index or a claim is damaged.
    """
    root, root_tag, root_sha256 = read_root(target)
    older = empty_document() if root else read_older(target)
    paths = [shard_path(shard) for shard in split(merge((older, index.document)))]
    parts = {part.path: part for part in map_parallel(lambda path: read_part(target, path), paths)}
    names = sorted(index.versions)
    listed = map_parallel(lambda prefix: list(target.list(prefix)), [f"{name}/" for name in names])
    files = {stored.path: stored for group in listed for stored in group}
    folders = tuple(f"{name}/" for name in names)
    others = {file.path for entry in index.entries.values() for file in entry.files} - files.keys()  # pages, lock files
    others = {path for path in others if not path.startswith(folders)}
    files |= {stored.path: stored for stored in map_parallel(target.head, sorted(others)) if stored}
    state = TargetState(target.address, root, root_tag, root_sha256, parts, older, files=files)
    return replace(state, claims=_read_claims(target, index, state))


def read_root(target: Target) -> tuple[Root | None, str | None, str | None]:
    """Returns index/root.json, its tag and its SHA-256; None where there is none."""
    answer = target.get(ROOT)
    if answer is None:
        return None, None, None
    content, stored = answer
    return parse_root(f"{target.address}/{ROOT}", content), stored.tag, content_digest(content)


def read_older(target: Target) -> Document:
    """Returns what index.json lists: the whole index of a hub without shards."""
    answer = target.get(EXPORT)
    return parse_document(f"{target.address}/{EXPORT}", answer[0]) if answer else empty_document()


def read_part(target: Target, path: str) -> Part:
    """Reads a shard, which is empty where there is none."""
    answer = target.get(path)
    if answer is None:
        return Part(path, None, b"", empty_document())
    content, stored = answer
    document = parse_shard(f"{target.address}/{path}", content)
    parse_target_index(target, [(path, document)])  # refuses malformed entries before anything is written
    return Part(path, stored.tag, content, document)


def read_target_index(target: Target) -> Index:
    """Reads all of a target's index; what no root lists yet is not part of it."""
    root, _, _ = read_root(target)
    if root is None:
        return parse_target_index(target, [(EXPORT, read_older(target))])
    paths = [shard_path(shard) for shard in root.shards]
    parts = map_parallel(lambda path: read_part(target, path), paths)
    for part in parts:
        if part.tag is None:
            raise Fault(f"{target.address}/{part.path}: missing, but {ROOT} lists it; restore it from a copy")
    return parse_target_index(target, [(part.path, part.document) for part in parts])


def parse_target_index(target: Target, parts: Iterable[tuple[str, Document]]) -> Index:
    """Reads parts of a target's index, by their paths; raises Fault for a malformed entry."""
    index, faults = parse_parts((Path(f"{target.address}/{path}"), document) for path, document in parts)
    if faults:
        raise faults[0]
    return index


def read_claim(target: Target, path: str) -> Claim | None:
    """Reads a claim; None where there is none.

    Raises:
        Fault: when it is damaged.
    """
    answer = target.get(path)
    if answer is None:
        return None
    try:
        claim: Claim = build(Claim, parse_facts(answer[0]))
    except Unreadable as reason:
        raise Fault(f"{target.address}/{path}: {reason}; restore it: a claim is written once") from None
    return claim


def _read_claims(target: Target, index: Index, state: TargetState) -> dict[str, Claim]:
    """Returns the claims that a release of an index needs, as far as they are made."""
    needed = (
        name
        for handle in index.modules
        for name in needed_claims(handle, index.document["modules"][handle], state.entry("modules", handle))
    )
    groups = map_parallel(lambda name: list(target.list(f"claims/{name}/")), sorted(index.versions))
    wanted = {claim_path(name): name for name in needed}
    paths = [stored.path for group in groups for stored in group if stored.path in wanted]
    claims = map_parallel(lambda path: read_claim(target, path), paths)
    return {wanted[path]: claim for path, claim in zip(paths, claims, strict=True) if claim}
