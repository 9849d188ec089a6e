"""A signed target is signed again with each release: from what was signed before, by two publishers too."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from pipeline.base.fault import Fault
from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.releasing.signing import Signing
from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from pipeline.trust.chain import TIMESTAMP_PATH
from pipeline.trust.metadata import first_metadata
from pipeline.trust.roles import Role
from pipeline.verifying.hub import verify_hub
from pipeline.verifying.readers import TargetReader
from tests.releasing.hubs import correct_card, find_damage, find_lack, halves, take_apart
from tests.releasing.watched import Watched
from tests.trust.signed import change, make_keys

DEMO = "vit-publisher/vit_demo_fe/1"
Keys = dict[Role, CryptoSigner]


@pytest.fixture(scope="module")
def keys() -> Keys:
    return make_keys()


def publish(hub: Path, target: Target, signing: Signing | None) -> None:
    release(read_local_hub(hub), target, None, hub.parent / f"receipts of {hub.name}", signing)


def sign_first(target: Target, keys: Keys) -> bytes:
    """Signs an unsigned target, as `make keys` does; returns the root.json to pin."""
    shards = {stored.path: b"".join(target.chunks(stored.path)) for stored in target.list("index/")}
    public = {role: signer.public_key for role, signer in keys.items()}
    for write in first_metadata(public, shards, change(keys)):
        target.create(write.path, write.content)
    root = target.get("metadata/1.root.json")
    assert root
    return root[0]


def online(keys: Keys) -> Signing:
    return Signing([keys[role] for role in (Role.RELEASE, Role.SNAPSHOT, Role.TIMESTAMP)])


def test_a_correction_is_signed(hub: Path, target: Target, keys: Keys, tmp_path: Path) -> None:
    publish(hub, target, None)
    root = sign_first(target, keys)
    correct_card(hub, DEMO, "It is small.")
    with pytest.raises(Fault, match="it is signed, so a release needs keys; set SIGN="):
        publish(hub, target, None)
    publish(hub, target, dataclasses.replace(online(keys), trusted_root=root))
    assert not [*find_damage(target, root, tmp_path / "seen"), *find_lack(target, hub)]
    findings = verify_hub(TargetReader(target), root, tmp_path / "seen")
    assert [state.version for state in findings.roles if state.role is Role.RELEASE] == [2]
    before = list(target.list(""))
    publish(hub, target, online(keys))
    assert list(target.list("")) == before


def test_an_unsigned_target_gets_no_signature_by_chance(hub: Path, target: Target, keys: Keys) -> None:
    with pytest.raises(Fault, match="it is not signed yet; release without SIGN=, then run make keys"):
        publish(hub, target, online(keys))
    assert not list(target.list(""))


@pytest.mark.parametrize("wrong", [Role.RELEASE, Role.TIMESTAMP])
def test_keys_that_cannot_sign_stop_a_release_before_its_claims(
    released_hub: Path, target: Target, keys: Keys, tmp_path: Path, wrong: Role
) -> None:
    theirs, ours = halves(released_hub, tmp_path / "halves")
    publish(ours, target, None)
    sign_first(target, keys)
    before = list(target.list(""))
    with pytest.raises(Fault, match=f"SIGN= has no key of the role {wrong}; expected that of"):
        publish(theirs, target, online({**keys, wrong: make_keys()[wrong]}))
    assert list(target.list("")) == before


def test_an_edited_shard_is_not_signed(released_hub: Path, target: Target, keys: Keys, tmp_path: Path) -> None:
    """Whoever can write the target may have added an entry to a plain shard, which the next release must not sign."""
    theirs, ours = halves(released_hub, tmp_path / "halves")
    publish(ours, target, None)
    root = sign_first(target, keys)
    shard = next(stored for stored in target.list("index/") if len(stored.path) == len("index/3f.json"))
    content = target.get(shard.path)
    assert content
    target.swap(shard.path, content[0].replace(b'"title": "', b'"title": "Better '), shard.tag)
    assert list(find_damage(target, root, tmp_path / "seen"))
    publish(theirs, target, online(keys))
    assert not [*find_damage(target, root, tmp_path / "seen"), *find_lack(target, ours, theirs)]
    assert not [stored for stored in target.list("index/") if b"Better " in b"".join(target.chunks(stored.path))]


def test_a_killed_release_counts_or_does_not(
    hub: Path, released_hub: Path, target: Target, keys: Keys, tmp_path: Path
) -> None:
    """Stops before each write of signed metadata, and before the plain shards after them."""
    publish(take_apart(released_hub, tmp_path / "first", "sayakpaul"), target, None)
    root = sign_first(target, keys)
    stops = 0

    def stop(operation: str, path: str) -> None:
        nonlocal stops
        is_signed = path.startswith(("metadata/", "index/")) and operation in ("create", "swap")
        if is_signed and (operation, path) not in stopped:
            stopped.add((operation, path))
            stops += 1
            raise InterruptedError(path)

    stopped: set[tuple[str, str]] = set()
    while True:
        try:
            publish(hub, Watched(target, stop), online(keys))
            break
        except InterruptedError:
            assert not list(find_damage(target, root, tmp_path / "seen"))
    assert ("swap", TIMESTAMP_PATH) in stopped
    assert stops > 8
    assert not [*find_damage(target, root, tmp_path / "seen"), *find_lack(target, hub)]


def test_two_publishers_sign_what_both_released(released_hub: Path, target: Target, keys: Keys, tmp_path: Path) -> None:
    publish(take_apart(released_hub, tmp_path / "first", "sayakpaul"), target, None)
    root = sign_first(target, keys)
    hubs = halves(released_hub, tmp_path / "halves")
    correct_card(hubs[0], DEMO, "It is small.")
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(publish, hub, open_target(target.address), online(keys)) for hub in hubs]:
            done.result()
    assert not [*find_damage(target, root, tmp_path / "seen"), *find_lack(target, *hubs)]
