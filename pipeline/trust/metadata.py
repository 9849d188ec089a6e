"""Writes the signed metadata of a hub: a first set, a new one for a release, for renewal, and for another key.

Nothing here reads or writes files by itself: metadata are read through a function, and what is to be written is
returned in order. Every file is new but timestamp.json, so that a kill in between leaves the hub as it was; files of an
interrupted attempt are passed over by the next, which counts on from there.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.base.files import content_digest
from pipeline.trust.chain import TIMESTAMP_PATH, Chain, Change, Write, load_chain
from pipeline.trust.roles import SIGNED_PATHS, GetFile, Role

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey


def is_signed(get: GetFile) -> bool:
    """Whether a hub has signed metadata."""
    return get(TIMESTAMP_PATH) is not None


def first_metadata(keys: "Mapping[Role, SSlibKey]", shards: Mapping[str, bytes], change: Change) -> list[Write]:
    """Returns what to write to make a hub a signed one.

    Args:
        keys: the public key of each role.
        shards: what the hub's index consists of, by path.
        change: all private keys.
    """
    from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Snapshot, Targets, Timestamp

    root = Root(consistent_snapshot=True)
    for role in Role:
        if role is not Role.RELEASE:
            root.add_key(keys[role], role)
    release = keys[Role.RELEASE]
    delegated = DelegatedRole(Role.RELEASE.value, [release.keyid], 1, terminating=True, paths=[SIGNED_PATHS])
    delegations = Delegations({release.keyid: release}, {Role.RELEASE.value: delegated})
    chain = Chain(
        {
            Role.ROOT: Metadata(root),
            Role.TARGETS: Metadata(Targets(delegations=delegations)),
            Role.RELEASE: Metadata(Targets()),
            Role.SNAPSHOT: Metadata(Snapshot()),
            Role.TIMESTAMP: Metadata(Timestamp()),
        }
    )
    for role in Role:
        chain[role].signed.version = 0  # signing counts on
    chain.list_shards(shards)
    return [*_copies(shards), *chain.sign(set(Role), change, lambda _: None)]


def next_metadata(get: GetFile, shards: Mapping[str, bytes], change: Change) -> list[Write]:
    """Returns what to write so that a release counts: signed copies of shards, metadata, and timestamp.json last.

    The caller must have merged its entries into the signed copies of the shards (signed_shards()), not into the plain
    ones, which anybody who can write the hub may have edited; and writes the plain ones after this, for readers that
    verify nothing. When a create finds another file, or the swap of timestamp.json another one than the chain began
    with, another publisher was faster: begin again.

    Args:
        get: reads the hub.
        shards: the parts of the index that changed, by path (index/3f.json, index/root.json).
        change: the keys of release, snapshot and timestamp.

    Returns:
        Nothing when the hub has signed just these shards.

    Raises:
        Fault: when a key is missing, or the hub's metadata are damaged or not signed as they must be.
    """
    signed = signed_shards(get, change.trusted_root)
    changed = {path: content for path, content in shards.items() if signed.get(path) != content_digest(content)}
    if not changed:
        return []
    chain = load_chain(get, change.trusted_root)
    chain.list_shards(changed)
    return [*_copies(changed), *chain.sign({Role.RELEASE, Role.SNAPSHOT, Role.TIMESTAMP}, change, get)]


def renewed_metadata(get: GetFile, change: Change) -> list[Write]:
    """Returns what to write so that snapshot and timestamp, and what else the keys can sign, count for their lifetime.

    Raises:
        Fault: see next_metadata().
    """
    chain = load_chain(get, change.trusted_root)
    ours = {signer.public_key.keyid for signer in change.signers}
    offline = {role for role in (Role.ROOT, Role.TARGETS, Role.RELEASE) if ours & chain.keys_of(role).keys()}
    return chain.sign({Role.SNAPSHOT, Role.TIMESTAMP} | offline, change, get)


def metadata_with_key(get: GetFile, role: Role, key: "SSlibKey", change: Change, revoke: bool = False) -> list[Write]:
    """Returns what to write so that a role has a new key instead of its old ones.

    Where the old key signs, too, every state in between is valid, and root comes last; where it is lost, root comes
    first.

    Args:
        get: reads the hub.
        role: whose key is replaced.
        key: the new public key.
        change: the new private key, that of root (of targets for `release`), snapshot and timestamp, and the old one.
        revoke: whether statements signed by the old key of `release` stop to count, because it was stolen.

    Raises:
        Fault: see next_metadata().
    """
    chain = load_chain(get, change.trusted_root, is_lenient=True)
    old = chain.replace_key(role, key, revoke)
    changed = {
        Role.ROOT: {Role.ROOT},
        Role.TARGETS: {Role.ROOT, Role.TARGETS, Role.SNAPSHOT, Role.TIMESTAMP},
        Role.RELEASE: {Role.TARGETS, Role.RELEASE, Role.SNAPSHOT, Role.TIMESTAMP},
        Role.SNAPSHOT: {Role.ROOT, Role.SNAPSHOT, Role.TIMESTAMP},
        Role.TIMESTAMP: {Role.ROOT, Role.TIMESTAMP},
    }[role]
    writes = chain.sign(changed, change, get)
    ours = {signer.public_key.keyid for signer in change.signers}
    if Role.ROOT in changed and old <= ours:
        writes.sort(key=lambda write: write.path.endswith(".root.json"))
    return writes


def signed_shards(get: GetFile, trusted_root: bytes | None = None) -> dict[str, str]:
    """Returns the SHA-256 of each signed part of the index by its path; expired signatures count.

    Raises:
        Fault: when the metadata are damaged, or not signed as they must be.
    """
    targets = load_chain(get, trusted_root)[Role.RELEASE].signed.targets
    return {path: target.hashes["sha256"] for path, target in targets.items()}


def copy_path(path: str, sha256: str) -> str:
    """Returns where the signed copy of a shard lies, such as index/<sha256>.3f.json, which never changes."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sha256}.{name}"


def _copies(shards: Mapping[str, bytes]) -> list[Write]:
    return [Write(copy_path(path, content_digest(content)), content) for path, content in sorted(shards.items())]
