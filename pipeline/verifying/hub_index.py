"""Reads the index of a hub from outside: the signed copies of its shards, or the plain ones, and compares the two."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pipeline.base.fault import Fault, list_names
from pipeline.base.files import content_digest
from pipeline.base.stored_names import stored_path
from pipeline.hub.entries import PublishedFile
from pipeline.hub.index import Index, parse_parts
from pipeline.hub.shards import (
    EXPORT,
    KINDS,
    ROOT,
    Document,
    empty_document,
    merge,
    parse_document,
    parse_root,
    parse_shard,
    shard_of_entry,
    shard_path,
)
from pipeline.hub.values import Entry
from pipeline.trust.chain import metadata_path, parse_metadata
from pipeline.trust.client import TrustedIndex
from pipeline.trust.metadata import copy_path
from pipeline.trust.roles import Role
from pipeline.verifying.findings import Findings
from pipeline.verifying.readers import Reader

_MOST_EARLIER = 50  # releases that a plain copy of the index may be behind


class HubIndex:
    """The index of a hub, and what is wrong with it."""

    def __init__(self, reader: Reader, trusted: TrustedIndex | None, findings: Findings) -> None:
        """Reads nothing yet.

        Args:
            reader: reads the hub.
            trusted: what the owner has signed; None without a pinned root.
            findings: gets what is wrong.
        """
        self._reader, self._trusted, self._findings = reader, trusted, findings
        self._newest = empty_document()

    def read(self) -> Index:
        """Returns what can be read of the index: the signed copies of the shards where they are trusted.

        Raises:
            Fault: when there is no index.
        """
        parts = list(self._signed_parts(self._trusted) if self._trusted else self._plain_parts())
        index, faults = parse_parts((Path(path), document) for path, document in parts)
        self._findings.problems += map(str, faults)
        self._newest = merge(document for _, document in parts)
        if self._trusted:
            self._compare_plain(self._trusted)
        self._compare_export(index)
        return index

    def _signed_parts(self, trusted: TrustedIndex) -> Iterator[tuple[str, Document]]:
        for path, file in sorted(trusted.shards.items()):
            copy = copy_path(path, file.sha256)
            content = self._reader.small(copy)
            if content is None:
                self._problem(copy, f"missing, but signed metadata list it as {path}; restore it")
            elif len(content) != file.size or content_digest(content) != file.sha256:
                self._problem(copy, "other bytes than were signed; restore it")
            elif path != ROOT:
                yield from self._parse(copy, content)

    def _plain_parts(self) -> Iterator[tuple[str, Document]]:
        root = self._reader.small(ROOT)
        if root is None:
            content = self._reader.small(EXPORT)
            if content is None:
                text = f"there is no {ROOT} and no {EXPORT}; expected a hub"
                raise Fault(f"{self._reader.address}: {text}, a module's tarball or its folder")
            yield EXPORT, parse_document(self._place(EXPORT), content)
            return
        for shard in parse_root(self._place(ROOT), root).shards:
            path = shard_path(shard)
            content = self._reader.small(path)
            if content is None:
                self._problem(path, f"missing, but {ROOT} lists it; restore it")
            else:
                yield from self._parse(path, content)

    def _parse(self, path: str, content: bytes) -> Iterator[tuple[str, Document]]:
        try:
            yield path, parse_shard(self._place(path), content)
        except Fault as fault:
            self._findings.problems.append(str(fault))

    # What readers without the root see --------------------------------------------------------------------------------
    def _compare_plain(self, trusted: TrustedIndex) -> None:
        """Compares the plain parts of the index with the signed ones; an earlier signed one is behind, and no fault."""
        behind = []
        for path, file in sorted(trusted.shards.items()):
            content = self._reader.small(path)
            if content is None and path != ROOT and not self._is_newest_root(trusted):
                behind.append(path)  # a new shard: the plain root, which is written after it, does not list it yet
            elif content is None:
                self._problem(path, "missing, but it was signed; run make release again, or restore it")
            elif content_digest(content) != file.sha256:
                if (path, content_digest(content)) in self._earlier:
                    behind.append(path)
                else:
                    text = "somebody has edited it, or published and not signed since"
                    self._problem(path, f"not what was signed: {text}; restore it, or sign it (make sign)")
        if behind:
            text = f"{list_names(behind)}: an earlier signed version, for readers without the root; a release was"
            self._findings.notes.append(f"{text} interrupted: run make release again")

    def _is_newest_root(self, trusted: TrustedIndex) -> bool:
        root, signed = self._reader.small(ROOT), trusted.shards.get(ROOT)
        return root is not None and signed is not None and content_digest(root) == signed.sha256

    @cached_property
    def _earlier(self) -> set[tuple[str, str]]:
        """The path and the SHA-256 of each part of the index that the same keys signed before."""
        return set().union(*self._releases)

    @cached_property
    def _releases(self) -> list[set[tuple[str, str]]]:
        """What each earlier release signed by the same keys lists, as in _earlier."""
        assert self._trusted
        earlier = []
        newest = self._trusted.roles[Role.RELEASE].version
        for version in range(newest - 1, max(0, newest - 1 - _MOST_EARLIER), -1):
            path = metadata_path(Role.RELEASE, version)
            content = self._reader.small(path)
            if content is not None:
                earlier.append(_listed(content, path, self._trusted))
        return earlier

    def _compare_export(self, index: Index) -> None:
        """Compares index.json, which older readers have, with the shards."""
        content = self._reader.small(EXPORT) if index.document["modules"] else None
        if content is None:
            return
        try:
            export = parse_document(self._place(EXPORT), content)
        except Fault as fault:
            self._findings.problems.append(str(fault))
            return
        names = {kind: export[kind].keys() | index.document[kind].keys() for kind in KINDS}
        other = sorted(
            name for kind in KINDS for name in names[kind] if export[kind].get(name) != index.document[kind].get(name)
        )
        if not other:
            return
        text = f"{list_names(other)} differ from the shards"
        if self._trusted and not self._is_earlier(export, other):
            self._problem(EXPORT, f"{text}, and were never signed: somebody has edited it; run make release again")
        else:
            self._findings.notes.append(f"{EXPORT}: {text}; make publish or make release writes it again")

    def _is_earlier(self, export: Document, names: list[str]) -> bool:
        """Whether index.json has each of some entries as an earlier signed shard has it, or lacks it as one does."""
        return all(self._was_so(kind, name, export[kind].get(name)) for name in names for kind in KINDS)

    def _was_so(self, kind: str, name: str, entry: Entry | None) -> bool:
        shard = shard_path(shard_of_entry(name))
        earlier = [document[kind].get(name) for path, document in self._older if path == shard]
        if any(listed and shard not in dict(listed) for listed in self._releases):  # a shard that is newer than they
            earlier.append(None)
        return entry in [*earlier, self._newest[kind].get(name)]

    @cached_property
    def _older(self) -> list[tuple[str, Document]]:
        """The shards that the same keys signed before, each with its path."""
        older: list[tuple[str, Document]] = []
        for path, sha256 in sorted(self._earlier):
            content = self._reader.small(copy_path(path, sha256)) if path != ROOT else None
            if content is not None and content_digest(content) == sha256:
                older.append((path, parse_shard(self._place(copy_path(path, sha256)), content)))
        return older

    def was_listed(self, file: PublishedFile, sha256: str) -> bool:
        """Whether a page had another content before: signed earlier; without a root, still stored beside it."""
        if self._trusted is None:
            return self._reader.has(stored_path(file.page, sha256))
        index, _ = parse_parts((Path(path), document) for path, document in self._older)
        files = (other for entry in index.entries.values() for other in entry.files)
        return any(other.page == file.page and other.sha256 == sha256 for other in files)

    def _place(self, path: str) -> str:
        return f"{self._reader.address}/{path}"

    def _problem(self, path: str, text: str) -> None:
        self._findings.problems.append(f"{self._place(path)}: {text}")


def _listed(content: bytes, path: str, trusted: TrustedIndex) -> set[tuple[str, str]]:
    """Returns what metadata of release list, if one of its keys has signed them."""
    from securesystemslib.exceptions import UnverifiedSignatureError

    try:
        metadata = parse_metadata(content, Role.RELEASE, path)
    except Fault:
        return set()
    for key_id, signature in metadata.signatures.items():
        try:
            if key_id in trusted.keys:
                trusted.keys[key_id].key.verify_signature(signature, metadata.signed_bytes)
                return {(name, file.hashes.get("sha256", "")) for name, file in metadata.signed.targets.items()}
        except UnverifiedSignatureError:
            continue
    return set()
