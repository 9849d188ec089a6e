"""Reads text files that people edit: with the encodings, byte order marks and line ends of any system."""

import codecs
import re
from pathlib import Path

from pipeline.base.fault import Fault

# str.splitlines() also cuts at U+2028, NEL and form feeds, which names copied from a web page have in their middle.
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATORS = re.compile("[\v\f\x1c-\x1e\x85\u2028\u2029]")


def read_lines(path: Path, advice: str) -> list[str]:
    """Reads the lines of a text file, without spaces at their ends and without empty lines at the end of the file.

    Args:
        path: the file, UTF-8, or UTF-16 with a byte order mark, as Windows writes it.
        advice: what to do about another encoding, such as "save it as UTF-8".

    Raises:
        Fault: when it is in another encoding.
    """
    return split_lines(path.read_bytes(), path, advice)


def read_text(path: Path, advice: str) -> str:
    """Reads a text file as one text whose lines end with "\\n"; see read_lines()."""
    return _SEPARATORS.sub(" ", _LINE_END.sub("\n", decode(path.read_bytes(), path, advice)))


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
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_of(content, error.start)
        raise Fault(f"{where}:{line}: not UTF-8 text ({error.reason} at byte {error.start}); {advice}") from None
    if "\0" in text:  # of UTF-16 without a mark every other byte is zero
        start = content.index(0)
        raise Fault(f"{where}:{_line_of(content, start)}: not UTF-8 text (a zero at byte {start}); {advice}")
    return text


def _line_of(content: bytes, position: int) -> int:
    """Returns the line, from 1, of the byte at a position."""
    return len(re.findall(rb"\r\n|\r|\n", content[:position])) + 1
