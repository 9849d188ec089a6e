"""Carries out a plan up to the index: claims, tarballs and formats, small files, the shards, the root.

After a kill at any moment readers see the old index, or the new one with all that it lists; the next run goes on.
Pages follow (pages.py).
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.base.fault import Fault
from pipeline.base.files import content_digest, read_bounded
from pipeline.base.progress import Progress
from pipeline.hub.shards import ROOT, Document, render_document
from pipeline.releasing.local_hub import LocalHub
from pipeline.releasing.merging import merge_documents
from pipeline.releasing.plan import Plan, PlannedFile
from pipeline.releasing.planning import own_parts, root_of
from pipeline.releasing.retry import retry_moved
from pipeline.releasing.signing import Signing, sign_index
from pipeline.releasing.target_state import (
    claim_path,
    claims_of,
    map_parallel,
    read_claim,
    read_older,
    read_part,
    read_root,
)
from pipeline.targets.interface import LARGEST_SMALL, AlreadyThere, Moved, Target

LARGE = 2  # files at a time: one waits for the network while the other is read


@dataclass(frozen=True)
class Written:
    """What a release made of the target's index: the SHA-256 of its parts, by path."""

    index: dict[str, str]


def carry_out(plan: Plan, hub: LocalHub, target: Target, signing: Signing | None = None) -> Written:
    """Writes what a plan says, but for the pages.

    Args:
        plan: was made a moment ago, and refuses nothing.
        hub: what it was made from.
        target: what it was made for.
        signing: the keys for a signed target.

    Raises:
        Fault: when another publisher claimed a version for other bytes meanwhile, a file of the hub has changed since
            it was checked, or the target fails. What was written stays, and the next run goes on from there.
    """
    map_parallel(lambda name: _claim(hub, target, name), plan.claims)
    written = [file for file in plan.files if file.is_written]
    pages = [file for file in written if not hub.is_permanent(file.path)]
    _put_large(hub, target, [file for file in written if hub.is_permanent(file.path)])
    map_parallel(lambda file: _write_small(hub, target, file), pages)
    root, _, _ = read_root(target)
    own = own_parts(hub, read_older(target) if root is None else None)
    if signing:
        return Written(sign_index(target, own, hub.url, signing))
    return Written(dict(_write_index(hub, target, own)))


def _claim(hub: LocalHub, target: Target, name: str) -> None:
    """Claims a version by its handle, or a format's file by its path."""
    handle, path = "/".join(name.split("/")[:3]), claim_path(name)
    claim = claims_of(handle, hub.index.document["modules"][handle])[name]
    try:
        target.create(path, claim.render())
    except AlreadyThere:
        other = read_claim(target, path)
        if other != claim:
            raise Fault(
                f"{target.address}: another publisher claimed {name} a moment ago for other bytes: sha256"
                f" {other.sha256 if other else 'unknown'} there, {claim.sha256} here; raise module.version to publish"
                " this one"
            ) from None


def _put_large(hub: LocalHub, target: Target, files: list[PlannedFile]) -> None:
    lock = threading.Lock()
    with Progress(f"release to {target.address}", sum(file.size for file in files), "B") as progress:

        def advance(count: int) -> None:
            with lock:
                progress.advance(count)

        def put(file: PlannedFile) -> None:
            stored = target.put_large(file.path, hub.folder / file.path, advance)
            hub.refuse_change(file.path)
            if stored.size != file.size:
                text = f"{stored.size:,} bytes arrived, expected {file.size:,}"
                raise Fault(f"{target.address}/{file.path}: {text}; run the same command again")

        map_parallel(put, files, LARGE)


def _write_small(hub: LocalHub, target: Target, file: PlannedFile) -> None:
    content = read_bounded(hub.folder / file.path, LARGEST_SMALL)
    if content_digest(content) != file.sha256:
        raise Fault(f"{hub.folder / file.path}: it has changed since the hub was checked; run the same command again")
    try:
        target.swap(file.path, content, file.tag)
    except Moved:
        answer = target.get(file.path)
        if answer is None or answer[0] != content:
            text = "another publisher wrote it a moment ago, with other content"
            raise Fault(f"{target.address}/{file.path}: {text}; run make release-plan again") from None


def _write_index(hub: LocalHub, target: Target, own: dict[str, Document]) -> Iterator[tuple[str, str]]:
    """Writes the shards, then the root; yields the path and the SHA-256 of each."""
    yield from map_parallel(lambda path: _swap_shard(target, path, own[path]), own)
    yield ROOT, _swap_root(hub, target, own)


def _swap_shard(target: Target, path: str, ours: Document) -> tuple[str, str]:
    content = b""

    def attempt() -> None:
        nonlocal content
        part = read_part(target, path)
        content = render_document(merge_documents(part.document, ours, f"{target.address}/{path}")).encode()
        if content != part.content:
            target.swap(path, content, part.tag)

    retry_moved(f"{target.address}/{path}", attempt)
    return path, content_digest(content)


def _swap_root(hub: LocalHub, target: Target, own: dict[str, Document]) -> str:
    content = b""

    def attempt() -> None:
        nonlocal content
        before, tag, sha256 = read_root(target)
        content = root_of(target, before, own, hub.url).render().encode()
        if content_digest(content) != sha256:
            target.swap(ROOT, content, tag)

    retry_moved(f"{target.address}/{ROOT}", attempt)
    return content_digest(content)
