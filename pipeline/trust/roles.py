"""The roles of a signed hub (The Update Framework, https://theupdateframework.github.io/specification/latest/).

    role       signs                                              its key is
    root       the keys of root, targets, snapshot and timestamp   offline, in a safe
    targets    the key of release, and the keys that it had        offline, in a safe
    release    the shards of the index, and statements             where releases are made, also in CI
    snapshot   which metadata belong together                      online, where they are renewed
    timestamp  which snapshot is the newest                        online, where they are renewed

metadata/ of a hub has the metadata: <version>.<role>.json, which never change, and timestamp.json, whose replacement is
the moment at which a release counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securesystemslib.signer import Key, SSlibKey
    from tuf.api.metadata import Targets

GetFile = Callable[[str], bytes | None]  # the content of a small file of the hub by its path, None without one
FOLDER = "metadata"
SIGNED_PATHS = "index/*"  # what release may sign
SIGNED_ON, KEY_NAME, RETIRED = "x-vit-publisher-signed-on", "x-vit-publisher-name", "x-vit-publisher-retired"


class Role(StrEnum):
    """A role, in the order in which metadata are written: the commit point last."""

    ROOT = "root"
    TARGETS = "targets"
    RELEASE = "release"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"


# How long signatures count. A year for keys in a safe, as PEP 458 and tuf-on-ci have it; a new client notices that it
# is shown an old hub only when the timestamp has expired, so that its lifetime is a balance with the owner's patience.
LIFETIME: Mapping[Role, timedelta] = {
    Role.ROOT: timedelta(days=365),
    Role.TARGETS: timedelta(days=365),
    Role.RELEASE: timedelta(days=365),
    Role.SNAPSHOT: timedelta(days=60),
    Role.TIMESTAMP: timedelta(days=60),
}


@dataclass(frozen=True)
class RoleState:
    """What one role's metadata say.

    Attributes:
        role: which.
        version: of the metadata.
        signers: the names of the keys that signed it.
        signed: when; None where the metadata do not say.
        expires: when it stops to count.
    """

    role: Role
    version: int
    signers: tuple[str, ...]
    signed: datetime | None
    expires: datetime


@dataclass(frozen=True)
class NamedKey:
    """A public key, the name of its owner, and whether it has been replaced by another one."""

    key: "Key"
    name: str
    is_retired: bool = False


def name_key(key: "SSlibKey", name: str) -> "SSlibKey":
    """Writes the owner's name into a public key, which metadata then show; returns the key."""
    key.unrecognized_fields[KEY_NAME] = name
    return key


def name_of(key: "Key") -> str:
    """Returns the name of a key's owner, "" where the key does not say."""
    name = key.unrecognized_fields.get(KEY_NAME)
    return name if isinstance(name, str) else ""


def describe_key(key: "Key") -> str:
    """Returns the name of a key's owner and the beginning of the key's id."""
    name = name_of(key)
    return f"{name} (key {key.keyid[:8]})" if name else f"key {key.keyid[:8]}"


def statement_keys(targets: "Targets") -> dict[str, NamedKey]:
    """Returns the keys whose statements count, by id: those of release, and those that it had."""
    from securesystemslib.signer import Key

    keys: dict[str, NamedKey] = {}
    retired = targets.unrecognized_fields.get(RETIRED, {})
    for key_id, document in retired.items() if isinstance(retired, dict) else ():
        key = Key.from_dict(key_id, dict(document))
        keys[key_id] = NamedKey(key, describe_key(key), is_retired=True)
    delegations = targets.delegations
    role = (delegations.roles or {}).get(Role.RELEASE) if delegations else None
    if delegations and role:
        current = {key_id: delegations.keys[key_id] for key_id in role.keyids}
        keys |= {key_id: NamedKey(key, describe_key(key)) for key_id, key in current.items()}
    return keys


def find_expiring(states: Mapping[Role, RoleState], now: datetime) -> list[str]:
    """Returns a sentence for each role of which less than a third of its lifetime is left."""
    sentences = []
    for role, state in states.items():
        left = state.expires - now
        if left < LIFETIME[role] / 3:
            when = f"{state.expires:%Y-%m-%d}"
            text = f"expires on {when}, in {left.days} days" if left > timedelta(0) else f"expired on {when}"
            sentences.append(f"the signature of {role} {text}; run make renew with the key of {role}")
    return sentences


def current_time() -> datetime:
    """Returns the time in whole seconds, UTC."""
    return datetime.now(UTC).replace(microsecond=0)
