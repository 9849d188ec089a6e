"""keys: makes the keys of a signed hub, signs its index, renews signatures, and replaces keys.

    python -m pipeline.keys make HUB --sign FOLDER [--owner NAME]       the keys of all roles, and the first signatures
    python -m pipeline.keys sign HUB --sign KEYS                        the index as it is, after make publish
    python -m pipeline.keys renew HUB --sign KEYS                       before signatures expire
    python -m pipeline.keys replace HUB --role ROLE --key FILE --sign KEYS [--owner NAME] [--revoke]
    python -m pipeline.keys show HUB                                    who signs what, and until when

HUB is a folder, or an address that make release writes to. KEYS are key files, folders of key files, or env:<NAME>,
with commas between them (pipeline.trust.keys). docs/trust.md has the ceremony.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, expand_home, read_bounded, write_text
from pipeline.base.program import program
from pipeline.targets.interface import AlreadyThere, Moved, Target
from pipeline.targets.open import open_target
from pipeline.trust.chain import TIMESTAMP_PATH, Change, Write, load_chain, metadata_path
from pipeline.trust.kept_root import owners, with_kept_root
from pipeline.trust.keys import ask_password, find_password, load_signers, make_key, require_libraries
from pipeline.trust.metadata import (
    first_metadata,
    is_signed,
    metadata_with_key,
    next_metadata,
    renewed_metadata,
    signed_shards,
)
from pipeline.trust.roles import FOLDER, GetFile, Role, RoleState, current_time, find_expiring, name_key, name_of

_SHARD = re.compile(r"index/(root|[0-9a-f]{2})\.json")
_LARGEST_ROOT = 512_000  # bytes; what clients accept
OFFLINE = (Role.ROOT, Role.TARGETS)


def reads(target: Target) -> GetFile:
    """Returns a function that reads small files of a target."""

    def get(path: str) -> bytes | None:
        answer = target.get(path)
        return answer[0] if answer else None

    return get


def write_all(target: Target, writes: Sequence[Write], tag: str | None) -> None:
    """Writes signed metadata in order.

    Args:
        target: where to.
        writes: what (pipeline.trust.metadata).
        tag: of timestamp.json, from before they were made.

    Raises:
        Fault: when another publisher signed meanwhile.
    """
    try:
        for write in writes:
            if write.replaces:
                target.swap(write.path, write.content, tag)
            else:
                target.create(write.path, write.content)
    except (AlreadyThere, Moved):
        raise Fault(f"{target.address}: another publisher signed it a moment ago; run the same command again") from None


def sign_with(target: Target, make: Callable[[GetFile], Sequence[Write]]) -> int:
    """Writes what `make` makes of the files of a target; returns how many files these are."""
    answer = target.get(TIMESTAMP_PATH)
    writes = make(reads(target))
    write_all(target, writes, answer[1].tag if answer else None)
    return len(writes)


def read_shards(target: Target) -> dict[str, bytes]:
    """Returns the parts of a hub's index by path.

    Raises:
        Fault: when there is none.
    """
    paths = [stored.path for stored in target.list("index/") if _SHARD.fullmatch(stored.path)]
    shards = {path: content for path in paths if (content := reads(target)(path)) is not None}
    if "index/root.json" not in shards:
        raise Fault(f"{target.address}: there is no index/root.json to sign; expected a hub: run make publish first")
    return shards


# Actions --------------------------------------------------------------------------------------------------------------
def make_keys(folder: Path) -> None:
    """Writes the keys that a folder lacks, <role>.pem."""
    lacking = [role for role in Role if not (folder / f"{role}.pem").exists()]
    typed: dict[bool, str] = {}
    for role in lacking:
        is_offline = role in OFFLINE
        if not (password := find_password(role)):
            if is_offline not in typed:
                names = "root.pem and targets.pem" if is_offline else "release.pem, snapshot.pem and timestamp.pem"
                typed[is_offline] = ask_password(f"{folder}: {names}", is_new=True)
            password = typed[is_offline]
        key_id = make_key(folder / f"{role}.pem", password).keyid
        print(f"made {folder / f'{role}.pem'} (key {key_id[:8]})")


def find_folder(sign: str) -> Path:
    """Returns the folder that SIGN= names for new keys; raises Fault for several places, or a variable."""
    if "," in sign or sign.startswith("env:"):
        raise Fault(f"SIGN={sign}: expected one folder, with all keys of an earlier hub or none, which are made then")
    return expand_home(sign)


def refuse_other_root(folder: Path) -> None:
    """Refuses a folder whose root.json is of keys that have been moved away: new ones would begin another trust.

    Raises:
        Fault: names the files.
    """
    roles = [role for role in Role if role is not Role.RELEASE]  # root.json names the keys of these
    missing = [f"{role}.pem" for role in roles if not (folder / f"{role}.pem").exists()]
    if missing and (folder / "root.json").exists():
        raise Fault(
            f"{folder}: root.json is there, but not {' and '.join(missing)}; with new keys this hub would get another"
            " root.json than readers have; put the keys back from the safe for this command, or name a new folder"
        )


def start(target: Target, folder: Path, owner: str) -> str:
    """Makes the keys of all roles and signs a hub for the first time; writes root.json into the folder of the keys."""
    if is_signed(reads(target)):
        raise Fault(f"{target.address}: it is signed already; replace a key with ROLE=, or sign it with make sign")
    shards = read_shards(target)
    refuse_other_root(folder)
    for stored in target.list(f"{FOLDER}/"):
        target.delete(stored.path)  # an interrupted run left it, and nobody reads it without timestamp.json
    make_keys(folder)
    signers = {role: load_signers(str(folder / f"{role}.pem"))[0] for role in Role}
    path = folder / "root.json"
    before = read_root(path) if path.exists() else None
    names = owners(before, str(path)) if before else {}
    public = {role: name_key(key.public_key, owner or names.get(role, role.value)) for role, key in signers.items()}
    change = Change([*signers.values()], current_time())
    writes = first_metadata(public, shards, change)
    sign_with(target, lambda _: with_kept_root(writes, before, public, change.now) if before else writes)
    return f"{target.address}: signed; {_keep_root(target, folder, before)}"


def _keep_root(target: Target, folder: Path, before: bytes | None = None) -> str:
    """Writes root.json into the folder of the keys; another hub's, `before`, is kept under a name with its digest."""
    root = load_chain(reads(target))[Role.ROOT]
    content = reads(target)(metadata_path(Role.ROOT, root.signed.version)) or b""
    if before is not None and before != content:
        kept = folder / f"root-{sha256(before).hexdigest()[:8]}.json"
        write_text(kept, before.decode())
        print(f"{folder / 'root.json'}: of other keys, another owner or an earlier time; it is {kept.name} now")
    write_text(folder / "root.json", content.decode())
    return f"give {folder / 'root.json'} (version {root.signed.version}) to those who verify"


def sign_index(target: Target, change: Change) -> str:
    """Signs the index as it is."""
    shards = read_shards(target)
    count = sign_with(target, lambda get: next_metadata(get, shards, change))
    if unlisted := signed_shards(reads(target)).keys() - shards.keys():
        raise Fault(f"{target.address}: {min(unlisted)} was signed before, and is missing; restore it from its copy")
    return f"{target.address}: {f'signed, {count} files written' if count else 'nothing to sign, nothing has changed'}"


def renew(target: Target, change: Change) -> str:
    """Renews the signatures that the given keys can make."""
    sign_with(target, lambda get: renewed_metadata(get, change))
    return f"{target.address}: renewed; {_describe_expiry(target)}"


def replace(target: Target, role: Role, key: Path, owner: str, change: Change, revoke: bool) -> str:
    """Gives a role a new key, which is made where there is no such file."""
    if not key.exists():
        make_key(key, find_password(key.stem) or ask_password(str(key), is_new=True))
    (signer,) = load_signers(str(key))
    public = name_key(signer.public_key, owner or _owner_of(target, role))
    change = Change([*change.signers, signer], change.now, change.trusted_root)
    sign_with(target, lambda get: metadata_with_key(get, role, public, change, revoke))
    kept = f"; {_keep_root(target, key.parent)}" if role is not Role.RELEASE else ""
    return f"{target.address}: the key of {role} is {key}{kept}"


def _owner_of(target: Target, role: Role) -> str:
    """Returns the name in the key that a role has now."""
    names = [name_of(key) for key in load_chain(reads(target), is_lenient=True).keys_of(role).values()]
    return next(filter(None, names), role.value)


def read_states(target: Target) -> Mapping[Role, RoleState]:
    """Returns what the newest metadata of each role say."""
    chain = load_chain(reads(target))
    return {role: chain.state(role) for role in Role}


def show(target: Target) -> str:
    """Prints who signs what and until when, and warns of what expires soon."""
    for role, state in read_states(target).items():
        signed = f"signed on {state.signed:%Y-%m-%d}, " if state.signed else ""
        who = ", ".join(state.signers)
        print(f"{role:<10}version {state.version}, by {who}, {signed}counts until {state.expires:%Y-%m-%d}")
    return f"{target.address}: {_describe_expiry(target)}"


def _describe_expiry(target: Target) -> str:
    states = read_states(target)
    for sentence in find_expiring(states, current_time()):
        print(f"warning: {sentence}", file=sys.stderr)
    first = min(states.values(), key=lambda state: state.expires)
    return f"all signatures count until {first.expires:%Y-%m-%d} ({first.role})"


# The command ----------------------------------------------------------------------------------------------------------
def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program("keys"), description="Makes and replaces signing keys.")
    parser.add_argument("action", choices=("make", "sign", "renew", "replace", "show"))
    parser.add_argument("hub", help="the hub: a folder, or an address that make release writes to")
    parser.add_argument("--role", choices=[role.value for role in Role], help="replace: whose key")
    parser.add_argument("--sign", default="", help="make: the folder of the keys; else the keys, with commas")
    parser.add_argument("--key", type=expand_home, help="replace: the file of the new key, made if it is missing")
    parser.add_argument(
        "--owner", default="", help="a name for new keys, which everybody can read; default the old one"
    )
    parser.add_argument("--root", type=expand_home, help="a root.json that the hub's signatures must descend from")
    parser.add_argument("--revoke", action="store_true", help="replace release: its old statements stop to count")
    args = parser.parse_args(arguments)
    if args.action != "show" and not args.sign:
        raise Fault("SIGN=<keys> is not set: expected key files, folders of them, or env:<NAME>, with commas")
    if args.action == "replace" and not (args.role and args.key):
        raise Fault("expected ROLE=<role> and KEY=<file of the new key>")
    if args.revoke and args.role != Role.RELEASE:
        raise Fault("REVOKE=1 is about statements, which release signs; expected it with ROLE=release")
    return args


def read_root(path: Path) -> bytes:
    """Reads a root.json of this machine; raises Fault without one."""
    try:
        return read_bounded(path, _LARGEST_ROOT)
    except (FileNotFoundError, Unreadable) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise Fault(f"ROOT={path}: {reason}, expected a root.json; make keys writes one") from None


def main(arguments: Sequence[str]) -> str:
    args = _parse(arguments)
    require_libraries()
    target = open_target(args.hub)
    if args.action == "show":
        return show(target)
    if args.action == "make":
        return start(target, find_folder(args.sign), args.owner)
    change = Change(load_signers(args.sign), current_time(), read_root(args.root) if args.root else None)
    if args.action == "replace":
        return replace(target, Role(args.role), args.key, args.owner, change, args.revoke)
    return (sign_index if args.action == "sign" else renew)(target, change)


if __name__ == "__main__":
    raise SystemExit(command("keys", main))
