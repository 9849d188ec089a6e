"""Reads text files that people edit: with the encodings, byte order marks and line ends of any system."""

import codecs
import re
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, read_bounded

# The longest text that is read whole is a table of ImageNet's 50,000 validation images with their boxes: 3 MB.
MAX_BYTES = 16 * 1024 * 1024

# A page of 1,000 modules has 0.3 MB, a plot of 50,000 images 0.1 MB.
LARGEST_GENERATED = 4 << 20  # bytes

# str.splitlines() also cuts at U+2028, NEL and form feeds, which names copied from a web page have in their middle.
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATORS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")


def read_lines(path: Path, advice: str) -> list[str]:
    """Reads the lines of a text file, without spaces at their ends and without empty lines at the end of the file.

    Args:
        path: the file, UTF-8, or UTF-16 with a byte order mark, as Windows writes it.
        advice: what to do about another encoding, such as "save it as UTF-8".

    Raises:
        Fault: when it is in another encoding, larger than MAX_BYTES, or no file.
    """
    return split_lines(read_bytes(path), path, advice)


def read_text(path: Path, advice: str, limit: int = MAX_BYTES) -> str:
    """Reads a text file of at most `limit` bytes as one text whose lines end with "\\n"; see read_lines()."""
    return _SEPARATORS.sub(" ", _LINE_END.sub("\n", decode(read_bytes(path, limit), path, advice)))


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Reads a text file of at most `limit` bytes.

    Raises:
        Fault: when it is larger, or is a pipe or a device, which may have no end.
        OSError: when it is missing or cannot be read.
    """
    try:
        return read_bounded(path, limit)
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; expected a text") from None


def read_generated(path: Path, repair: str, limit: int = LARGEST_GENERATED) -> str:
    """Reads a text that this program, or another one for a hub, has written, in UTF-8.

    Args:
        path: the file.
        repair: what to do about a damaged one, such as "publish it again".
        limit: how many bytes it may have.

    Raises:
        Fault: when it is no regular file, larger, or not UTF-8.
    """
    try:
        return _LINE_END.sub("\n", read_bounded(path, limit).decode())
    except UnicodeDecodeError as error:
        raise Fault(f"{path}: not UTF-8 text ({error}); {repair}") from None
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; {repair}") from None


def split_lines(content: bytes, where: Path, advice: str) -> list[str]:
    """Returns the lines of a text file's content; see read_lines()."""
    text = _SEPARATORS.sub(" ", decode(content, where, advice))
    # Files that were joined have byte order marks in their middle.
    lines = [line.lstrip("\ufeff ").rstrip() for line in _LINE_END.split(text)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def decode(content: bytes, where: Path, advice: str) -> str:
    """Returns a text file's content as text; see read_lines()."""
    try:
        return decode_text(content)
    except Unreadable as reason:
        raise Fault(f"{where}:{reason.line}: {reason}; {advice}") from None


def decode_text(content: bytes) -> str:
    """Returns UTF-8, or UTF-16 with a byte order mark, as text; raises Unreadable, with the line, for anything else."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 text ({error.reason} at byte {error.start})"
        raise Unreadable(reason, _line_of(content, error.start)) from None
    if "\0" in text:  # of UTF-16 without a mark every other byte is zero
        start = content.index(0)
        raise Unreadable(f"not UTF-8 text (a zero at byte {start})", _line_of(content, start))
    return text


def _line_of(content: bytes, position: int) -> int:
    """Returns the line, from 1, of the byte at a position."""
    newlines, returns, both = (content.count(end, 0, position) for end in (b"\n", b"\r", b"\r\n"))
    return newlines + returns - both + 1
