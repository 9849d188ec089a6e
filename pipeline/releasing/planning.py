"""Makes the plan of a release from a checked hub and what the target has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.base.clock import timestamp
from pipeline.base.files import content_digest
from pipeline.base.text import read_generated
from pipeline.cards.page import LARGEST_PAGE
from pipeline.hub.entries import CollectionEntry, ModuleEntry, PublishedFile
from pipeline.hub.release_rules import reasons_against_release
from pipeline.hub.settings import HubSettings
from pipeline.hub.shards import ROOT, Document, Root, empty_document, merge, render_document, shard_path, split
from pipeline.hub.values import Entry
from pipeline.releasing.local_hub import LocalHub
from pipeline.releasing.merging import find_conflict, merge_documents
from pipeline.releasing.plan import SCHEMA, Change, Plan, PlannedFile, PlannedPart
from pipeline.releasing.policy import join_settings, plan_settings, reasons_of_policy
from pipeline.releasing.rules import check_urls, is_public
from pipeline.releasing.target_state import TargetState, claims_of, map_parallel, needed_claims, read_state
from pipeline.targets.interface import Target

_SHARD_FILE = re.compile(r"index/([0-9a-f]{2})\.json")


@dataclass(frozen=True)
class _Context:
    hub: LocalHub
    target: Target
    state: TargetState
    settings: HubSettings | None  # of both


def make_plan(hub: LocalHub, target: Target) -> Plan:
    """Compares a hub with a target; writes nothing.

    Raises:
        Fault: when the target's index is damaged, or the target is the hub of another public address.
    """
    state = read_state(target, hub.index)
    check_urls(target.address, hub.url, state.root.url if state.root else None)
    context = _Context(hub, target, state, join_settings(hub, target))
    files = map_parallel(lambda pair: _plan_file(context, *pair), list(_files(context)))
    files += plan_settings(hub, target, context.settings)
    return Plan(
        schema=SCHEMA,
        target=target.address,
        hub=str(hub.folder.resolve()),
        url=hub.url,
        hub_sha256=hub.digest,
        made=timestamp(),
        files=tuple(files),
        claims=tuple(_missing_claims(hub, state)),
        index=tuple(_plan_index(context)),
    )


def own_parts(hub: LocalHub, older: Document | None) -> dict[str, Document]:
    """Returns what the hub adds to each shard of a target, by path: its entries, and those of an older target."""
    parts = split(merge((older or empty_document(), hub.index.document)))
    return {shard_path(shard): document for shard, document in parts.items()}


def root_of(target: Target, before: Root | None, own: dict[str, Document], url: str | None) -> Root:
    """Returns the root that lists the shards of a release, those that it listed, and those that lie there.

    A publisher that was killed between a shard and the root left the last ones.
    """
    there = [match[1] for stored in target.list("index/") if (match := _SHARD_FILE.fullmatch(stored.path))]
    shards = {*(before.shards if before else ()), *there, *(path[6:8] for path in own)}
    return Root(tuple(sorted(shards)), url or (before.url if before else None))


def _missing_claims(hub: LocalHub, state: TargetState) -> Iterator[str]:
    for handle in hub.index.modules:
        needed = needed_claims(handle, hub.index.document["modules"][handle], state.entry("modules", handle))
        yield from (name for name in needed if name not in state.claims)


def _files(context: _Context) -> Iterator[tuple[ModuleEntry | CollectionEntry, PublishedFile, str]]:
    """Yields each listed file of the hub once, whose it is, and why it may not be released ("" where it may).

    Modules that were made with the same packages share the lock file.
    """
    seen = set()
    for entry in context.hub.index.entries.values():
        reasons = "; ".join(_module_reasons(context, entry)) if isinstance(entry, ModuleEntry) else ""
        for file in entry.files:
            if file.path not in seen:
                seen.add(file.path)
                yield entry, file, reasons


def _module_reasons(context: _Context, entry: ModuleEntry) -> Iterator[str]:
    """Yields why none of a module's files may be released."""
    card = None
    if entry.card and is_public(context.target.address, context.hub.url):
        card = read_generated(context.hub.folder / entry.card.path, "publish it again", LARGEST_PAGE)
    yield from reasons_against_release(entry, card)
    yield from reasons_of_policy(context.settings, context.hub, entry)
    yield from _conflicts(context, entry)


def _conflicts(context: _Context, entry: ModuleEntry) -> Iterator[str]:
    ours = context.hub.index.document["modules"][entry.handle]
    if conflict := find_conflict(context.state.entry("modules", entry.handle), ours):
        yield conflict
        return
    for name, mine in claims_of(entry.handle, ours).items():
        claim = context.state.claims.get(name, mine)
        if claim != mine:
            what = "this version" if name == entry.handle else f"its {name.removeprefix(f'{entry.handle}/')}"
            yield (
                f"{what} is claimed there for other bytes: sha256 {claim.sha256} there, {mine.sha256} here; raise"
                " module.version to publish this one"
            )


def _plan_file(
    context: _Context, entry: ModuleEntry | CollectionEntry, file: PublishedFile, refusal: str
) -> PlannedFile:
    stored = context.state.files.get(file.path)
    tag = stored.tag if stored else None
    if refusal:
        return PlannedFile(file.path, file.size, file.sha256, Change.REFUSED, tag, refusal)
    if stored is None:
        change = Change.NEW
    elif isinstance(entry, ModuleEntry) and context.hub.is_permanent(file.path):
        change = Change.UNCHANGED if stored.size == file.size and _is_ours(context, entry, file) else Change.NEW
    else:
        change = Change.UNCHANGED if _is_there(context, entry, file) else Change.CHANGED
    return PlannedFile(file.path, file.size, file.sha256, change, tag)


def _is_ours(context: _Context, entry: ModuleEntry, file: PublishedFile) -> bool:
    """Whether a permanent file that lies at the target has our bytes: its index lists it, or it is claimed for them.

    Other bytes were refused before. Without either, nobody says what an interrupted upload of others has left.
    """
    theirs = context.state.entry("modules", entry.handle)
    is_listed = theirs is not None and any(file.path == other["path"] for other in theirs["files"])
    return is_listed or (entry.handle if file is entry.tarball else file.path) in context.state.claims


def _is_there(context: _Context, entry: ModuleEntry | CollectionEntry, file: PublishedFile) -> bool:
    """Whether the target has a small file's bytes. They are read unless its index lists them under their digest."""
    if context.state.files[file.path].size != file.size:
        return False
    theirs = context.state.entry("modules" if isinstance(entry, ModuleEntry) else "collections", name_of(entry))
    if theirs and file.page != file.path and file.to_json() in theirs["files"]:
        return True
    answer = context.target.get(file.path)
    return answer is not None and content_digest(answer[0]) == file.sha256


def name_of(entry: ModuleEntry | CollectionEntry) -> str:
    return entry.handle if isinstance(entry, ModuleEntry) else entry.address


def _plan_index(context: _Context) -> Iterator[PlannedPart]:
    own = own_parts(context.hub, context.state.older)
    for path, document in own.items():
        part = context.state.parts[path]
        after = part.sha256 or ""
        if not _has_conflict(part.document, document):
            after = content_digest(render_document(merge_documents(part.document, document, path)).encode())
        yield PlannedPart(path, part.tag, part.sha256, after)
    before = context.state.root
    root = root_of(context.target, before, own, context.hub.url)
    yield PlannedPart(ROOT, context.state.root_tag, context.state.root_sha256, content_digest(root.render().encode()))


def _has_conflict(theirs: Document, ours: Document) -> bool:
    pairs: list[tuple[Entry | None, Entry]] = [
        (theirs["modules"].get(n), entry) for n, entry in ours["modules"].items()
    ]
    return any(find_conflict(*pair) for pair in pairs)
