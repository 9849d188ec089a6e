"""The newest metadata of each role of a hub: read, changed, and signed again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.base.fault import Fault
from pipeline.trust.roles import FOLDER, LIFETIME, RETIRED, SIGNED_ON, GetFile, Role, RoleState, describe_key

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key, SSlibKey
    from tuf.api.metadata import Metadata

TIMESTAMP_PATH = f"{FOLDER}/timestamp.json"
_MOST_VERSIONS = 1_000_000  # of a role; a release each minute for two years


@dataclass(frozen=True)
class Write:
    """A file to write.

    Attributes:
        path: in the hub.
        content: its bytes.
        replaces: whether it replaces a file (swap), else it must be new (create).
    """

    path: str
    content: bytes
    replaces: bool = False


@dataclass(frozen=True)
class Change:
    """What to sign with, and when.

    Attributes:
        signers: private keys; each signs for the roles that it is a key of.
        now: the time of signing, UTC.
        trusted_root: a root.json from elsewhere; where there is one, the hub's metadata must descend from it, so that
            nothing is extended which somebody else has put there.
    """

    signers: "Sequence[CryptoSigner]"
    now: datetime
    trusted_root: bytes | None = None


def metadata_path(role: Role, version: int) -> str:
    """Returns where a version of a role's metadata lies."""
    return TIMESTAMP_PATH if role is Role.TIMESTAMP else f"{FOLDER}/{version}.{role}.json"


class Chain:
    """The metadata of a hub, the newest of each role."""

    def __init__(self, metadata: "dict[Role, Metadata[Any]]") -> None:
        self._metadata = metadata
        self._earlier_keys: dict[Role, dict[str, Key]] = {}  # replaced just now

    def __getitem__(self, role: Role) -> "Metadata[Any]":
        return self._metadata[role]

    def keys_of(self, role: Role) -> "dict[str, Key]":
        """Returns the keys of a role by id."""
        if role is Role.RELEASE:
            delegations = self[Role.TARGETS].signed.delegations
            return {key_id: delegations.keys[key_id] for key_id in delegations.roles[Role.RELEASE].keyids}
        root = self[Role.ROOT].signed
        return {key_id: root.keys[key_id] for key_id in root.roles[role].keyids}

    def state(self, role: Role) -> RoleState:
        """Describes a role's metadata."""
        metadata, keys = self[role], self.keys_of(role)
        signed = metadata.signed.unrecognized_fields.get(SIGNED_ON)
        return RoleState(
            role,
            metadata.signed.version,
            tuple(sorted(describe_key(keys[key_id]) for key_id in metadata.signatures if key_id in keys)),
            _read_time(signed),
            metadata.signed.expires,
        )

    def list_shards(self, shards: Mapping[str, bytes]) -> None:
        """Adds parts of the index to what release signs, or replaces them."""
        from tuf.api.metadata import TargetFile

        for path, content in shards.items():
            self[Role.RELEASE].signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])

    def replace_key(self, role: Role, key: "SSlibKey", revoke: bool) -> set[str]:
        """Gives a role one key instead of its old ones; returns the ids of these."""
        old = {key_id: other for key_id, other in self.keys_of(role).items() if key_id != key.keyid}
        delegator = self[Role.TARGETS if role is Role.RELEASE else Role.ROOT].signed
        delegator.add_key(key, role.value)
        for key_id in old:
            delegator.revoke_key(key_id, role.value)
        if role is Role.RELEASE:
            retired = delegator.unrecognized_fields.setdefault(RETIRED, {})
            retired |= {} if revoke else {key_id: other.to_dict() for key_id, other in old.items()}
        self._earlier_keys[role] = old
        return set(old)

    def sign(self, roles: Iterable[Role], change: Change, get: GetFile) -> list[Write]:
        """Signs new versions of some roles' metadata; returns them in the order of Role."""
        return [self._sign(role, change, get) for role in Role if role in roles]

    def _sign(self, role: Role, change: Change, get: GetFile) -> Write:
        metadata = self[role]
        signed = metadata.signed
        signed.version = _free_version(role, signed.version, get)
        signed.expires = change.now + LIFETIME[role]
        signed.unrecognized_fields[SIGNED_ON] = f"{change.now:%Y-%m-%dT%H:%M:%SZ}"
        self._refer(role)
        metadata.signatures.clear()
        keys = self.keys_of(role)
        accepted = keys | self._earlier_keys.get(role, {})
        for signer in change.signers:
            if signer.public_key.keyid in accepted:
                metadata.sign(signer, append=True)
        needed = [keys, self._earlier_keys.get(role, {})] if role is Role.ROOT else [keys]  # clients trust the old one
        for group in needed:
            if group and not metadata.signatures.keys() & group.keys():
                names = " or ".join(sorted(map(describe_key, group.values())))
                raise Fault(f"SIGN= has no key of the role {role}; expected that of {names}")
        return Write(metadata_path(role, signed.version), metadata.to_bytes(), replaces=role is Role.TIMESTAMP)

    def _refer(self, role: Role) -> None:
        """Lets snapshot and timestamp name the newest versions of what they are about."""
        from tuf.api.metadata import MetaFile

        if role is Role.SNAPSHOT:
            self[role].signed.meta = {
                f"{name}.json": MetaFile(self[name].signed.version) for name in (Role.TARGETS, Role.RELEASE)
            }
        if role is Role.TIMESTAMP:
            self[role].signed.snapshot_meta = MetaFile(self[Role.SNAPSHOT].signed.version)


def _free_version(role: Role, version: int, get: GetFile) -> int:
    """Returns the next version of a role's metadata; an interrupted release may have left some that nobody refers to.

    Those of root have no gaps: whatever is there counts, so load_chain() has read it.
    """
    for number in range(version + 1, version + _MOST_VERSIONS):
        if role is Role.TIMESTAMP or get(metadata_path(role, number)) is None:
            return number
    raise Fault(f"{FOLDER}/: there are {_MOST_VERSIONS:,} unused metadata of {role}; remove them")


def _read_time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


# Reading --------------------------------------------------------------------------------------------------------------
def load_chain(get: GetFile, trusted_root: bytes | None = None, is_lenient: bool = False) -> Chain:
    """Reads the newest metadata of a hub; each must be signed as the one above says, but may have expired.

    Args:
        get: reads the hub.
        trusted_root: see Change.
        is_lenient: whether a signature by a key of the root before counts, too, since a replacement of a lost key was
            interrupted.

    Raises:
        Fault: when one is missing, damaged or not signed so.
    """
    *earlier, root = _load_roots(get, trusted_root)
    roots = [root.signed, *(other.signed for other in earlier[-1:] if is_lenient)]
    timestamp = _load(get, Role.TIMESTAMP, 0, roots)
    snapshot = _load(get, Role.SNAPSHOT, timestamp.signed.snapshot_meta.version, roots)
    versions = snapshot.signed.meta
    for role in (Role.TARGETS, Role.RELEASE):
        if f"{role}.json" not in versions:
            raise Fault(f"{metadata_path(Role.SNAPSHOT, snapshot.signed.version)}: it lists no {role}; restore it")
    targets = _load(get, Role.TARGETS, versions["targets.json"].version, roots)
    release = _load(get, Role.RELEASE, versions["release.json"].version, [targets.signed])
    return Chain(dict(zip(Role, (root, targets, release, snapshot, timestamp), strict=True)))


def _load_roots(get: GetFile, trusted_root: bytes | None) -> "list[Metadata[Any]]":
    """Returns the trusted root, else the first one, and each newer one to which signatures lead from there."""
    first = trusted_root if trusted_root is not None else get(metadata_path(Role.ROOT, 1))
    if first is None:
        raise Fault(f"{metadata_path(Role.ROOT, 1)}: no such file, so this hub is not signed; run make keys first")
    root = parse_metadata(first, Role.ROOT, "the trusted root" if trusted_root else metadata_path(Role.ROOT, 1))
    _check_signatures(root, Role.ROOT, [root.signed], "root")
    roots = [root]
    while (content := get(path := metadata_path(Role.ROOT, root.signed.version + 1))) is not None:
        newer = parse_metadata(content, Role.ROOT, path)
        for delegator in (root.signed, newer.signed):
            _check_signatures(newer, Role.ROOT, [delegator], path)
        if newer.signed.version != root.signed.version + 1:
            raise Fault(f"{path}: it says that it is version {newer.signed.version}; restore it")
        root = newer
        roots.append(root)
    return roots


def _load(get: GetFile, role: Role, version: int, delegators: list[Any]) -> "Metadata[Any]":
    path = metadata_path(role, version)
    content = get(path)
    if content is None:
        raise Fault(f"{path}: no such file, but signed metadata refer to it; restore it")
    metadata = parse_metadata(content, role, path)
    if role is not Role.TIMESTAMP and metadata.signed.version != version:
        raise Fault(f"{path}: it says that it is version {metadata.signed.version}; restore it")
    _check_signatures(metadata, role, delegators, path)
    return metadata


def parse_metadata(content: bytes, role: Role, place: str) -> "Metadata[Any]":
    """Reads one role's metadata; their signatures are not looked at.

    Raises:
        Fault: when they are no such metadata.
    """
    from tuf.api.metadata import Metadata
    from tuf.api.serialization import DeserializationError

    try:
        metadata: Metadata[Any] = Metadata.from_bytes(content)
    except (DeserializationError, RecursionError):
        raise Fault(f"{place}: not signed metadata (TUF); restore it") from None
    expected = "targets" if role is Role.RELEASE else role.value
    if metadata.signed.type != expected:
        raise Fault(f"{place}: metadata of {metadata.signed.type}, expected {role}; restore it")
    return metadata


def _check_signatures(metadata: "Metadata[Any]", role: Role, delegators: list[Any], place: str) -> None:
    """Raises Fault unless the keys that one of the delegators names have signed."""
    from tuf.api.exceptions import UnsignedMetadataError

    for delegator in delegators:
        try:
            return delegator.verify_delegate(role.value, metadata.signed_bytes, metadata.signatures)
        except (UnsignedMetadataError, ValueError):  # ValueError: the delegator knows no such role
            continue
    text = f"{place}: not signed by the key of {role}; somebody else wrote it, or a key was replaced meanwhile"
    raise Fault(f"{text}: restore it, or run make keys again")
