"""Checks the header of a stranger's safetensors file before the library parses it, which allows 100 MB of it.

The library checks offsets, sizes and types; here are the length, the names, and that none comes twice.
"""

from pathlib import Path

from pipeline.base.archive_bounds import NAME
from pipeline.base.fault import show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import parse_facts
from pipeline.base.zip_directory import ENTRIES

# timm's largest Vision Transformers have 600 tensors and 80 kB; the training state of one has three times as many.
LENGTH = 1 << 22  # bytes of a header, at most


class DamagedHeader(Exception):
    """The header is damaged or exceeds a bound; the text says why, for a sentence's brackets."""


def check_header(path: Path) -> None:
    """Refuses a file whose header is too long, no JSON object, or has a name twice.

    Raises:
        DamagedHeader: when it is one of these.
        OSError: when the file cannot be read.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(LENGTH, path.stat().st_size):
            raise DamagedHeader(f"a header of {length:,} bytes, at most {LENGTH:,} in a longer file are allowed")
        text = stream.read(length)
    try:
        header = parse_facts(text)
    except Unreadable as reason:
        raise DamagedHeader(f"its header: {reason}") from None
    if not isinstance(header, dict) or len(header) > ENTRIES:
        raise DamagedHeader(f"its header is no list of tensors by their names, at most {ENTRIES:,}")
    if odd := next((name for name in header if not name.isprintable() or len(name) > NAME), None):
        raise DamagedHeader(f"a name that is not printable, or longer than {NAME:,} characters: {show_name(odd)!r}")
