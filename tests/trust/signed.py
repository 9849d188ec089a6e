"""A hub's signed metadata in memory: keys without files, and a store that creates and swaps as targets do."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from securesystemslib.signer import CryptoSigner

from pipeline.trust.chain import Change, Write
from pipeline.trust.metadata import first_metadata
from pipeline.trust.roles import Role, current_time, name_key

SHARDS = {"index/root.json": b'{"shards": ["3f"]}\n', "index/3f.json": b'{"modules": {}}\n'}


class Files(dict[str, bytes]):
    """The files of a hub by path."""

    def write(self, writes: Iterable[Write]) -> None:
        """Writes files in order; fails where one that must be new is there with other content."""
        for write in writes:
            assert write.replaces or self.get(write.path, write.content) == write.content, write.path
            self[write.path] = write.content


def make_keys() -> dict[Role, CryptoSigner]:
    """Returns a key for each role, named after it."""
    keys = {}
    for role in Role:
        keys[role] = CryptoSigner.generate_ed25519()
        name_key(keys[role].public_key, f"the tests' {role}")
    return keys


def change(keys: Mapping[Role, CryptoSigner], *roles: Role, now: datetime | None = None) -> Change:
    """Returns a change that the keys of some roles sign; without roles, all keys."""
    return Change([keys[role] for role in roles or Role], now or current_time())


def signed_files(keys: Mapping[Role, CryptoSigner], now: datetime | None = None) -> Files:
    """Returns the files of a new signed hub: metadata and signed copies of SHARDS, and SHARDS themselves."""
    files = Files(SHARDS)
    public = {role: signer.public_key for role, signer in keys.items()}
    files.write(first_metadata(public, SHARDS, change(keys, now=now)))
    return files


def sha256(content: bytes) -> str:
    """Returns a digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
