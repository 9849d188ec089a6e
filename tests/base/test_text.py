"""Text files as editors on any system leave them."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.text import read_lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"a\rb\r", ["a", "b"]),
        (b"a \t\n\n  b\n \n\n", ["a", "", "b"]),
        ("\ufeffa\n\ufeffb".encode(), ["a", "b"]),
        ("a\u2028b\x85c\x0bd\n".encode(), ["a b c d"]),
        ("é\r\nb".encode("utf-16"), ["é", "b"]),
        ("a\nb".encode("utf-16-be"), None),
        ("é".encode("latin-1"), None),
        (b"", []),
    ],
)
def test_lines_are_read(content: bytes, lines: list[str] | None, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    if lines is None:
        with pytest.raises(Fault, match=r"a\.txt:1: not UTF-8 text \(.* at byte \d\); save it as UTF-8"):
            read_lines(tmp_path / "a.txt", "save it as UTF-8")
    else:
        assert read_lines(tmp_path / "a.txt", "save it as UTF-8") == lines
