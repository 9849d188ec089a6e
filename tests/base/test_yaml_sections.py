"""YAML sections: each faulty sample is refused with a sentence that names the place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base import yaml_sections
from pipeline.base.fault import Fault
from pipeline.checkpoints.section import Checkpoint
from pipeline.facts.collection import Module, read_collection
from pipeline.model.section import Model

SAMPLES = Path(__file__).parents[1] / "data/members"
GOOD = """\
checkpoint:
  name: a
  sources: [a.npz]
  sha256: {sha256}
module:
  version: 1
  title: A
"""

FAULTS = {
    "misspelled-key": ("checkpoint", Checkpoint, ":3: unknown key 'source' in checkpoint (did you mean 'sources'?)"),
    "misspelled-section": ("checkpoint", Checkpoint, ":4: unknown section 'modul' (did you mean 'module'?)"),
    "missing-section": ("module", Module, ": section 'module' is missing"),
    "missing-key": ("checkpoint", Checkpoint, ":1: checkpoint lacks the key 'sources' (a list, each a string)"),
    "string-for-number": ("module", Module, ":2: module.version must be a whole number, got 'one' (str)"),
    "boolean-for-number": ("module", Module, ":2: module.version must be a whole number, got True (bool)"),
    "string-for-list": ("checkpoint", Checkpoint, ":3: checkpoint.sources must be a list, each a string, got 'a.npz'"),
    "number-in-list": ("checkpoint", Checkpoint, ":5: checkpoint.sources[1] must be a string, got 7 (int)"),
    "scalar-for-section": ("module", Module, ":1: module must be a mapping, got 'here'"),
    "key-twice": ("module", Module, ":3: 'version' stands twice, first on line 2"),
    "version-zero": ("module", Module, ":1: module.version must be 1 to 999,999,999, got 0"),
    "short-sha256": ("checkpoint", Checkpoint, ":1: checkpoint.sha256 must be 64 hexadecimal digits, got"),
    "unknown-variant": ("model", Model, ":1: model.variant 'S-16' is unknown (did you mean 'S/16'?): expected <size>"),
    "odd-image-size": ("model", Model, ":1: model.image_size 225 does not fit variant S/16: expected a multiple of 16"),
    "no-classes": ("model", Model, ":1: model.classes must be 1 or more, got 0"),
    "unknown-scheme": ("checkpoint", Checkpoint, ":1: checkpoint.sources: 'ftp://host/a.npz' has the unknown"),
    "broken-yaml": ("module", Module, ":3: not valid YAML: did not find expected ',' or ']', at column 8"),
    "date-for-number": ("module", Module, ":2: YAML reads 2026-11-22 as a date; put it into quotes"),
    "impossible-date": ("module", Module, ":2: YAML reads 2026-99-99 as a date; put it into quotes"),
    "unknown-tag": ("module", Module, ":2: the tag !foo is not supported; remove it, and put a text into quotes"),
    "list-for-key": ("module", Module, ":2: a key must be a plain word"),
    "no-url": ("checkpoint", Checkpoint, ":1: checkpoint.sources: 'http://[::1/a.npz' is no URL; expected <scheme>://<host>/<file>"),
    "control-character": ("module", Module, ":3: not valid YAML: the character U+0007; delete it"),
    "no-utf8": ("module", Module, ":3: not UTF-8 text (invalid continuation byte at byte 30); save it as UTF-8"),
    "empty-file": ("module", Module, ":1: expected a mapping of sections"),
}  # fmt: skip


def test_a_digest_may_have_capitals(tmp_path: Path) -> None:
    """PowerShell's Get-FileHash prints them."""
    path = tmp_path / "m.yaml"
    path.write_text(f"checkpoint: {{name: a, sources: [a.npz], sha256: {'0AF9' * 16}}}\n")
    checkpoint = yaml_sections.YamlFile(path).key("checkpoint", Checkpoint)
    assert checkpoint is not None
    assert checkpoint.sha256 == "0af9" * 16


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_refused_with_its_place(fault: str) -> None:
    section, kind, message = FAULTS[fault]
    path = SAMPLES / f"{fault}.yaml"
    with pytest.raises(Fault) as raised:
        yaml_sections.load(path, section, kind)
    assert str(raised.value).startswith(f"{path}{message}")


def test_a_password_at_the_wrong_place_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("checkpoint:\n  name: a\n  sources: https://me:secret@host/a.npz\n")
    with pytest.raises(Fault, match=r"must be a list, each a string, got 'https://host/a\.npz' \(str\)"):
        yaml_sections.load(path, "checkpoint", Checkpoint)


def test_every_sample_is_tested() -> None:
    assert {path.stem for path in SAMPLES.glob("*.yaml")} == set(FAULTS)


def test_good_sections_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD.format(sha256="null"))
    assert yaml_sections.load(path, "checkpoint", Checkpoint) == Checkpoint("a", ("a.npz",), None)
    assert yaml_sections.load(path, "module", Module) == Module(1, "A", None)
    path.write_text(GOOD.format(sha256="ab" * 32))
    assert yaml_sections.load(path, "checkpoint", Checkpoint).sha256 == "ab" * 32


@pytest.mark.parametrize(
    "content",
    [
        lambda text: f"\ufeff{text}".encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("title: A", "title: A  ").encode(),
    ],
)
def test_a_file_of_any_editor_is_read(tmp_path: Path, content: Callable[[str], bytes]) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content(GOOD.format(sha256="null")))
    assert yaml_sections.load(path, "checkpoint", Checkpoint) == Checkpoint("a", ("a.npz",), None)
    assert yaml_sections.load(path, "module", Module) == Module(1, "A", None)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c"])
def test_separators_of_other_programs_end_no_line(tmp_path: Path, separator: str) -> None:
    """Text that was copied from a web page has them. The lines of messages are those of an editor."""
    path = tmp_path / "a.yaml"
    path.write_text(f"module:\n  title: A{separator}B\n  version: one\n", encoding="utf-8")
    with pytest.raises(Fault, match=r"a\.yaml:3: module\.version must be a whole number"):
        yaml_sections.load(path, "module", Module)
    path.write_text(f"module:\n  title: A{separator}B\n  version: 1\n", encoding="utf-8")
    assert yaml_sections.load(path, "module", Module) == Module(1, "A B", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module:\n\ttitle: A\n", ":2: not valid YAML: .*; line 2 has a tab: write spaces"),
        ("module:\n  title:\u00a0A\n  version: 1\n", ":3: not valid YAML: .*; line 2 has a no-break space: write"),
        ("module: {\n  title: A\n", ":3: not valid YAML: [^;]*$"),
        ("module:\n  title: \0\n", r":2: not UTF-8 text \(a zero at byte 17\); save it as UTF-8"),
    ],
)
def test_characters_that_cannot_be_seen_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Fault, match=rf"a\.yaml{message}"):
        yaml_sections.load(path, "module", Module)


def test_a_member_is_parsed_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD.format(sha256="null"))
    member = yaml_sections.Member(path)
    path.unlink()
    assert member.section("checkpoint", Checkpoint).name == member.checkpoint_name() == member.name == "a"
    assert member.section("module", Module).title == "A"
    assert member.folder == tmp_path


@pytest.mark.parametrize(("old", "new"), [("  name: a\n", ""), ("name: a", "name: 7")])
def test_a_checkpoint_without_a_name_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD.format(sha256="null").replace(old, new))
    with pytest.raises(Fault, match=r"a\.yaml: checkpoint\.name must be a string, got (None|7)$"):
        yaml_sections.Member(path).checkpoint_name()


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such file"):
        yaml_sections.load(tmp_path / "a.yaml", "module", Module)


@pytest.mark.parametrize("name", ["demo", "own", "vit"])
def test_collections_are_valid(name: str) -> None:
    folder = Path(__file__).parents[2] / "model_cards" / name
    collection = read_collection(folder / "collection.yaml")
    assert collection.name == name
