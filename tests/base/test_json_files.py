"""JSON files that are read again: facts are refused in one sentence, damaged memory counts as missing."""

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, write_memory
from pipeline.base.json_files import DEEPEST, LARGEST, MOST_VALUES, build, load_json, recall_json


class Kind(StrEnum):
    A = "a"


@dataclass(frozen=True)
class Memory:
    name: str
    kind: Kind
    size: int | None = None


def refused(path: Path) -> str:
    with pytest.raises(Fault) as raised:
        load_json(path, "restore it")
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", ":1: not valid JSON (it is empty)"),
        (b" \n", ":1: not valid JSON (it is empty)"),
        (b'{\n"a": 1', ":2: not valid JSON (Expecting ',' delimiter)"),
        (b"\xff", ":1: not UTF-8 text (invalid start byte at byte 0)"),
        (b'"a\0"', ":1: not UTF-8 text (a zero at byte 2)"),
        (b"[" * 100_000, ": it is nested too deeply"),
        (b'{"a":' * 100_000, ": it is nested too deeply"),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), f": it is nested more than {DEEPEST} deep"),
        (b"9" * 5000, ": not valid JSON (Exceeds the limit (4300 digits)"),
        (b"9223372036854775808", ": an integer has more than 64 bits"),
        (b"[1e999]", ": inf is not a number of JSON"),
        (b"NaN", ": nan is not a number of JSON"),
        (b'{"a": 1, "b": {}, "a": 2}', ": the key 'a' stands twice in one object"),
        (rb'{"\ud800": 1}', ": '\\ud800' is not Unicode text"),
        (b"[" + b"1," * MOST_VALUES + b"1]", f": it has more than {MOST_VALUES:,} values"),
    ],
)
def test_facts_are_refused(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(text)
    assert refused(path).startswith(f"{path}{reason}")
    assert refused(path).endswith("; restore it")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", LARGEST + 1)
    assert refused(tmp_path) == f"{tmp_path}: it is a folder, expected a file; restore it"
    assert refused(tmp_path / "pipe").endswith("pipe: it is a pipe or a device, expected a file; restore it")
    assert refused(tmp_path / "link").endswith("link: a link to a file that does not exist; restore it")
    assert refused(tmp_path / "huge").endswith(
        "huge: it has more than 67,108,864 bytes, which no such file needs; restore it"
    )
    with pytest.raises(FileNotFoundError):
        load_json(tmp_path / "nothing", "restore it")


def test_facts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    value = {"é": [1, -2.5, None, True, 2**63 - 1, {"": "\U0001f600"}], "deep": json.loads("[" * 60 + "]" * 60)}
    for text in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode("utf-16")):
        path.write_bytes(text)
        assert load_json(path, "") == value
    path.write_text("[NaN, Infinity]")
    assert str(load_json(path, "", nan=True)) == "[nan, inf]"


MEMORY = {"name": "x", "kind": "a", "size": 3}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "it is not what this program writes, got null"),
        ([], "it is not what this program writes, got a list of 0"),
        ({}, "name is missing"),
        (MEMORY | {"name": 7}, "name is not what this program writes, got 7"),
        (MEMORY | {"kind": "b"}, 'kind is not what this program writes, got "b"'),
        (MEMORY | {"kind": {}}, "kind is not what this program writes, got an object"),
        (MEMORY | {"size": True}, "size is not what this program writes, got true"),
        (MEMORY | {"size": 3.0}, "size is not what this program writes, got 3.0"),
        (MEMORY | {"more\n": 1}, r"more\n is an unknown key"),
    ],
)
def test_damaged_memory_counts_as_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, reason: str
) -> None:
    path = tmp_path / "memory.json"
    path.write_text(json.dumps(content))
    assert recall_json(path, Memory) is None
    assert capsys.readouterr().err == f"{path}: {reason}; it counts as missing and is made again\n"


def test_memory_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "memory.json"
    assert recall_json(path, Memory) is None  # missing
    path.write_text(json.dumps(MEMORY))
    assert recall_json(path, Memory) == Memory("x", Kind.A, 3)
    path.write_text('{"name": "x", "kind": "a"}')
    assert recall_json(path, Memory) == Memory("x", Kind.A)
    assert capsys.readouterr().err == ""


def test_types_are_built() -> None:
    assert build(dict[str, tuple[int, list[str]]], {"a": [1, ["b"]]}) == {"a": (1, ["b"])}
    with pytest.raises(Unreadable, match=r"a\.1\.0 is not"):
        build(dict[str, tuple[int, list[str]]], {"a": [1, [2]]})
    with pytest.raises(Unreadable, match=r"a is not what this program writes, got a list of 1"):
        build(dict[str, tuple[int, list[str]]], {"a": [1]})


def test_memory_replaces_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "link", "pipe"):
        assert recall_json(tmp_path / name, Memory) is None
        write_memory(tmp_path / name, json.dumps(MEMORY))
        assert recall_json(tmp_path / name, Memory) == Memory("x", Kind.A, 3)
    assert not (tmp_path / "nothing").exists()
