"""Strict YAML: what every reader understands alike is read, the rest refused with what YAML makes of it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base import strict_yaml
from pipeline.base.fault import Fault

READ = {
    "0": 0, "7": 7, "+7": 7, "-7": -7, "123456789012345678": 123456789012345678, "0.5": 0.5, ".5": 0.5, "5.": 5.0,
    "-0.5": -0.5, "1.5e+3": 1500.0, "1.5E-3": 0.0015, "true": True, "False": False, "yes": True, "off": False,
    "~": None, "null": None, "": None, "'010'": "010", '"1:30"': "1:30", "'2024-01-01'": "2024-01-01", "1.2.3": "1.2.3",
    "y": "y", "1e3": "1e3", "0o10": "0o10", "08": "08", "a: b'": {"a": "b'"}, "[a, 1]": ["a", 1], "é — ☃": "é — ☃",
    '"a\\tb\\nc"': "a\tb\nc",
}  # fmt: skip
REFUSED = {
    "010": "8", "0x10": "16", "0b11": "3", "1_000": "1000", "1:30": "90", "-1:30": "-90", "1:30.5": "90.5",
    "1_0.5": "10.5", ".inf": "inf", "-.INF": "-inf", ".nan": "nan", "1.0e+999": "inf", "00": "0",
    "1234567890123456789": "1234567890123456789", "9" * 64: "a long number",
}  # fmt: skip
IN_QUOTES = {"2024-01-01": "a date", "2024-01-01T10:00:00Z": "a date", "=": "a command", "<<": "a command"}


def read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return strict_yaml.construct(strict_yaml.compose(path))


@pytest.fixture(params=[yaml.CSafeLoader, yaml.SafeLoader], autouse=True)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs each test with libyaml and without."""
    monkeypatch.setattr(strict_yaml, "_LOADER", request.param)


@pytest.mark.parametrize("value", READ)
def test_what_everybody_understands_alike_is_read(tmp_path: Path, value: str) -> None:
    text = f"key:\n  {value}\n"
    assert read(tmp_path, text) == {"key": READ[value]}
    assert type(read(tmp_path, text)["key"]) is type(READ[value])


@pytest.mark.parametrize("value", REFUSED)
def test_numbers_in_other_forms_are_refused_with_what_yaml_makes_of_them(tmp_path: Path, value: str) -> None:
    with pytest.raises(Fault) as raised:
        read(tmp_path, f"a: 1\nkey: {value}\n")
    advice = "write a decimal number, or put it into quotes if it is a text"
    assert str(raised.value) == f"{tmp_path}/a.yaml:2: YAML reads {value} as {REFUSED[value]}; {advice}"
    assert read(tmp_path, f"key: '{value}'\n") == {"key": value}


@pytest.mark.parametrize("value", IN_QUOTES)
def test_dates_and_commands_belong_into_quotes(tmp_path: Path, value: str) -> None:
    with pytest.raises(Fault) as raised:
        read(tmp_path, f"a: 1\nkey: {value}\n")
    assert str(raised.value) == f"{tmp_path}/a.yaml:2: YAML reads {value} as {IN_QUOTES[value]}; put it into quotes"
    assert read(tmp_path, f"key: '{value}'\n") == {"key": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1: a", ":1: YAML reads the key 1 as 1; a key must be a word"),
        ("on: a", ":1: YAML reads the key on as true or false; a key must be a word"),
        ("~: a", ":1: YAML reads the key ~ as null; a key must be a word"),
        ("2024-01-01: a", ":1: YAML reads the key 2024-01-01 as a date; a key must be a word"),
        ("a: &a {b: 1}\nc:\n  <<: *a", ":3: YAML reads the key << as a command; a key must be a word"),
        ("a: {b: 1,\n b: 2}", ":2: 'b' stands twice, first on line 1"),
        ("? [a]\n: b", ":1: a key must be a plain word"),
        ("a: !!str 1", ":1: the tag !!str is not supported; remove it, and put a text into quotes"),
        ("a: ! 1", ":1: the tag ! is not supported; "),
        ("a: !!set {b}", ":1: the tag !!set is not supported; "),
        ("%TAG ! tag:yaml.org,2002:\n---\na: !binary AAAA", ":3: the tag !!binary is not supported; "),
        ('a: "\\0"', ":1: a text has the character U+0000; remove it"),
        ('a: "\\x9b2J"', ":1: a text has the character U+009B; remove it"),
        ("- a", ":1: expected a mapping of sections"),
        ("a: [*b]", ":1: not valid YAML: found undefined alias"),
        ("a: 1\n--- b", ":2: not valid YAML: but found another document, at column 1"),
    ],
)
def test_what_files_of_facts_do_not_need_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Fault) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/a.yaml{message}")


def test_an_alias_repeats_a_value(tmp_path: Path) -> None:
    text = "summary: &words trained on images\ntraining: *words\nlists: [&one [1], *one, *one]\n"
    words = "trained on images"
    assert read(tmp_path, text) == {"summary": words, "training": words, "lists": [[1], [1], [1]]}


def test_as_much_as_the_limits_allow_is_read(tmp_path: Path) -> None:
    depth, size = strict_yaml.MAX_DEPTH - 1, strict_yaml.MAX_BYTES - 4
    assert read(tmp_path, f"a: {'[' * depth}{']' * depth}")
    with pytest.raises(Fault, match=r"a\.yaml:1: more than 20 lists and mappings within each other, at column 23; "):
        read(tmp_path, f"a: {'[' * (depth + 1)}{']' * (depth + 1)}")
    assert len(read(tmp_path, f"a: {'b' * size}\n")["a"]) == size
    with pytest.raises(Fault, match=r"a\.yaml: it has more than 262,144 bytes"):
        read(tmp_path, f"a: {'b' * size}\n\n")
    half = f"a: &a {'b' * (size // 2 - 20)}\nb: "
    assert read(tmp_path, f"{half}*a\n")
    with pytest.raises(Fault, match=r"a\.yaml:2: with its aliases \(\*name\) written out, the file has more than"):
        read(tmp_path, f"{half}[*a, *a]\n")


def test_events_are_counted_no_further_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libyaml's time is quadratic in the depth: nothing may read on, and nothing may compose."""
    events: list[object] = []
    parse = yaml.parse

    def count(text: str, **options: Any) -> Iterator[object]:
        for event in parse(text, **options):
            events.append(event)
            yield event

    monkeypatch.setattr(yaml, "parse", count)
    monkeypatch.delattr(yaml, "compose")
    with pytest.raises(Fault, match="more than 20 lists"):
        read(tmp_path, f"a: {'[' * 100_000}")
    assert len(events) < 30


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(Fault, match=r"a\.yaml: it is a pipe or a device, expected a file; expected a text$"):
        strict_yaml.compose(tmp_path / "a.yaml")
