"""Hostile member and collection files, which make reads before everything else."""

import os
from pathlib import Path

import yaml

import pipeline.check  # noqa: F401 (what command() runs)
from pipeline.dag.digests import Digests
from pipeline.dag.members import read_collection, read_sections, section_texts
from tests.hostile.attack import Attack, Fuzz, command

COLLECTION = """\
name: input
hub_url: https://example.org
publisher: {id: someone, name: Someone, about: They publish models.}
summary: trained on Fashion-MNIST
training: trained on Fashion-MNIST [1]
dataset_tag: fashion-mnist
dataset_name: Fashion-MNIST
license: apache-2.0
overview: |
  They are small.
about: |
  Each model takes images at 28x28 pixels.
references:
  - {text: A paper, url: "https://example.org/paper"}
"""
MEMBER = """\
checkpoint:
  name: a
  sources: [a.npz]
model:
  variant: Mini/4
  image_size: 28
  classes: 10
  labels: classes.tsv
evaluation:
  dataset: the Fashion-MNIST test set
  minimum_top1: 0.5
  imagenet: no
module:
  version: 1
  title: A
  note: |
    It is small.
"""
LABELS = "".join(f"{number}\tname {number}\n" for number in range(10))


def write(folder: Path, member: str = MEMBER, collection: str = COLLECTION, labels: str = LABELS) -> Path:
    """Writes a member with its collection; returns the member's file."""
    (folder / "collection.yaml").write_text(collection, encoding="utf-8")
    (folder / "classes.tsv").write_text(labels, encoding="utf-8")
    path = folder / "a.yaml"
    path.write_text(member, encoding="utf-8")
    return path


def check(path: Path) -> None:
    """Checks the member in the folder of `path`, as make does before its first long stage."""
    command("check", path.parent / "a.yaml", "--hub-url", "https://example.org")


def _member(name: str, text: str, sentence: str) -> Attack:
    """Returns the attack of a member's file."""
    return Attack(name, lambda folder: write(folder, text), check, sentence)


def _version(value: str) -> str:
    return MEMBER.replace("version: 1", f"version: {value}")


def _repeat(value: str, anchors: int = 30) -> str:
    """Returns YAML in which each anchor repeats the one before it ten times: a billion laughs."""
    lines = [f"a0: &a0 {value}", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, anchors))]
    return "".join(f"{line}\n" for line in lines)


def _labels(name: str, text: str, sentence: str) -> Attack:
    return Attack(name, lambda folder: write(folder, labels=text), check, sentence)


def _collection(name: str, text: str, sentence: str) -> Attack:
    return Attack(name, lambda folder: write(folder, collection=text), check, sentence)


_DEFINITIONS = "".join(f"  [a{number}]: b\n" for number in range(1_200))
_REFERENCES = '  - {text: A paper, url: "https://example.org/a"}\n' * 29 + '  - {text: A paper, url: "x:y"}\n'
_WRITTEN_OUT = r"a\.yaml:\d+: with its aliases \(\*name\) written out, the file has more than 262,144 characters"
_DEEP = r"a\.yaml:\d+: more than 20 lists and mappings within each other, at column \d+"
_ENDLESS = r"a\.yaml:\d+: the alias \*a repeats what it is part of, without end"
_LARGE = r"a\.yaml: it has more than 262,144 bytes"


def _fifo(folder: Path) -> Path:
    path = write(folder)
    path.unlink()
    os.mkfifo(path)
    return path


ATTACKS = (
    _member("nested lists", f"a: {'[' * 30_000}{']' * 30_000}\n", _DEEP),
    _member("nested mappings", "{a: " * 30_000, _DEEP),
    _member("nested block lists", f"{'- ' * 30_000}a\n", _DEEP),
    _member("nested keys", "".join(f"{' ' * depth}a:\n" for depth in range(700)), _DEEP),
    _member("nested complex keys", f"{'? ' * 30_000}a\n", _DEEP),
    _member("billion laughs", _repeat("lol"), _WRITTEN_OUT),
    _member("billion laughs in keys", f"{_repeat('lol', 6)}? *a5\n: 1\n", _WRITTEN_OUT),
    _member("a long text, repeated", f"a: &a {'b' * 100_000}\nc: [{'*a, ' * 10_000}]\n", _WRITTEN_OUT),
    _member("a list that holds itself", "a: &a [*a]\n", _ENDLESS),
    _member("a mapping that holds itself", "a: &a {b: {c: *a}}\n", _ENDLESS),
    _member("a mapping with itself as a key", "&a a: 1\nb: &a {? *a : 1}\n", _ENDLESS),
    _member("an anchor that nobody defines", "a: *b\n", "not valid YAML: found undefined alias"),
    _member("a large file", f"#{' ' * 300_000}\n", _LARGE),
    _member("many directives", "".join(f"%TAG !{n}! a\n" for n in range(12_000)) + "---\na: 1\n", "unknown section"),
    _member("a number in base 60", _version("1" + ":59" * 80_000), "module: |YAML reads 1:59.* as a long number"),
    _member("a fraction in base 60", _version("1" + ":59" * 80_000 + ".0"), "YAML reads 1:59.* as a long number"),
    _member("digits", _version("9" * 200_000), "YAML reads 999.* as a long number"),
    _member("hexadecimal digits", _version("0x" + "f" * 200_000), "YAML reads 0xf.* as a long number"),
    _member("a number that is not finite", _version("1.0e+999"), "YAML reads 1.0e.999 as inf"),
    _member("a tag of Python", _version("!!python/object/apply:os.system [ls]"), "the tag !!python/object"),
    _member("a binary text", _version("!!binary AAAA"), "the tag !!binary is not supported"),
    _member("a key of 200,000 letters", f"{'a' * 200_000}: 1\n", r"a\.yaml:1: "),
    _member("a value of 200,000 letters", _version("a" * 200_000), "must be a whole number, got 'aaa"),
    _member("many keys", "".join(f"a{n}: 1\n" for n in range(20_000)), "unknown section 'a0'"),
    _member("an escape code", MEMBER.replace("title: A", r'title: "\e[2J"'), r":15: a text has the character U\+001B"),
    _member("a zero in a path", MEMBER.replace("[a.npz]", r'["\0"]'), r":3: a text has the character U\+0000"),
    _member("several documents", MEMBER + "---\n" + MEMBER, "but found another document"),
    _labels("an escape code in a label", LABELS.replace("name 3", "\x1b[2J"), r":4: a label has the character U"),
    _labels("a long label", LABELS + "a" * 1_000_000, r"classes\.tsv:11: expected <key><tab><name>, got 'aaa"),
    _labels("many labels", "".join(f"{number}\ta\n" for number in range(50_000)), "expected 10 labels, .* got 50000"),
    _labels("a large file of labels", "a\n" * 9_000_000, r"classes\.tsv: it has more than 4,000,000 bytes"),
    _collection("a long overview", COLLECTION.replace("They are small.", "[" * 99_999), "overview: 100,000 characters"),
    _collection("definitions of links", COLLECTION.replace("  They are small.\n", _DEFINITIONS), "defines a link"),
    _collection("many references", COLLECTION + "  - {text: a, url: b}\n" * 1_000, "references must be at most 200"),
    _collection("a citation of many digits", COLLECTION.replace("[1]", f"[{'9' * 10_000}]"), r"training: \[9"),
    _collection("a fault in the last reference", COLLECTION + _REFERENCES, r"references\[30\]\.url: the link 'x:y'"),
    Attack("a pipe", _fifo, check, r"a\.yaml: it is a pipe"),
)  # fmt: skip


def _read(path: Path) -> None:
    """Reads a member for its stamps, which no fault stops, then checks it."""
    folder = path.parent
    section_texts(read_sections(folder / "a.yaml"), read_collection(folder), Digests(folder / "out/digests.json"))
    check(path)


FUZZES = (
    Fuzz("YAML", lambda folder: [write(folder), folder / "collection.yaml"], _read, yaml.safe_load),
    Fuzz("labels", lambda folder: [write(folder).with_name("classes.tsv")], _read),
)
