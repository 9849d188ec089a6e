"""Writes the index of a signed target: signed copies and metadata first, then the plain shards for other readers.

The replacement of metadata/timestamp.json is the moment at which a release counts. What it signs is merged into what
was signed before, never into plain shards, which anybody who can write the target may have edited.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.base.fault import Fault
from pipeline.base.files import content_digest
from pipeline.hub.shards import ROOT, Document, Root, empty_document, parse_root, parse_shard, render_document
from pipeline.releasing.merging import merge_documents
from pipeline.releasing.retry import retry_moved
from pipeline.targets.interface import AlreadyThere, Moved, Target
from pipeline.trust.chain import TIMESTAMP_PATH, Change, load_chain
from pipeline.trust.metadata import copy_path, is_signed, next_metadata, signed_shards
from pipeline.trust.roles import GetFile, Role, current_time

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

LARGEST_ROOT = 512_000  # bytes; what clients accept
RELEASING = (Role.RELEASE, Role.SNAPSHOT, Role.TIMESTAMP)  # whose metadata a release signs


@dataclass(frozen=True)
class Signing:
    """What a release signs with.

    Attributes:
        signers: the private keys of release, snapshot and timestamp.
        trusted_root: a root.json from elsewhere that the target's metadata must descend from; None trusts the target's.
    """

    signers: "Sequence[CryptoSigner]"
    trusted_root: bytes | None = None

    def change(self) -> Change:
        return Change(self.signers, current_time(), self.trusted_root)


def reads(target: Target) -> GetFile:
    """Returns a function that reads small files of a target."""

    def get(path: str) -> bytes | None:
        answer = target.get(path)
        return answer[0] if answer else None

    return get


def check_signing(target: Target, signing: Signing | None) -> None:
    """Refuses a release without the keys of a signed target, and one with keys to a target that has no metadata yet.

    Args:
        target: where to.
        signing: the keys; None without SIGN=.

    Raises:
        Fault: says what to do.
    """
    if is_signed(reads(target)):
        if signing is None:
            raise Fault(
                f"{target.address}: it is signed, so a release needs keys; set SIGN=<keys of release, snapshot and"
                " timestamp>"
            )
        chain = load_chain(reads(target), signing.trusted_root)
        chain.sign(RELEASING, signing.change(), reads(target))  # tried before claims, which are made for ever
    elif signing is not None and signing.trusted_root is not None:
        raise Fault(
            f"{target.address}: {TIMESTAMP_PATH} is missing, so it is not signed, but ROOT= says that it was; restore"
            " it from a copy, or leave ROOT= out for a target that was never signed"
        )
    elif signing is not None:
        raise Fault(
            f"{target.address}: it is not signed yet; release without SIGN=, then run make keys HUB={target.address}"
        )


def sign_index(target: Target, own: dict[str, Document], url: str | None, signing: Signing) -> dict[str, str]:
    """Adds the hub's entries to a signed target.

    Args:
        target: has signed metadata.
        own: what the hub adds to each shard, by path.
        url: the hub's public address, None to keep the target's.
        signing: the keys.

    Returns:
        The SHA-256 of each part of the index that was signed, by path.
    """
    contents: dict[str, bytes] = {}

    def attempt() -> None:
        answer = target.get(TIMESTAMP_PATH)
        contents.update(_merge(target, own, url, signing))
        for write in next_metadata(reads(target), contents, signing.change()):
            try:
                if write.replaces:
                    target.swap(write.path, write.content, answer[1].tag if answer else None)
                else:
                    target.create(write.path, write.content)
            except AlreadyThere:
                raise Moved(write.path) from None

    retry_moved(f"{target.address}/{TIMESTAMP_PATH}", attempt)
    there = {stored.path for stored in target.list("index/")}
    lacking = (
        signed_shards(reads(target), signing.trusted_root).keys() - there
    )  # of a release that was interrupted here
    for path in sorted({*contents, *lacking}, key=lambda path: (path == ROOT, path)):
        _copy_signed(target, path, signing)
    return {path: content_digest(content) for path, content in contents.items()}


def _merge(target: Target, own: dict[str, Document], url: str | None, signing: Signing) -> dict[str, bytes]:
    """Returns the content of the shards and of the root that a release signs."""
    get = reads(target)
    signed = signed_shards(get, signing.trusted_root)

    def read(path: str) -> bytes | None:
        if path not in signed:
            return None
        content = get(copy_path(path, signed[path]))
        if content is None or content_digest(content) != signed[path]:
            raise Fault(f"{target.address}/{copy_path(path, signed[path])}: missing or damaged; restore it from a copy")
        return content

    contents = {}
    for path, ours in own.items():
        before = read(path)
        theirs = parse_shard(f"{target.address}/{path}", before) if before else empty_document()
        contents[path] = render_document(merge_documents(theirs, ours, f"{target.address}/{path}")).encode()
    before = read(ROOT)
    root = parse_root(f"{target.address}/{ROOT}", before) if before else Root(())
    shards = {*root.shards, *(path[6:8] for path in own)}
    contents[ROOT] = Root(tuple(sorted(shards)), url or root.url).render().encode()
    return contents


def _copy_signed(target: Target, path: str, signing: Signing) -> None:
    """Makes the plain part of the index what is signed now, for readers that verify nothing."""

    def attempt() -> None:
        stored = target.head(path)  # before what is signed, so that no newer part is replaced
        get = reads(target)
        content = get(copy_path(path, signed_shards(get, signing.trusted_root)[path]))
        if content is None:
            raise Fault(f"{target.address}/{path}: its signed copy is missing; restore it")
        target.swap(path, content, stored.tag if stored else None)

    retry_moved(f"{target.address}/{path}", attempt)
