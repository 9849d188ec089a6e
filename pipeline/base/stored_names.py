"""Names the files of a hub that the index lists: each text has a name of its own, with its digest, and never changes.

So the moment in which a shard of the index is replaced is the moment in which a corrected card replaces the earlier
one: whatever is interrupted, the index lists files that are there. `<handle>.md` and the other plain names are copies
for people, links and other programs; they are written after the index.
"""

import re
from pathlib import PurePosixPath

_DIGITS = 16  # of a SHA-256, 64 bits: enough to tell the versions of one page apart
_STORED = re.compile(rf"(.+)\.[0-9a-f]{{{_DIGITS}}}(\.[a-z0-9]+)", re.DOTALL)


def stored_path(path: str, sha256: str) -> str:
    """Returns the path that the index lists for a content of a plain path: `a/b/1.<digest>.md` for `a/b/1.md`."""
    plain = PurePosixPath(path)
    return str(plain.with_name(f"{plain.stem}.{sha256[:_DIGITS]}{plain.suffix}"))


def plain_path(path: str) -> str:
    """Returns the path without the digest: of a stored file that of its copy, of any other file its own."""
    match = _STORED.fullmatch(path)
    return match[1] + match[2] if match else path
