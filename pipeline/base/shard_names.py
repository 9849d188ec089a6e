"""Names the shards of a hub's index: which of the 256 files of index/ has a module or a collection."""

import hashlib
import re

ROOT = "index/root.json"  # lists the shards that exist
EXPORT = "index.json"  # everything in one file
EXPORTED = 5_000  # entries; a larger hub has no index.json
_VERSION = re.compile(r"/[1-9][0-9]{0,8}")


def shard_of(name: str) -> str:
    """Returns the shard of a module or collection: two hexadecimal digits, the first byte of the name's SHA-256.

    Args:
        name: <publisher>/<module> without a version, so that all versions are in one shard; or a collection's address,
            <publisher>/collections/<name>/1.
    """
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:2]


def shard_of_entry(name: str) -> str:
    """Returns the shard of an entry by its name in the index: a handle, a collection's address or an alias's module."""
    is_handle = name.count("/") == 2 and _VERSION.fullmatch(name[name.rindex("/") :])
    return shard_of(name.rpartition("/")[0] if is_handle else name)


def shard_path(shard: str) -> str:
    """Returns the path of a shard in the hub."""
    return f"index/{shard}.json"
