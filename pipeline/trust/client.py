"""Verifies the signed metadata of a hub from outside, as any client of The Update Framework does.

The client keeps what it has seen in a folder, so that it notices when it is shown an older hub. A client that sees a
hub for the first time notices that when the old signatures have expired.
"""

import functools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, show_name
from pipeline.base.files import make_folder
from pipeline.trust.chain import Chain, parse_metadata
from pipeline.trust.roles import FOLDER, GetFile, NamedKey, Role, RoleState, statement_keys

_BASE = "hub:/"  # of the addresses that the library makes; they never leave this process
_SOME_SHARD = "index/root.json"  # any path that release signs


@dataclass(frozen=True)
class SignedFile:
    """What is signed of a file: its size in bytes, and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class TrustedIndex:
    """What a hub's owner has signed.

    Attributes:
        roles: who signed what, when, and how long it counts.
        shards: the parts of the index by path.
        keys: the keys whose statements count, by id.
    """

    roles: Mapping[Role, RoleState]
    shards: Mapping[str, SignedFile]
    keys: Mapping[str, NamedKey]


def read_trusted_index(get: GetFile, root: bytes, state: Path) -> TrustedIndex:
    """Returns what the owner of the pinned root has signed in a hub.

    Args:
        get: reads the hub.
        root: the content of the pinned root.json; later roots follow from it.
        state: the folder of what was seen of this hub before; made if it is missing.

    Raises:
        Fault: when the metadata are missing, damaged, expired, older than before, or signed by others.
    """
    get = functools.cache(get)
    make_folder(state)
    with tempfile.TemporaryDirectory() as folder:
        _update(get, root, Path(folder))  # the library takes what it has kept for granted, not what the hub has
        _update(get, root, state)
        return _read_state(Path(folder))


def _update(get: GetFile, root: bytes, state: Path) -> None:
    """Verifies the metadata of a hub, and keeps them in a folder, where those of before are."""
    from tuf.api import exceptions  # 0.8 s, which whoever has no root does without
    from tuf.ngclient import FetcherInterface, Updater

    class Fetcher(FetcherInterface):
        """Gives the library the files of the hub."""

        def _fetch(self, url: str) -> Iterator[bytes]:
            content = get(url.removeprefix(_BASE))
            if content is None:
                raise exceptions.DownloadHTTPError(f"{url.removeprefix(_BASE)} is missing", 404)
            return iter((content,))

    try:
        updater = Updater(str(state), f"{_BASE}{FOLDER}/", fetcher=Fetcher(), bootstrap=root)
        updater.refresh()
        updater.get_targetinfo(_SOME_SHARD)
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        if isinstance(error.__cause__, Fault):
            raise error.__cause__ from None
        raise Fault(_explain(error)) from None


def _read_state(state: Path) -> TrustedIndex:
    """Reads what the library has verified and kept."""
    files = {role: state / f"{role}.json" for role in Role}
    chain = Chain({role: parse_metadata(path.read_bytes(), role, str(path)) for role, path in files.items()})
    delegations = chain[Role.TARGETS].signed.delegations
    release: Any = delegations.roles[Role.RELEASE]
    shards = {
        path: SignedFile(target.length, target.hashes["sha256"])
        for path, target in chain[Role.RELEASE].signed.targets.items()
        if release.is_delegated_path(path) and "sha256" in target.hashes
    }
    return TrustedIndex({role: chain.state(role) for role in Role}, shards, statement_keys(chain[Role.TARGETS].signed))


def _explain(error: Exception) -> str:
    from tuf.api import exceptions

    reason = show_name(str(error))
    if isinstance(error, exceptions.ExpiredMetadataError):
        return f"the signatures have expired ({reason}): the hub is old, or its owner has not renewed them (make renew)"
    if isinstance(error, exceptions.UnsignedMetadataError):
        return f"signed by other keys than the pinned root leads to ({reason}): do not use this hub"
    if isinstance(error, exceptions.BadVersionNumberError):
        return f"the metadata are older than they were before ({reason}): somebody shows an old hub"
    if isinstance(error, exceptions.DownloadHTTPError):
        return f"{reason}: the hub is not signed, or not whole"
    return f"the signed metadata are damaged ({reason})"
