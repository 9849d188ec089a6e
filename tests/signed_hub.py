"""A signed hub of real cards and tarballs of a few bytes, for the tests of verify."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.folder import read_index, write_index
from pipeline.keys import read_shards, sign_with
from pipeline.saved_model.files import tarball_digest
from pipeline.targets.folder import Folder
from pipeline.trust.envelope import Envelope, render_envelope, sign
from pipeline.trust.metadata import first_metadata, next_metadata
from pipeline.trust.roles import Role
from pipeline.trust.statement import BuildDefinition, Resource, RunDetails, Statement, render_statement, statement_path
from tests.trust.signed import change, sha256

Keys = Mapping[Role, CryptoSigner]


def statement_of(hub: Path, entry: ModuleEntry) -> Statement:
    """Returns a statement of a published module."""
    day = datetime.fromisoformat("2026-11-28T10:00:00Z")
    return Statement(
        entry.handle,
        entry.tarball.sha256,
        BuildDefinition({"member": {"name": "a member"}}, (Resource("source", {"gitCommit": "ab" * 20}),)),
        RunDetails("https://example.org/builder", {"python": "3.11.2"}, day, day, {"weights": "passed"}),
        tarball_digest(hub / f"{entry.handle}.tar.gz"),
    )


def state_modules(hub: Path, signer: CryptoSigner | None) -> None:
    """Writes claims, and statements as publish does; lists them in the index."""
    index = read_index(hub)
    entries = {}
    for handle, entry in index.modules.items():
        claim = hub / f"claims/{handle}.json"
        claim.parent.mkdir(parents=True, exist_ok=True)
        claim.write_text(json.dumps({"sha256": entry.tarball.sha256, "size": entry.tarball.size}))
        envelope = Envelope(render_statement(statement_of(hub, entry)))
        content = render_envelope(sign(envelope, signer) if signer else envelope)
        path = statement_path(handle)
        (hub / path).parent.mkdir(parents=True, exist_ok=True)
        (hub / path).write_bytes(content)
        others = tuple(file for file in entry.files if file.path != path)
        files = (*others, PublishedFile(path, len(content), sha256(content)))
        entries[handle] = dataclasses.replace(entry, files=files)
    write_index(hub, index.with_modules(entries))


def sign_first(hub: Path, keys: Keys, now: datetime | None = None) -> None:
    """Signs the index for the first time."""
    target = Folder(str(hub), hub)
    public = {role: signer.public_key for role, signer in keys.items()}
    shards = read_shards(target)
    sign_with(target, lambda _: first_metadata(public, shards, change(keys, now=now)))


def sign_again(hub: Path, keys: Keys) -> None:
    """Signs the index as it is."""
    target = Folder(str(hub), hub)
    shards = read_shards(target)
    sign_with(target, lambda get: next_metadata(get, shards, change(keys)))


def edit_entry(hub: Path, handle: str, edit: Callable[[ModuleEntry], ModuleEntry]) -> None:
    """Edits a module's entry in the index."""
    index = read_index(hub)
    write_index(hub, index.with_modules({handle: edit(index.modules[handle])}))


def list_again(hub: Path, handle: str, path: str) -> None:
    """Gives a file of a module the digest in the index that it now has."""
    content = (hub / path).read_bytes()

    def edit(entry: ModuleEntry) -> ModuleEntry:
        new = PublishedFile(path, len(content), sha256(content))
        return dataclasses.replace(entry, files=tuple(new if file.path == path else file for file in entry.files))

    edit_entry(hub, handle, edit)
