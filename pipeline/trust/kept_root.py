"""The root.json that lies beside the keys: further hubs that are signed with them get the same root.

So those who verify need one root.json for all of an owner's hubs, and its SHA-256, which the owner has made known,
stays.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.trust.chain import Write, metadata_path, parse_metadata
from pipeline.trust.roles import Role, name_of

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

FIRST = metadata_path(Role.ROOT, 1)


def owners(root: bytes, place: str) -> dict[Role, str]:
    """Returns the name in the key of each role; that of release, which another role names, is that of root.

    Args:
        root: the content of a root.json.
        place: of it, for messages.

    Raises:
        Fault: when it is no root.json.
    """
    signed = parse_metadata(root, Role.ROOT, place).signed
    names = {role: [name_of(signed.keys[key]) for key in ids] for role, ids in _key_ids(signed).items()}
    names[Role.RELEASE] = names[Role.ROOT]
    return {role: next(filter(None, found), role.value) for role, found in names.items()}


def with_kept_root(writes: Sequence[Write], root: bytes, keys: "Mapping[Role, SSlibKey]", now: datetime) -> list[Write]:
    """Returns the first metadata of a hub with a root.json that there is, where it is the first one of the same keys.

    Args:
        writes: of first_metadata().
        root: the content of root.json.
        keys: the public keys of the new hub, with their owners' names.
        now: it must count still.
    """
    signed = parse_metadata(root, Role.ROOT, "root.json").signed
    same_keys = all(
        [signed.keys[key].to_dict() for key in ids] == [keys[role].to_dict()] for role, ids in _key_ids(signed).items()
    )
    if not same_keys or signed.version != 1 or signed.expires <= now:
        return list(writes)
    return [Write(FIRST, root) if write.path == FIRST else write for write in writes]


def _key_ids(signed: "object") -> dict[Role, list[str]]:
    """Returns the ids of the keys of each role that a root names."""
    from tuf.api.metadata import Root

    assert isinstance(signed, Root)
    return {role: signed.roles[role].keyids for role in Role if role is not Role.RELEASE}
