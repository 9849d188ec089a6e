"""Adds the hub's entries to those of a target, which other publishers write, too."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.hub.entries import read_module
from pipeline.hub.index import parse_parts
from pipeline.hub.permanent import permanent_files
from pipeline.hub.shards import Document
from pipeline.hub.trial import MODELS
from pipeline.hub.values import Entry

_WITHDRAWN = ("yanked", "deprecated")
_PUBLISHED = "published"  # the date of the first publication, which stays


class OtherBytes(Fault):
    """The target lists other bytes for a version of the hub, or a newer card."""


def merge_documents(theirs: Document, ours: Document, place: str) -> Document:
    """Returns a part of a target's index with the hub's entries.

    A module that the target withdrew stays withdrawn, unless the hub took that back. Formats of a version that the
    hub does not have stay, with their files. So does an alias for a version that the hub does not have. "latest"
    follows from the versions of both.

    Args:
        theirs: what the target lists.
        ours: what the hub lists of the same shards.
        place: of the part, for messages.

    Raises:
        OtherBytes: when the target lists another tarball or other formats' files for a version of ours, or a later
            revision of its card.
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
    if conflict := next(_other_bytes(theirs, ours), None):
        return conflict
    if (revision := theirs.get("revision", 1)) > ours.get("revision", 1):
        return (
            f"its card there is revision {revision}, and {ours.get('revision', 1)} here; release from the hub that"
            " wrote it, or correct the card here until its revision is higher"
        )
    return None


def _other_bytes(theirs: Entry, ours: Entry) -> Iterator[str]:
    """Yields a sentence for each permanent file of either that both list, with different bytes."""
    there, here = ({file["path"]: file for file in entry["files"]} for entry in (theirs, ours))
    tarballs = ours["files"][0], theirs["files"][0]
    paths = {*permanent_files(ours), *permanent_files(theirs)} & there.keys() & here.keys()
    formats = sorted(paths - {tarball["path"] for tarball in tarballs})
    named = [(f"its {'/'.join(path.split('/')[3:])}", here[path], there[path]) for path in formats]
    for what, mine, published in [("this version", *tarballs), *named]:
        if published["sha256"] != mine["sha256"]:
            yield (
                f"{what} is published there with other bytes: sha256 {published['sha256']} there, {mine['sha256']}"
                " here; published versions never change, so raise module.version to publish this one"
            )


def _merge_module(name: str, theirs: Entry | None, ours: Entry) -> Entry:
    if conflict := find_conflict(theirs, ours):
        raise OtherBytes(f"{name}: {conflict}")
    if theirs is None:
        return ours
    withdrawn = {key: theirs[key] for key in _WITHDRAWN if key in theirs and not _is_settled(key, theirs, ours)}
    published = {_PUBLISHED: theirs[_PUBLISHED]} if _PUBLISHED in theirs else {}
    ours = {key: value for key, value in ours.items() if key != _PUBLISHED}  # an older index does not say the date
    return ours | _kept_formats(name, theirs, ours) | withdrawn | published


def _kept_formats(handle: str, theirs: Entry, ours: Entry) -> Entry:
    """Returns the formats and the files of a version, with those that only the target has."""
    here = {file["path"] for file in ours["files"]}
    kept = permanent_files(theirs).keys() - here
    if not kept:
        return {}
    if not here & {f"{handle}/{model}" for model in MODELS}:  # what "Try it" shows belongs to the files of the target
        entry = read_module(handle, theirs)
        kept |= {file.path for file in entry.files if entry.is_trial_page(file.page)}
    files = [*ours["files"], *(file for file in theirs["files"] if file["path"] in kept - here)]
    formats, own = theirs.get("formats", {}), ours.get("formats", {})
    merged = {
        name: form | {"files": list(dict.fromkeys([*form["files"], *formats.get(name, {"files": []})["files"]]))}
        for name, form in own.items()
    }
    return {"files": files, "formats": formats | merged}


def _is_settled(key: str, theirs: Entry, ours: Entry) -> bool:
    """Whether the hub withdrew the version itself, or took back the withdrawal that the target has; not a later one."""
    taken_back: str = ours.get(f"un{key}", "")
    return key in ours or theirs[key]["date"] <= taken_back


def _own(name: str, aliases: Entry, ours: Document, theirs: Document) -> Entry:
    """Returns the hub's aliases of a module, without those for which the target has a version unknown to the hub."""
    kept = theirs.get("aliases", {}).get(name, {})
    is_unknown = {alias: f"{name}/{version}" not in ours["modules"] for alias, version in kept.items()}
    return {alias: version for alias, version in aliases.items() if not is_unknown.get(alias)}
