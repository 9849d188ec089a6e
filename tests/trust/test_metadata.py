"""Signed metadata: what a release, a renewal and a new key write, and what a client with the first root says."""

from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from pipeline.base.fault import Fault
from pipeline.trust.chain import Chain, Change, load_chain
from pipeline.trust.client import TrustedIndex, read_trusted_index
from pipeline.trust.metadata import (
    copy_path,
    metadata_with_key,
    next_metadata,
    renewed_metadata,
    signed_shards,
)
from pipeline.trust.roles import LIFETIME, Role, current_time, find_expiring, name_key
from tests.trust.signed import SHARDS, Files, change, make_keys, signed_files

KEYS = make_keys()
NEW = {"index/3f.json": b'{"modules": {"a/b/1": {}}}\n'}
ONLINE = (Role.RELEASE, Role.SNAPSHOT, Role.TIMESTAMP)


@pytest.fixture
def files() -> Files:
    return signed_files(KEYS)


class Client:
    """A client that has the first root, and remembers what it has seen."""

    def __init__(self, files: Files, state: Path) -> None:
        self._root, self._state = files["metadata/1.root.json"], state

    def see(self, files: Files) -> TrustedIndex:
        return read_trusted_index(files.get, self._root, self._state)

    def refuse(self, files: Files) -> str:
        with pytest.raises(Fault) as raised:
            self.see(files)
        return str(raised.value)


@pytest.fixture
def client(files: Files, tmp_path: Path) -> Client:
    return Client(files, tmp_path / "state")


def test_a_client_learns_what_was_signed_by_whom_and_when(files: Files, client: Client) -> None:
    trusted = client.see(files)
    assert trusted.shards.keys() == SHARDS.keys()
    for path, file in trusted.shards.items():
        assert files[copy_path(path, file.sha256)] == SHARDS[path]
        assert file.size == len(SHARDS[path])
    state = trusted.roles[Role.RELEASE]
    assert state.signers == (f"the tests' release (key {KEYS[Role.RELEASE].public_key.keyid[:8]})",)
    assert state.signed is not None
    assert state.expires - state.signed == LIFETIME[Role.RELEASE]


def test_a_release_needs_the_keys_of_release_snapshot_and_timestamp_alone(files: Files, client: Client) -> None:
    client.see(files)
    writes = next_metadata(files.get, {**SHARDS, **NEW}, change(KEYS, *ONLINE))
    assert [write.path for write in writes if write.replaces] == [writes[-1].path] == ["metadata/timestamp.json"]
    assert len(writes) == 4  # the one shard that changed, release, snapshot, timestamp, and no other
    files.write(writes[:3])  # what a kill leaves
    assert client.see(files).roles[Role.RELEASE].version == 1
    files.write(next_metadata(files.get, NEW, change(KEYS, *ONLINE)))
    assert client.see(files).roles[Role.RELEASE].version == 3
    assert signed_shards(files.get)["index/3f.json"] == client.see(files).shards["index/3f.json"].sha256
    assert next_metadata(files.get, NEW, change(KEYS, *ONLINE)) == []


@pytest.mark.parametrize("lacking", ONLINE)
def test_a_release_without_a_key_names_it(files: Files, lacking: Role) -> None:
    with pytest.raises(Fault, match=f"no key of the role {lacking}; expected that of the tests' {lacking}"):
        next_metadata(files.get, NEW, change(KEYS, *(set(ONLINE) - {lacking})))


def test_renewal_needs_the_online_keys_alone_and_renews_what_others_can_sign(files: Files, client: Client) -> None:
    later = current_time() + timedelta(days=1)
    files.write(renewed_metadata(files.get, change(KEYS, Role.SNAPSHOT, Role.TIMESTAMP, now=later)))
    roles = client.see(files).roles
    assert roles[Role.TIMESTAMP].expires == later + LIFETIME[Role.TIMESTAMP]
    assert roles[Role.RELEASE].version == 1
    files.write(renewed_metadata(files.get, change(KEYS, now=later)))
    assert {role: state.version for role, state in client.see(files).roles.items()} == {
        Role.ROOT: 2,
        Role.TARGETS: 2,
        Role.RELEASE: 2,
        Role.SNAPSHOT: 3,
        Role.TIMESTAMP: 3,
    }


def test_expiry_is_announced_before_it_comes() -> None:
    old = signed_files(KEYS, now=current_time() - timedelta(days=45))
    chain: Chain = load_chain(old.get)
    soon = find_expiring({role: chain.state(role) for role in Role}, current_time())
    assert [sentence.split(" expires ")[0] for sentence in soon] == [
        "the signature of snapshot",
        "the signature of timestamp",
    ]
    assert all("make renew" in sentence for sentence in soon)
    timestamp = {Role.TIMESTAMP: chain.state(Role.TIMESTAMP)}
    assert "expired on" in find_expiring(timestamp, current_time() + timedelta(days=60))[0]


def test_frozen_metadata_are_refused_when_they_expire(tmp_path: Path) -> None:
    frozen = signed_files(KEYS, now=current_time() - timedelta(days=61))
    assert "the signatures have expired (timestamp.json is expired)" in Client(frozen, tmp_path).refuse(frozen)


def test_a_client_that_saw_the_new_hub_refuses_the_old_one(files: Files, client: Client) -> None:
    old = Files(files)
    files.write(next_metadata(files.get, NEW, change(KEYS, *ONLINE)))
    client.see(files)
    assert "somebody shows an old hub" in client.refuse(old)


def test_a_changed_byte_in_any_metadata_is_refused(files: Files, tmp_path: Path) -> None:
    for path in [path for path in files if path.startswith("metadata/") and "root" not in path]:
        damaged = Files(files)
        damaged[path] = files[path].replace(b"2027", b"2028").replace(b'"version":1', b'"version":2')
        assert damaged[path] != files[path]
        assert "signed by other keys" in Client(files, tmp_path / path).refuse(damaged)
        missing = Files({name: content for name, content in files.items() if name != path})
        assert "is missing" in Client(files, tmp_path / path).refuse(missing)


@pytest.mark.parametrize("role", list(Role))
def test_a_new_key_replaces_the_old_one_in_every_state_in_between(files: Files, client: Client, role: Role) -> None:
    old = Files(files)
    new = CryptoSigner.generate_ed25519()
    name_key(new.public_key, "the new key")
    signers = [*KEYS.values(), new]
    for write in metadata_with_key(files.get, role, new.public_key, Change(signers, current_time())):
        files.write([write])
        client.see(files)
    assert any("the new key" in signer for signer in client.see(files).roles[role].signers)
    keys = {**KEYS, role: new}
    files.write(next_metadata(files.get, NEW, change(keys, *ONLINE)))
    assert client.see(files).roles[Role.RELEASE].version >= 2
    if role in ONLINE:
        with pytest.raises(Fault, match=f"no key of the role {role}"):
            next_metadata(files.get, {"index/3f.json": b"{}"}, change(KEYS, *ONLINE))
    stolen = Files(files)  # whoever has the old key signs something newer with it
    forged = next_metadata(old.get, {"index/3f.json": b"{}"}, change(KEYS, *ONLINE))
    if role in ONLINE:
        stolen |= {write.path: write.content for write in forged}
        assert client.refuse(stolen)


def test_a_lost_key_is_replaced_and_an_interruption_is_repaired(files: Files, client: Client) -> None:
    new = CryptoSigner.generate_ed25519()
    signers = [*(signer for role, signer in KEYS.items() if role is not Role.TIMESTAMP), new]
    lost = Change(signers, current_time())
    writes = metadata_with_key(files.get, Role.TIMESTAMP, new.public_key, lost)
    assert [write.path for write in writes] == ["metadata/2.root.json", "metadata/timestamp.json"]
    files.write(writes[:1])
    assert "signed by other keys" in client.refuse(files)
    with pytest.raises(Fault, match=r"timestamp.json: not signed by the key of timestamp"):
        load_chain(files.get)
    files.write(metadata_with_key(files.get, Role.TIMESTAMP, new.public_key, lost))
    assert client.see(files).roles[Role.ROOT].version == 3


def test_root_cannot_be_replaced_without_the_old_key(files: Files) -> None:
    new = CryptoSigner.generate_ed25519()
    with pytest.raises(Fault, match="no key of the role root; expected that of the tests' root"):
        metadata_with_key(files.get, Role.ROOT, new.public_key, Change([new], current_time()))


def test_statements_of_a_replaced_key_count_and_those_of_a_revoked_one_do_not(files: Files, client: Client) -> None:
    first, second = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    old = KEYS[Role.RELEASE].public_key.keyid
    for new, revoke in ((first, False), (second, True)):
        signers = Change([*KEYS.values(), first, second], current_time())
        files.write(metadata_with_key(files.get, Role.RELEASE, new.public_key, signers, revoke))
    keys = client.see(files).keys
    assert {key_id: key.is_retired for key_id, key in keys.items()} == {old: True, second.public_key.keyid: False}


def test_a_publisher_extends_no_metadata_of_others(files: Files) -> None:
    """Somebody who can write the hub puts metadata there that name our key beside theirs."""
    theirs = {**make_keys(), **{role: KEYS[role] for role in ONLINE}}
    forged = signed_files(theirs)
    assert next_metadata(forged.get, NEW, change(KEYS, *ONLINE))
    pinned = Change(change(KEYS, *ONLINE).signers, current_time(), trusted_root=files["metadata/1.root.json"])
    with pytest.raises(Fault, match="not signed by the key of targets"):
        next_metadata(forged.get, NEW, pinned)


def test_release_signs_nothing_but_the_index(files: Files, client: Client) -> None:
    other = {"index.html": b"<script>"}
    files.write(next_metadata(files.get, other, change(KEYS, *ONLINE)))
    assert client.see(files).shards.keys() == SHARDS.keys()


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"signed": {"_type": "root"}, "signatures": []}'])
def test_damaged_metadata_are_refused_by_publisher_and_client(
    files: Files, client: Client, tmp_path: Path, content: bytes
) -> None:
    files["metadata/timestamp.json"] = content
    with pytest.raises(Fault, match=r"metadata/timestamp.json: not signed metadata"):
        load_chain(files.get)
    assert client.refuse(files)
    with pytest.raises(Fault):
        read_trusted_index(files.get, content, tmp_path / "other")
