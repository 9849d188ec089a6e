"""Adds the hub's entries to those of a target, which other publishers write, too."""

from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.hub.index import parse_parts
from pipeline.hub.shards import Document
from pipeline.hub.values import Entry

_WITHDRAWN = ("yanked", "deprecated")


class OtherBytes(Fault):
    """The target lists other bytes for a version of the hub, or a newer card."""


def merge_documents(theirs: Document, ours: Document, place: str) -> Document:
    """Returns a part of a target's index with the hub's entries.

    A module that the target withdrew stays withdrawn, unless the hub took that back. An alias of the target for a
    version that the hub does not have stays. "latest" follows from the versions of both.

    Args:
        theirs: what the target lists.
        ours: what the hub lists of the same shards.
        place: of the part, for messages.

    Raises:
        OtherBytes: when the target lists another tarball for a version of ours, or a later revision of its card.
    """
    modules = {name: _merge_module(name, theirs["modules"].get(name), entry) for name, entry in ours["modules"].items()}
    aliases = {
        name: theirs.get("aliases", {}).get(name, {}) | _own(name, entry, ours, theirs)
        for name, entry in ours.get("aliases", {}).items()
    }
    merged = {
        **theirs,
        "modules": theirs["modules"] | modules,
        "collections": theirs["collections"] | ours["collections"],
        "aliases": theirs.get("aliases", {}) | aliases,
    }
    index, faults = parse_parts([(Path(place), merged)])
    if faults:
        raise faults[0]
    return index.with_modules({}).document


def find_conflict(theirs: Entry | None, ours: Entry) -> str | None:
    """Returns why an entry of the hub may not replace the target's; None where it may."""
    if theirs is None:
        return None
    published, mine = theirs["files"][0]["sha256"], ours["files"][0]["sha256"]
    if published != mine:
        return (
            f"this version is published there with other bytes: sha256 {published} there, {mine} here; published"
            " versions never change, so raise module.version to publish this one"
        )
    if (revision := theirs.get("revision", 1)) > ours.get("revision", 1):
        return (
            f"its card there is revision {revision}, and {ours.get('revision', 1)} here; release from the hub that"
            " wrote it, or correct the card here until its revision is higher"
        )
    return None


def _merge_module(name: str, theirs: Entry | None, ours: Entry) -> Entry:
    if conflict := find_conflict(theirs, ours):
        raise OtherBytes(f"{name}: {conflict}")
    return ours | {
        key: theirs[key] for key in _WITHDRAWN if theirs and key in theirs and not _is_settled(key, theirs, ours)
    }


def _is_settled(key: str, theirs: Entry, ours: Entry) -> bool:
    """Whether the hub withdrew the version itself, or took back the withdrawal that the target has; not a later one."""
    taken_back: str = ours.get(f"un{key}", "")
    return key in ours or theirs[key]["date"] <= taken_back


def _own(name: str, aliases: Entry, ours: Document, theirs: Document) -> Entry:
    """Returns the hub's aliases of a module, without those for which the target has a version unknown to the hub."""
    kept = theirs.get("aliases", {}).get(name, {})
    is_unknown = {alias: f"{name}/{version}" not in ours["modules"] for alias, version in kept.items()}
    return {alias: version for alias, version in aliases.items() if not is_unknown.get(alias)}
