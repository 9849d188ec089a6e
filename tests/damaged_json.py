"""What can become of a JSON file that this program reads again: by broken disks, editors, merges and strangers."""

import json
import os
from collections.abc import Callable
from pathlib import Path

_HUGE = 1 << 30  # bytes


def _content(content: bytes) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.write_bytes(content)

    return replace


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _repeat_keys(path: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace("{", '{"a": 1, "a": 2, ', 1))


def _empty_values(path: Path) -> None:
    """Keeps the outermost keys, with values of other types."""
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), 7)))


def _instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def _grow(path: Path) -> None:
    os.truncate(path, _HUGE)


# Each damages a file; nothing of them is what this program writes.
DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": _content(b""),
    "cut": _cut,
    "random": _content(bytes(range(256))),
    "not UTF-8": _content(b'{"\xff": 1}'),
    "null": _content(b"null"),
    "list": _content(b"[]"),
    "number": _content(b"7"),
    "text": _content(b'"text"'),
    "empty object": _content(b'{"x": {}}'),
    "other values": _empty_values,
    "deep lists": _content(b"[" * 100_000),
    "deep objects": _content(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "deep value": _content(b'{"a":' * 900 + b"1" + b"}" * 900),
    "huge integer": _content(b'{"a": ' + b"9" * 5000 + b"}"),
    "large integer": _content(b'{"a": ' + b"9" * 4000 + b"}"),
    "NaN": _content(b'{"a": NaN}'),
    "repeated keys": _repeat_keys,
    "half a surrogate": _content(rb'{"\ud800": 1}'),
    "many values": _content(b"[" + b"[]," * 2_100_000 + b"[]]"),
    "huge": _grow,
    "folder": _instead(Path.mkdir),
    "pipe": _instead(os.mkfifo),
    "link to nothing": _instead(lambda path: path.symlink_to("nothing")),
    "link to itself": _instead(lambda path: path.symlink_to(path.name)),
}
